package doctor

import (
	"context"
	"errors"
	"net/http"
	"slices"
	"strings"
	"time"

	"ppch/component/occupancy"
	"ppch/component/protocol"
)

// facts are the state of the connection, as in GET /api/diagnostics.
type facts struct {
	Version   string           `json:"version"`
	Component string           `json:"component"`
	Prosody   string           `json:"prosody"`
	Connected bool             `json:"connected"`
	Reason    occupancy.Reason `json:"reason"`
	Domains   []domainFacts    `json:"domains"`
	Services  []serviceFacts   `json:"services"`
	Admins    []adminFacts     `json:"admin_domains"`

	// err is why the stream is down, if the doctor connects itself.
	err error
}

type domainFacts struct {
	Domain  string           `json:"domain"`
	Mode    occupancy.Mode   `json:"mode"`
	Reason  occupancy.Reason `json:"reason"`
	AsOf    *time.Time       `json:"as_of"`
	Resyncs uint64           `json:"resyncs"`
	Module  *moduleFacts     `json:"module"`
}

type moduleFacts struct {
	Version    string   `json:"version"`
	ClockAhead *float64 `json:"clock_ahead_seconds"`
	Rooms      int      `json:"rooms"`
	RoomCache  *int     `json:"room_cache"`
}

type serviceFacts struct {
	Domain    string   `json:"domain"`
	Protocols []string `json:"protocols"`
}

type adminFacts struct {
	Domain string `json:"domain"`
	Local  bool   `json:"local"`
}

// factsOf returns the facts of the doctor's own connection.
func factsOf(w occupancy.Diagnostics, services []occupancy.Service, version string) facts {
	main := w.Domains[0]
	f := facts{Version: version, Component: w.Component.String(), Prosody: w.Prosody, Connected: main.Connected}
	if !main.Connected {
		f.Reason, f.err = main.Problem.Reason, main.Problem.Err
	}
	for _, d := range w.Domains {
		known := domainFacts{Domain: d.JID.String(), Mode: d.Mode, Resyncs: d.Resyncs}
		if p := d.CountProblem(); p != nil {
			known.Reason = p.Reason
		}
		if d.Problem != nil {
			known.Mode = ""
		}
		if !d.AsOf.IsZero() {
			known.AsOf = &d.AsOf
		}
		if d.Sync != nil {
			known.Module = &moduleFacts{Version: d.Sync.Version, Rooms: d.Rooms}
			if d.Sync.RoomCache > 0 {
				known.Module.RoomCache = &d.Sync.RoomCache
			}
			if d.Sync.Ahead != nil {
				known.Module.ClockAhead = new(d.Sync.Ahead.Seconds())
			}
		}
		f.Domains = append(f.Domains, known)
	}
	for _, s := range services {
		f.Services = append(f.Services, serviceFacts{s.JID.String(), s.Protocols})
	}
	for _, a := range w.Admins {
		f.Admins = append(f.Admins, adminFacts{a.JID.Domainpart(), a.Local})
	}
	return f
}

// streamDecided reports whether the attempt to open the stream has succeeded or failed.
func (f facts) streamDecided() bool {
	return f.Connected || f.Reason != occupancy.ReasonConnecting && f.Reason != occupancy.ReasonLost
}

// domainsDecided reports whether each MUC domain has answered or failed.
func (f facts) domainsDecided() bool {
	if !f.Connected {
		return true
	}
	for _, d := range f.Domains {
		if d.Reason == occupancy.ReasonConnecting || d.Reason == occupancy.ReasonSyncing {
			return false
		}
	}
	return true
}

// adminsLocal reports whether Prosody has verified the domains of all admins, which takes a moment.
func (f facts) adminsLocal() bool {
	return !slices.ContainsFunc(f.Admins, func(a adminFacts) bool { return !a.Local })
}

// domains returns the watched domains in the form of MUC_DOMAIN.
func (f facts) domains() string {
	names := make([]string, len(f.Domains))
	for i, d := range f.Domains {
		names[i] = d.Domain
	}
	return strings.Join(names, ",")
}

// protocols returns the protocols of the Lua module on a domain.
func (f facts) protocols(domain string) []string {
	for _, s := range f.Services {
		if s.Domain == domain {
			return s.Protocols
		}
	}
	return nil
}

// withModule returns the other MUC services that have this version's Lua module.
func (f facts) withModule(but string) (names []string) {
	for _, s := range f.Services {
		for _, p := range s.Protocols {
			if p == protocol.Namespace && s.Domain != but {
				names = append(names, s.Domain)
			}
		}
	}
	return names
}

// poll inspects until done or until the timeout, and returns the last facts. It also retries when the service limits
// the rate (PPCH_RATE_LIMIT).
func poll(ctx context.Context, inspect func(context.Context) (facts, error), done func(facts) bool, timeout time.Duration) (facts, error) {
	deadline := time.Now().Add(timeout)
	for {
		f, err := inspect(ctx)
		var p problem
		tooSoon := errors.As(err, &p) && p.status == http.StatusTooManyRequests
		if !tooSoon && (err != nil || done(f)) || time.Now().After(deadline) {
			return f, err
		}
		select {
		case <-ctx.Done():
			return f, err
		case <-time.After(pollInterval):
		}
	}
}
