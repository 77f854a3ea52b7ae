package history

import (
	"bytes"
	"cmp"
	"context"
	"database/sql"
	"errors"
	"strings"
	"time"

	"ppch/component/occupancy"
)

// Errors of reads.
var (
	ErrNoMeeting = errors.New("history: no such meeting")
	ErrNoStay    = errors.New("history: no such stay")
)

// maxScanned is how many meetings one request reads at most. A filter may skip most of them.
const maxScanned = 20_000

// Meeting is the life of a room.
type Meeting struct {
	ID        ID
	Shard     string
	Room      string // its JID
	Type      occupancy.RoomType
	Tenant    string
	Parent    string // the JID of the main room of a breakout or lobby room, or empty
	MeetingID string // as Jitsi named it, or empty

	// Began is when the room opened. It ended between EndedAfter and EndedBefore; both are zero while it goes on.
	Began, EndedAfter, EndedBefore time.Time

	// Peak is the largest number of people at a time that PPCH saw.
	Peak int

	// Stays is the number of stays of people in the file.
	Stays int

	number int64
}

// Ongoing reports whether the meeting goes on, as far as PPCH knows.
func (m Meeting) Ongoing() bool { return m.EndedBefore.IsZero() }

// MeetingFilter selects meetings. A zero field selects all.
type MeetingFilter struct {
	Shard  string
	Room   string // a JID
	Tenant string
	Type   occupancy.RoomType

	// From and To select meetings that took place at any time between them.
	From, To time.Time

	MinParticipants int // the least Peak

	// Rooms are those that may be shown.
	Rooms Rooms

	// After continues a list, Limit is how many meetings it has at most; at least 1.
	After Position
	Limit int
}

// Position is the place of a meeting in a list, the same in every PPCH. The zero Position is the beginning.
type Position struct {
	Began int64 // Unix milliseconds
	ID    ID
}

func positionOf(m Meeting) Position { return Position{Milli(m.Began), m.ID} }

// compare orders positions as lists are: latest first.
func (p Position) compare(o Position) int {
	return cmp.Or(cmp.Compare(o.Began, p.Began), bytes.Compare(o.ID[:], p.ID[:]))
}

const meetingColumns = `m.number, m.id, m.shard, m.room, m.type, m.tenant, m.parent, m.meeting_id, m.began, m.ended_after, m.ended_before, m.peak,
	(SELECT COUNT(*) FROM stays s WHERE s.meeting = m.number AND s.kind IN ('user', 'sip', 'sip_video'))`

func scanMeeting(scan Scan) (m Meeting, err error) {
	var id []byte
	var parent, meetingID sql.NullString
	var began int64
	var after, before sql.NullInt64
	err = scan(&m.number, &id, &m.Shard, &m.Room, &m.Type, &m.Tenant, &parent, &meetingID, &began, &after, &before, &m.Peak, &m.Stays)
	copy(m.ID[:], id)
	m.Parent, m.MeetingID = parent.String, meetingID.String
	m.Began, m.EndedAfter, m.EndedBefore = TimeOf(began), TimeOf(after.Int64), TimeOf(before.Int64)
	return m, err
}

// Meetings returns the meetings that f selects, latest first, and where the list continues; a zero Position if it is complete.
func (s *Store) Meetings(ctx context.Context, f MeetingFilter) (all []Meeting, next Position, err error) {
	query, args := f.query()
	err = s.Read(ctx, func(tx *Tx) error {
		rows, err := tx.query(query, args...)
		if err != nil {
			return err
		}
		defer rows.Close()
		for scanned := 1; rows.Next(); scanned++ {
			m, err := scanMeeting(rows.Scan)
			if err != nil {
				return err
			}
			if len(all) == f.Limit {
				next = positionOf(all[len(all)-1])
				return nil
			}
			if f.Rooms.Includes(m.Room) {
				all = append(all, m)
			}
			if scanned == maxScanned {
				next = positionOf(m)
			}
		}
		return rows.Err()
	})
	return all, next, err
}

// query returns the query for f. Its text depends only on which fields are set.
func (f MeetingFilter) query() (string, []any) {
	where := []string{"TRUE"}
	var args []any
	add := func(is bool, condition string, values ...any) {
		if is {
			where = append(where, condition)
			args = append(args, values...)
		}
	}
	add(f.Shard != "", "m.shard = ?", f.Shard)
	add(f.Room != "", "m.room = ?", f.Room)
	add(f.Tenant != "", "m.tenant = ?", f.Tenant)
	add(f.Type != "", "m.type = ?", f.Type)
	add(!f.To.IsZero(), "m.began <= ?", Milli(f.To))
	add(!f.From.IsZero(), "(m.ended_before IS NULL OR m.ended_before >= ?)", Milli(f.From))
	add(f.MinParticipants > 0, "m.peak >= ?", f.MinParticipants)
	add(f.After != Position{}, "(m.began, m.id) < (?, ?)", f.After.Began, f.After.ID[:])
	args = append(args, maxScanned)
	return "SELECT " + meetingColumns + " FROM meetings m WHERE " + strings.Join(where, " AND ") + " ORDER BY m.began DESC, m.id DESC LIMIT ?", args
}

// Meeting returns a meeting, or ErrNoMeeting.
func (s *Store) Meeting(ctx context.Context, id ID) (m Meeting, err error) {
	err = s.Read(ctx, func(tx *Tx) error {
		m, err = meeting(tx, id)
		return err
	})
	return m, err
}

func meeting(tx *Tx, id ID) (m Meeting, err error) {
	found := false
	m, err = scanMeeting(func(dest ...any) (err error) {
		found, err = tx.Get("SELECT "+meetingColumns+" FROM meetings m WHERE m.id = ?", []any{id[:]}, dest...)
		return err
	})
	if err == nil && !found {
		err = ErrNoMeeting
	}
	return m, err
}

// Gaps returns the times without watching a domain of a shard between two times, in order. A zero to means no end.
func (s *Store) Gaps(ctx context.Context, shard, domain string, from, to time.Time) (all []Gap, err error) {
	err = s.Read(ctx, func(tx *Tx) error {
		all, err = gapsBetween(tx, scope{shard, domain}, from, to)
		return err
	})
	return all, err
}

func gapsBetween(tx *Tx, in scope, from, to time.Time) (all []Gap, err error) {
	err = tx.Each("SELECT began, ended, reason FROM gaps WHERE domain = ? AND began <= ? AND (ended IS NULL OR ended >= ?) ORDER BY began",
		[]any{in.key(), Milli(cmp.Or(to, latest)), Milli(from)}, func(scan Scan) error {
			gap := Gap{Domain: in.domain}
			var began int64
			var ended sql.NullInt64
			err := scan(&began, &ended, &gap.Reason)
			gap.Began, gap.Ended = TimeOf(began), TimeOf(ended.Int64)
			all = append(all, gap)
			return err
		})
	return all, err
}
