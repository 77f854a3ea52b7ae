package component

import (
	"context"
	"errors"
	"time"

	lru "github.com/hashicorp/golang-lru/v2"
	"golang.org/x/sync/singleflight"
	"mellium.im/xmpp/jid"
	"mellium.im/xmpp/stanza"

	"ppch/component/occupancy"
)

// How long, and how many, answers of Prosody serve everybody who asks the same:
// Prosody has one thread, which the meetings need, and many callers often wait for one room.
const (
	holdFor = time.Second
	holdMax = 4096
)

var errNoNumber = errors.New("component: the answer holds no number of occupants")

// Room tells what is known of a room now.
// Where the Lua module tells of the domain it is in the directory, as old as it says.
// Elsewhere Prosody is asked, if nobody did so within the last second;
// that blocks for the time of one question, 5 s at most, whatever becomes of the context:
// others may wait for the same answer, or want it in a moment.
//
// A room that doesn't exist is no error.
// What isn't known now is an *occupancy.UnknownError,
// and a room on a domain that isn't watched is occupancy.ErrNotWatched.
func (c *Component) Room(_ context.Context, room jid.JID) (occupancy.Room, error) {
	room = room.Bare()
	d, err := c.domainOf(room)
	if err != nil {
		return occupancy.Room{}, err
	}
	if occupancy.HealthCheck(room) {
		return d.missing(room, time.Now()), nil
	}
	if known, ok := d.known(room); ok {
		return known, nil
	}
	return c.ask(d, room)
}

// Glance tells in short what Room would, and otherwise is like it.
func (c *Component) Glance(ctx context.Context, room jid.JID) (occupancy.Glance, error) {
	d, err := c.domainOf(room)
	if err != nil {
		return occupancy.Glance{}, err
	}
	if d.outOfDate() == nil {
		if g, ok := d.follower.directory.Glance(room); ok {
			return g, nil
		}
	}
	r, err := c.Room(ctx, room)
	if err != nil {
		return occupancy.Glance{}, err
	}
	return occupancy.Glance{
		Address: r.JID.String(), Type: r.Type, Exists: r.Exists, Participants: r.Participants, AsOf: r.AsOf, State: r.State, Numbers: r.Numbers,
	}, nil
}

// Listed returns when all rooms of a watched MUC domain were last known, or an *occupancy.UnknownError:
// only the Lua module tells of all rooms. It doesn't block.
func (c *Component) Listed(domain jid.JID) (time.Time, error) {
	d, err := c.domainOf(domain)
	if err != nil {
		return time.Time{}, err
	}
	if asOf, ok := d.follower.directory.AsOf(d.jid); ok && d.outOfDate() == nil && d.incomplete() == nil {
		return asOf, nil
	}
	if _, err := c.session(); err != nil {
		c.hurryUp()
		return time.Time{}, err
	}
	switch state := d.state(); {
	case state.Problem != nil:
		return time.Time{}, state.Problem
	case state.Mode == occupancy.ModeModule:
		return time.Time{}, syncing(d.jid) // known since a moment ago
	}
	return time.Time{}, occupancy.NotListed(d.jid)
}

// ask has Prosody asked about a room of a domain without the Lua module.
func (c *Component) ask(d *domain, room jid.JID) (occupancy.Room, error) {
	l, err := c.session()
	if err != nil {
		c.hurryUp()
		return occupancy.Room{}, err
	}
	state := d.state()
	if state.Problem != nil {
		return occupancy.Room{}, state.Problem
	}
	if state.Mode == occupancy.ModeModule {
		// Known since a moment ago: what disco says of a room is less than that, or nothing.
		if known, ok := d.known(room); ok {
			return known, nil
		}
		return occupancy.Room{}, syncing(d.jid)
	}
	return l.held.get(room.String(), func() (occupancy.Room, error) {
		answer, err := c.askRoom(l, d, room)
		if cause := context.Cause(l.ctx); cause != nil {
			return occupancy.Room{}, lost(c.cfg, cause)
		}
		return answer, err
	})
}

