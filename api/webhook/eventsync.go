package webhook

import (
	"strings"

	"ppch/component/occupancy"
)

// eventSyncKinds are the event names of event_sync and the paths to which it posts them, below the endpoint's URL.
var eventSyncKinds = map[Type]struct{ name, path string }{
	RoomStarted:       {"muc-room-created", "/events/room/created"},
	RoomEnded:         {"muc-room-destroyed", "/events/room/destroyed"},
	ParticipantJoined: {"muc-occupant-joined", "/events/occupant/joined"},
	ParticipantLeft:   {"muc-occupant-left", "/events/occupant/left"},
	RecordingStarted:  {"muc-occupant-joined", "/events/occupant/joined"}, // its recorders are occupants
	RecordingEnded:    {"muc-occupant-left", "/events/occupant/left"},
}

// eventSync is the body of FormatEventSync, with the fields of jitsi-contrib/prosody-plugins event_sync. Times are whole seconds.
// A breakout room is named by breakout_room_id, and room_name and room_jid are then those of its main room.
type eventSync struct {
	EventName      string  `json:"event_name"`
	RoomName       string  `json:"room_name"`
	RoomJID        string  `json:"room_jid"`
	IsBreakout     bool    `json:"is_breakout"`
	BreakoutRoomID *string `json:"breakout_room_id,omitempty"`

	CreatedAt    *int64              `json:"created_at,omitempty"`
	DestroyedAt  *int64              `json:"destroyed_at,omitempty"`
	AllOccupants []eventSyncOccupant `json:"all_occupants,omitempty"`

	ActiveOccupants *int               `json:"active_occupants_count,omitempty"`
	Occupant        *eventSyncOccupant `json:"occupant,omitempty"`
}

// eventSyncOccupant is an occupant. Receivers tell occupants apart by occupant_jid,
// for which event_sync sends the real JID; here it is the JID in the room, because PPCH stores no real JID.
type eventSyncOccupant struct {
	OccupantJID string  `json:"occupant_jid"`
	JoinedAt    *int64  `json:"joined_at,omitempty"`
	LeftAt      *int64  `json:"left_at,omitempty"`
	Name        *string `json:"name,omitempty"`
	ID          *string `json:"id,omitempty"`
}

// renderEventSync returns an event of event_sync. Recorders are occupants there; Jicofo isn't.
func renderEventSync(e *Event) (Message, bool) {
	kind, ok := eventSyncKinds[e.Type]
	if !ok {
		return Message{}, false
	}
	doc := eventSync{EventName: kind.name, RoomJID: e.Room.JID, RoomName: localpart(e.Room.JID)}
	if e.Room.Parent != "" {
		doc.IsBreakout, doc.BreakoutRoomID = true, new(localpart(e.Room.JID))
		doc.RoomJID, doc.RoomName = e.Room.Parent, localpart(e.Room.Parent)
	}
	switch e.Type {
	case RoomStarted, RoomEnded:
		if !e.Room.CreatedAt.IsZero() {
			doc.CreatedAt = new(e.Room.CreatedAt.Unix())
		}
		if e.Type == RoomEnded {
			doc.DestroyedAt = new(e.At.Unix())
			for _, stay := range e.Stays {
				doc.AllOccupants = append(doc.AllOccupants, newEventSyncOccupant(e.Room.JID, stay))
			}
		}
	default:
		if e.Counts != nil {
			active := 0
			for kind, n := range e.Counts {
				if kind != occupancy.KindFocus {
					active += n
				}
			}
			doc.ActiveOccupants = &active
		}
		if e.Occupant != nil {
			doc.Occupant = new(newEventSyncOccupant(e.Room.JID, *e.Occupant))
		}
	}
	return Message{Path: kind.path, ContentType: mediaJSON, Body: encode(doc)}, true
}

func newEventSyncOccupant(room string, o Occupant) eventSyncOccupant {
	doc := eventSyncOccupant{OccupantJID: room + "/" + o.ID, Name: orNull(nameOf(o)), ID: orNull(o.UserID)}
	if !o.JoinedAt.IsZero() {
		doc.JoinedAt = new(o.JoinedAt.Unix())
	}
	if !o.LeftAt.IsZero() {
		doc.LeftAt = new(o.LeftAt.Unix())
	}
	return doc
}

// nameOf returns the name in the token, or else the display name.
func nameOf(o Occupant) string {
	if o.UserName != "" {
		return o.UserName
	}
	return o.Name
}

// localpart returns what stands before the @ of a room's JID.
func localpart(room string) string {
	local, _, _ := strings.Cut(room, "@")
	return local
}
