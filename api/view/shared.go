package view

import "ppch/component/occupancy"

// The bounds of what a share link shows, far more than fits a screen.
const (
	MaxSharedRooms = 200
	MaxSharedNames = 100

	maxSharedName = 100 // characters
)

// Shared is what a share link shows: "GET /s/{token}.json", and the event "shared" of its page.
type Shared struct {
	// List is whether the link shows a list instead of one room.
	List bool `json:"list"`

	// Rooms are at most MaxSharedRooms: those that the link names, in its order, then the others with people, most people first.
	Rooms []SharedRoom `json:"rooms"`

	// RoomCount and ParticipantCount include the rooms beyond MaxSharedRooms. Empty rooms that the link names don't count.
	RoomCount        int `json:"room_count"`
	ParticipantCount int `json:"participant_count"`

	// Exact is whether the numbers are of people alone.
	Exact bool `json:"exact"`

	// Current is whether changes arrive as they happen. Otherwise this is the state at the time AsOf.
	Current   bool    `json:"current"`
	AsOf      string  `json:"as_of"`
	ExpiresAt *string `json:"expires_at"`
}

// SharedRoom is one room of a share link.
type SharedRoom struct {
	DisplayName      string `json:"display_name"`
	Exists           bool   `json:"exists"`
	ParticipantCount int    `json:"participant_count"`

	// Participants are the names of at most MaxSharedNames people who have one; nil (null) if the link shows no names.
	Participants []string `json:"participants"`
}

// NewSharedRoom returns the entry of a room for people who call it by that name. With names, its occupants must be in order.
func NewSharedRoom(name string, room occupancy.Room, names bool) SharedRoom {
	doc := SharedRoom{DisplayName: name, Exists: room.Exists}
	if room.Exists {
		doc.ParticipantCount = room.Participants
	}
	if names {
		doc.Participants = sharedNames(room)
	}
	return doc
}

func sharedNames(room occupancy.Room) []string {
	names := []string{}
	for _, r := range room.Occupants {
		if o := r.Occupant(); o.Kind.Person() && o.Name != "" && len(names) < MaxSharedNames {
			names = append(names, Shorten(o.Name, maxSharedName))
		}
	}
	return names
}

// SharedMinimum is what is certain about the rooms of a share link while a part of the servers can't be read: there may be more of everything.
type SharedMinimum struct {
	List  bool                `json:"list"`
	Rooms []SharedMinimumRoom `json:"rooms"` // as in Shared

	// ParticipantCount includes the rooms beyond MaxSharedRooms.
	ParticipantCount int `json:"participant_count"`
}

// SharedMinimumRoom is a room of a SharedMinimum. Nothing is certain about it if ParticipantCount is 0.
type SharedMinimumRoom struct {
	DisplayName      string   `json:"display_name"`
	ParticipantCount int      `json:"participant_count"`
	Participants     []string `json:"participants"` // as in SharedRoom
}

// NewSharedMinimumRoom returns the entry of a room for people who call it by that name. With names, its occupants must be in order.
func NewSharedMinimumRoom(name string, room occupancy.Room, names bool) SharedMinimumRoom {
	doc := SharedMinimumRoom{DisplayName: name, ParticipantCount: room.Participants}
	if names {
		doc.Participants = sharedNames(room)
	}
	return doc
}

// SharedBeat is the event "beat" of a share link's page: the last document is still true, but for these.
type SharedBeat struct {
	Current bool   `json:"current"`
	AsOf    string `json:"as_of"`
}

// SharedProblem is the event "problem" of a share link's page: the numbers are unknown.
type SharedProblem struct {
	Code   string           `json:"code"`
	Reason occupancy.Reason `json:"reason,omitempty"`

	// DisplayName is the name of the room if the link shows only one.
	DisplayName *string `json:"display_name"`

	// AtLeast is what is certain; nil if nothing is.
	AtLeast *SharedMinimum `json:"at_least,omitempty"`
}

// SharedEnd is the last event of a share link's page, "end": the link is no longer valid. Code is that of the problem.
type SharedEnd struct {
	Code string `json:"code"`
}

// Shorten returns s, cut to a number of characters.
func Shorten(s string, most int) string {
	n := 0
	for i := range s {
		if n++; n > most {
			return s[:i] + "…"
		}
	}
	return s
}
