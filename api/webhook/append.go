package webhook

import (
	"context"
	"fmt"
	"hash/fnv"
	"slices"
	"time"

	"ppch/api/keys"
	"ppch/component/history"
)

// The limits on waiting deliveries of one endpoint. Beyond them the oldest fail, in groups.
const (
	maxRows     = 100_000
	maxBytes    = 256 << 20
	failAtOnce  = 1000
	problemFull = "too much waits for this webhook: the oldest deliveries fail"
)

// Append implements [history.Outbox].
func (o *Outbox) Append(_ context.Context, tx *history.Tx, changes []history.Event) (committed func(), err error) {
	if !o.isLoaded() {
		if err := o.load(tx); err != nil {
			return nil, err
		}
	}
	a := o.newAppender(tx)
	for _, c := range changes {
		for _, e := range o.translator.events(c) {
			if e.Type == RoomEnded && a.wantsStays {
				if e.Stays, err = readStays(tx, c.Meeting); err != nil {
					return nil, err
				}
			}
			stay := c.Stay
			if err := a.add(&e, stay[:], o.shareOf(c.Shard)); err != nil {
				return nil, err
			}
		}
	}
	if err := a.limit(); err != nil {
		return nil, err
	}
	o.seq.Store(o.translator.seq)
	return a.commit, nil
}

// appender stores messages and deliveries within a transaction.
type appender struct {
	tx         *history.Tx
	metrics    *metrics
	maxRows    int
	now        int64
	targets    []*target
	wantsStays bool
	bodies     map[variant]item // of the present event
	held       map[*Share]bool  // whose messages are held
}

// target is an endpoint that may receive events.
type target struct {
	*endpoint
	*config
	granted keys.Grant
	named   bool // whether its bodies may identify people
	pending []pendingItem
	size    int64

	heldRows int
	heldSize int64

	failedThrough int64
	failedRows    int
	failedBytes   int64
}

type pendingItem struct {
	lane int64
	item
}

// newAppender returns an appender for the endpoints that are active and whose keys allow it.
func (o *Outbox) newAppender(tx *history.Tx) *appender {
	a := &appender{tx: tx, metrics: o.metrics, maxRows: o.cfg.maxRows, now: time.Now().UnixMilli(), bodies: map[variant]item{}, held: map[*Share]bool{}}
	for _, e := range *o.all.Load() {
		c := e.config.Load()
		if !c.active() {
			continue
		}
		g, ok := o.grant(c)
		if !ok {
			continue
		}
		names := c.Names && g.HasNames()
		if c.Format.needsNames() && !names {
			continue
		}
		a.wantsStays = a.wantsStays || c.Format == FormatEventSync
		a.targets = append(a.targets, &target{endpoint: e, config: c, granted: g, named: names})
	}
	return a
}

// wants reports whether a target is to receive e. A breakout room belongs to its main room.
func (t *target) wants(e *Event) bool {
	switch {
	case !t.filter.Includes(e.Type):
		return false
	case e.Room.JID == "":
		return true
	case t.rooms.Includes(e.Room.JID) && t.granted.AllowsAddress(e.Room.JID):
		return true
	}
	return e.Room.Parent != "" && t.rooms.Includes(e.Room.Parent) && t.granted.AllowsAddress(e.Room.Parent)
}

// add stores e for all endpoints that are to receive it. s is how its shard is shared, nil if this service alone has the event.
func (a *appender) add(e *Event, stay []byte, s *Share) error {
	clear(a.bodies)
	lane, shard, state := laneOf(e), "", stateWaiting
	if s != nil {
		if shard = s.cfg.Shard; s.holding.Load() {
			state = stateHeld
			a.held[s] = true
		}
	}
	for _, t := range a.targets {
		if !t.wants(e) {
			continue
		}
		v := variant{t.Format, t.named, t.Template}
		it, ok := a.bodies[v]
		if !ok {
			m, supported := Render(e, t.Format, t.named, t.template)
			if supported {
				person, err := personOf(a.tx, e)
				if err != nil {
					return err
				}
				number, err := insertMessage(a.tx, e, m, a.now, stayOf(e, stay), person, shard)
				if err != nil {
					return err
				}
				it = item{number: number, size: len(m.Body), message: &stored{e.ID, m}}
			}
			a.bodies[v] = it
		}
		if it.message == nil {
			continue
		}
		if err := insertDelivery(a.tx, t.number, it, lane, state); err != nil {
			return err
		}
		if state == stateHeld {
			t.heldRows++
			t.heldSize += int64(it.size)
			continue
		}
		t.pending = append(t.pending, pendingItem{lane, it})
		t.size += int64(it.size)
	}
	return nil
}

