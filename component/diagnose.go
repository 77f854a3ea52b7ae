package component

import (
	"context"
	"errors"
	"net"
	"os"
	"syscall"
	"time"

	xstream "mellium.im/xmpp/stream"

	"ppch/component/occupancy"
	"ppch/component/stream"
)

// operatorWait is the wait after a problem that only an operator can fix, or that retries would make worse.
const operatorWait = time.Minute

// explain returns why there is no stream, from the error of a connection or of an attempt to connect.
// Answered says that Prosody has answered at this address before.
func explain(cfg Config, established, answered bool, err error) *occupancy.UnavailableError {
	host, _, splitErr := net.SplitHostPort(cfg.Address)
	if splitErr != nil {
		host = cfg.Address
	}
	return diagnose(established, answered, err).For(cfg.Settings).With(
		occupancy.Fact{Name: "prosody", Value: cfg.Address},
		occupancy.Fact{Name: "host", Value: host},
		occupancy.Fact{Name: "component", Value: cfg.Domain.String()},
	).Err(err)
}

func diagnose(established, answered bool, err error) occupancy.Problem {
	var network net.Error
	switch {
	case errors.Is(err, xstream.HostUnknown):
		return occupancy.ProblemHostUnknown
	case errors.Is(err, xstream.NotAuthorized):
		return occupancy.ProblemNotAuthorized
	case errors.Is(err, xstream.Conflict) && established:
		return occupancy.ProblemNameTaken
	case errors.Is(err, xstream.Conflict):
		return occupancy.ProblemNameHeld
	case errors.Is(err, stream.ErrUnresponsive):
		return occupancy.ProblemUnresponsive
	case errors.As(err, new(*net.DNSError)):
		return occupancy.ProblemNameUnresolved
	case errors.Is(err, syscall.ECONNREFUSED):
		return occupancy.ProblemRefused
	case errors.Is(err, os.ErrDeadlineExceeded), errors.Is(err, context.DeadlineExceeded), errors.As(err, &network) && network.Timeout():
		if answered { // the address is right
			return occupancy.ProblemUnresponsive
		}
		return occupancy.ProblemNoService
	case isNetwork(err) && !established:
		return occupancy.ProblemUnreachable
	case established:
		return occupancy.ProblemLost
	}
	return occupancy.ProblemNoXMPP
}

// isNetwork reports whether err is an error to dial.
func isNetwork(err error) bool {
	var op *net.OpError
	return errors.As(err, &op) && op.Op == "dial"
}

// needsOperator reports whether an early retry is pointless or harmful.
func needsOperator(r occupancy.Reason, established bool) bool {
	switch r {
	case occupancy.ReasonHostUnknown, occupancy.ReasonNotAuthorized:
		return true
	case occupancy.ReasonConflict:
		// With kick_old, two instances with one name would disconnect each other forever.
		// With kick_new, a refused one only waits until Prosody notices that its old connection is dead.
		return established
	}
	return false
}
