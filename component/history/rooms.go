package history

import (
	"cmp"
	"database/sql"
	"time"

	"mellium.im/xmpp/jid"

	"ppch/component/occupancy"
)

// openRoom is a row of open_rooms.
type openRoom struct {
	shard, room string
	typ         occupancy.RoomType
	stamp       time.Time // when it opened by Prosody's clock, or zero
	id          ID
	meetingID   string
	meeting     sql.NullInt64
}

// key names the room in the file.
func (r *openRoom) key() string { return key(r.shard, r.room) }

// openRoom returns the open room at an address on a shard, or nil.
func (b *batch) openRoom(shard, address string) (*openRoom, error) {
	r := &openRoom{shard: shard, room: address}
	var stamp int64
	var id []byte
	ok, err := b.tx.Get("SELECT type, created_stamp, id, meeting_id, meeting FROM open_rooms WHERE room = ?", []any{r.key()},
		&r.typ, &stamp, &id, &r.meetingID, &r.meeting)
	if err != nil || !ok {
		return nil, err
	}
	r.stamp = TimeOf(stamp)
	copy(r.id[:], id)
	return r, nil
}

// startRoom records that a room opened. e has its facts, or is another event of a room that isn't in the file.
func (b *batch) startRoom(e occupancy.Event, since time.Time) (*openRoom, error) {
	r := &openRoom{shard: e.Shard, room: e.Room.String(), typ: e.Type}
	began := e.At
	if e.Facts != nil {
		r.stamp, r.meetingID = stampOf(e.Facts.Stamp, e.Facts.CreatedAt), e.Facts.MeetingID
		if !e.Facts.CreatedAt.IsZero() {
			began = e.Facts.CreatedAt
		}
	}
	r.id = MeetingID(r.shard, r.room, cmp.Or(r.stamp, began))
	if b.r.cfg.Level > LevelOff {
		// A row with this id is the same meeting, which was ended by mistake.
		if _, err := b.tx.Exec(`INSERT INTO meetings (id, shard, room, type, tenant, began, meeting_id) VALUES (?, ?, ?, ?, ?, ?, NULLIF(?, ''))
			ON CONFLICT (id) DO UPDATE SET ended_after = NULL, ended_before = NULL`,
			r.id[:], r.shard, r.room, r.typ, e.Tenant, began.UnixMilli(), r.meetingID); err != nil {
			return nil, err
		}
		if _, err := b.tx.Get("SELECT number FROM meetings WHERE id = ?", []any{r.id[:]}, &r.meeting); err != nil {
			return nil, err
		}
	}
	if _, err := b.tx.Exec("INSERT OR REPLACE INTO open_rooms (room, domain, type, created_stamp, id, meeting_id, meeting) VALUES (?, ?, ?, ?, ?, ?, ?)",
		r.key(), scopeOf(e).key(), r.typ, Milli(r.stamp), r.id[:], r.meetingID, r.meeting); err != nil {
		return nil, err
	}
	if err := b.parent(r, e.Parent); err != nil {
		return nil, err
	}
	if err := b.children(r, e.Facts); err != nil {
		return nil, err
	}
	if e.Kind == occupancy.EventRoomStarted {
		return r, b.emit(r, ID{}, e, occupancy.Counts{}, since)
	}
	return r, nil
}

// updateRoom records new facts of a room.
func (b *batch) updateRoom(r *openRoom, e occupancy.Event, since time.Time) error {
	if e.Facts.MeetingID != r.meetingID {
		r.meetingID = e.Facts.MeetingID
		if _, err := b.tx.Exec("UPDATE open_rooms SET meeting_id = ? WHERE room = ?", r.meetingID, r.key()); err != nil {
			return err
		}
		if _, err := b.tx.Exec("UPDATE meetings SET meeting_id = NULLIF(?, '') WHERE number = ?", r.meetingID, r.meeting); err != nil {
			return err
		}
	}
	if err := b.children(r, e.Facts); err != nil {
		return err
	}
	e.Kind = occupancy.EventRoomUpdated
	return b.emit(r, ID{}, e, e.Counts, since)
}

// endRoom records that a room ended and that its remaining occupants left.
func (b *batch) endRoom(r *openRoom, e occupancy.Event, since time.Time) error {
	present, err := b.present(r.key())
	if err != nil {
		return err
	}
	counts := countsOf(present)
	for _, p := range present {
		counts[kindIndex(p.kind)]--
		left := e
		left.Kind, left.Occupant, left.Counts, left.MeetingParticipants, left.MainCounts = occupancy.EventLeft, p.record(), counts, nil, nil
		if err := b.leave(r, left, since); err != nil {
			return err
		}
	}
	if _, err := b.tx.Exec("DELETE FROM open_rooms WHERE room = ?", r.key()); err != nil {
		return err
	}
	if _, err := b.tx.Exec("UPDATE meetings SET ended_after = MAX(began, ?), ended_before = MAX(began, ?) WHERE number = ?", Milli(since), Milli(e.At), r.meeting); err != nil {
		return err
	}
	// A room that only Jicofo and hidden occupants entered was no meeting.
	if _, err := b.tx.Exec("DELETE FROM meetings WHERE number = ? AND NOT EXISTS (SELECT 1 FROM stays WHERE meeting = meetings.number AND rule IS NULL)", r.meeting); err != nil {
		return err
	}
	e.Counts = occupancy.Counts{}
	return b.emit(r, ID{}, e, occupancy.Counts{}, since)
}

// parent records to which room a breakout or lobby room belongs.
func (b *batch) parent(r *openRoom, parent jid.JID) error {
	if r.typ == occupancy.RoomMain || parent.Equal(jid.JID{}) || !r.meeting.Valid {
		return nil
	}
	_, err := b.tx.Exec("UPDATE meetings SET parent = ? WHERE number = ? AND parent IS NOT ?1", parent.String(), r.meeting)
	return err
}

// children records that the rooms which the facts of r name belong to r.
func (b *batch) children(r *openRoom, facts *occupancy.RoomFacts) error {
	if facts == nil || r.typ != occupancy.RoomMain {
		return nil
	}
	rooms := make([]string, 0, len(facts.Breakouts)+1)
	for _, child := range facts.Breakouts {
		rooms = append(rooms, child.JID)
	}
	if facts.Lobby != "" {
		rooms = append(rooms, facts.Lobby)
	}
	for _, child := range rooms {
		if _, err := b.tx.Exec("UPDATE meetings SET parent = ? WHERE number = (SELECT meeting FROM open_rooms WHERE room = ?) AND parent IS NULL", r.room, key(r.shard, child)); err != nil {
			return err
		}
	}
	return nil
}

// stampOf returns a time by Prosody's clock, or by PPCH's if the source has no other.
func stampOf(stamp, at time.Time) time.Time {
	if stamp.IsZero() {
		return at
	}
	return stamp
}

// Milli returns a time as the store has it: Unix milliseconds, 0 for the zero time.
func Milli(t time.Time) int64 {
	if t.IsZero() {
		return 0
	}
	return t.UnixMilli()
}

// TimeOf returns the time that Milli wrote.
func TimeOf(ms int64) time.Time {
	if ms == 0 {
		return time.Time{}
	}
	return time.UnixMilli(ms).UTC()
}
