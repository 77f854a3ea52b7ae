package occupancy

import (
	"cmp"
	"iter"
	"maps"
	"slices"
	"strings"
	"time"

	"mellium.im/xmpp/jid"
)

// Source is where the data of a room comes from.
type Source string

// The sources, best first.
const (
	SourceModule    Source = "module"    // the Lua module: exact and live
	SourceDisco     Source = "disco"     // XEP-0045 §6.4: the number of all occupants, focus included
	SourceExistence Source = "existence" // only whether the room exists
)

// Room is a room at one moment.
// The caller owns it, slices and maps included, but not the records that Occupants point to.
type Room struct {
	// JID is the bare JID of the room, whether or not it exists.
	JID jid.JID

	// Exists is whether the MUC service has such a room.
	// From the module it is true as long as the room exists for Prosody, even without occupants.
	Exists bool

	// Participants is the number of people if Exact is set. Otherwise it is the number of all occupants, an upper bound,
	// or with UnknownShards the number of people on the other shards, a lower bound.
	Participants int

	// Exact is whether Participants is exactly the number of people.
	Exact bool

	// Shard is the shard that has the room; empty if it doesn't exist, or if several have it.
	Shard string

	// Split is whether several shards have a room of this address. Then the numbers are sums, Parts are the rooms in the order of the shards,
	// and the texts and facts are those of the oldest. Otherwise Parts is nil.
	Split bool
	Parts []RoomPart

	// UnknownShards are the names of the shards that might have the room, too, but can't be read now.
	UnknownShards []string

	// Unasked is whether one of UnknownShards has no Lua module: its Prosody can be asked.
	Unasked bool

	// Source is where this comes from, AsOf when it was last confirmed.
	Source Source
	AsOf   time.Time

	// Counts and Occupants are nil if the source can't know them. Occupants are unordered.
	// All readers share the records, which never change, so a Room in the hands of a slow reader takes little memory.
	Counts    map[Kind]int
	Occupants []*Record

	// CreatedAt is zero if the source can't know it.
	CreatedAt time.Time

	// The following fields come from SourceModule only.

	// Type is the type of the room's domain. Parent is the room to which a breakout or lobby room belongs, or zero.
	Type   RoomType
	Parent jid.JID

	// Tenant is the tenant in [tenant]room, or empty.
	Tenant string

	Subject     string
	MeetingID   string
	Password    bool // a password is needed to enter
	MembersOnly bool

	// MeetingParticipants is Participants and the people in breakout rooms; nil if one of those is unknown, and in breakout and lobby rooms.
	MeetingParticipants *int

	// Visitors is the number of visitors: on all visitor shards if there are any, else on other servers as focus reports them,
	// or in the room on a visitor node. It is nil if unknown, for instance until focus reports it, or while a visitor shard is unknown.
	// The number that it points to never changes. VisitorsSource is where it comes from, even while it is unknown.
	Visitors       *int
	VisitorsSource VisitorsSource

	// Lobby is the room where people wait to be admitted, or nil. Breakouts are in Prosody's order.
	// Their occupants don't count in this room.
	Lobby     *RoomRef
	Breakouts []RoomRef

	// Version is the Seq of the last [Event] that this includes.
	Version uint64

	// Fingerprint changes with everything in this Room but AsOf.
	// AnonymousFingerprint changes only with what readers without names see, so not with a new name or a raised hand.
	Fingerprint, AnonymousFingerprint Fingerprint
}

// Clone returns a copy that the caller owns.
func (r Room) Clone() Room {
	r.Counts = maps.Clone(r.Counts)
	r.Occupants = slices.Clone(r.Occupants)
	r.Breakouts = slices.Clone(r.Breakouts)
	r.Parts, r.UnknownShards = slices.Clone(r.Parts), slices.Clone(r.UnknownShards)
	if r.Lobby != nil {
		lobby := *r.Lobby
		r.Lobby = &lobby
	}
	return r
}

// RoomType is the type of the rooms of a MUC domain.
type RoomType string

// The types of rooms. Jitsi has a MUC domain for each.
const (
	RoomMain     RoomType = "main"
	RoomBreakout RoomType = "breakout"
	RoomLobby    RoomType = "lobby"
)

