package doctor

import (
	"context"
	"errors"
	"net/http"
	"slices"
	"strings"
	"time"

	"ppch/api/view"
	"ppch/component/occupancy"
	"ppch/component/protocol"
)

// facts are the state of the connection.
type facts struct {
	view.Diagnostics

	// shard is the one whose connection is checked.
	shard string

	// err is why the stream is down, if the doctor connects itself.
	err error
}

// value returns what p points to, or the zero value for nil.
func value[T any](p *T) (v T) {
	if p != nil {
		v = *p
	}
	return v
}

// factsOf returns the facts of the doctor's own connection.
func factsOf(d occupancy.Diagnostics, services []occupancy.Service, version string) facts {
	f := facts{Diagnostics: view.NewDiagnostics(d)}
	f.Version, f.Services = version, view.NewServices(services)
	if main := d.Domains[0]; !main.Connected {
		f.err = main.Problem.Err
	}
	return f
}

// streamDecided reports whether the attempt to open the stream has succeeded or failed.
func (f facts) streamDecided() bool {
	return f.Connected || value(f.Reason) != occupancy.ReasonConnecting && value(f.Reason) != occupancy.ReasonLost
}

// domainsDecided reports whether each MUC domain has answered or failed.
func (f facts) domainsDecided() bool {
	if !f.Connected {
		return true
	}
	for _, d := range f.Domains {
		if r := value(d.Reason); r == occupancy.ReasonConnecting || r == occupancy.ReasonSyncing {
			return false
		}
	}
	return true
}

// componentOf returns PPCH's name on the Prosody of a domain.
func (f facts) componentOf(d view.DomainDiagnostics) string {
	for _, s := range f.Shards {
		if s.Shard == d.Shard && s.Component != nil {
			return *s.Component
		}
	}
	return f.Component
}

// adminsLocal reports whether Prosody has verified the domains of all admins, which takes a moment.
func (f facts) adminsLocal() bool {
	return !slices.ContainsFunc(f.Admins, func(a view.AdminDomain) bool { return !a.Local })
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
func (f facts) protocols(d view.DomainDiagnostics) []string {
	for _, s := range f.Services {
		if s.Domain == d.Domain && s.Shard == d.Shard {
			return s.Protocols
		}
	}
	return nil
}

// withModule returns the other MUC services of the same Prosody that have this version's Lua module.
func (f facts) withModule(but view.DomainDiagnostics) (names []string) {
	for _, s := range f.Services {
		for _, p := range s.Protocols {
			if p == protocol.Namespace && s.Domain != but.Domain && s.Shard == but.Shard {
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