// known returns what the copy of the domain has of a room, and false while it can't tell.
func (d *domain) known(room jid.JID) (occupancy.Room, bool) {
	if d.outOfDate() != nil {
		return occupancy.Room{}, false
	}
	return d.follower.directory.Room(room)
}

// askRoom asks Prosody and learns the mode of the domain from the answer.
func (c *Component) askRoom(l *live, d *domain, room jid.JID) (occupancy.Room, error) {
	// The count was true at some moment after asking, so this never makes it look younger than it is.
	asked := time.Now()
	answer, err := l.discoInfo(l.ctx, room)
	var refusal stanza.Error
	switch {
	case err == nil:
		n, err := occupants(answer)
		if err != nil {
			return occupancy.Room{}, rejected(d.jid, err)
		}
		c.learn(d, occupancy.ModeDisco)
		found := occupancy.Room{JID: room, Exists: true, Participants: n, Source: occupancy.SourceDisco, AsOf: asked}
		found.State = occupancy.StateOf(found)
		found.Numbers = found.State
		return found, nil
	case !errors.As(err, &refusal):
		return occupancy.Room{}, unanswered(d.jid, err)
	case refusal.Condition == stanza.ItemNotFound, refusal.Condition == stanza.Gone:
		return d.missing(room, asked), nil
	case refusal.Condition == stanza.Forbidden:
		// mod_muc_hide_all answers so for rooms that exist, to whoever isn't in them.
		c.learn(d, occupancy.ModeExistence)
		return occupancy.Room{}, occupancy.ModuleMissing(d.jid)
	}
	return occupancy.Room{}, rejected(d.jid, err)
}

// learn notes what a room's answer showed of its domain.
func (c *Component) learn(d *domain, m occupancy.Mode) {
	switch {
	case !d.learn(m):
	case m == occupancy.ModeExistence:
		p := occupancy.ModuleMissing(d.jid)
		c.cfg.Log.Warn("rooms are hidden", "domain", d.jid.String(), "mode", m, "reason", p.Reason, "mend", p.Mend)
	default:
		c.cfg.Log.Info("MUC domain seen", "domain", d.jid.String(), "mode", m)
	}
}

// missing is a room that doesn't exist, which is known exactly: nobody is in it.
func (d *domain) missing(room jid.JID, asOf time.Time) occupancy.Room {
	source := occupancy.SourceExistence
	if d.state().Mode == occupancy.ModeDisco {
		source = occupancy.SourceDisco
	}
	none := occupancy.Room{
		JID: room, Exact: true, Source: source, AsOf: asOf,
		Counts: map[occupancy.Kind]int{}, Occupants: []*occupancy.Occupant{},
	}
	none.State = occupancy.StateOf(none)
	none.Numbers = none.State
	return none
}

// holder keeps one question per room under way and its answer for a moment.
// It lives and dies with a session, so that no answer outlives the Prosody that gave it.
type holder struct {
	flights singleflight.Group
	held    *lru.Cache[string, heldAnswer]
}

type heldAnswer struct {
	room occupancy.Room
	err  error
	at   time.Time
}

func newHolder() *holder {
	held, err := lru.New[string, heldAnswer](holdMax)
	if err != nil {
		panic(err) // only for a size that isn't positive
	}
	return &holder{held: held}
}

// get returns the held answer of a room, or that of ask. The caller owns it.
func (h *holder) get(room string, ask func() (occupancy.Room, error)) (occupancy.Room, error) {
	v, _, _ := h.flights.Do(room, func() (any, error) {
		if a, ok := h.held.Get(room); ok && time.Since(a.at) < holdFor {
			return a, nil
		}
		answer, err := ask()
		a := heldAnswer{answer, err, time.Now()}
		h.held.Add(room, a)
		return a, nil
	})
	a := v.(heldAnswer)
	return a.room.Clone(), a.err
}