// roomType returns the type of rooms on the i-th watched domain. The first is always the main one.
func roomType(i int, domain string) RoomType {
	first, _, _ := strings.Cut(domain, ".")
	if t := RoomType(first); i > 0 && (t == RoomBreakout || t == RoomLobby) {
		return t
	}
	return RoomMain
}

// RoomRef is a lobby or breakout room as its main room shows it.
type RoomRef struct {
	JID  jid.JID
	Name string // of a breakout room; hostile text like every name

	// Known is whether the room itself could be read. If not, the following fields are meaningless.
	Known        bool
	Exists       bool
	Participants int
}

// HealthCheck reports whether room is one that Jicofo creates briefly to check Prosody.
// It is never a meeting (jitsi-meet resources/prosody-plugins/util.lib.lua, is_healthcheck_room).
func HealthCheck(room jid.JID) bool {
	return strings.HasPrefix(room.Localpart(), "__jicofo-health-check")
}

// Room returns a room, which need not exist.
//
// It reads the replica if that was confirmed within MaxStaleness, even if the connection to Prosody was lost since:
// AsOf shows the age. Otherwise the error is an [UnavailableError], or [ErrNotWatched].
// It is also [ErrNoModule] if the only problem is the missing Lua module: the caller can then ask Prosody about single rooms.
// A room that isn't in the replica is an error, too, if Prosody couldn't read all rooms (ReasonStorage).
//
// Of several shards with the room's domain, one that can't be read makes a missing room an error, and a found one inexact.
func (d *Directory) Room(room jid.JID) (Room, error) {
	d.mu.RLock()
	defer d.mu.RUnlock()
	g, now := d.group(room.Domainpart()), time.Now()
	switch {
	case g == nil:
		return Room{}, ErrNotWatched
	case len(g.members) > 1:
		r, err := d.mergedRoom(g, room, now)
		return d.withVisitors(g, r, now), err
	}
	r, err := d.roomOn(g.members[0], room, now)
	return d.withVisitors(g, r, now), d.named(g.members[0], err)
}

// roomOn returns a room as one shard has it. The caller holds mu.
func (d *Directory) roomOn(m *mucDomain, room jid.JID, now time.Time) (Room, error) {
	address := room.Bare().String()
	r := m.replica.room(address)
	if err := d.readError(m, r, now); err != nil {
		return Room{}, err
	}
	if r == nil || r.hidden {
		return Room{
			JID: room.Bare(), Exact: true, Source: SourceModule, AsOf: m.asOf, Type: m.typ, Version: d.lastEvent,
			Counts: map[Kind]int{}, Occupants: []*Record{},
		}, nil
	}
	return d.readRoom(m, address, r, now), nil
}

// readRoom returns a room. The caller holds mu.
func (d *Directory) readRoom(m *mucDomain, address string, r *replicaRoom, now time.Time) Room {
	view := Room{
		JID:          r.jid,
		Exists:       true,
		Participants: r.counts.People(),
		Exact:        true,
		Shard:        m.shard.name,
		Source:       SourceModule,
		AsOf:         m.asOf,
		Counts:       r.counts.Map(),
		CreatedAt:    r.facts.CreatedAt,
		Type:         m.typ,
		Parent:       parentJID(d.parentAddress(m, address)),
		Tenant:       tenantOf(r.jid.Localpart()),
		Subject:      r.facts.Subject,
		MeetingID:    r.facts.MeetingID,
		Password:     r.facts.Password,
		MembersOnly:  r.facts.MembersOnly,
		Visitors:     d.visitorsOf(m, r, now),
		Version:      r.version,
	}
	view.VisitorsSource = m.visitorsSource()
	view.Occupants = make([]*Record, 0, len(r.occupants))
	for _, o := range r.occupants {
		view.Occupants = append(view.Occupants, d.withinMeeting(m, address, o))
	}
	view.Fingerprint, view.AnonymousFingerprint = d.fingerprints(m, address, r, now)
	meeting, known := view.Participants, m.typ == RoomMain
	for ref, lobby := range d.relatedRooms(m, r, now) {
		if lobby {
			view.Lobby = &ref
		} else {
			view.Breakouts = append(view.Breakouts, ref)
			meeting, known = meeting+ref.Participants, known && ref.Known
		}
	}
	if known {
		view.MeetingParticipants = &meeting
	}
	return view
}

