package component

import (
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"syscall"
	"time"

	"mellium.im/xmpp/stream"

	"ppch/component/occupancy"
)

// operatorWait is the pause after a failure that only an operator can mend, or that fighting over would make worse.
const operatorWait = time.Minute

// explain says in words why the link is down, given what ended a connection or kept it from coming up.
func explain(cfg Config, established bool, err error) *occupancy.UnknownError {
	reason, mend := diagnose(cfg, established, err)
	return &occupancy.UnknownError{Reason: reason, Mend: mend, Err: err}
}

func diagnose(cfg Config, established bool, err error) (reason occupancy.Reason, mend string) {
	var (
		dns     *net.DNSError
		network net.Error
	)
	switch {
	case errors.Is(err, stream.HostUnknown):
		return occupancy.ReasonHostUnknown, fmt.Sprintf(
			`Prosody knows no component %s: add Component "%s" with its component_secret to Prosody's configuration and restart Prosody, or mend PPCH_COMPONENT_DOMAIN; if it is there, PROSODY_URL may name the port for clients instead of the component port`,
			cfg.Domain, cfg.Domain)
	case errors.Is(err, stream.NotAuthorized):
		return occupancy.ReasonNotAuthorized, fmt.Sprintf(
			"Prosody refuses the secret of %s: make PPCH_COMPONENT_SECRET equal to component_secret in Prosody's configuration", cfg.Domain)
	case errors.Is(err, stream.Conflict) && established:
		return occupancy.ReasonConflict, fmt.Sprintf(
			"another program connected to Prosody as %s and took its place: stop it, or give each its own component and PPCH_COMPONENT_DOMAIN", cfg.Domain)
	case errors.Is(err, stream.Conflict):
		return occupancy.ReasonConflict, fmt.Sprintf(
			`another connection holds %s, maybe our own from before: stop the other program, or set component_conflict_resolve = "kick_old" for this component in Prosody's configuration`, cfg.Domain)
	case errors.Is(err, errUnresponsive):
		return occupancy.ReasonTimeout, "Prosody stopped answering: look at its load and its log, and at the network between"
	case errors.As(err, &dns):
		return occupancy.ReasonDNS, fmt.Sprintf(
			"the name %s does not resolve: mend the host in PROSODY_URL, or join the Docker network that Prosody is on", dns.Name)
	case errors.Is(err, syscall.ECONNREFUSED):
		return occupancy.ReasonRefused, fmt.Sprintf(
			`nothing listens at %s: start Prosody, and open the component port in its configuration (component_ports = { 5347 } and component_interfaces = { "*" }), or mend PROSODY_URL`, cfg.Address)
	case errors.Is(err, os.ErrDeadlineExceeded), errors.Is(err, context.DeadlineExceeded), errors.As(err, &network) && network.Timeout():
		return occupancy.ReasonTimeout, fmt.Sprintf(
			"no XMPP component service answers at %s in time: is this Prosody's component port, usually 5347, and does no firewall swallow it?", cfg.Address)
	case isNetwork(err) && !established:
		return occupancy.ReasonUnreachable, fmt.Sprintf("%s can't be reached: mend PROSODY_URL or the network", cfg.Address)
	case established:
		return occupancy.ReasonLost, "the connection to Prosody ended and is being made again; if this lasts, look at Prosody's log"
	}
	return occupancy.ReasonRejected, fmt.Sprintf(
		"what listens at %s does not speak XEP-0114: is this Prosody's component port, usually 5347, and not that for clients or HTTP?", cfg.Address)
}

// isNetwork reports whether err came from the operating system's network.
func isNetwork(err error) bool {
	var op *net.OpError
	return errors.As(err, &op) && op.Op == "dial"
}

// needsOperator reports whether trying again soon is pointless or harmful.
func needsOperator(r occupancy.Reason, established bool) bool {
	switch r {
	case occupancy.ReasonHostUnknown, occupancy.ReasonNotAuthorized:
		return true
	case occupancy.ReasonConflict:
		// With kick_old two instances of one name would throw each other out for ever.
		// A refused newcomer (kick_new) waits only for its own old connection to be noticed as dead.
		return established
	}
	return false
}
