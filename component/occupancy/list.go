package occupancy

import (
	"cmp"
	"hash/maphash"
	"maps"
	"slices"
	"sort"
	"strings"
	"time"

	"mellium.im/xmpp/jid"
)

// Order is how rooms are sorted. Rooms that are equal in it follow each other by address.
type Order int

// The orders, each in the direction that people want to read it.
const (
	ByName         Order = iota // by address
	ByParticipants              // most people first
	ByCreation                  // youngest first, and last those of unknown age
	orders
)

// index is the rooms of all watched MUC domains in one order, as they were at one moment.
// It never changes.
type index struct {
	version uint64 // of the directory when this was made
	entries []entry
}

type entry struct {
	address string
	key     int64 // ascending
}

// Position is where a room stands in lists of one order, whether or not it is in them.
type Position struct {
	Key     int64 // 0 in an order by name
	Address string
}

func (e entry) compare(p Position) int {
	return cmp.Or(cmp.Compare(e.key, p.Key), strings.Compare(e.address, p.Address))
}

// after returns the index of the first room after p, or backwards of the first before it.
func (l *index) after(p Position, backwards bool) int {
	if backwards {
		return sort.Search(len(l.entries), func(i int) bool { return l.entries[i].compare(p) >= 0 }) - 1
	}
	return sort.Search(len(l.entries), func(i int) bool { return l.entries[i].compare(p) > 0 })
}

// index returns the rooms of all domains that have a replica. The caller holds mu.
// A listing is made where the last no longer holds, so that an order costs nothing until a list is read.
func (d *Directory) index(by Order) *index {
	names := d.cachedIndex(ByName, d.roomSetVersion, d.entriesByName)
	switch by {
	case ByParticipants:
		return d.cachedIndex(by, d.lastEvent, func() []entry { return d.entriesByKey(names, by) })
	case ByCreation:
		return d.cachedIndex(by, d.roomSetVersion, func() []entry { return d.entriesByKey(names, by) })
	}
	return names
}

// listing returns the last listing if the directory hasn't aged since, or makes one. The caller holds mu.
func (d *Directory) cachedIndex(by Order, age uint64, entries func() []entry) *index {
	if l := d.indexes[by].Load(); l != nil && l.version == age {
		return l
	}
	l := &index{version: age, entries: entries()}
	d.indexes[by].Store(l) // readers share mu, but all of them store the same
	return l
}

func (d *Directory) entriesByName() []entry {
	var entries []entry
	for _, m := range d.domains {
		if m.replica == nil {
			continue
		}
		entries = slices.Grow(entries, m.replica.shown)
		for address, r := range m.replica.rooms {
			if !r.hidden {
				entries = append(entries, entry{address: address})
			}
		}
	}
	slices.SortFunc(entries, func(a, b entry) int { return strings.Compare(a.address, b.address) })
	return entries
}

// entriesByKey sorts rooms whose order by name is known by their keys, of which most have one in common with many others.
func (d *Directory) entriesByKey(names *index, by Order) []entry {
	alike := make(map[int64][]entry)
	for _, e := range names.entries {
		if _, r := d.lookup(e.address); r != nil {
			e.key = r.key(by)
			alike[e.key] = append(alike[e.key], e)
		}
	}
	entries := make([]entry, 0, len(names.entries))
	for _, key := range slices.Sorted(maps.Keys(alike)) {
		entries = append(entries, alike[key]...)
	}
	return entries
}

// key is what the room is sorted by besides its address.
func (r *replicaRoom) key(by Order) int64 {
	switch {
	case by == ByParticipants:
		return -int64(r.tally.People())
	case by == ByCreation && !r.facts.CreatedAt.IsZero():
		return -r.facts.CreatedAt.UnixMilli()
	}
	return 0
}

// Query is which rooms are wanted, and in which order.
type Query struct {
	// Domain is a watched MUC domain and Type the type of rooms; empty ones stand for all.
	Domain string
	Type   RoomType

	// By is the order, Backwards its direction.
	By        Order
	Backwards bool

	// After is the Last of the page before; nil begins with the first room.
	After *Position

	// Limit is how many rooms are wanted at most; 0 is no limit.
	Limit int

	// Keep says which rooms are wanted; nil wants all. It has to be quick, and must not call the Directory.
	Keep func(Glance) bool
}

// Page is rooms as they were at one moment.
type Page struct {
	Rooms []Glance

	// AsOf is when all rooms of the domains that were asked for were last known: that of the oldest replica.
	AsOf time.Time

	// Last is where Rooms end if other rooms that are wanted follow, nil if there are none.
	Last *Position
}

