package history

import (
	"context"
	"maps"
	"slices"
	"sort"
	"time"

	"mellium.im/xmpp/jid"

	"ppch/component/occupancy"
)

// batch is one transaction of a Recorder.
type batch struct {
	r       *Recorder
	tx      *Tx
	watches map[scope]*watch // as they are after the commit
	events  []Event          // for the Outbox
	gaps    []GapReason      // begun

	recorded uint64 // changes
	silent   bool   // whether the Outbox doesn't get the events
}

// commit records events in one transaction, and with flush also confirmations that aren't in the file yet.
func (r *Recorder) commit(ctx context.Context, events []occupancy.Event, flush bool) error {
	if !flush && !r.worthwhile(events) {
		for _, e := range events {
			if w := r.watches[scopeOf(e)]; w != nil && e.At.After(w.confirmed) {
				w.confirmed = e.At
			}
		}
		return nil
	}
	return r.transact(ctx, func(b *batch) error {
		if err := b.record(events); err != nil {
			return err
		}
		return b.confirm()
	})
}

// worthwhile reports whether events are more than confirmations that may wait.
func (r *Recorder) worthwhile(events []occupancy.Event) bool {
	return slices.ContainsFunc(events, func(e occupancy.Event) bool {
		w := r.watches[scopeOf(e)]
		if w == nil && e.Kind == occupancy.EventConfirmed && !r.recorded(scopeOf(e)) {
			return false
		}
		return e.Kind != occupancy.EventConfirmed || w == nil || e.Resynced || e.At.Sub(w.written) >= confirmEvery
	})
}

// transact runs record in a transaction together with the Outbox.
func (r *Recorder) transact(ctx context.Context, record func(*batch) error) error {
	var b *batch
	var committed func()
	err := r.cfg.Store.Write(ctx, func(tx *Tx) (err error) {
		b = &batch{r: r, tx: tx, watches: map[scope]*watch{}}
		for in, w := range r.watches {
			b.watches[in] = new(*w)
		}
		if err := record(b); err != nil || r.cfg.Outbox == nil || len(b.events) == 0 || r.cfg.Outbox.Needs() == LevelOff {
			return err
		}
		committed, err = r.cfg.Outbox.Append(ctx, tx, b.events)
		return err
	})
	if err != nil {
		return err
	}
	r.watches = b.watches
	r.events.Add(b.recorded)
	for _, reason := range b.gaps {
		r.gaps.WithLabelValues(string(reason)).Inc()
	}
	if committed != nil {
		committed()
	}
	return nil
}

// confirm writes the confirmations.
func (b *batch) confirm() error {
	for _, in := range b.scopes() {
		w := b.watches[in]
		if w.confirmed.Equal(w.written) {
			continue
		}
		if _, err := b.tx.Exec("INSERT INTO domains VALUES (?, ?) ON CONFLICT DO UPDATE SET confirmed = excluded.confirmed", in.key(), w.confirmed.UnixMilli()); err != nil {
			return err
		}
		w.written = w.confirmed
	}
	return nil
}

// record records events in order.
func (b *batch) record(events []occupancy.Event) error {
	begun := 0 // the first event of the present batch
	for i, e := range events {
		if !ends(e) {
			continue
		}
		changes := events[begun:i]
		begun = i + 1
		if !b.r.recorded(scopeOf(e)) {
			if err := b.unrecorded(e, changes); err != nil {
				return err
			}
			continue
		}
		w := b.watch(scopeOf(e))
		var err error
		switch e.Kind {
		case occupancy.EventConfirmed:
			err = b.confirmed(w, e, changes)
		case occupancy.EventReset:
			if err = b.changes(w, changes, w.confirmed); err == nil {
				err = b.reset(e)
			}
		default:
			if err = b.changes(w, changes, w.confirmed); err == nil {
				err = b.status(w, e)
			}
		}
		if err != nil {
			return err
		}
	}
	return nil
}

