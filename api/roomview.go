package api

import (
	"time"

	"ppch/component/occupancy"
)

// inexactNote says what the number of an inexact answer is.
const inexactNote = "participant_count is the number of everyone in the room, the conference's own focus and recorders included. " +
	"Prosody tells the exact number of people once the Lua module mod_room_participants_api is loaded."

// countsView is how many are in a room.
// It lacks what differs from answer to answer while the room stays the same: how the client calls it, and as_of.
// Its fields up to room_jid are as the first version of this service had them; clients rely on their types.
type countsView struct {
	Exists           bool `json:"exists"`
	ParticipantCount int  `json:"participant_count"`
	HasParticipants  bool `json:"has_participants"`

	// Participants are the names of those who count; nil leaves them out.
	Participants *[]string `json:"participants,omitempty"`

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
func newCountsView(room occupancy.Room, names bool, participants *[]string) countsView {
	view := countsView{Source: room.Source, Participants: participants}
	if !room.Exists {
		// However this was learnt: in a room that doesn't exist there is exactly nobody.
		view.Exact = true
		view.Counts = map[occupancy.Kind]int{}
		view.Visitors = new(0)
		view.BreakoutRooms = []breakoutView{}
		return view
	}
	view.RoomJID = new(room.JID.String())
	view.Exists = true
	view.ParticipantCount = room.Participants
	view.HasParticipants = room.Participants > 0
	view.Counts = room.Counts
	view.CreatedAt = stamp(room.CreatedAt)
	view.Exact = room.Exact
	if !room.Exact {
		view.Note = inexactNote
	}
	if room.Source == occupancy.SourceModule {
		view.addRelated(room, names)
	}
	return view
}

// addRelated tells who belongs to the meeting without being in the room. None of them is added to any other number.
func (v *countsView) addRelated(room occupancy.Room, names bool) {
	v.Visitors = &room.Visitors
	if room.Lobby != nil {
		v.Lobby = new(newRelatedView(*room.Lobby))
	}
	v.BreakoutRooms = make([]breakoutView, 0, len(room.Breakouts))
	for _, b := range room.Breakouts {
		view := breakoutView{relatedView: newRelatedView(b)}
		if names {
			view.Name = &b.Name
		}
		v.BreakoutRooms = append(v.BreakoutRooms, view)
	}
}

// newRelatedView returns ref with nulls for what isn't known of it.
func newRelatedView(ref occupancy.RoomRef) relatedView {
	view := relatedView{RoomJID: ref.JID.String()}
	if ref.Known {
		view.Exists, view.ParticipantCount = &ref.Exists, &ref.Participants
	}
	return view
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
	view := factsView{Type: &room.Type}
	if !room.Exists {
		return view
	}
	view.Tenant = orNull(room.Tenant)
	view.ParentRoomJID = orNull(room.Parent.String())
	view.MeetingID = orNull(room.MeetingID)
	view.PasswordProtected, view.MembersOnly = &room.Password, &room.MembersOnly
	if names {
		view.Subject = orNull(room.Subject)
	}
	return view
}

// The answers about one room, in each place. Occupants are null where they aren't known or may not be told.
type (
	// participantsView is for "/api/rooms/{room_name}/participants".
	participantsView struct {
		countsView
		Occupants []occupantView `json:"occupants"`
	}

	// listedView is for lists.
	listedView struct {
		countsView
		factsView
	}

	// expandedView is for lists with expand=occupants.
	expandedView struct {
		listedView
		Occupants []occupantView `json:"occupants"`
	}

	// detailView is for "/api/rooms/{room_name}".
	detailView struct {
		listedView
		Occupants       []detailOccupantView `json:"occupants"`
		DurationSeconds *int64               `json:"duration_seconds"`
	}

	detailOccupantView struct {
		occupantView
		DurationSeconds *int64 `json:"duration_seconds"`
	}
)

// view returns what an answer of that shape tells of a room.
func (s shape) view(room occupancy.Room) any {
	if s.place == inList {
		return listedView{newCountsView(room, s.names, nil), newFactsView(room, s.names)}
	}
	participants, occupants := people(room, s.names)
	counts := newCountsView(room, s.names, &participants)
	switch s.place {
	case inExpandedList:
		return expandedView{listedView{counts, newFactsView(room, s.names)}, occupants}
	case inDetail:
		view := detailView{listedView: listedView{counts, newFactsView(room, s.names)}, DurationSeconds: age(room, room.CreatedAt)}
		if occupants != nil {
			view.Occupants = make([]detailOccupantView, 0, len(occupants))
		}
		for _, o := range occupants {
			view.Occupants = append(view.Occupants, detailOccupantView{o, age(room, o.joinedAt)})
		}
		return view
	}
	return participantsView{counts, occupants}
}

// age returns for how many whole seconds something had been so when the room was last known to be true,
// nil (null) where its beginning isn't known.
func age(room occupancy.Room, since time.Time) *int64 {
	if since.IsZero() {
		return nil
	}
	return new(max(0, int64(room.AsOf.Sub(since)/time.Second)))
}