// Rooms returns the rooms that q asks for.
//
// All rooms of all domains that q is about have to be readable as [Directory.Room] has it; otherwise the error says why they aren't.
// So an empty page means that there are no such rooms.
func (d *Directory) Rooms(q Query) (Page, error) {
	d.mu.RLock()
	defer d.mu.RUnlock()
	domains, err := d.selectDomains(q.Domain, q.Type)
	if err != nil {
		return Page{}, err
	}
	p := Page{}
	now := time.Now()
	if p.AsOf, err = d.oldestAsOf(domains, now); err != nil {
		return Page{}, err
	}
	l := d.index(q.By)
	from, step := 0, 1
	if q.Backwards {
		from, step = len(l.entries)-1, -1
	}
	if q.After != nil {
		from = l.after(*q.After, q.Backwards)
	}
	limit := q.Limit
	if limit == 0 {
		limit = len(l.entries)
	}
	p.Rooms = make([]Glance, 0, min(limit, len(l.entries)))
	var last entry
	for i := from; i >= 0 && i < len(l.entries); i += step {
		e := l.entries[i]
		m, r := d.lookup(e.address)
		if r == nil || q.Domain != "" && m.name != q.Domain || q.Type != "" && m.typ != q.Type {
			continue
		}
		g := d.summarize(m, e.address, r)
		if q.Keep != nil && !q.Keep(g) {
			continue
		}
		if len(p.Rooms) == limit {
			p.Last = &Position{Key: last.key, Address: last.address}
			break
		}
		g.State, g.Numbers = d.states(m, g.Address, r, now)
		p.Rooms, last = append(p.Rooms, g), e
	}
	return p, nil
}

// oldestAsOf returns when the oldest of these replicas was confirmed, or why one of them can't be read. The caller holds mu.
func (d *Directory) oldestAsOf(domains []*mucDomain, now time.Time) (asOf time.Time, err error) {
	for i, m := range domains {
		if err := d.readError(m, nil, now); err != nil {
			return time.Time{}, err
		}
		if i == 0 || m.asOf.Before(asOf) {
			asOf = m.asOf
		}
	}
	return asOf, nil
}

// Glance is the little of a room that it takes to sort it, to pass over it, or to see that it hasn't changed.
type Glance struct {
	// Address is the bare JID of the room as Prosody knows it.
	Address      string
	Type         RoomType
	Tenant       string
	Exists       bool
	Participants int

	// AsOf is when this was last known to be true.
	AsOf time.Time

	// State and Numbers are those of the [Room].
	State, Numbers State
}

// JID returns the JID of the room.
func (g Glance) JID() jid.JID { return unsafeJID(g.Address) }

// State stands for everything that a [Room] tells but its AsOf: two readings of a room with the same State are the same.
// It means nothing to another process.
type State uint64

// seed makes states of one process differ from those of every other.
var seed = maphash.MakeSeed()

// StateOf returns the State of a room that no directory tells of.
func StateOf(r Room) State {
	return State(maphash.Comparable(seed, struct {
		exists bool
		people int
		source Source
	}{r.Exists, r.Participants, r.Source}))
}

// Glance returns r in short.
func (r Room) Glance() Glance {
	return Glance{
		Address: r.JID.String(), Type: r.Type, Tenant: r.Tenant, Exists: r.Exists, Participants: r.Participants, AsOf: r.AsOf,
		State: r.State, Numbers: r.Numbers,
	}
}

// Glance returns what [Directory.Room] would, at a fraction of its cost.
func (d *Directory) Glance(room jid.JID) (Glance, error) {
	if room.Resourcepart() != "" {
		room = room.Bare()
	}
	address := room.String()
	d.mu.RLock()
	defer d.mu.RUnlock()
	m := d.domain(room.Domainpart())
	if m == nil {
		return Glance{}, ErrNotWatched
	}
	r := m.replica.room(address)
	now := time.Now()
	if err := d.readError(m, r, now); err != nil {
		return Glance{}, err
	}
	if r == nil || r.hidden {
		return Glance{Address: address, Type: m.typ, AsOf: m.asOf, State: stateOfVersion(0), Numbers: stateOfVersion(0)}, nil
	}
	g := d.summarize(m, address, r)
	g.State, g.Numbers = d.states(m, address, r, now)
	return g, nil
}

// summarize returns a Glance that lacks its states. The caller holds mu.
func (d *Directory) summarize(m *mucDomain, address string, r *replicaRoom) Glance {
	return Glance{
		Address: address, Type: m.typ, Tenant: tenantOf(address), Exists: true, Participants: r.tally.People(), AsOf: m.asOf,
	}
}

// stateOfVersion is the State of a room that tells of no other, 0 being the version of one that doesn't exist.
func stateOfVersion(version uint64) State {
	return State(maphash.Comparable(seed, version))
}

// states returns the State of a room, and its Numbers. The caller holds mu.
// What a room tells of others changes without any event of its own, so their numbers are part of both.
func (d *Directory) states(m *mucDomain, address string, r *replicaRoom, now time.Time) (state, numbers State) {
	var others State
	if parent := d.parentAddress(m, address); parent != "" {
		others = State(maphash.String(seed, parent))
	}
	for other := range d.relatedRooms(m, r, now) {
		others = State(maphash.Comparable(seed, struct {
			State
			known, exists bool
			people        int
		}{others, other.Known, other.Exists, other.Participants}))
	}
	return others + 31*stateOfVersion(r.version), others + 31*stateOfVersion(r.numbersVersion)
}

// lookup returns the room at an address if it is shown, and its domain. The caller holds mu.
func (d *Directory) lookup(address string) (*mucDomain, *replicaRoom) {
	_, domain, _ := strings.Cut(address, "@")
	m := d.domain(domain)
	if m == nil {
		return nil, nil
	}
	r := m.replica.room(address)
	if r == nil || r.hidden {
		return nil, nil
	}
	return m, r
}
