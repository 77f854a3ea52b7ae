package component

import (
	"context"
	"errors"
	"fmt"
	"runtime/debug"
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

// Room returns a room as it is now.
// Where the Lua module reports the domain it comes from the directory, as old as it says.
// Elsewhere Prosody is asked, if nobody did so within the last second. That takes 15 s at most, usually a moment;
// a ctx that ends sooner ends the wait, and leaves the question to others who wait for the same answer, or want it in a moment.
//
// A room that doesn't exist is no error.
// Otherwise the error is an *occupancy.UnknownError, occupancy.ErrNotWatched, or the cause of a ctx that was canceled.
func (c *Component) Room(ctx context.Context, room jid.JID) (occupancy.Room, error) {
	room = room.Bare()
	known, err := c.cfg.Directory.Room(room)
	if !errors.Is(err, occupancy.ErrNoModule) {
		return known, err
	}
	d, err := c.domainOf(room)
	if err != nil {
		return occupancy.Room{}, err
	}
	if occupancy.HealthCheck(room) {
		return d.missing(room, time.Now()), nil
	}
	l, err := c.session()
	if err != nil {
		return occupancy.Room{}, err
	}
	answer, err := l.held.get(ctx, room.String(), func() (occupancy.Room, error) {
		answer, err := c.askRoom(l, d, room)
		if cause := context.Cause(l.Context()); cause != nil {
			return occupancy.Room{}, lost(c.cfg, cause)
		}
		return answer, err
	})
	if errors.Is(err, context.DeadlineExceeded) && ctx.Err() != nil {
		err = unanswered(d.jid, err)
	}
	return answer, err
}

// askRoom asks Prosody and learns the mode of the domain from the answer.
func (c *Component) askRoom(l *live, d *domain, room jid.JID) (occupancy.Room, error) {
	// The count was true at some moment after asking, so this never makes it look younger than it is.
	asked := time.Now()
	answer, err := l.discoInfo(l.Context(), room)
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
	case refusal.Condition == stanza.ItemNotFound, refusal.Condition == stanza.Gone,
		refusal.Condition == stanza.JIDMalformed: // no room can have an address that Prosody's stringprep refuses
		return d.missing(room, asked), nil
	case refusal.Condition == stanza.Forbidden:
		// mod_muc_hide_all answers so for rooms that exist, to whoever isn't in them.
		c.learn(d, occupancy.ModeExistence)
		return occupancy.Room{}, occupancy.ProblemHidden.About(d.jid).Err(nil)
	}
	return occupancy.Room{}, rejected(d.jid, err)
}

// learn notes what a room's answer showed of its domain.
func (c *Component) learn(d *domain, m occupancy.Mode) {
	switch {
	case !d.learn(m):
	case m == occupancy.ModeExistence:
		p := occupancy.ProblemHidden.About(d.jid).Err(nil)
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

// get returns the held answer of a room, or that of ask, unless ctx ends first. The caller owns it.
func (h *holder) get(ctx context.Context, room string, ask func() (occupancy.Room, error)) (occupancy.Room, error) {
	flight := h.flights.DoChan(room, func() (v any, err error) {
		defer func() {
			// It runs on a goroutine of its own, where a panic would end the program.
			if p := recover(); p != nil {
				err = fmt.Errorf("component: panic while asking about %s: %v\n%s", room, p, debug.Stack())
			}
		}()
		if a, ok := h.held.Get(room); ok && time.Since(a.at) < holdFor {
			return a, nil
		}
		answer, err := ask()
		a := heldAnswer{answer, err, time.Now()}
		h.held.Add(room, a)
		return a, nil
	})
	select {
	case <-ctx.Done():
		return occupancy.Room{}, context.Cause(ctx)
	case result := <-flight:
		if result.Err != nil {
			return occupancy.Room{}, result.Err
		}
		a := result.Val.(heldAnswer)
		return a.room.Clone(), a.err
	}
}
