package history

import (
	"cmp"
	"context"
	"database/sql"
	"encoding/hex"
	"slices"
	"strings"
	"time"

	"ppch/component/occupancy"
)

// Stay is one occupant in one meeting.
type Stay struct {
	ID      ID
	Meeting ID
	Shard   string
	Room    string // its JID
	Parent  string // the JID of the main room of a breakout or lobby room, or empty
	Type    occupancy.RoomType
	Kind    occupancy.Kind
	Rule    string // the operator's rule by which it is hidden, or empty

	// It joined at Joined; if JoinedAfter isn't zero, between JoinedAfter and Joined.
	// It left between LeftAfter and LeftBefore, which are equal if PPCH saw it leave and zero while it is present.
	JoinedAfter, Joined   time.Time
	LeftAfter, LeftBefore time.Time

	// Reason is why it left, or empty if Prosody doesn't know.
	Reason string

	// Nick, Name and UserID are empty below LevelNames, and UserID of a guest. Name is hostile text.
	Nick, Name, UserID string

	// Pseudonym is 32 hexadecimal digits, or empty.
	Pseudonym string
}

// Present reports whether the stay goes on, as far as PPCH knows.
func (s Stay) Present() bool { return s.LeftBefore.IsZero() }

// Span is a duration that is known within bounds, which are equal if it is exact.
type Span struct{ Min, Max time.Duration }

// Attendance is who was in a meeting and its breakout rooms.
type Attendance struct {
	Meeting Meeting

	// AsOf is the end of the stays of present people: when the room's domain was last confirmed.
	// ReadAt is when this was read. Both are by the clock of the PPCH that recorded it.
	AsOf, ReadAt time.Time

	// Attendees are ordered by when they first joined.
	Attendees []Attendee

	// Waited are those who were only in the lobby, in the order in which they came there. A guest who waited and then joined
	// is in both lists, because nothing shows that it was the same person.
	Waited []Attendee

	// Gaps are the times of the meeting in which PPCH didn't watch.
	Gaps []Gap
}

// Attendee is a person with all stays in a meeting and its breakout rooms, in order.
// A person is a user id; each stay of a guest is an Attendee of its own.
type Attendee struct {
	UserID, Pseudonym string
	Name              string // of the last stay with one

	Stays []Stay

	// Total is how long it was there, without counting any moment twice. Sum adds up the stays. Neither includes Lobby.
	Total, Sum Span

	// Lobby is how long it waited in the lobby.
	Lobby Span
}

// There returns the stays outside the lobby, in order; of a person who only waited all.
func (p Attendee) There() []Stay {
	there := slices.DeleteFunc(slices.Clone(p.Stays), func(s Stay) bool { return s.Type == occupancy.RoomLobby })
	if len(there) == 0 {
		return p.Stays
	}
	return there
}

const stayColumns = `s.id, m.id, m.shard, m.room, m.parent, m.type, s.kind, s.rule, s.joined_after, s.joined, s.left_after, s.left_before, s.reason, s.nick, s.name, s.user_id, s.pseudonym`

func scanStay(scan Scan) (s Stay, err error) {
	var id, meeting, pseudonym []byte
	var joined int64
	var joinedAfter, leftAfter, leftBefore sql.NullInt64
	var parent, rule, reason, nick, name, userID sql.NullString
	err = scan(&id, &meeting, &s.Shard, &s.Room, &parent, &s.Type, &s.Kind, &rule, &joinedAfter, &joined, &leftAfter, &leftBefore, &reason, &nick, &name, &userID, &pseudonym)
	copy(s.ID[:], id)
	copy(s.Meeting[:], meeting)
	s.JoinedAfter, s.Joined, s.LeftAfter, s.LeftBefore = TimeOf(joinedAfter.Int64), TimeOf(joined), TimeOf(leftAfter.Int64), TimeOf(leftBefore.Int64)
	s.Parent, s.Rule, s.Reason, s.Nick, s.Name, s.UserID, s.Pseudonym = parent.String, rule.String, reason.String, nick.String, name.String, userID.String, hex.EncodeToString(pseudonym)
	return s, err
}

func stays(tx *Tx, query string, args ...any) (all []Stay, err error) {
	err = tx.Each("SELECT "+stayColumns+" FROM stays s JOIN meetings m ON m.number = s.meeting "+query, args, func(scan Scan) error {
		s, err := scanStay(scan)
		all = append(all, s)
		return err
	})
	return all, err
}

