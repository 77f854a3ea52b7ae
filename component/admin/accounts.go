package admin

import (
	"context"
	"log/slog"
	"slices"
	"sync"
	"time"

	"mellium.im/xmpp/jid"

	"ppch/component/occupancy"
)

// How often to ask Prosody again whether a domain is its own.
const (
	verifyEvery = 3 * time.Minute
	retryEvery  = 15 * time.Second // after a question without an answer
)

// accounts are the admins on one stream: bare JIDs, and domains, which mean all their accounts.
//
// Prosody guarantees the from of a stanza: it stamps that of a client (core/stanza_router.lua),
// lets another server use only hosts that it has authenticated, never Prosody's own,
// and a component only its own domain (mod_component.lua, validate_from_addresses).
// So an entry counts only once Prosody has shown that its domain is a VirtualHost of its own:
// control of another server, or of a component's secret, makes no one an admin.
type accounts struct {
	entries []jid.JID
	log     *slog.Logger

	// mu protects what follows; the read loop holds it for a moment.
	mu       sync.Mutex
	verified map[string]bool // by domain
}

func newAccounts(entries []jid.JID, log *slog.Logger) *accounts {
	return &accounts{entries: slices.Clone(entries), log: log, verified: make(map[string]bool)}
}

// has reports whether this from is that of an admin. It must be that of an account, since hosts are no admins.
func (a *accounts) has(from string) bool {
	if len(a.entries) == 0 {
		return false
	}
	j, err := jid.Parse(from)
	if err != nil || j.Localpart() == "" {
		return false
	}
	bare, domain := j.Bare(), j.Domain()
	if !slices.ContainsFunc(a.entries, func(e jid.JID) bool { return e.Equal(bare) || e.Equal(domain) }) {
		return false
	}
	a.mu.Lock()
	defer a.mu.Unlock()
	return a.verified[domain.String()]
}

// domains returns the domains of all entries, each once.
func (a *accounts) domains() (domains []jid.JID) {
	for _, e := range a.entries {
		if d := e.Domain(); !slices.ContainsFunc(domains, d.Equal) {
			domains = append(domains, d)
		}
	}
	return domains
}

// verify asks Prosody periodically which of the domains are its own, until ctx ends.
func (a *accounts) verify(ctx context.Context, isLocal func(context.Context, jid.JID) (bool, error)) error {
	logged := make(map[string]bool)
	for {
		next := verifyEvery
		for _, d := range a.domains() {
			local, err := isLocal(ctx, d)
			if ctx.Err() != nil {
				return nil
			}
			a.mu.Lock()
			a.verified[d.String()] = local
			a.mu.Unlock()
			if err != nil {
				next = retryEvery
			}
			if before, ok := logged[d.String()]; !ok && !local || before != local {
				a.logChange(d, local, err)
			}
			logged[d.String()] = local
		}
		select {
		case <-ctx.Done():
			return nil
		case <-time.After(next):
		}
	}
}

func (a *accounts) logChange(domain jid.JID, local bool, err error) {
	if local {
		a.log.Info("admin domain verified", "domain", domain.String())
		return
	}
	a.log.Warn("admins ignored: domain is not a VirtualHost of this Prosody", "domain", domain.String(), "err", err)
}

// diagnostics returns the state of each entry. The caller owns it.
func (a *accounts) diagnostics() (all []occupancy.AdminDiagnostics) {
	a.mu.Lock()
	defer a.mu.Unlock()
	for _, e := range a.entries {
		all = append(all, occupancy.AdminDiagnostics{JID: e, Local: a.verified[e.Domain().String()]})
	}
	return all
}