// unrecorded records the end of a batch of a domain that isn't recorded: a visitor node, whose changes are also
// changes of main rooms, or a shard that was retired.
func (b *batch) unrecorded(e occupancy.Event, changes []occupancy.Event) error {
	for _, c := range changes {
		if w := b.watches[scopeOf(c)]; w != nil && b.r.recorded(scopeOf(c)) {
			if err := b.changes(w, []occupancy.Event{c}, c.At); err != nil {
				return err
			}
		}
	}
	if w := b.watches[scopeOf(e)]; w != nil {
		return b.forget(scopeOf(e), w)
	}
	return nil
}

// scopes returns the recorded scopes in order.
func (b *batch) scopes() []scope {
	all := slices.Collect(maps.Keys(b.watches))
	sort.Slice(all, func(i, k int) bool { return all[i].key() < all[k].key() })
	return all
}

func (b *batch) watch(in scope) *watch {
	if b.watches[in] == nil {
		b.watches[in] = &watch{}
	}
	return b.watches[in]
}

// confirmed records a batch of changes that e ends.
func (b *batch) confirmed(w *watch, e occupancy.Event, changes []occupancy.Event) error {
	if w.confirmed.IsZero() || !e.At.After(w.confirmed) && len(changes) == 0 {
		return nil // its snapshot follows, or is in the file
	}
	since := e.At
	if e.Resynced {
		since = w.confirmed
	}
	if err := b.changes(w, changes, since); err != nil {
		return err
	}
	if e.Resynced {
		if err := b.endGap(w, scopeOf(e), e.At); err != nil {
			return err
		}
	}
	if e.At.After(w.confirmed) {
		w.confirmed = e.At
	}
	return nil
}

// changes records changes of rooms that happened at since or later.
func (b *batch) changes(w *watch, changes []occupancy.Event, since time.Time) error {
	for _, e := range changes {
		if e.Seq <= w.skip || w.confirmed.IsZero() {
			continue
		}
		if err := b.change(e, earlier(since, e.At)); err != nil {
			return err
		}
	}
	return nil
}

// change records a change of a room.
func (b *batch) change(e occupancy.Event, since time.Time) error {
	b.recorded++
	room, err := b.openRoom(e.Shard, e.Room.String())
	if err != nil {
		return err
	}
	if room == nil && e.Kind != occupancy.EventRoomStarted && e.Kind != occupancy.EventRoomEnded {
		if room, err = b.startRoom(e, since); err != nil {
			return err
		}
	}
	if room != nil {
		if err := b.parent(room, e.Parent); err != nil {
			return err
		}
	}
	switch e.Kind {
	case occupancy.EventRoomStarted:
		if room == nil {
			_, err = b.startRoom(e, since)
			return err
		}
		return b.updateRoom(room, e, since)
	case occupancy.EventRoomUpdated:
		return b.updateRoom(room, e, since)
	case occupancy.EventRoomEnded:
		if room == nil {
			return nil
		}
		return b.endRoom(room, e, since)
	case occupancy.EventJoined:
		return b.join(room, e, since)
	case occupancy.EventUpdated:
		return b.update(room, e, since)
	case occupancy.EventLeft:
		return b.leave(room, e, since)
	}
	return nil
}

// emit adds an event for the Outbox.
func (b *batch) emit(room *openRoom, stay ID, e occupancy.Event, before occupancy.Counts, since time.Time) error {
	if b.silent || b.r.cfg.Outbox == nil {
		return nil
	}
	event := Event{
		Event: e, Shard: room.shard, Meeting: room.id, Stay: stay, Created: room.stamp, MeetingID: room.meetingID, Before: before, NotBefore: since,
	}
	if e.Type == occupancy.RoomLobby && !e.Parent.Equal(jid.JID{}) {
		main, err := b.openRoom(room.shard, e.Parent.String())
		if err != nil {
			return err
		}
		if main != nil {
			event.Main = &MainRoom{main.id, main.meetingID, main.stamp}
		}
	}
	b.events = append(b.events, event)
	return nil
}

func earlier(a, b time.Time) time.Time {
	if a.IsZero() || b.Before(a) {
		return b
	}
	return a
}

// later returns the later of two times.
func later(a, b time.Time) time.Time {
	if a.Before(b) {
		return b
	}
	return a
}
