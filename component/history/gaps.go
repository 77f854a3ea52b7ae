package history

import (
	"cmp"
	"crypto/rand"
	"time"

	"ppch/component/occupancy"
)

// status records that a domain stopped or started being watched.
func (b *batch) status(w *watch, e occupancy.Event) error {
	in := scopeOf(e)
	if e.Domain == nil || w.confirmed.IsZero() {
		return nil
	}
	if p := e.Domain.EventProblem; p != nil {
		if e.At.Before(w.confirmed) {
			return nil // a snapshot ended it before it was read
		}
		return b.startGap(w, in, GapReason(p.Reason), e.At)
	}
	if w.partial {
		// Prosody can read all rooms again.
		if err := b.reset(occupancy.Event{Seq: w.skip + 1, Room: e.Room, Shard: e.Shard}); err != nil {
			return err
		}
	}
	if w.gap == nil {
		return nil
	}
	// The stream of changes went on without a new snapshot: it was late, and nothing was missed.
	if _, err := b.tx.Exec("DELETE FROM gaps WHERE number = ?", w.gapNumber); err != nil {
		return err
	}
	gap := *w.gap
	gap.Ended = later(e.At, gap.Began)
	w.gap = nil
	b.emitGap(in, gap, later(e.At, w.noticed))
	return nil
}

// startGap records that PPCH hasn't watched a domain since it was last confirmed. An open gap goes on.
func (b *batch) startGap(w *watch, in scope, reason GapReason, now time.Time) error {
	if w.gap != nil {
		return nil
	}
	gap := Gap{Domain: in.domain, Began: w.confirmed, Reason: cmp.Or(reason, GapResync)}
	row, err := b.tx.Exec("INSERT INTO gaps (domain, began, reason) VALUES (?, ?, ?)", in.key(), Milli(gap.Began), gap.Reason)
	if err != nil {
		return err
	}
	if w.gapNumber, err = row.LastInsertId(); err != nil {
		return err
	}
	w.gap, w.noticed = &gap, now
	b.gaps = append(b.gaps, gap.Reason)
	b.emitGap(in, gap, now)
	return nil
}

// endGap records that a domain is watched again since at, when a snapshot was complete.
func (b *batch) endGap(w *watch, in scope, at time.Time) error {
	if w.gap == nil && (w.confirmed.IsZero() || !at.After(w.confirmed)) {
		return nil
	}
	if err := b.startGap(w, in, GapResync, at); err != nil {
		return err
	}
	gap := *w.gap
	gap.Ended = later(at, gap.Began) // the clock may have been set back
	if _, err := b.tx.Exec("UPDATE gaps SET ended = ? WHERE number = ?", Milli(gap.Ended), w.gapNumber); err != nil {
		return err
	}
	w.gap = nil
	b.emitGap(in, gap, later(at, w.noticed)) // a snapshot is a little older than the moment at which it is read
	return nil
}

// emitGap adds the event of a gap that begins or ends for the Outbox.
func (b *batch) emitGap(in scope, gap Gap, at time.Time) {
	if b.r.cfg.Outbox == nil {
		return
	}
	b.events = append(b.events, Event{
		Event: occupancy.Event{Kind: occupancy.EventStatus, Room: domainJID(in.domain), Shard: in.shard, At: at},
		Shard: in.shard, NotBefore: at, Gap: &gap,
	})
}

// newKey stores a new key for pseudonyms and returns it.
func newKey(tx *Tx) ([]byte, error) {
	key := make([]byte, 32)
	_, _ = rand.Read(key) // it never fails
	_, err := tx.Exec("INSERT OR REPLACE INTO settings VALUES ('pseudonym-key', ?)", key)
	return key, err
}
