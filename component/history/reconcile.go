package history

import (
	"context"
	"database/sql"
	"errors"
	"time"

	"mellium.im/xmpp/jid"

	"ppch/component/occupancy"
)

// begin reads how far the file is and compares it with the present rooms. reason is why nothing was recorded before.
func (r *Recorder) begin(ctx context.Context, reason GapReason) error {
	r.watches = nil
	return r.transact(ctx, func(b *batch) error {
		if err := b.loadWatches(); err != nil {
			return err
		}
		if r.keep < LevelNames {
			if _, err := b.tx.Exec("UPDATE present SET occupant = NULL WHERE occupant IS NOT NULL"); err != nil {
				return err
			}
		}
		for _, in := range b.scopes() {
			w := b.watches[in]
			if !r.recorded(in) {
				if err := b.forget(in, w); err != nil {
					return err
				}
				continue
			}
			if err := b.startGap(w, in, reason, time.Now()); err != nil {
				return err
			}
		}
		if err := b.reconcileAll(r.cfg.Directory.Snapshot()); err != nil {
			return err
		}
		return b.confirm()
	})
}

// loadWatches reads how far each domain has been recorded.
func (b *batch) loadWatches() error {
	return b.tx.Each(`SELECT d.domain, d.confirmed, g.number, g.began, g.reason FROM domains d
		LEFT JOIN gaps g ON g.domain = d.domain AND g.ended IS NULL`, nil, func(scan Scan) error {
		var name string
		var confirmed int64
		var number, began sql.NullInt64
		var reason sql.NullString
		if err := scan(&name, &confirmed, &number, &began, &reason); err != nil {
			return err
		}
		var in scope
		in.shard, in.domain = splitKey(name)
		w := b.watch(in)
		w.confirmed = TimeOf(confirmed)
		w.written = w.confirmed
		if number.Valid {
			w.gapNumber, w.gap = number.Int64, &Gap{Domain: in.domain, Began: TimeOf(began.Int64), Reason: GapReason(reason.String)}
		}
		return nil
	})
}

// reset compares with a snapshot after the replica of a domain was loaded or discarded.
func (b *batch) reset(e occupancy.Event) error {
	if e.Seq <= b.watch(scopeOf(e)).skip {
		return nil
	}
	snapshot := b.r.cfg.Directory.Snapshot()
	for _, d := range snapshot.Domains() {
		if (scope{d.Shard, d.JID.Domainpart()}) != scopeOf(e) {
			continue
		}
		if d.AsOf.IsZero() { // discarded
			return nil
		}
		return b.reconcile(d, snapshot)
	}
	return nil
}

func (b *batch) reconcileAll(snapshot *occupancy.Snapshot) error {
	for _, d := range snapshot.Domains() {
		if d.AsOf.IsZero() || !b.r.recorded(scope{d.Shard, d.JID.Domainpart()}) {
			continue
		}
		if err := b.reconcile(d, snapshot); err != nil {
			return err
		}
	}
	return nil
}

// reconcile makes the rooms of a domain in the file equal to a snapshot.
// What happened between the last confirmation and the snapshot has these times as bounds.
func (b *batch) reconcile(d occupancy.DomainSnapshot, snapshot *occupancy.Snapshot) error {
	in := scope{d.Shard, d.JID.Domainpart()}
	w := b.watch(in)
	w.skip = snapshot.Seq
	// Before the first confirmation there is nothing that could have changed.
	b.silent = w.confirmed.IsZero()
	defer func() { b.silent = false }()
	since := earlier(w.confirmed, d.AsOf)
	seen := map[string]bool{}
	for room := range snapshot.Rooms(0) {
		if (scope{room.Shard, room.JID.Domainpart()}) != in {
			continue
		}
		seen[room.JID.String()] = true
		if err := b.reconcileRoom(room, snapshot.Seq, d.AsOf, since); err != nil {
			return err
		}
	}
	// Rooms that the replica lacks may exist if it is incomplete.
	if w.partial = !d.Known; !w.partial {
		missing, err := b.openRooms(in, seen)
		if err != nil {
			return err
		}
		for _, room := range missing {
			e := occupancy.Event{Seq: snapshot.Seq, Kind: occupancy.EventRoomEnded, Room: RoomJID(room.room), Shard: room.shard, Type: room.typ, At: d.AsOf}
			if err := b.endRoom(room, e, since); err != nil {
				return err
			}
		}
	}
	if err := b.endGap(w, in, d.AsOf); err != nil {
		return err
	}
	if d.AsOf.After(w.confirmed) || w.confirmed.After(time.Now()) { // the latter if the clock was set back
		w.confirmed = d.AsOf
	}
	return nil
}

// reconcileRoom makes a room in the file equal to that in a snapshot of time at.
func (b *batch) reconcileRoom(room occupancy.RoomSnapshot, seq uint64, at, since time.Time) error {
	e := occupancy.Event{Seq: seq, Room: room.JID, Shard: room.Shard, Type: room.Type, Tenant: room.Tenant, Parent: room.Parent, At: at}
	r, err := b.openRoom(room.Shard, room.JID.String())
	if err != nil {
		return err
	}
	stamp := stampOf(room.Facts.Stamp, room.Facts.CreatedAt)
	if r != nil && differ(stamp, r.stamp) {
		ended := e
		ended.Kind = occupancy.EventRoomEnded
		if err := b.endRoom(r, ended, since); err != nil {
			return err
		}
		r = nil
	}
	switch {
	case r == nil:
		e.Kind, e.Facts = occupancy.EventRoomStarted, &room.Facts
		if r, err = b.startRoom(e, since); err != nil {
			return err
		}
		e.Facts = nil
	case !r.meeting.Valid && b.r.cfg.Level > LevelOff:
		if err := b.adopt(r, e, room); err != nil {
			return err
		}
	default:
		if err := errors.Join(b.parent(r, room.Parent), b.children(r, &room.Facts)); err != nil {
			return err
		}
	}
	present, err := b.present(r.key())
	if err != nil {
		return err
	}
	return b.reconcileOccupants(r, room, present, e, since)
}