// stayOf returns the stay that a message is about, or nil.
func stayOf(e *Event, stay []byte) any {
	if e.Occupant == nil {
		return nil
	}
	return stay
}

// personOf returns the hash of the user id of the person whom a message is about, or nil.
func personOf(tx *history.Tx, e *Event) (any, error) {
	if e.Occupant == nil || e.Occupant.UserID == "" {
		return nil, nil
	}
	return history.PersonHash(tx, e.Occupant.UserID)
}

// limit fails the oldest deliveries of endpoints beyond their limits.
func (a *appender) limit() error {
	for _, t := range a.targets {
		rows, bytes, after := t.queue.size()
		rows, bytes = rows+len(t.pending)+t.heldRows, bytes+t.size+t.heldSize
		for rows-t.failedRows > a.maxRows || bytes-t.failedBytes > maxBytes {
			through, n, size, err := failOldest(a.tx, t.number, max(after, t.failedThrough), failAtOnce, problemFull)
			if err != nil {
				return err
			}
			if n == 0 {
				break
			}
			t.failedThrough, t.failedRows, t.failedBytes = through, t.failedRows+n, t.failedBytes+size
		}
	}
	return nil
}

// commit passes the stored messages to the queues.
func (a *appender) commit() {
	for s := range a.held {
		defer s.stored()
	}
	for _, t := range a.targets {
		for _, p := range t.pending {
			t.queue.push(p.lane, p.item)
		}
		if t.heldRows > 0 {
			t.queue.addHeld(t.heldRows, t.heldSize)
		}
		if t.failedRows > 0 {
			t.queue.failThrough(t.failedThrough, t.failedRows, t.failedBytes)
			a.metrics.dropped(t.failedRows)
		}
	}
}

// laneOf returns the lane of an event: one for each meeting with its breakout rooms and lobby, and one for each domain.
// Shards have lanes of their own.
func laneOf(e *Event) int64 {
	h := fnv.New64a()
	_, _ = h.Write([]byte(e.Position.Shard + " "))
	switch {
	case e.Room.Parent != "":
		_, _ = h.Write([]byte(e.Room.Parent))
	case e.Room.JID != "":
		_, _ = h.Write([]byte(e.Room.JID))
	default:
		_, _ = h.Write([]byte(e.Domain))
	}
	return int64(h.Sum64()) // #nosec G115 -- all 64 bits identify it
}

// Erase implements [history.Outbox]: it deletes the bodies that are about a person. Deliveries of them that wait fail.
func (o *Outbox) Erase(_ context.Context, tx *history.Tx, p history.Person) error {
	stays, err := staysOf(tx, p)
	if err != nil {
		return fmt.Errorf("webhook: erase bodies: %w", err)
	}
	for _, stay := range stays {
		if err := eraseStay(tx, stay); err != nil {
			return fmt.Errorf("webhook: erase bodies: %w", err)
		}
	}
	return nil
}

// staysOf returns the stays of a person, and those that only messages know because no history is kept.
func staysOf(tx *history.Tx, p history.Person) ([]history.ID, error) {
	if p.UserID == "" {
		return p.Stays, nil
	}
	hash, err := history.PersonHash(tx, p.UserID)
	if err != nil {
		return nil, err
	}
	rows, err := tx.Query("SELECT DISTINCT stay FROM messages WHERE person = ? AND stay IS NOT NULL", hash)
	if err != nil {
		return nil, err
	}
	defer rows.Close()
	all := slices.Clone(p.Stays)
	for rows.Next() {
		var stay []byte
		if err := rows.Scan(&stay); err != nil {
			return nil, err
		}
		var id history.ID
		copy(id[:], stay)
		all = append(all, id)
	}
	return all, rows.Err()
}
