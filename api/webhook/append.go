package webhook

import (
	"context"
	"hash/fnv"
	"time"

	"ppch/api/keys"
	"ppch/component/history"
)

// The limits on waiting deliveries of one endpoint. Beyond them the oldest fail, a hundredth at a time.
const (
	maxRows     = 100_000
	maxBytes    = 256 << 20
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
			if err := a.add(&e, c.Stay, o.shareOf(c.Shard)); err != nil {
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
	unknown := false
	for _, e := range *o.all.Load() {
		c := e.config.Load()
		if !c.active() {
			continue
		}
		g, denied := o.grant(c)
		if denied != "" {
			unknown = unknown || g.Key == nil && o.cfg.Keys.Unknown() != nil
			continue
		}
		a.wantsStays = a.wantsStays || c.Format == FormatEventSync
		a.targets = append(a.targets, &target{endpoint: e, config: c, granted: g, named: c.Names && g.HasNames()})
	}
	if unknown && !o.missing {
		o.log.Warn("webhooks whose API keys are unknown miss events", "err", o.cfg.Keys.Unknown(), "remedy", "webhooks need the list of API keys: connect this PPCH to NATS")
	}
	o.missing = unknown
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
func (a *appender) add(e *Event, stay history.ID, s *Share) error {
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
				who, err := subjectOf(a.tx, e, stay, t.named)
				if err != nil {
					return err
				}
				number, err := insertMessage(a.tx, e, m, a.now, who, shard)
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

// limit fails the oldest deliveries of endpoints beyond their limits.
func (a *appender) limit() error {
	for _, t := range a.targets {
		rows, bytes, after := t.queue.size()
		rows, bytes = rows+len(t.pending)+t.heldRows, bytes+t.size+t.heldSize
		for rows-t.failedRows > a.maxRows || bytes-t.failedBytes > maxBytes {
			atOnce := max(1, (rows-t.failedRows)/100)
			through, n, size, err := failOldest(a.tx, t.number, max(after, t.failedThrough), atOnce, problemFull)
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
