package component

import (
	"context"
	"errors"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"golang.org/x/sync/errgroup"
	"mellium.im/xmpp/jid"
	"mellium.im/xmpp/stanza"

	"ppch/component/follow"
	"ppch/component/occupancy"
	"ppch/component/protocol"
)

// How often to check a MUC domain again: its configuration may change while the stream stays up.
const (
	discoverEvery = 3 * time.Minute
	retryEvery    = 15 * time.Second // while it has a problem
)

// domain is one watched MUC domain. It reports its status to the directory, and is safe for concurrent use.
type domain struct {
	jid      jid.JID
	own      jid.JID // the component's
	shard    *occupancy.Shard
	settings occupancy.Settings
	follower *follow.Follower

	// refusals counts how often in a row the module refused the subscription although disco showed it.
	refusals atomic.Int32

	// mu protects what follows; whenever mu is free, the directory has the same status.
	mu     sync.Mutex
	status occupancy.Status
}

func newDomain(j jid.JID, cfg Config) *domain {
	d := &domain{jid: j, own: cfg.Domain, shard: cfg.Shard, settings: cfg.Settings}
	d.follower = follow.New(cfg.Shard, func() { d.set(occupancy.ModeModule, nil) })
	d.report(func(s *occupancy.Status) { s.Since = time.Now() })
	return d
}

// report changes the status and passes it to the directory.
func (d *domain) report(change func(*occupancy.Status)) {
	d.mu.Lock()
	defer d.mu.Unlock()
	change(&d.status)
	d.shard.SetStatus(d.jid, d.status)
}

// state returns the present state of the domain.
func (d *domain) state() occupancy.Domain {
	state, err := d.shard.Domain(d.jid)
	if err != nil {
		panic(err) // Config requires a shard that has it
	}
	return state
}

// refused reports whether the module is loaded but refuses our subscription.
// One refusal is not enough: the module may be just unloading or loading.
func (d *domain) refused() bool { return d.refusals.Load() > 1 }

// connected reports a new stream. Earlier results are void: Prosody may have been restarted with another configuration.
func (d *domain) connected(since time.Time) {
	d.refusals.Store(0)
	d.report(func(s *occupancy.Status) {
		*s = occupancy.Status{Connected: true, Since: since, Mode: occupancy.ModeUndecided, Problem: occupancy.ProblemDiscovering.About(d.jid).Err(nil)}
	})
}

// disconnected reports that the stream ended, or that an attempt failed.
func (d *domain) disconnected(p *occupancy.UnavailableError, established bool, now, retryAt time.Time) {
	d.report(func(s *occupancy.Status) {
		if established {
			s.Since = now
		}
		s.Connected, s.Problem, s.RetryAt = false, p, retryAt
	})
}

// set reports the mode or problem of the domain on this stream.
func (d *domain) set(m occupancy.Mode, p *occupancy.UnavailableError) {
	if p == nil && m == occupancy.ModeModule && d.refused() {
		p = occupancy.ProblemNotAllowed.About(d.jid).With(occupancy.Fact{Name: "component", Value: d.own.String()}).Err(nil)
	}
	d.report(func(s *occupancy.Status) { s.Mode, s.Problem = m, p })
}

// setMode sets the mode according to the answer of a room, and reports whether it changed.
func (d *domain) setMode(m occupancy.Mode) (news bool) {
	d.report(func(s *occupancy.Status) {
		if s.Problem == nil && s.Mode != occupancy.ModeModule && s.Mode != m {
			s.Mode, news = m, true
		}
	})
	return news
}

// watchDomains checks each MUC domain periodically until ctx ends.
func (c *Component) watchDomains(ctx context.Context, l *connection) error {
	g, ctx := errgroup.WithContext(ctx)
	for _, d := range c.domains {
		g.Go(func() error { return c.watchDomain(ctx, l, d) })
	}
	return g.Wait()
}

