package component

import (
	"context"
	"errors"
	"slices"
	"strings"
	"sync"
	"time"

	"golang.org/x/sync/errgroup"
	"mellium.im/xmpp/jid"
	"mellium.im/xmpp/stanza"

	"ppch/component/occupancy"
	"ppch/component/protocol"
)

// How often a MUC domain is looked at again: its configuration may change without our stream being lost.
const (
	lookEvery     = 3 * time.Minute
	lookSoonEvery = 15 * time.Second // while it can't be used
)

// domain is one watched MUC domain, whose status it reports to the directory. It is safe for concurrent use.
type domain struct {
	jid       jid.JID
	own       jid.JID // the component's
	directory *occupancy.Directory
	follower  *follower

	// mu protects what follows; the directory has it whenever mu is free.
	mu     sync.Mutex
	status occupancy.Status
}

func newDomain(j jid.JID, cfg Config) *domain {
	d := &domain{jid: j, own: cfg.Domain, directory: cfg.Directory}
	d.follower = newFollower(j, cfg.Directory)
	d.follower.accepted = func() { d.set(occupancy.ModeModule, nil) }
	d.report(func(s *occupancy.Status) { s.Since = time.Now() })
	return d
}

// report changes the status and hands it to the directory.
func (d *domain) report(change func(*occupancy.Status)) {
	d.mu.Lock()
	defer d.mu.Unlock()
	change(&d.status)
	d.directory.SetStatus(d.jid, d.status)
}

// state returns how the domain is now.
func (d *domain) state() occupancy.Domain {
	state, err := d.directory.Domain(d.jid)
	if err != nil {
		panic(err) // Config demands a directory that watches it
	}
	return state
}

// connected reports a new session. What an earlier one found says nothing: Prosody may have been restarted with another configuration.
func (d *domain) connected(since time.Time) {
	d.follower.forgive()
	d.report(func(s *occupancy.Status) {
		*s = occupancy.Status{Connected: true, Since: since, Mode: occupancy.ModeUndecided, Problem: occupancy.ProblemDiscovering.About(d.jid).Err(nil)}
	})
}

// disconnected reports that there is no session, or still none.
func (d *domain) disconnected(p *occupancy.UnknownError, established bool, now, retryAt time.Time) {
	d.report(func(s *occupancy.Status) {
		if established {
			s.Since = now
		}
		s.Connected, s.Problem, s.RetryAt = false, p, retryAt
	})
}

// set reports what the domain turned out to be on this session.
func (d *domain) set(m occupancy.Mode, p *occupancy.UnknownError) {
	if p == nil && m == occupancy.ModeModule && d.follower.notAllowed() {
		p = occupancy.ProblemNotAllowed.About(d.jid).With(occupancy.Fact{Name: "component", Value: d.own.String()}).Err(nil)
	}
	d.report(func(s *occupancy.Status) { s.Mode, s.Problem = m, p })
}

// learn sets the mode that a room's answer showed.
// It reports whether that is news.
func (d *domain) learn(m occupancy.Mode) (news bool) {
	d.report(func(s *occupancy.Status) {
		if s.Problem == nil && s.Mode != occupancy.ModeModule && s.Mode != m {
			s.Mode, news = m, true
		}
	})
	return news
}

// watchDomains looks at each MUC domain now and again until ctx ends.
func (c *Component) watchDomains(ctx context.Context, l *live) error {
	g, ctx := errgroup.WithContext(ctx)
	for _, d := range c.domains {
		g.Go(func() error { return c.watchDomain(ctx, l, d) })
	}
	return g.Wait()
}

func (c *Component) watchDomain(ctx context.Context, l *live, d *domain) error {
	for {
		before := d.state()
		d.look(ctx, l)
		if ctx.Err() != nil {
			return nil
		}
		after := d.state()
		c.logChange(before, after)
		next := lookEvery
		switch {
		case after.Mode == occupancy.ModeModule:
			if err := d.follower.follow(ctx, l, c.cfg.Log); err != nil {
				// Without the module nothing of the replica will ever be refreshed.
				d.directory.Forget(d.jid)
				d.set(occupancy.ModeModule, nil)
				next = time.Second
				if d.follower.notAllowed() {
					c.logChange(after, d.state())
					next = lookSoonEvery
				} else {
					c.cfg.Log.Warn("MUC domain is not told of any more", "domain", d.jid.String(), "err", err)
				}
			}
		case after.Problem != nil:
			next = lookSoonEvery
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
		// That its rooms are not learnt yet is no fault; follow tells when they are.
		c.cfg.Log.Info("MUC domain seen", "domain", after.JID.String(), "mode", after.Mode)
	case after.Problem != nil && (before.Problem == nil || before.Problem.Reason != after.Problem.Reason):
		c.cfg.Log.Warn("MUC domain can't be used", "domain", after.JID.String(), "reason", after.Problem.Reason, "mend", after.Problem.Mend, "err", after.Problem.Err)
	case after.Problem == nil && (before.Problem != nil || before.Mode != after.Mode):
		c.cfg.Log.Info("MUC domain seen", "domain", after.JID.String(), "mode", after.Mode)
	}
}

// look learns by disco what the domain is and offers.
func (d *domain) look(ctx context.Context, l *live) {
	answer, err := l.discoInfo(ctx, d.jid)
	switch {
	case ctx.Err() != nil:
		return // the session's end is told elsewhere
	case errors.As(err, new(stanza.Error)), err == nil && !isMUC(answer):
		d.set(occupancy.ModeUndecided, occupancy.ProblemNoMUC.About(d.jid).Err(err))
	case err != nil:
		d.set(occupancy.ModeUndecided, unanswered(d.jid, err))
	case hasFeature(answer, protocol.Namespace):
		d.set(occupancy.ModeModule, nil)
	case len(protocols(answer)) > 0:
		d.follower.forgive()
		d.directory.Forget(d.jid)
		d.set(occupancy.ModeUndecided, otherVersion(d.jid, protocols(answer)))
	default:
		d.follower.forgive()
		d.directory.Forget(d.jid)
		d.set(d.modeByRoom(ctx, l), nil)
	}
}

// modeByRoom tells what a domain without the Lua module can be asked.
// Only a room that exists shows it, so where none is listed the mode stays what the last room showed.
func (d *domain) modeByRoom(ctx context.Context, l *live) occupancy.Mode {
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

// unanswered returns the error for a question that got no answer.
func unanswered(domain jid.JID, err error) *occupancy.UnknownError {
	return occupancy.ProblemUnanswered.About(domain).Err(err)
}

// otherVersion returns the error for a domain whose Lua module speaks other versions of the protocol.
func otherVersion(domain jid.JID, theirs []string) *occupancy.UnknownError {
	p := occupancy.ProblemModuleTooOld
	if slices.ContainsFunc(theirs, protocol.IsNewer) {
		p = occupancy.ProblemModuleTooNew
	}
	return p.About(domain).With(
		occupancy.Fact{Name: "theirs", Value: strings.Join(theirs, " and ")},
		occupancy.Fact{Name: "ours", Value: protocol.Namespace},
	).Err(nil)
}
