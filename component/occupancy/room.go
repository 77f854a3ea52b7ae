package occupancy

import (
	"iter"
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

// HealthCheck reports whether room is one that Jicofo makes for a moment to see whether Prosody works.
// It is never a meeting (jitsi-meet resources/prosody-plugins/util.lib.lua, is_healthcheck_room).
func HealthCheck(room jid.JID) bool {
	return strings.HasPrefix(room.Localpart(), "__jicofo-health-check")
}

// Room returns a room, which need not exist.
//
// A replica answers while it was confirmed within MaxStaleness, even if the connection to Prosody was lost meanwhile:
// the AsOf of the room says how old it is. Otherwise the error is an [UnknownError], or [ErrNotWatched].
// Where nothing is wrong but that the domain has no Lua module it is also [ErrNoModule]: Prosody can be asked about single rooms.
// A room that isn't there is an error as well where Prosody may have rooms that it couldn't look at (ReasonStorage).
func (d *Directory) Room(room jid.JID) (Room, error) {
	d.mu.RLock()
	defer d.mu.RUnlock()
	m := d.domain(room.Domainpart())
	if m == nil {
		return Room{}, ErrNotWatched
	}
	address := room.Bare().String()
	r := m.replica.room(address)
	now := time.Now()
	if err := d.readError(m, r, now); err != nil {
		return Room{}, err
	}
	if r == nil || r.hidden {
		return Room{
			JID: room.Bare(), Exact: true, Source: SourceModule, AsOf: m.asOf, Type: m.typ, Version: d.lastEvent, State: stateOfVersion(0), Numbers: stateOfVersion(0),
			Counts: map[Kind]int{}, Occupants: []*Occupant{},
		}, nil
	}
	view := d.readRoom(m, address, r, now)
	view.Occupants = make([]*Occupant, 0, len(r.occupants))
	for _, o := range r.occupants {
		view.Occupants = append(view.Occupants, o)
	}
	return view, nil
}

// readRoom returns a room without its occupants. The caller holds mu.
func (d *Directory) readRoom(m *mucDomain, address string, r *replicaRoom, now time.Time) Room {
	view := Room{
		JID:          r.jid,
		Exists:       true,
		Participants: r.tally.People(),
		Exact:        true,
		Source:       SourceModule,
		AsOf:         m.asOf,
		Counts:       r.tally.Map(),
		CreatedAt:    r.facts.CreatedAt,
		Type:         m.typ,
		Parent:       parentJID(d.parentAddress(m, address)),
		Tenant:       tenantOf(r.jid.Localpart()),
		Subject:      r.facts.Subject,
		MeetingID:    r.facts.MeetingID,
		Password:     r.facts.Password,
		MembersOnly:  r.facts.MembersOnly,
		Visitors:     m.replica.visitors(r.facts, r.tally),
		Version:      r.version,
	}
	view.State, view.Numbers = d.states(m, address, r, now)
	for ref, lobby := range d.relatedRooms(m, r, now) {
		if lobby {
			view.Lobby = &ref
		} else {
			view.Breakouts = append(view.Breakouts, ref)
		}
	}
	return view
}

// visitors returns the number of visitors of a room. On a visitor node they are those in it,
// while focus would tell the number on all nodes, some seconds late.
func (c *replica) visitors(f RoomFacts, t Tally) *int {
	if c.visitorNode {
		return new(t.Of(KindVisitor))
	}
	return f.Visitors
}

// relatedRooms yields the rooms that r shows as they are, and whether each is its lobby. The caller holds mu.
func (d *Directory) relatedRooms(m *mucDomain, r *replicaRoom, now time.Time) iter.Seq2[RoomRef, bool] {
	return func(yield func(RoomRef, bool) bool) {
		if ref, ok := d.lobbyOf(m, r, now); ok && !yield(ref, true) {
			return
		}
		for _, b := range r.facts.Breakouts {
			ref := d.roomRef(b.JID, now)
			ref.Name = b.Name
			if !yield(ref, false) {
				return
			}
		}
	}
}

// parentAddress returns the address of the main room to which a breakout or lobby room belongs, or an empty string.
// The caller holds mu.
func (d *Directory) parentAddress(m *mucDomain, address string) string {
	if m.typ == RoomMain {
		return ""
	}
	local, _, _ := strings.Cut(address, "@")
	for _, other := range d.domains {
		if other.typ != RoomMain || other.replica == nil {
			continue
		}
		if p, ok := other.replica.parents[address]; ok {
			return p
		}
		if node := local + "@" + other.name; m.typ == RoomLobby && other.base == m.base && other.replica.rooms[node] != nil {
			return node
		}
	}
	return ""
}

func parentJID(address string) jid.JID {
	if address == "" {
		return jid.JID{}
	}
	return unsafeJID(address)
}

// lobbyOf returns the lobby room that Prosody names, or else the one that Jitsi would make:
// the same node on the lobby domain (mod_muc_lobby_rooms).
func (d *Directory) lobbyOf(m *mucDomain, r *replicaRoom, now time.Time) (RoomRef, bool) {
	if r.facts.Lobby != "" {
		return d.roomRef(r.facts.Lobby, now), true
	}
	for _, l := range d.domains {
		if m.typ != RoomMain || l.typ != RoomLobby || l.base != m.base {
			continue
		}
		if address := r.jid.Localpart() + "@" + l.name; l.replica.room(address) != nil {
			return d.roomRef(address, now), true
		}
	}
	return RoomRef{}, false
}

// roomRef returns the room at an address, as another one shows it: not known where it couldn't be read itself.
func (d *Directory) roomRef(address string, now time.Time) RoomRef {
	ref := RoomRef{JID: unsafeJID(address)}
	m := d.domain(ref.JID.Domainpart())
	if m == nil || !d.readable(m, now) {
		return ref
	}
	r := m.replica.rooms[address]
	ref.Known = r != nil || !m.replica.incomplete
	if r != nil {
		ref.Exists = true
		ref.Participants = r.tally.People()
	}
	return ref
}

// tenantOf returns the tenant of a localpart [tenant]room, or an empty string.
func tenantOf(local string) string {
	if !strings.HasPrefix(local, "[") {
		return ""
	}
	group, name, ok := strings.Cut(local[1:], "]")
	if !ok || name == "" {
		return ""
	}
	return group
}