// reconcileOccupants makes the occupants of a room in the file equal to those in a snapshot.
func (b *batch) reconcileOccupants(r *openRoom, room occupancy.RoomSnapshot, present []presence, e occupancy.Event, since time.Time) error {
	counts := countsOf(present)
	is := map[string]*occupancy.Record{}
	for _, r := range room.Occupants {
		is[r.ID()] = r
	}
	here := map[string]presence{}
	for _, p := range present {
		if known := is[p.nick]; known != nil {
			if o := known.Occupant(); !differ(stampOf(o.Stamp, o.JoinedAt), p.stamp) {
				here[p.nick] = p
				continue
			}
		}
		counts[kindIndex(p.kind)]--
		e.Kind, e.Occupant, e.Counts = occupancy.EventLeft, p.record(), counts
		if err := b.leave(r, e, since); err != nil {
			return err
		}
	}
	for _, record := range room.Occupants {
		o := record.Occupant()
		p, ok := here[o.ID]
		switch {
		case !ok:
			counts[kindIndex(o.Kind)]++
			e.Kind, e.Occupant, e.Counts = occupancy.EventJoined, o, counts
			if err := b.join(r, e, since); err != nil {
				return err
			}
		case p.kind != o.Kind || p.rule != o.Rule || string(p.occupant) != string(b.stored(o)) && p.occupant != nil:
			counts[kindIndex(p.kind)]--
			counts[kindIndex(o.Kind)]++
			e.Kind, e.Occupant, e.Counts = occupancy.EventUpdated, o, counts
			if err := b.update(r, e, since); err != nil {
				return err
			}
		}
	}
	return b.peak(r, room.Counts)
}

// adopt begins to record a room that was only kept for the Outbox.
func (b *batch) adopt(r *openRoom, e occupancy.Event, room occupancy.RoomSnapshot) error {
	silent := b.silent
	b.silent = true
	defer func() { b.silent = silent }()
	e.Kind, e.Facts = occupancy.EventRoomStarted, &room.Facts
	// The rows of present stay: they refer to the room by its address.
	if _, err := b.tx.Exec("DELETE FROM present WHERE room = ?", r.key()); err != nil {
		return err
	}
	adopted, err := b.startRoom(e, e.At)
	if err != nil {
		return err
	}
	*r = *adopted
	for _, record := range room.Occupants {
		e.Kind, e.Facts, e.Occupant, e.Counts = occupancy.EventJoined, nil, record.Occupant(), room.Counts
		if err := b.join(r, e, e.At); err != nil {
			return err
		}
	}
	return nil
}

// openRooms returns the open rooms of a domain in the file except those seen.
func (b *batch) openRooms(in scope, seen map[string]bool) (all []*openRoom, err error) {
	var addresses []string
	err = b.tx.Each("SELECT room FROM open_rooms WHERE domain = ? ORDER BY room", []any{in.key()}, func(scan Scan) error {
		var address string
		err := scan(&address)
		if _, address = splitKey(address); !seen[address] {
			addresses = append(addresses, address)
		}
		return err
	})
	if err != nil {
		return nil, err
	}
	for _, address := range addresses {
		r, err := b.openRoom(in.shard, address)
		if err != nil {
			return nil, err
		}
		all = append(all, r)
	}
	return all, nil
}

// forget ends the rooms of a domain that isn't watched any more.
func (b *batch) forget(in scope, w *watch) error {
	now := time.Now()
	b.silent = !b.r.cfg.Own(in.shard) // its rooms haven't ended: others record them
	defer func() { b.silent = false }()
	rooms, err := b.openRooms(in, nil)
	if err != nil {
		return err
	}
	for _, room := range rooms {
		e := occupancy.Event{Kind: occupancy.EventRoomEnded, Room: RoomJID(room.room), Shard: room.shard, Type: room.typ, At: now}
		if err := b.endRoom(room, e, earlier(w.confirmed, now)); err != nil {
			return err
		}
	}
	if _, err := b.tx.Exec("UPDATE gaps SET ended = MAX(began, ?) WHERE domain = ? AND ended IS NULL", Milli(now), in.key()); err != nil {
		return err
	}
	delete(b.watches, in)
	_, err = b.tx.Exec("DELETE FROM domains WHERE domain = ?", in.key())
	return err
}

// stop ends everything that is open in the file, because nothing is to be recorded from now on.
func (r *Recorder) stop(ctx context.Context) error {
	r.watches = nil
	return r.transact(ctx, func(b *batch) error {
		if err := b.loadWatches(); err != nil {
			return err
		}
		for in, w := range b.watches {
			if err := b.forget(in, w); err != nil {
				return err
			}
		}
		return nil
	})
}

// differ reports whether two times by Prosody's clock are of different stays. A missing time proves nothing.
func differ(a, b time.Time) bool {
	return !a.IsZero() && !b.IsZero() && a.UnixMilli() != b.UnixMilli()
}

// domainJID returns the JID of a domain in the file.
func domainJID(domain string) jid.JID { return jid.NewUnsafe("", domain, "").JID }

// RoomJID returns the JID for the address of a room in the file, which PRECIS may reject.
func RoomJID(address string) jid.JID {
	j := domainJID(address)
	for i := range len(address) {
		if address[i] == '@' {
			return jid.NewUnsafe(address[:i], address[i+1:], "").JID
		}
	}
	return j
}
