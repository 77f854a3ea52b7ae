package view

import (
	"math"
	"time"

	"mellium.im/xmpp/jid"

	"ppch/component/history"
	"ppch/component/occupancy"
)

// Meetings is a page of past and present meetings: "GET /api/meetings".
type Meetings struct {
	Meetings   []Meeting `json:"meetings"`
	NextCursor *string   `json:"next_cursor"`

	Unanswered []Unanswered `json:"unanswered,omitempty"`
}

// Unanswered is a PPCH that records a shard and did not answer, so that its part is missing.
// Collector is nil (null) if none of the shard is known.
type Unanswered struct {
	Shard     string  `json:"shard"`
	Collector *string `json:"collector"`
	Why       string  `json:"why"`
}

// NewUnanswered returns the documents for those that did not answer.
func NewUnanswered(all []history.Unanswered) (docs []Unanswered) {
	for _, u := range all {
		docs = append(docs, Unanswered{u.Shard, OrNull(u.Collector), u.Why})
	}
	return docs
}

// Meeting is the life of a room: "GET /api/meetings/{meeting_id}".
// EndedAt is nil (null) while it goes on, and if PPCH didn't watch when it ended: it was then between EndedAfter and EndedBefore.
type Meeting struct {
	ID               string             `json:"id"`
	RoomName         string             `json:"room_name"`
	DisplayName      string             `json:"display_name"`
	MeetingURL       *string            `json:"meeting_url"`
	RoomJID          string             `json:"room_jid"`
	ParentRoomJID    *string            `json:"parent_room_jid"`
	Type             occupancy.RoomType `json:"type"`
	Tenant           *string            `json:"tenant"`
	Shard            string             `json:"shard"`
	MeetingID        *string            `json:"meeting_id"`
	StartedAt        string             `json:"started_at"`
	Ongoing          bool               `json:"ongoing"`
	EndedAt          *string            `json:"ended_at"`
	EndedAfter       *string            `json:"ended_after"`
	EndedBefore      *string            `json:"ended_before"`
	PeakParticipants int                `json:"peak_participants"`
	Stays            int                `json:"stays"`

	Unanswered []Unanswered `json:"unanswered,omitempty"`
}

// meetingURL returns the URL of a room, whose main room has the address parent if that isn't empty.
func meetingURL(names *occupancy.NameResolver, room jid.JID, parent string) *string {
	if parent == "" {
		return OrNull(names.MeetingURL(room, jid.JID{}))
	}
	return OrNull(names.MeetingURL(room, history.RoomJID(parent)))
}

// NewMeeting returns the document for m.
func NewMeeting(names *occupancy.NameResolver, m history.Meeting) Meeting {
	room := history.RoomJID(m.Room)
	doc := Meeting{
		ID:               m.ID.String(),
		RoomName:         names.Name(room),
		DisplayName:      names.Display(room),
		MeetingURL:       meetingURL(names, room, m.Parent),
		RoomJID:          m.Room,
		ParentRoomJID:    OrNull(m.Parent),
		Type:             m.Type,
		Tenant:           OrNull(m.Tenant),
		Shard:            m.Shard,
		MeetingID:        OrNull(m.MeetingID),
		StartedAt:        FormatTime(m.Began),
		Ongoing:          m.Ongoing(),
		EndedAfter:       Stamp(m.EndedAfter),
		EndedBefore:      Stamp(m.EndedBefore),
		PeakParticipants: m.Peak,
		Stays:            m.Stays,
	}
	doc.EndedAt = exact(m.EndedAfter, m.EndedBefore)
	return doc
}

// exact returns the time for a document if both bounds are the same.
func exact(after, before time.Time) *string {
	if !after.Equal(before) {
		return nil
	}
	return Stamp(before)
}

// Attendance is who was in a meeting and its breakout rooms: "GET /api/meetings/{meeting_id}/attendance".
// People who are present count until AsOf. Waited are those who were only in the lobby; their times are of the lobby.
type Attendance struct {
	Meeting   Meeting    `json:"meeting"`
	AsOf      *string    `json:"as_of"`
	Attendees []Attendee `json:"attendees"`
	Waited    []Attendee `json:"waited"`
	Gaps      []Gap      `json:"gaps"`

	Unanswered []Unanswered `json:"unanswered,omitempty"`
}

// Attendee is one person by the user id of its token, with all its stays. Each stay of a guest is an attendee of its own.
type Attendee struct {
	UserID        *string `json:"user_id"`
	Pseudonym     *string `json:"pseudonym"`
	Name          *string `json:"name"`
	Present       bool    `json:"present"`
	FirstJoinedAt string  `json:"first_joined_at"`
	LastLeftAt    *string `json:"last_left_at"`
	Total         Seconds `json:"total_seconds"`
	Sum           Seconds `json:"sum_seconds"`
	Lobby         Seconds `json:"lobby_seconds"`
	Stays         []Stay  `json:"stays"`
}

// Seconds is a duration within bounds, which are equal if it is exact.
type Seconds struct {
	Min int64 `json:"min"`
	Max int64 `json:"max"`
}

