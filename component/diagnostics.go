package component

import (
	"errors"
	"fmt"
	"sync"
	"time"

	"mellium.im/xmpp/jid"

	"ppch/component/occupancy"
)

// resyncPause is how long after one wish for a new copy the next one is heard, for each domain:
// to tell all rooms costs Prosody, which has one thread, about as much as a minute of changes.
const resyncPause = time.Minute

// errWished is why a copy is made anew that had no fault.
var errWished = errors.New("component: somebody wished for a new copy")

// Wiring tells how the component hangs together with Prosody. The caller owns it.
func (c *Component) Wiring() occupancy.Wiring {
	w := occupancy.Wiring{
		Component:  c.cfg.Domain,
		Prosody:    c.cfg.Address,
		LastAnswer: c.answered(),
		Admins:     c.admin.Accounts(),
		Refused:    c.admin.Refused(),
	}
	for _, d := range c.domains {
		state := d.state()
		w.Domains = append(w.Domains, occupancy.DomainWiring{
			Domain: state, Resyncs: d.follower.resyncs.Load(), Sync: d.follower.sync(state.AsOf),
		})
	}
	return w
}

// sync returns the state of the subscription, or nil while there is none.
func (f *follower) sync(asOf time.Time) *occupancy.Sync {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.epoch == "" {
		return nil
	}
	s := &occupancy.Sync{Version: f.version, Epoch: f.epoch, Seq: f.seq, Heartbeat: f.beat, LastBatch: f.last, Ahead: f.ahead, RoomCache: f.roomCache}
	if !asOf.IsZero() {
		s.Lag = max(0, f.last.Sub(asOf))
	}
	return s
}

// wishes bounds how often copies are made anew because somebody wants that.
type wishes struct {
	// mu protects what follows.
	mu   sync.Mutex
	last map[string]time.Time // by domain
}

// Resync has the copy of a domain made anew, at most once a minute. What is known serves meanwhile.
// It doesn't wait for the new copy. Its error is in words for people.
func (c *Component) Resync(domain jid.JID) error {
	d, err := c.domainOf(domain)
	if err != nil {
		return err
	}
	if d.follower.sync(time.Time{}) == nil {
		return fmt.Errorf("component: %s tells nothing at present that could be told again", d.jid)
	}
	c.wishes.mu.Lock()
	defer c.wishes.mu.Unlock()
	if wait := resyncPause - time.Since(c.wishes.last[d.jid.String()]); wait > 0 {
		return fmt.Errorf("component: %s was learnt anew a moment ago; try again in %s", d.jid, wait.Round(time.Second))
	}
	c.wishes.last[d.jid.String()] = time.Now()
	d.follower.end(errWished)
	return nil
}
