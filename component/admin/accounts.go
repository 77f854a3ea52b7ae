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

// How often Prosody is asked again whether a domain is its own.
const (
	verifyEvery = 3 * time.Minute
	retryEvery  = 15 * time.Second // after a question that got no answer
)

// accounts are the admins: bare JIDs, and domains of which every account is one.
//
// What Prosody vouches for is the from of a stanza: it stamps that of a client (core/stanza_router.lua),
// lets a server speak only for hosts that it has proved to be, which none of Prosody's own is,
// and a component only for its own domain (mod_component.lua, validate_from_addresses).
// So an entry counts only once its domain has been shown to be one of Prosody's own hosts where people log in:
// whoever can get hold of another server, or of a component's secret, is never an admin.
type accounts struct {
	entries []jid.JID
	log     *slog.Logger

	// mu protects what follows; it is held by the read loop for a moment.
	mu       sync.Mutex
	verified map[string]bool // by domain: what the present session has shown
}

func newAccounts(entries []jid.JID, log *slog.Logger) *accounts {
	return &accounts{entries: slices.Clone(entries), log: log, verified: make(map[string]bool)}
}

// reset forgets what an earlier session has shown.
func (a *accounts) reset() {
	a.mu.Lock()
	defer a.mu.Unlock()
	clear(a.verified)
}

// has reports whether a stanza with this from is an admin's.
// It has to be of an account: a host of Prosody's own speaks for nobody.
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

// domains returns those of all entries, each once.
func (a *accounts) domains() (domains []jid.JID) {
	for _, e := range a.entries {
		if d := e.Domain(); !slices.ContainsFunc(domains, d.Equal) {
			domains = append(domains, d)
		}
	}
	return domains
}

// verify asks Prosody again and again which of the domains are its own, until ctx ends.
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
		a.log.Info("admins may come in", "domain", domain.String())
		return
	}
	a.log.Warn("admins are ignored: their domain is no host of this Prosody where people log in", "domain", domain.String(), "err", err)
}

// wiring returns the state of each entry. The caller owns it.
func (a *accounts) wiring() (all []occupancy.AdminWiring) {
	a.mu.Lock()
	defer a.mu.Unlock()
	for _, e := range a.entries {
		all = append(all, occupancy.AdminWiring{JID: e, Local: a.verified[e.Domain().String()]})
	}
	return all
}
