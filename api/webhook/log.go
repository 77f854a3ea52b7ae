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
	Body        string
}

// LogQuery selects deliveries.
type LogQuery struct {
	State  string // "", "waiting", "delivered" or "failed"
	Before int64  // only those with smaller numbers; 0 for the newest
	Limit  int
}

// states are the words for states.
var states = []string{stateWaiting: "waiting", stateDelivered: "delivered", stateFailed: "failed", stateHeld: "waiting"}

// Deliveries returns the newest deliveries of an endpoint first, or [ErrNotFound].
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
	err = o.cfg.Store.Read(ctx, func(tx *history.Tx) error {
		return tx.Each(`SELECT d.message, d.state, d.attempts, d.due, d.tried, d.took, d.status, d.problem, d.answer, m.event, m.type, m.room, m.at, m.created, m.content_type, m.body
			FROM deliveries d JOIN messages m ON m.number = d.message
			WHERE d.webhook = ?1 AND d.message < ?2 AND (?3 < 0 OR d.state = ?3 OR ?3 = 0 AND d.state = 3) ORDER BY d.message DESC LIMIT ?4`, []any{e.number, before, state, q.Limit}, func(scan history.Scan) error {
			var d Delivery
			var state int
			var due, tried, took, at, stored int64
			var body []byte
			err := scan(&d.Number, &state, &d.Attempts, &due, &tried, &took, &d.Status, &d.Problem, &d.Answer, &d.Event, &d.Type, &d.Room, &at, &stored, &d.ContentType, &body)
			d.State, d.Body = states[state], string(body)
			d.At, d.Stored, d.Tried, d.Took = timeOf(at), timeOf(stored), timeOf(tried), time.Duration(took)*time.Millisecond
			switch state {
			case stateWaiting:
				d.Due = timeOf(due)
			case stateHeld:
				d.Problem = problemHeld
			}
			all = append(all, d)
			return err
		})
	})
	return all, err
}

// Replay sends a delivery once more, as a new delivery of the same event. It returns [ErrNotFound], [ErrErased], a [*StoppedError] or an error of the store.
func (o *Outbox) Replay(ctx context.Context, owner keys.Sum, id string, number int64) error {
	n, err := o.replay(ctx, owner, id, `WHERE d.webhook = ?1 AND d.message = ?2 AND ?3 = ?3 AND m.body <> '' LIMIT ?4`, number, 0)
	if err != nil || n > 0 {
		return err
	}
	found, err := o.Deliveries(ctx, owner, id, LogQuery{Before: number + 1, Limit: 1})
	switch {
	case err != nil:
		return err
	case len(found) == 1 && found[0].Number == number:
		return ErrErased
	}
	return ErrNotFound
}

// ReplayRange sends again the events in [from, to), each once and apart from those that still wait: the oldest first, and at most 10,000.
// It returns how many, or an error as Replay.
func (o *Outbox) ReplayRange(ctx context.Context, owner keys.Sum, id string, from, to time.Time) (int, error) {
	// An event that was sent again has several messages.
	return o.replay(ctx, owner, id, `WHERE d.webhook = ?1 AND m.at >= ?2 AND m.at < ?3 AND m.body <> ''
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
		query := `SELECT d.message, d.lane, d.size FROM deliveries d JOIN messages m ON m.number = d.message ` + where
		err := tx.Each(query, []any{e.number, a, b, maxReplay}, func(scan history.Scan) error {
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
