package component

import (
	"errors"
	"fmt"
	"sync"
	"time"

	"mellium.im/xmpp/jid"

	"ppch/component/occupancy"
)

// resyncPause is the least time between two requested resyncs of a domain:
// a snapshot costs Prosody, which has one thread, about as much as a minute of changes.
const resyncPause = time.Minute

var errResync = errors.New("component: resync requested")

// Diagnostics returns the state of the connection to Prosody and of the MUC domains. The caller owns it.
func (c *Component) Diagnostics() occupancy.Diagnostics {
	w := occupancy.Diagnostics{
		Component:  c.cfg.Domain,
		Prosody:    c.cfg.Address,
		LastAnswer: c.answered(),
		Admins:     c.admin.Accounts(),
		Rules:      c.cfg.Directory.RuleCounts(),
		Refused:    c.admin.Refused(),
	}
	w.Shards = []occupancy.ShardDiagnostics{{
		Shard: c.cfg.Shard.Name(), Kind: c.cfg.Shard.Kind(), Component: w.Component, Prosody: w.Prosody, LastAnswer: w.LastAnswer,
	}}
	for _, d := range c.domains {
		state := d.state()
		w.Domains = append(w.Domains, occupancy.DomainDiagnostics{
			Domain: state, Resyncs: d.follower.Resyncs(), Sync: d.follower.Sync(state.AsOf),
		})
	}
	return w
}

// resyncLimiter bounds how often resyncs can be requested.
type resyncLimiter struct {
	// mu protects what follows.
	mu   sync.Mutex
	last map[string]time.Time // by domain
}

// Resync starts to load the rooms of a domain again, at most once a minute, and doesn't wait for them.
// The present replica stays in use meanwhile. The error is for people.
func (c *Component) Resync(domain jid.JID) error {
	d, err := c.domainOf(domain)
	if err != nil {
		return err
	}
	if d.follower.Sync(time.Time{}) == nil {
		return fmt.Errorf("component: %s is not being followed, so it can't be resynced", d.jid)
	}
	c.resyncs.mu.Lock()
	defer c.resyncs.mu.Unlock()
	if wait := resyncPause - time.Since(c.resyncs.last[d.jid.String()]); wait > 0 {
		return fmt.Errorf("component: %s was resynced recently; try again in %s", d.jid, wait.Round(time.Second))
	}
	c.resyncs.last[d.jid.String()] = time.Now()
	d.follower.End(errResync)
	return nil
}
