package webhook

import (
	"context"
	"time"

	"ppch/api/keys"
	"ppch/component/history"
)

// maxReplay is the most deliveries that one call replays.
const maxReplay = 10_000

// Delivery is a message for an endpoint, with its outcome.
type Delivery struct {
	Number int64
	Event  string // id of the event
	Type   Type
	Room   string    // JID, or empty
	At     time.Time // of the event
	Stored time.Time

	State    string // "waiting", "delivered" or "failed"
	Attempts int
	Due      time.Time // of the next attempt; zero if it isn't known or there is none

	// These are of the last attempt. Tried is zero before the first one.
	Tried   time.Time
	Took    time.Duration
	Status  int
	Problem string
	Answer  string

	ContentType string
	Body        string // empty if it was erased, or has names that the key may not read
}

// LogQuery selects deliveries.
type LogQuery struct {
	State  string // "", "waiting", "delivered" or "failed"
	Before int64  // only those with smaller numbers; 0 for the newest
	Limit  int
}

// states are the words for states.
var states = []string{stateWaiting: "waiting", stateDelivered: "delivered", stateFailed: "failed", stateHeld: "waiting"}

// Deliveries returns the newest deliveries of an endpoint first, or [ErrNotFound]. A read of bodies with names is logged.
func (o *Outbox) Deliveries(ctx context.Context, owner keys.Sum, id string, q LogQuery) (all []Delivery, err error) {
	e, err := o.delivered(ctx, owner, id)
	if err != nil {
		return nil, err
	}
	state := -1
	for i, word := range states {
		if word == q.State && i != stateHeld {
			state = i
		}
	}
	before := q.Before
	if before <= 0 {
		before = 1 << 62
	}
	reader := o.reader(owner)
	err = o.cfg.Store.Read(ctx, func(tx *history.Tx) error {
		return tx.Each(`SELECT d.message, d.state, d.attempts, d.due, d.tried, d.took, d.status, d.problem, d.answer, m.event, m.type, m.room, m.at, m.created, m.content_type, m.body, `+hasNames+`, `+meetingOfMessage+`
			FROM deliveries d JOIN messages m ON m.number = d.message
			WHERE d.webhook = ?1 AND d.message < ?2 AND (?3 < 0 OR d.state = ?3 OR ?3 = 0 AND d.state = 3) ORDER BY d.message DESC LIMIT ?4`, []any{e.number, before, state, q.Limit}, func(scan history.Scan) error {
			var d Delivery
			var state int
			var due, tried, took, at, stored int64
			var body, meeting []byte
			var named bool
			err := scan(&d.Number, &state, &d.Attempts, &due, &tried, &took, &d.Status, &d.Problem, &d.Answer, &d.Event, &d.Type, &d.Room, &at, &stored, &d.ContentType, &body, &named, &meeting)
			d.State, d.Body = states[state], reader.read(string(body), named, meeting)
			d.At, d.Stored, d.Tried, d.Took = history.TimeOf(at), history.TimeOf(stored), history.TimeOf(tried), time.Duration(took)*time.Millisecond
			switch state {
			case stateWaiting:
				d.Due = history.TimeOf(due)
			case stateHeld:
				d.Problem = problemHeld
			}
			all = append(all, d)
			return err
		})
	})
	if err == nil {
		err = reader.log(ctx, o.cfg.Store)
	}
	return all, err
}

// Replay sends a delivery once more, as a new delivery of the same event. It returns [ErrNotFound], [ErrErased],
// a [*StoppedError], a [*keys.ScopeError] if the body has names that the key may not read, or an error of the store.
func (o *Outbox) Replay(ctx context.Context, owner keys.Sum, id string, number int64) error {
	n, err := o.replay(ctx, owner, id, `AND d.message = ?2 AND ?3 = ?3 LIMIT ?4`, number, 0)
	if err != nil || n > 0 {
		return err
	}
	e, err := o.delivered(ctx, owner, id)
	if err != nil {
		return err
	}
	return o.cfg.Store.Read(ctx, func(tx *history.Tx) error {
		var erased bool
		found, err := tx.Get(`SELECT m.body = '' FROM deliveries d JOIN messages m ON m.number = d.message WHERE d.webhook = ? AND d.message = ?`, []any{e.number, number}, &erased)
		switch {
		case err != nil:
			return err
		case !found:
			return ErrNotFound
		case erased:
			return ErrErased
		}
		return &keys.ScopeError{Missing: keys.ScopeParticipants}
	})
}

// ReplayRange sends again the events in [from, to), each once and apart from those that still wait or have names that the key may not read:
// the oldest first, and at most 10,000.
// It returns how many, or an error as Replay.
func (o *Outbox) ReplayRange(ctx context.Context, owner keys.Sum, id string, from, to time.Time) (int, error) {
	// An event that was sent again has several messages.
	return o.replay(ctx, owner, id, `AND m.at >= ?2 AND m.at < ?3
		GROUP BY m.event HAVING SUM(d.state IN (0, 3)) = 0 ORDER BY MIN(d.message) LIMIT ?4`, from.UnixMilli(), to.UnixMilli())
}

// replay copies the messages that a condition selects, with deliveries that wait.
func (o *Outbox) replay(ctx context.Context, owner keys.Sum, id, where string, a, b int64) (n int, err error) {
	e, err := o.delivered(ctx, owner, id)
	if err != nil {
		return 0, err
	}
	c := e.config.Load()
	if reason := o.stopped(c); reason != "" {
		return 0, &StoppedError{Reason: reason, Owner: !c.active()}
	}
	now := time.Now().UnixMilli()
	var pending []pendingItem
	err = o.cfg.Store.Write(ctx, func(tx *history.Tx) error {
		query := `SELECT d.message, d.lane, d.size FROM deliveries d JOIN messages m ON m.number = d.message
			WHERE d.webhook = ?1 AND m.body <> '' AND (?5 OR NOT ` + hasNames + `) ` + where
		err := tx.Each(query, []any{e.number, a, b, maxReplay, o.reader(owner).names}, func(scan history.Scan) error {
			var p pendingItem
			err := scan(&p.number, &p.lane, &p.size)
			pending = append(pending, p)
			return err
		})
		if err != nil {
			return err
		}
		for i := range pending {
			r, err := tx.Exec(`INSERT INTO messages (event, type, room, at, created, path, content_type, body, stay, person)
				SELECT event, type, room, at, ?, path, content_type, body, stay, person FROM messages WHERE number = ?`, now, pending[i].number)
			if err != nil {
				return err
			}
			if pending[i].number, err = r.LastInsertId(); err != nil {
				return err
			}
			if err := insertDelivery(tx, e.number, pending[i].item, pending[i].lane, stateWaiting); err != nil {
				return err
			}
		}
		return nil
	})
	if err != nil {
		return 0, err
	}
	for _, p := range pending {
		e.queue.push(p.lane, p.item)
	}
	return len(pending), nil
}
