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
// The receiver of a Room owns it, slices and maps included, but for what Occupants point to.
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
	// Occupants are nil in lists of rooms as well, and come in no order.
	// What they point to is shared by all readers, and never changes: a Room that a slow reader keeps takes little memory.
	Counts    map[Kind]int
	Occupants []*Occupant

	// CreatedAt is zero where the source can't know it.
	CreatedAt time.Time

	// What follows is known from SourceModule only.

	// Type is what the room's domain is for. Parent is the room to which a breakout or lobby room belongs, or zero.
	Type   RoomType
	Parent jid.JID

	// Tenant is the one of [tenant]room, or empty.
	Tenant string

	Subject     string
	MeetingID   string
	Password    bool // a password is needed to enter
	MembersOnly bool

	// Visitors is the number of visitors: on other servers as focus counts them, or on a visitor node those in the room.
	// It is nil where it isn't known, as before focus has said anything. What it points to never changes.
	Visitors *int

	// Lobby is where people wait to be let in, nil if there is none. Breakouts are in the order of Prosody.
	// Who is in one of these isn't in the room, and has a number there.
	Lobby     *RoomRef
	Breakouts []RoomRef

	// Version is the Seq of the last [Event] that this includes: earlier ones are old news.
	Version uint64

	// State is the same for as long as all of this is, AsOf aside.
	// Numbers is the same for as long as all that is shown without names is: neither a new name nor a hand raised changes it.
	State, Numbers State
}

// Clone returns a copy that the caller owns.
func (r Room) Clone() Room {
	r.Counts = maps.Clone(r.Counts)
	r.Occupants = slices.Clone(r.Occupants)
	r.Breakouts = slices.Clone(r.Breakouts)
	if r.Lobby != nil {
		lobby := *r.Lobby
		r.Lobby = &lobby
	}
	return r
}

// RoomType is what the rooms of a MUC domain are for.
type RoomType string

// The types of rooms that Jitsi has a MUC domain for each.
const (
	RoomMain     RoomType = "main"
	RoomBreakout RoomType = "breakout"
	RoomLobby    RoomType = "lobby"
)

// roomType returns what the rooms of the i-th watched domain are for. The first is always the main one.
func roomType(i int, domain string) RoomType {
	first, _, _ := strings.Cut(domain, ".")
	if t := RoomType(first); i > 0 && (t == RoomBreakout || t == RoomLobby) {
		return t
	}
	return RoomMain
}

// RoomRef is a room as another one tells of it.
type RoomRef struct {
	JID  jid.JID
	Name string // of a breakout room; hostile text like every name

	// Known is whether the room could be read itself. If not, what follows means nothing.
	Known        bool
	Exists       bool
	Participants int
}

// stamp returns what tells this stay from others under the same nick.
func (o *Occupant) stamp() time.Time {
	if o.Stamp.IsZero() {
		return o.JoinedAt
	}
	return o.Stamp
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

	// Name is the display name that the occupant chose, or empty: also where nothing of it could be seen.
	Name string

	Kind Kind

	// Role and Affiliation are as XEP-0045 §5 names them.
	Role        string
	Affiliation string

	// JoinedAt is by our clock, and zero where the source can't know it.
	JoinedAt time.Time

	// Stamp is JoinedAt as Prosody's own clock had it, which is the same for all who ask: it tells one stay from the next.
	// Where it is zero JoinedAt stands for it.
	Stamp time.Time

	// RealJID is the full JID behind the nick, for which Prosody vouches.
	// Like all that follows it is known from SourceModule only.
	RealJID string

	// These the server has from an authenticated user's token; empty for guests.
	UserID    string
	UserName  string
	UserGroup string
	UserEmail string

	// AvatarURL and Marks are what the client says, as Name is.
	AvatarURL string
	Marks     Marks
}
