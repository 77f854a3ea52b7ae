package api

import (
	"time"

	"ppch/api/view"
	"ppch/component/occupancy"
)

// inexactNote says what the number of an inexact answer is.
const inexactNote = "participant_count is the number of all occupants, Jitsi's focus and recorders included. " +
	"For the exact number of people, load the Lua module mod_room_participants_api in Prosody."

// presenceView is how many are in a room, and countsView what else there is to count; between stand the names of those who do.
// They lack what differs from answer to answer while the room stays the same: how the client calls it, and as_of.
// Their fields up to room_jid are as the first version of this service had them; clients rely on their types.
type (
	presenceView struct {
		Exists           bool `json:"exists"`
		ParticipantCount int  `json:"participant_count"`
		HasParticipants  bool `json:"has_participants"`
	}

	countsView struct {
		RoomJID *string `json:"room_jid"`

		Counts    map[occupancy.Kind]int `json:"counts"`
		CreatedAt *string                `json:"created_at"`
		Source    occupancy.Source       `json:"source"`
		Exact     bool                   `json:"exact"`
		Note      string                 `json:"note,omitempty"`

		Visitors      *int           `json:"visitors"`
		Lobby         *relatedView   `json:"lobby"`
		BreakoutRooms []breakoutView `json:"breakout_rooms"`
	}
)

func newPresenceView(room occupancy.Room) presenceView {
	if !room.Exists {
		return presenceView{}
	}
	return presenceView{Exists: true, ParticipantCount: room.Participants, HasParticipants: room.Participants > 0}
}

// relatedView is another room that a room tells of.
// Whether that exists is null too, not false, where its domain isn't watched: somebody may be in it.
type relatedView struct {
	RoomJID          string `json:"room_jid"`
	Exists           *bool  `json:"exists"`
	ParticipantCount *int   `json:"participant_count"`
}

// breakoutView is a breakout room. Its name is what somebody wrote, and null for whoever may not read names.
type breakoutView struct {
	relatedView
	Name *string `json:"name"`
}

// newCountsView returns the numbers of a room, of breakout rooms with their names only if they may be told.
func newCountsView(room occupancy.Room, names bool) countsView {
	doc := countsView{Source: room.Source}
	if !room.Exists {
		// However this was learnt: in a room that doesn't exist there is exactly nobody.
		doc.Exact = true
		doc.Counts = map[occupancy.Kind]int{}
		doc.Visitors = new(0)
		doc.BreakoutRooms = []breakoutView{}
		return doc
	}
	doc.RoomJID = new(room.JID.String())
	doc.Counts = room.Counts
	doc.CreatedAt = view.Stamp(room.CreatedAt)
	doc.Exact = room.Exact
	if !room.Exact {
		doc.Note = inexactNote
	}
	if room.Source == occupancy.SourceModule {
		doc.addRelated(room, names)
	}
	return doc
}

// addRelated tells who belongs to the meeting without being in the room. None of them is added to any other number.
func (v *countsView) addRelated(room occupancy.Room, names bool) {
	v.Visitors = room.Visitors
	if room.Lobby != nil {
		v.Lobby = new(newRelatedView(*room.Lobby))
	}
	v.BreakoutRooms = make([]breakoutView, 0, len(room.Breakouts))
	for _, b := range room.Breakouts {
		doc := breakoutView{relatedView: newRelatedView(b)}
		if names {
			doc.Name = &b.Name
		}
		v.BreakoutRooms = append(v.BreakoutRooms, doc)
	}
}

// newRelatedView returns ref with nulls for what isn't known of it.
func newRelatedView(ref occupancy.RoomRef) relatedView {
	doc := relatedView{RoomJID: ref.JID.String()}
	if ref.Known {
		doc.Exists, doc.ParticipantCount = &ref.Exists, &ref.Participants
	}
	return doc
}

// factsView is what is known of a room besides who is in it, null where it isn't known or there is none.
type factsView struct {
	Type              *occupancy.RoomType `json:"type"`
	Tenant            *string             `json:"tenant"`
	ParentRoomJID     *string             `json:"parent_room_jid"`
	Subject           *string             `json:"subject"`
	MeetingID         *string             `json:"meeting_id"`
	PasswordProtected *bool               `json:"password_protected"`
	MembersOnly       *bool               `json:"members_only"`
}

// newFactsView returns the facts of a room. Its subject is free text, and counts as a name.
func newFactsView(room occupancy.Room, names bool) factsView {
	if room.Source != occupancy.SourceModule {
		return factsView{}
	}
	doc := factsView{Type: &room.Type}
	if !room.Exists {
		return doc
	}
	doc.Tenant = view.OrNull(room.Tenant)
	doc.ParentRoomJID = view.OrNull(room.Parent.String())
	doc.MeetingID = view.OrNull(room.MeetingID)
	doc.PasswordProtected, doc.MembersOnly = &room.Password, &room.MembersOnly
	if names {
		doc.Subject = view.OrNull(room.Subject)
	}
	return doc
}

// listedView is what is known of a room besides who is in it, and how many these are.
type listedView struct {
	countsView
	factsView
}

func newListedView(room occupancy.Room, names bool) listedView {
	return listedView{newCountsView(room, names), newFactsView(room, names)}
}

type (
	detailView struct {
		listedView
		DurationSeconds *int64 `json:"duration_seconds"`
	}

	detailOccupantView struct {
		view.Occupant
		DurationSeconds *int64 `json:"duration_seconds"`
	}
)

// restView returns what an answer of that shape says of a room between the names and the occupants.
func (s shape) restView(room occupancy.Room) any {
	switch s.place {
	case inParticipants:
		return newCountsView(room, s.names)
	case inDetail:
		return detailView{newListedView(room, s.names), age(room, room.CreatedAt)}
	}
	return newListedView(room, s.names)
}

// occupantView returns what an answer of that shape says of an occupant.
func (s shape) occupantView(room *occupancy.Room, o *occupancy.Occupant) any {
	doc := view.NewOccupant(*o, room.Source)
	if s.place == inDetail {
		return detailOccupantView{doc, age(*room, o.JoinedAt)}
	}
	return doc
}

// age returns for how many whole seconds something had been so when the room was last known to be true,
// nil (null) where its beginning isn't known.
func age(room occupancy.Room, since time.Time) *int64 {
	if since.IsZero() {
		return nil
	}
	return new(max(0, int64(room.AsOf.Sub(since)/time.Second)))
}
