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

// facts are what is known of the way to Prosody, as GET /api/wiring tells it.
type facts struct {
	Version   string           `json:"version"`
	Component string           `json:"component"`
	Prosody   string           `json:"prosody"`
	Connected bool             `json:"connected"`
	Reason    occupancy.Reason `json:"reason"`
	Domains   []domainFacts    `json:"domains"`
	Services  []serviceFacts   `json:"services"`
	Admins    []adminFacts     `json:"admin_domains"`

	// err is why the stream is down, where the doctor has connected by itself.
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

// factsOf returns what the doctor has learnt by itself.
func factsOf(w occupancy.Wiring, services []occupancy.Service, version string) facts {
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

// linkDecided reports whether it is known by now if the stream comes up.
func (f facts) linkDecided() bool {
	return f.Connected || f.Reason != occupancy.ReasonConnecting && f.Reason != occupancy.ReasonLost
}

// domainsDecided reports whether it is known by now what can be known of each MUC domain.
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

// adminsLocal reports whether Prosody has vouched for all admins, which takes it a moment.
func (f facts) adminsLocal() bool {
	return !slices.ContainsFunc(f.Admins, func(a adminFacts) bool { return !a.Local })
}

// domains returns the watched domains as MUC_DOMAIN has them.
func (f facts) domains() string {
	names := make([]string, len(f.Domains))
	for i, d := range f.Domains {
		names[i] = d.Domain
	}
	return strings.Join(names, ",")
}

// protocols returns what the Lua module speaks on a domain.
func (f facts) protocols(domain string) []string {
	for _, s := range f.Services {
		if s.Domain == domain {
			return s.Protocols
		}
	}
	return nil
}

// withModule returns the other MUC services that have the Lua module as it should be.
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

// settle looks again and again until it sees enough, or for so long. It returns what it saw last.
// A service that may be asked only now and then (PPCH_RATE_LIMIT) is asked again.
func settle(ctx context.Context, look func(context.Context) (facts, error), enough func(facts) bool, within time.Duration) (facts, error) {
	deadline := time.Now().Add(within)
	for {
		f, err := look(ctx)
		var refused refusal
		tooSoon := errors.As(err, &refused) && refused.status == http.StatusTooManyRequests
		if !tooSoon && (err != nil || enough(f)) || time.Now().After(deadline) {
			return f, err
		}
		select {
		case <-ctx.Done():
			return f, err
		case <-time.After(lookPause):
		}
	}
}