// meetingNumbers returns the numbers of an event about a change of a room in a domain, by the main room, which is zero for a main room itself.
// The caller holds mu.
func (d *Directory) meetingNumbers(m *mucDomain, main jid.JID, c change) (people *int, mainCounts *Counts) {
	if m.typ == RoomMain && len(c.room.facts.Breakouts) == 0 {
		return new(c.counts.People()), nil
	}
	r, counts, now := c.room, c.counts, time.Now()
	if m.typ != RoomMain {
		of := m.shard.domain(main.Domainpart())
		if of == nil || !d.readable(of, now) {
			return nil, nil
		}
		if r = of.replica.room(main.String()); r == nil {
			return nil, nil
		}
		counts = r.counts
	}
	if m.typ == RoomLobby {
		mainCounts = new(counts)
	}
	n := counts.People()
	for _, b := range r.facts.Breakouts {
		if b.JID == c.room.jid.String() {
			n += c.counts.People()
			continue
		}
		ref := d.roomRef(m.shard, b.JID, now)
		if !ref.Known {
			return nil, mainCounts
		}
		n += ref.Participants
	}
	return &n, mainCounts
}

// withinMeeting returns r without the room it came from, unless that belongs to the same meeting: other rooms are private,
// and a client may call any change of rooms a move. The caller holds mu.
func (d *Directory) withinMeeting(m *mucDomain, address string, r *Record) *Record {
	if !r.moved() {
		return r
	}
	o := r.Occupant()
	_, domain, _ := strings.Cut(o.MovedFrom, "@")
	if from := m.shard.domain(domain); from != nil && cmp.Or(from.mainAddress(d, o.MovedFrom), "-") == m.mainAddress(d, address) {
		return r
	}
	if m.isNodeRoom(address, o.MovedFrom, domain) { // a visitor who was promoted
		return r
	}
	o.MovedFrom = ""
	return NewRecord(o)
}

// mainAddress returns the address of the main room of a meeting by one of its rooms, or an empty string if it isn't known.
func (m *mucDomain) mainAddress(d *Directory, address string) string {
	if m.typ == RoomMain {
		return address
	}
	return d.parentAddress(m, address)
}

// visitors returns the number of visitors of a room. On a visitor node it counts those in the room,
// because focus would report the number on all nodes, some seconds late.
func (c *replica) visitors(f RoomFacts, t Counts) *int {
	if c.visitorNode {
		return new(t.Of(KindVisitor))
	}
	return f.Visitors
}

// relatedRooms yields the lobby and breakout rooms of r, and whether each is the lobby. The caller holds mu.
func (d *Directory) relatedRooms(m *mucDomain, r *replicaRoom, now time.Time) iter.Seq2[RoomRef, bool] {
	return func(yield func(RoomRef, bool) bool) {
		if ref, ok := d.lobbyOf(m, r, now); ok && !yield(ref, true) {
			return
		}
		for _, b := range r.facts.Breakouts {
			ref := d.roomRef(m.shard, b.JID, now)
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
	for _, other := range m.shard.domains {
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

// lobbyOf returns the lobby room that Prosody names, or else the room with the same node on the lobby domain,
// where Jitsi creates lobbies (mod_muc_lobby_rooms).
func (d *Directory) lobbyOf(m *mucDomain, r *replicaRoom, now time.Time) (RoomRef, bool) {
	if r.facts.Lobby != "" {
		return d.roomRef(m.shard, r.facts.Lobby, now), true
	}
	for _, l := range m.shard.domains {
		if m.typ != RoomMain || l.typ != RoomLobby || l.base != m.base {
			continue
		}
		if address := r.jid.Localpart() + "@" + l.name; l.replica.room(address) != nil {
			return d.roomRef(m.shard, address, now), true
		}
	}
	return RoomRef{}, false
}

// roomRef returns the room at an address as another room of the shard shows it. It is not Known if it can't be read.
func (d *Directory) roomRef(s *Shard, address string, now time.Time) RoomRef {
	ref := RoomRef{JID: unsafeJID(address)}
	m := s.domain(ref.JID.Domainpart())
	if m == nil || !d.readable(m, now) {
		return ref
	}
	r := m.replica.rooms[address]
	ref.Known = r != nil || !m.replica.incomplete
	if r != nil {
		ref.Exists = true
		ref.Participants = r.counts.People()
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