func (c *Component) watchDomain(ctx context.Context, l *connection, d *domain) error {
	for {
		before := d.state()
		d.discover(ctx, l)
		if ctx.Err() != nil {
			return nil
		}
		after := d.state()
		c.logChange(before, after)
		next := discoverEvery
		switch {
		case after.Mode == occupancy.ModeModule:
			if err := d.follower.Follow(ctx, subscriber{d, l}, c.cfg.Log.With("domain", d.jid.String())); err != nil {
				// Without the module, nothing updates the replica any more.
				d.shard.Forget(d.jid)
				d.set(occupancy.ModeModule, nil)
				next = time.Second
				if d.refused() {
					c.logChange(after, d.state())
					next = retryEvery
				} else {
					c.cfg.Log.Warn("subscription lost", "domain", d.jid.String(), "err", err)
				}
			}
		case after.Problem != nil:
			next = retryEvery
		}
		select {
		case <-ctx.Done():
			return nil
		case <-time.After(next):
		}
	}
}

func (c *Component) logChange(before, after occupancy.Domain) {
	switch {
	case after.Mode == occupancy.ModeModule && (after.Problem == nil || after.Problem.Reason != occupancy.ReasonNotAllowed):
		// Loading is no problem; follow logs when its rooms are loaded.
		c.cfg.Log.Info("MUC domain seen", "domain", after.JID.String(), "mode", after.Mode)
	case after.Problem != nil && (before.Problem == nil || before.Problem.Reason != after.Problem.Reason):
		c.cfg.Log.Warn("MUC domain unavailable", "domain", after.JID.String(), "reason", after.Problem.Reason, "remedy", after.Problem.Remedy, "err", after.Problem.Err)
	case after.Problem == nil && (before.Problem != nil || before.Mode != after.Mode):
		c.cfg.Log.Info("MUC domain seen", "domain", after.JID.String(), "mode", after.Mode)
	}
}

// discover finds out by disco what the domain is and supports.
func (d *domain) discover(ctx context.Context, l *connection) {
	answer, err := l.discoInfo(ctx, d.jid)
	switch {
	case ctx.Err() != nil:
		return // the end of the stream is reported elsewhere
	case errors.As(err, new(stanza.Error)), err == nil && !isMUC(answer):
		d.set(occupancy.ModeUndecided, occupancy.ProblemNoMUC.For(d.settings).About(d.jid).Err(err))
	case err != nil:
		d.set(occupancy.ModeUndecided, unanswered(d.jid, err))
	case hasFeature(answer, protocol.Namespace):
		d.set(occupancy.ModeModule, nil)
	case len(protocols(answer)) > 0:
		d.refusals.Store(0)
		d.shard.Forget(d.jid)
		d.set(occupancy.ModeUndecided, otherVersion(d.jid, protocols(answer)))
	default:
		d.refusals.Store(0)
		d.shard.Forget(d.jid)
		d.set(d.modeByRoom(ctx, l), nil)
	}
}

// modeByRoom returns the mode of a domain without the Lua module.
// Only a room that exists shows it. With no room listed, the mode remains that of the last answer of a room.
func (d *domain) modeByRoom(ctx context.Context, l *connection) occupancy.Mode {
	rooms, err := l.publicRooms(ctx, d.jid)
	if err == nil && len(rooms) > 0 {
		if answer, err := l.discoInfo(ctx, rooms[0]); err == nil {
			if _, err := occupants(answer); err == nil {
				return occupancy.ModeDisco
			}
		}
	}
	if before := d.state(); before.Mode != occupancy.ModeModule {
		return before.Mode
	}
	return occupancy.ModeUndecided
}

// unanswered returns the error for a question without an answer.
func unanswered(domain jid.JID, err error) *occupancy.UnavailableError {
	return occupancy.ProblemUnanswered.About(domain).Err(err)
}

// otherVersion returns the error for a domain whose Lua module has other versions of the protocol.
func otherVersion(domain jid.JID, theirs []string) *occupancy.UnavailableError {
	p := occupancy.ProblemModuleTooOld
	if slices.ContainsFunc(theirs, protocol.IsNewer) {
		p = occupancy.ProblemModuleTooNew
	}
	return p.About(domain).With(
		occupancy.Fact{Name: "theirs", Value: strings.Join(theirs, " and ")},
		occupancy.Fact{Name: "ours", Value: protocol.Namespace},
	).Err(nil)
}
