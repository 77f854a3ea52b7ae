package view

import (
	"encoding/json"

	"ppch/component/occupancy"
)

// eventNames are the names of events for clients.
var eventNames = map[occupancy.EventKind]string{
	occupancy.EventRoomStarted: "room.started",
	occupancy.EventRoomUpdated: "room.updated",
	occupancy.EventRoomEnded:   "room.ended",
	occupancy.EventJoined:      "participant.joined",
	occupancy.EventUpdated:     "participant.updated",
	occupancy.EventLeft:        "participant.left",
}

// RecentEvents are the last events, the oldest first: "GET /api/events/recent". None is missing since Since.
// Each is the data of a stream's event.
type RecentEvents struct {
	Since  string            `json:"since"`
	Events []json.RawMessage `json:"events"`
}

// RoomEvent is an event of a room, and its occupancy after the event: the data of "room.*" and "participant.*" in a stream.
type RoomEvent struct {
	Event            string                 `json:"event"`
	Time             string                 `json:"time"`
	RoomJID          string                 `json:"room_jid"`
	RoomName         string                 `json:"room_name"`
	DisplayName      string                 `json:"display_name"`
	MeetingURL       *string                `json:"meeting_url"`
	ParentRoomJID    *string                `json:"parent_room_jid"`
	ParticipantCount int                    `json:"participant_count"`
	Counts           map[occupancy.Kind]int `json:"counts"`
	Occupant         *Occupant              `json:"occupant"`
	Facts            *EventFacts            `json:"facts"`

	// Shard is the one on which it happened. The numbers are of the room there.
	Shard string `json:"shard"`

	// Reason is why an occupant left, and AlternateRoomJID the room that was named instead of a destroyed one.
	Reason           occupancy.LeaveReason `json:"reason,omitempty"`
	AlternateRoomJID string                `json:"alternate_room_jid,omitempty"`
}

// EventFacts are the facts of a room, without its occupants.
type EventFacts struct {
	Type              occupancy.RoomType `json:"type"`
	Tenant            *string            `json:"tenant"`
	CreatedAt         *string            `json:"created_at"`
	Subject           *string            `json:"subject"`
	MeetingID         *string            `json:"meeting_id"`
	PasswordProtected bool               `json:"password_protected"`
	MembersOnly       bool               `json:"members_only"`
	Visitors          *int               `json:"visitors"`
	LobbyJID          *string            `json:"lobby_jid"`
	BreakoutRooms     []BreakoutName     `json:"breakout_rooms"`

	// VisitorsWatched is the number of visitors as the watched visitor nodes last reported it; absent without any.
	// It is the present number while the statuses of all of these are live.
	VisitorsWatched *int `json:"visitors_watched,omitempty"`
}

// BreakoutName is a breakout room. Its name is free text, and nil (null) for keys that may not read names.
type BreakoutName struct {
	RoomJID string  `json:"room_jid"`
	Name    *string `json:"name"`
}

// NewRoomEvent returns the document for e, with or without names and other free text.
func NewRoomEvent(names *occupancy.NameResolver, e occupancy.Event, named bool) RoomEvent {
	doc := RoomEvent{
		Event:            eventNames[e.Kind],
		Time:             FormatTime(e.At),
		Shard:            e.Shard,
		RoomJID:          e.Room.String(),
		RoomName:         names.Name(e.Room),
		DisplayName:      names.Display(e.Room),
		MeetingURL:       OrNull(names.MeetingURL(e.Room, e.Parent)),
		ParentRoomJID:    OrNull(e.Parent.String()),
		ParticipantCount: e.Counts.People(),
		Counts:           e.Counts.Map(),
		Reason:           e.Reason,
		AlternateRoomJID: e.Alternate,
	}
	switch e.Kind {
	case occupancy.EventJoined, occupancy.EventUpdated, occupancy.EventLeft:
		if named {
			doc.Occupant = new(NewOccupant(e.Occupant, occupancy.SourceModule))
		}
	}
	if e.Facts != nil {
		doc.Facts = new(NewEventFacts(e.Type, e.Tenant, *e.Facts, named))
		doc.Facts.VisitorsWatched = e.WatchedVisitors
	}
	return doc
}

// NewEventFacts returns the document for f, with or without free text.
func NewEventFacts(typ occupancy.RoomType, tenant string, f occupancy.RoomFacts, named bool) EventFacts {
	doc := EventFacts{
		Type:              typ,
		Tenant:            OrNull(tenant),
		CreatedAt:         Stamp(f.CreatedAt),
		MeetingID:         OrNull(f.MeetingID),
		PasswordProtected: f.Password,
		MembersOnly:       f.MembersOnly,
		Visitors:          f.Visitors,
		LobbyJID:          OrNull(f.Lobby),
		BreakoutRooms:     make([]BreakoutName, 0, len(f.Breakouts)),
	}
	if named {
		doc.Subject = OrNull(f.Subject)
	}
	for _, b := range f.Breakouts {
		child := BreakoutName{RoomJID: b.JID}
		if named {
			child.Name = &b.Name
		}
		doc.BreakoutRooms = append(doc.BreakoutRooms, child)
	}
	return doc
}
