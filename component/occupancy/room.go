package occupancy

import (
	"maps"
	"slices"
	"strings"
	"time"

	"mellium.im/xmpp/jid"
)

// Source is the way in which a fact was learnt.
type Source string

// The ways of knowing, best first.
const (
	SourceModule    Source = "module"    // told by the Lua module: exact and live
	SourceDisco     Source = "disco"     // XEP-0045 §6.4: a raw number of occupants, focus included
	SourceExistence Source = "existence" // only whether the room exists
)

// Room is what is known of one room at one moment.
// The receiver of a Room owns it, slices and maps included.
type Room struct {
	// JID is the bare JID of the room, also of one that doesn't exist.
	JID jid.JID

	// Exists is whether the MUC service has such a room.
	// A room exists while anybody, be it only focus, is in it.
	Exists bool

	// Participants is the number of people if Exact is set,
	// and the number of all occupants, which is at least that of people, otherwise.
	Participants int

	// Exact is whether Participants is the number of people and nothing else.
	Exact bool

	// Source is where this came from, AsOf when it was last known to be true.
	Source Source
	AsOf   time.Time

	// Counts and Occupants are nil where the source can't know them.
	Counts    map[Kind]int
	Occupants []Occupant

	// CreatedAt is zero where the source can't know it.
	CreatedAt time.Time
}

// Clone returns a copy that the caller owns.
func (r Room) Clone() Room {
	r.Counts = maps.Clone(r.Counts)
	r.Occupants = slices.Clone(r.Occupants)
	return r
}

// HealthCheck reports whether room is one that Jicofo makes for a moment to see whether Prosody works.
// It is never a meeting (jitsi-meet resources/prosody-plugins/util.lib.lua, is_healthcheck_room).
func HealthCheck(room jid.JID) bool {
	return strings.HasPrefix(room.Localpart(), "__jicofo-health-check")
}

// Occupant is one nick in a room: a person, or part of the conference's machinery.
type Occupant struct {
	// ID is the resource of the occupant JID, the MUC nick; Jitsi calls it the endpoint id.
	ID string

	// Name is the display name that the occupant chose, or empty.
	Name string

	Kind Kind

	// Role and Affiliation are as XEP-0045 §5 names them.
	Role        string
	Affiliation string

	// JoinedAt is zero where the source can't know it.
	JoinedAt time.Time
}
