package webhook

import (
	"fmt"
	"slices"
	"strings"
	"time"

	"ppch/component/occupancy"
)

// Type is the type of an event. Endpoints select events by it.
type Type string

// The types of events. People are users, callers and room systems; machinery causes no participant events.
const (
	RoomStarted          Type = "room.started"
	RoomEnded            Type = "room.ended"
	RoomOccupied         Type = "room.occupied" // the first person joined
	RoomEmptied          Type = "room.emptied"  // the last person left
	ParticipantJoined    Type = "participant.joined"
	ParticipantUpdated   Type = "participant.updated"
	ParticipantLeft      Type = "participant.left"
	RecordingStarted     Type = "recording.started"
	RecordingEnded       Type = "recording.ended"
	TranscriptionStarted Type = "transcription.started"
	TranscriptionEnded   Type = "transcription.ended"
	LobbyWaiting         Type = "lobby.waiting" // a person waits to be admitted
	LobbyLeft            Type = "lobby.left"    // a person was admitted, or gave up
	WatchLost            Type = "watch.lost"    // events of a domain are no longer received
	WatchRestored        Type = "watch.restored"

	// Test is sent on request only, to try an endpoint. EndpointDisabled is the record of an endpoint that was disabled.
	Test             Type = "webhook.test"
	EndpointDisabled Type = "webhook.disabled"
)

// types are the types that endpoints select from.
var types = []Type{
	RoomStarted, RoomEnded, RoomOccupied, RoomEmptied,
	ParticipantJoined, ParticipantUpdated, ParticipantLeft,
	RecordingStarted, RecordingEnded, TranscriptionStarted, TranscriptionEnded,
	LobbyWaiting, LobbyLeft, WatchLost, WatchRestored, EndpointDisabled,
}

// Event is one change with the numbers after it.
type Event struct {
	// ID is the same whenever and wherever the event is reported. It has no dot.
	ID   string
	Type Type
	At   time.Time

	// Position says which state of the service includes the event.
	Position Position

	// NotBefore is set if the change happened while PPCH wasn't watching: some time between NotBefore and At.
	NotBefore time.Time

	// Room is the room; zero for events that concern a Domain or an endpoint.
	Room   Room
	Domain string

	// Participants and Counts are the numbers of the room after the event, Waiting is the number of people in its lobby,
	// and MeetingParticipants the number of people in the main room and its breakout rooms. Each is nil if unknown.
	Participants        *int
	Counts              map[occupancy.Kind]int
	Waiting             *int
	MeetingParticipants *int

	// Occupant is the occupant whom the event concerns, or nil. It is for endpoints with names only, like Stay, which identifies its stay.
	Occupant *Occupant
	Stay     string

	// Reason is why a participant left or why a domain can't be watched, or empty.
	Reason string

	// Since is when the domain was last confirmed before its watch was lost, for watch events only.
	Since time.Time

	// Webhook is the id of the endpoint that was tested or disabled.
	Webhook string

	// Stays are the stays of people in a meeting that ended, as far as they are recorded.
	Stays []Occupant
}

// Room is the room of an event.
type Room struct {
	JID       string
	Name      string // finds the room in requests
	Display   string // the same for people, decoded
	URL       string // where people join the meeting; empty if unknown
	Type      occupancy.RoomType
	Tenant    string
	Parent    string    // JID of the main room, for breakout rooms; empty otherwise
	Meeting   string    // identifies the meeting in the history
	MeetingID string    // Jitsi's id of the meeting
	CreatedAt time.Time // zero if unknown
	EndedAt   time.Time // zero while it exists
}

// Occupant is the occupant whom an event concerns.
type Occupant struct {
	ID       string
	Name     string
	Kind     occupancy.Kind
	Role     string
	JoinedAt time.Time // zero if unknown
	LeftAt   time.Time // zero while present

	// These come from the token of an authenticated user.
	UserID, UserName, UserGroup string

	Flags      occupancy.PresenceFlags
	MovedFrom  string // JID of the room of the same meeting that the person has just left for this one, or empty
	Connection occupancy.Connection
}

// Filter selects events by type. The zero Filter selects all.
type Filter struct{ types map[Type]bool }

// ParseFilter returns the filter for a list of types, in which "room.*" stands for all types that begin with "room.", and "*" for all.
// An empty list selects all types.
func ParseFilter(words []string) (Filter, error) {
	if len(words) == 0 || slices.Contains(words, "*") {
		return Filter{}, nil
	}
	f := Filter{types: make(map[Type]bool)}
	for _, word := range words {
		prefix, rest, star := strings.Cut(word, "*")
		found := false
		for _, t := range types {
			if string(t) == word || star && rest == "" && strings.HasSuffix(prefix, ".") && strings.HasPrefix(string(t), prefix) {
				f.types[t] = true
				found = true
			}
		}
		if !found {
			return Filter{}, fmt.Errorf("events: %q is unknown: use %s, or a group such as room.*", shorten(word), typeList())
		}
	}
	return f, nil
}

// Includes reports whether f selects events of type t.
func (f Filter) Includes(t Type) bool { return f.types == nil || f.types[t] || t == Test }

// typeList lists all types for an error.
func typeList() string {
	var words []string
	for _, t := range types {
		words = append(words, string(t))
	}
	return strings.Join(words, ", ")
}

// shorten cuts a text for an error.
func shorten(s string) string {
	const limit = 60
	if len(s) > limit {
		return strings.ToValidUTF8(s[:limit], "") + "…"
	}
	return s
}