// Stay is one occupant in one room. Like the end of a [Meeting], its begin and its end may have bounds only.
type Stay struct {
	ID          string             `json:"id"`
	MeetingID   string             `json:"meeting"`
	RoomName    string             `json:"room_name"`
	DisplayName string             `json:"display_name"`
	MeetingURL  *string            `json:"meeting_url"`
	RoomJID     string             `json:"room_jid"`
	Type        occupancy.RoomType `json:"type"`
	Kind        occupancy.Kind     `json:"kind"`
	Rule        string             `json:"rule,omitempty"` // the operator's rule by which it is hidden
	Nick        *string            `json:"nick"`
	Name        *string            `json:"name"`
	JoinedAt    string             `json:"joined_at"`
	JoinedAfter *string            `json:"joined_after"`
	Present     bool               `json:"present"`
	LeftAt      *string            `json:"left_at"`
	LeftAfter   *string            `json:"left_after"`
	LeftBefore  *string            `json:"left_before"`
	Reason      *string            `json:"reason"`
	Seconds     *Seconds           `json:"seconds"`
}

// Gap is a time in which PPCH didn't watch. To is nil (null) while it lasts.
type Gap struct {
	From   string            `json:"from"`
	To     *string           `json:"to"`
	Reason history.GapReason `json:"reason"`
}

// NewAttendance returns the document for a.
func NewAttendance(names *occupancy.NameResolver, a history.Attendance) Attendance {
	return Attendance{
		Meeting: NewMeeting(names, a.Meeting), AsOf: Stamp(a.AsOf),
		Attendees: newAttendees(names, a, a.Attendees), Waited: newAttendees(names, a, a.Waited), Gaps: NewGaps(a.Gaps),
	}
}

// newAttendees returns the documents for people of a.
func newAttendees(names *occupancy.NameResolver, a history.Attendance, people []history.Attendee) []Attendee {
	docs := []Attendee{}
	for _, p := range people {
		there := p.There()
		attendee := Attendee{
			UserID: OrNull(p.UserID), Pseudonym: OrNull(p.Pseudonym), Name: OrNull(p.Name),
			FirstJoinedAt: FormatTime(there[0].Joined),
			Total:         NewSeconds(p.Total), Sum: NewSeconds(p.Sum), Lobby: NewSeconds(p.Lobby),
		}
		var last history.Stay
		for _, s := range there {
			attendee.Present = attendee.Present || s.Present()
			if s.LeftBefore.After(last.LeftBefore) {
				last = s
			}
		}
		for _, s := range p.Stays {
			stay := NewStay(names, s)
			stay.Seconds = new(NewSeconds(s.Duration(a.AsOf, a.Until())))
			attendee.Stays = append(attendee.Stays, stay)
		}
		if !attendee.Present {
			attendee.LastLeftAt = exact(last.LeftAfter, last.LeftBefore)
		}
		docs = append(docs, attendee)
	}
	return docs
}

// NewStay returns the document for s, without its duration.
func NewStay(names *occupancy.NameResolver, s history.Stay) Stay {
	room := history.RoomJID(s.Room)
	return Stay{
		ID: s.ID.String(), MeetingID: s.Meeting.String(), RoomJID: s.Room, Type: s.Type, Kind: s.Kind, Rule: s.Rule,
		RoomName: names.Name(room), DisplayName: names.Display(room), MeetingURL: meetingURL(names, room, s.Parent),
		Nick: OrNull(s.Nick), Name: OrNull(s.Name),
		JoinedAt: FormatTime(s.Joined), JoinedAfter: Stamp(s.JoinedAfter),
		Present: s.Present(), LeftAt: exact(s.LeftAfter, s.LeftBefore), LeftAfter: Stamp(s.LeftAfter), LeftBefore: Stamp(s.LeftBefore),
		Reason: OrNull(s.Reason),
	}
}

// NewGaps returns the documents for gaps.
func NewGaps(all []history.Gap) []Gap {
	docs := []Gap{}
	for _, g := range all {
		docs = append(docs, Gap{FormatTime(g.Began), Stamp(g.Ended), g.Reason})
	}
	return docs
}

// NewSeconds returns the document for s. Its bounds are whole seconds that contain s.
func NewSeconds(s history.Span) Seconds {
	if s.Min == s.Max {
		whole := int64(math.Round(s.Min.Seconds()))
		return Seconds{whole, whole}
	}
	return Seconds{int64(math.Floor(s.Min.Seconds())), int64(math.Ceil(s.Max.Seconds()))}
}

// Person is all that is recorded of a person: "GET /api/people/{user_id}".
type Person struct {
	UserID    string   `json:"user_id"`
	Pseudonym *string  `json:"pseudonym"`
	Stays     []Stay   `json:"stays"`
	Accesses  []Access `json:"accesses"`

	Unanswered []Unanswered `json:"unanswered,omitempty"`
}

// Access is who read the record of a person, or the attendance of a meeting in it.
type Access struct {
	At        string  `json:"at"`
	Key       string  `json:"key"`
	Action    string  `json:"action"`
	MeetingID *string `json:"meeting"`
}

// NewPerson returns the document for r.
func NewPerson(names *occupancy.NameResolver, r history.Record) Person {
	doc := Person{UserID: r.UserID, Pseudonym: OrNull(r.Pseudonym), Stays: []Stay{}, Accesses: []Access{}}
	for _, s := range r.Stays {
		doc.Stays = append(doc.Stays, NewStay(names, s))
	}
	for _, a := range r.Accesses {
		access := Access{At: FormatTime(a.At), Key: a.Key, Action: a.Action}
		if !a.Meeting.IsZero() {
			access.MeetingID = new(a.Meeting.String())
		}
		doc.Accesses = append(doc.Accesses, access)
	}
	return doc
}

// Erased is how many stays of a person were deleted: "DELETE /api/people/{user_id}".
type Erased struct {
	UserID string `json:"user_id"`
	Stays  int    `json:"stays"`
}