// Attendance returns who was in a meeting and its breakout rooms, or ErrNoMeeting.
func (s *Store) Attendance(ctx context.Context, id ID) (a Attendance, err error) {
	var all []Stay
	err = s.Read(ctx, func(tx *Tx) (err error) {
		if a.Meeting, err = meeting(tx, id); err != nil {
			return err
		}
		m := a.Meeting
		in := scope{m.Shard, domainOf(m.Room)}
		var confirmed int64
		if _, err := tx.Get("SELECT confirmed FROM domains WHERE domain = ?", []any{in.key()}, &confirmed); err != nil {
			return err
		}
		a.AsOf = TimeOf(confirmed)
		if all, err = stays(tx, "WHERE s.meeting = ?", m.number); err != nil {
			return err
		}
		end := m.EndedBefore
		if m.Type == occupancy.RoomMain {
			// Rooms that belong to it opened while it went on.
			children, err := stays(tx, `WHERE s.meeting IN (SELECT number FROM meetings WHERE parent = ? AND shard = ? AND began BETWEEN ? AND ?)`,
				m.Room, m.Shard, Milli(m.Began), Milli(cmp.Or(end, latest)))
			if err != nil {
				return err
			}
			all = append(all, children...)
		}
		a.Gaps, err = gapsBetween(tx, in, m.Began, end)
		return err
	})
	if err != nil {
		return Attendance{}, err
	}
	a.ReadAt = time.Now()
	a.group(all)
	return a, nil
}

// latest is later than every time in the file.
var latest = time.Date(9999, 1, 1, 0, 0, 0, 0, time.UTC)

// Until returns until when a present person may have stayed: ReadAt within a gap, else AsOf.
func (a Attendance) Until() time.Time {
	if n := len(a.Gaps); n > 0 && a.Gaps[n-1].Ended.IsZero() {
		return a.ReadAt
	}
	return a.AsOf
}

// group sets Attendees and Waited from all stays.
func (a *Attendance) group(all []Stay) {
	for _, p := range attendees(all, a.AsOf, a.Until()) {
		if p.There()[0].Type == occupancy.RoomLobby {
			a.Waited = append(a.Waited, p)
		} else {
			a.Attendees = append(a.Attendees, p)
		}
	}
	slices.SortStableFunc(a.Attendees, func(p, o Attendee) int { return p.There()[0].Joined.Compare(o.There()[0].Joined) })
}

// attendees groups stays by person. Stays of present people lasted at least until asOf, and until the other time at most.
func attendees(all []Stay, asOf, until time.Time) (people []Attendee) {
	slices.SortStableFunc(all, func(a, b Stay) int {
		return cmp.Or(a.Joined.Compare(b.Joined), strings.Compare(string(a.ID[:]), string(b.ID[:])))
	})
	byPerson := map[string]int{}
	for _, s := range all {
		i, known := byPerson[s.UserID+"\x00"+s.Pseudonym]
		if !known || s.UserID == "" && s.Pseudonym == "" {
			i = len(people)
			byPerson[s.UserID+"\x00"+s.Pseudonym] = i
			people = append(people, Attendee{UserID: s.UserID, Pseudonym: s.Pseudonym})
		}
		p := &people[i]
		p.Stays = append(p.Stays, s)
		p.Name = cmp.Or(s.Name, p.Name)
	}
	for i := range people {
		p := &people[i]
		var there, waiting spans
		for _, s := range p.Stays {
			if s.Type == occupancy.RoomLobby {
				waiting.add(s, asOf, until)
				continue
			}
			there.add(s, asOf, until)
			d := s.Duration(asOf, until)
			p.Sum.Min += d.Min
			p.Sum.Max += d.Max
		}
		p.Total, p.Lobby = there.union(), waiting.union()
	}
	return people
}

// Duration returns how long the stay lasted. A present one lasted at least until asOf and at most until the other time.
func (s Stay) Duration(asOf, until time.Time) Span {
	var one spans
	one.add(s, asOf, until)
	return one.union()
}

// interval is the time between two moments.
type interval struct{ from, to time.Time }

// spans are the shortest and the longest possible intervals.
type spans struct{ least, most []interval }

func (all *spans) add(s Stay, asOf, until time.Time) {
	after, before := s.LeftAfter, s.LeftBefore
	if s.Present() {
		after, before = asOf, until
	}
	all.least = append(all.least, interval{s.Joined, after})
	all.most = append(all.most, interval{cmp.Or(s.JoinedAfter, s.Joined), before})
}

func (all spans) union() Span { return Span{union(all.least), union(all.most)} }

// union returns how long the intervals are together, without counting any moment twice.
func union(all []interval) (total time.Duration) {
	slices.SortStableFunc(all, func(a, b interval) int { return a.from.Compare(b.from) })
	var end time.Time
	for _, i := range all {
		if i.from.Before(end) {
			i.from = end
		}
		if i.to.After(i.from) {
			total += i.to.Sub(i.from)
			end = i.to
		}
	}
	return total
}

func domainOf(room string) string {
	_, domain, _ := strings.Cut(room, "@")
	return domain
}
