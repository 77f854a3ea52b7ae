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

// How long answers of Prosody serve all callers, and for how many rooms:
// Prosody has one thread, which the meetings need, and many callers often ask about one room.
const (
	cacheFor  = time.Second
	cacheSize = 4096
)

var errNoNumber = errors.New("component: answer without a number of occupants")

// Room returns a room as it is now.
// On a domain with the Lua module it comes from the directory. Elsewhere Room asks Prosody, unless it did within the last second.
// That takes at most 15 s, and usually a moment. A ctx that ends sooner ends the wait, but not the question, whose answer serves other callers.
//
// A room that doesn't exist is no error.
// Otherwise the error is an *occupancy.UnavailableError, occupancy.ErrNotWatched, or the cause of a ctx that was canceled.
func (c *Component) Room(ctx context.Context, room jid.JID) (occupancy.Room, error) {
	room = room.Bare()
	found, err := c.cfg.Shard.Room(room)
	if !errors.Is(err, occupancy.ErrNoModule) {
		return found, err
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
	answer, err := l.answers.get(ctx, room.String(), func() (occupancy.Room, error) {
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

// askRoom asks Prosody, and sets the mode of the domain by the answer.
func (c *Component) askRoom(l *connection, d *domain, room jid.JID) (occupancy.Room, error) {
	// Prosody counts after this, so the count never looks younger than it is.
	asked := time.Now()
	answer, err := l.discoInfo(l.Context(), room)
	var refusal stanza.Error
	switch {
	case err == nil:
		n, err := occupants(answer)
		if err != nil {
			return occupancy.Room{}, rejected(d.jid, err)
		}
		c.noteMode(d, occupancy.ModeDisco)
		found := occupancy.Room{JID: room, Exists: true, Participants: n, Shard: c.cfg.Shard.Name(), Source: occupancy.SourceDisco, AsOf: asked}
		found.Fingerprint = occupancy.FingerprintOf(found)
		found.AnonymousFingerprint = found.Fingerprint
		return found, nil
	case !errors.As(err, &refusal):
		return occupancy.Room{}, unanswered(d.jid, err)
	case refusal.Condition == stanza.ItemNotFound, refusal.Condition == stanza.Gone,
		refusal.Condition == stanza.JIDMalformed: // a room can't have an address that Prosody's stringprep refuses
		return d.missing(room, asked), nil
	case refusal.Condition == stanza.Forbidden:
		// mod_muc_hide_all answers so for rooms that exist, unless the requester is an occupant.
		c.noteMode(d, occupancy.ModeExistence)
		return occupancy.Room{}, occupancy.ProblemHidden.About(d.jid).Err(nil)
	}
	return occupancy.Room{}, rejected(d.jid, err)
}

// noteMode sets the mode of a domain according to the answer of a room, and logs a change.
func (c *Component) noteMode(d *domain, m occupancy.Mode) {
	switch {
	case !d.setMode(m):
	case m == occupancy.ModeExistence:
		p := occupancy.ProblemHidden.About(d.jid).Err(nil)
		c.cfg.Log.Warn("rooms are hidden", "domain", d.jid.String(), "mode", m, "reason", p.Reason, "remedy", p.Remedy)
	default:
		c.cfg.Log.Info("MUC domain seen", "domain", d.jid.String(), "mode", m)
	}
}

// missing returns a room that doesn't exist: its numbers are exactly 0.
func (d *domain) missing(room jid.JID, asOf time.Time) occupancy.Room {
	source := occupancy.SourceExistence
	if d.state().Mode == occupancy.ModeDisco {
		source = occupancy.SourceDisco
	}
	none := occupancy.Room{
		JID: room, Exact: true, Source: source, AsOf: asOf,
		Counts: map[occupancy.Kind]int{}, Occupants: []*occupancy.Record{},
	}
	none.Fingerprint = occupancy.FingerprintOf(none)
	none.AnonymousFingerprint = none.Fingerprint
	return none
}

// answerCache asks one question per room at a time and keeps the answers for a moment.
// It belongs to a connection, so that no answer outlives the Prosody that gave it.
type answerCache struct {
	flights singleflight.Group
	kept    *lru.Cache[string, cachedAnswer]
}

type cachedAnswer struct {
	room occupancy.Room
	err  error
	at   time.Time
}

func newAnswerCache() *answerCache {
	kept, err := lru.New[string, cachedAnswer](cacheSize)
	if err != nil {
		panic(err) // only for an invalid size
	}
	return &answerCache{kept: kept}
}

// get returns the cached answer for a room, or that of ask, unless ctx ends first. The caller owns it.
func (h *answerCache) get(ctx context.Context, room string, ask func() (occupancy.Room, error)) (occupancy.Room, error) {
	flight := h.flights.DoChan(room, func() (v any, err error) {
		defer func() {
			// This goroutine is singleflight's: a panic would end the program.
			if p := recover(); p != nil {
				err = fmt.Errorf("component: panic while asking about %s: %v\n%s", room, p, debug.Stack())
			}
		}()
		if a, ok := h.kept.Get(room); ok && time.Since(a.at) < cacheFor {
			return a, nil
		}
		answer, err := ask()
		a := cachedAnswer{answer, err, time.Now()}
		h.kept.Add(room, a)
		return a, nil
	})
	select {
	case <-ctx.Done():
		return occupancy.Room{}, context.Cause(ctx)
	case result := <-flight:
		if result.Err != nil {
			return occupancy.Room{}, result.Err
		}
		a := result.Val.(cachedAnswer)
		return a.room.Clone(), a.err
	}
}
