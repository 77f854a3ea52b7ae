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

// Order is how rooms are sorted. Rooms that compare equal are sorted by address.
type Order int

// The orders, each in the direction that readers expect.
const (
	ByName         Order = iota // by address
	ByParticipants              // most people first
	ByCreation                  // newest first, those of unknown age last
	orders
)

// index lists the rooms of all watched MUC domains in one order, at one moment. It never changes.
type index struct {
	version uint64 // of the Directory when this was made
	entries []entry
}

type entry struct {
	address string
	key     int64 // ascending
}

// Position is a place in an order of rooms. A room need not be there.
type Position struct {
	Key     int64 // 0 in an order by name
	Address string
}

func (e entry) compare(p Position) int {
	return cmp.Or(cmp.Compare(e.key, p.Key), strings.Compare(e.address, p.Address))
}

// after returns the position of the first room after p, or backwards of the first before it.
func (l *index) after(p Position, backwards bool) int {
	if backwards {
		return sort.Search(len(l.entries), func(i int) bool { return l.entries[i].compare(p) >= 0 }) - 1
	}
	return sort.Search(len(l.entries), func(i int) bool { return l.entries[i].compare(p) > 0 })
}

// index returns the rooms of all domains that have a replica, in an order. The caller holds mu.
// It sorts them only when they have changed since the last call, so unused orders cost nothing.
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

// cachedIndex returns the last index if its version is current, or makes another. The caller holds mu.
func (d *Directory) cachedIndex(by Order, age uint64, entries func() []entry) *index {
	if l := d.indexes[by].Load(); l != nil && l.version == age {
		return l
	}
	l := &index{version: age, entries: entries()}
	d.indexes[by].Store(l) // readers share mu, but all store the same
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

// entriesByKey sorts rooms by their keys, and by name where keys are equal. It groups them by key first because many share one.
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

// key returns the room's sort key in an order.
func (r *replicaRoom) key(by Order) int64 {
	switch {
	case by == ByParticipants:
		return -int64(r.counts.People())
	case by == ByCreation && !r.facts.CreatedAt.IsZero():
		return -r.facts.CreatedAt.UnixMilli()
	}
	return 0
}

// Query selects and orders rooms.
type Query struct {
	// Domain is a watched MUC domain and Type a type of rooms; empty means all.
	Domain string
	Type   RoomType

	// By is the order, Backwards its direction.
	By        Order
	Backwards bool

	// After is the Last of the previous page; nil begins with the first room.
	After *Position

	// Limit is the maximum number of rooms; 0 means no limit.
	Limit int

	// Keep filters rooms; nil keeps all. It must be fast and must not call the Directory.
	Keep func(RoomSummary) bool
}

// Page is a page of rooms at one moment.
type Page struct {
	Rooms []RoomSummary

	// AsOf is when the oldest replica of the selected domains was last confirmed.
	AsOf time.Time

	// Last is the position of the last room if more follow, else nil.
	Last *Position
}

// Rooms returns the rooms that q selects.
//
// It returns an error unless all selected domains are readable, with the errors of [Directory.Room].
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
	p.Rooms = make([]RoomSummary, 0, min(limit, len(l.entries)))
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
		g.Fingerprint, g.AnonymousFingerprint = d.fingerprints(m, g.Address, r, now)
		p.Rooms, last = append(p.Rooms, g), e
	}
	return p, nil
}

// oldestAsOf returns when the oldest of these replicas was confirmed, or an error if one can't be read. The caller holds mu.
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

// RoomSummary is a summary of a room: enough to sort and filter it and to detect changes.
type RoomSummary struct {
	// Address is the bare JID of the room as Prosody knows it.
	Address      string
	Type         RoomType
	Tenant       string
	Exists       bool
	Participants int

	// CreatedAt is zero if the source can't know it.
	CreatedAt time.Time

	// AsOf is when Prosody last confirmed this.
	AsOf time.Time

	// Fingerprint and AnonymousFingerprint are those of the [Room].
	Fingerprint, AnonymousFingerprint Fingerprint
}

// JID returns the JID of the room.
func (g RoomSummary) JID() jid.JID { return unsafeJID(g.Address) }

// Fingerprint is a fingerprint of everything in a [Room] but its AsOf: two reads of a room with the same Fingerprint are equal.
// It is meaningless to another process.
type Fingerprint uint64

// seed makes the fingerprints of each process different.
var seed = maphash.MakeSeed()

// FingerprintOf returns the Fingerprint of a room that isn't from a Directory.
func FingerprintOf(r Room) Fingerprint {
	return Fingerprint(maphash.Comparable(seed, struct {
		exists bool
		people int
		source Source
	}{r.Exists, r.Participants, r.Source}))
}

// Summary returns a summary of r.
func (r Room) Summary() RoomSummary {
	return RoomSummary{
		Address: r.JID.String(), Type: r.Type, Tenant: r.Tenant, Exists: r.Exists, Participants: r.Participants, CreatedAt: r.CreatedAt, AsOf: r.AsOf,
		Fingerprint: r.Fingerprint, AnonymousFingerprint: r.AnonymousFingerprint,
	}
}

// RoomSummary returns a summary of what [Directory.Room] returns, at a fraction of its cost.
func (d *Directory) RoomSummary(room jid.JID) (RoomSummary, error) {
	if room.Resourcepart() != "" {
		room = room.Bare()
	}
	address := room.String()
	d.mu.RLock()
	defer d.mu.RUnlock()
	m := d.domain(room.Domainpart())
	if m == nil {
		return RoomSummary{}, ErrNotWatched
	}
	r := m.replica.room(address)
	now := time.Now()
	if err := d.readError(m, r, now); err != nil {
		return RoomSummary{}, err
	}
	if r == nil || r.hidden {
		return RoomSummary{Address: address, Type: m.typ, AsOf: m.asOf, Fingerprint: fingerprintOfVersion(0), AnonymousFingerprint: fingerprintOfVersion(0)}, nil
	}
	g := d.summarize(m, address, r)
	g.Fingerprint, g.AnonymousFingerprint = d.fingerprints(m, address, r, now)
	return g, nil
}

// summarize returns a RoomSummary without its fingerprints. The caller holds mu.
func (d *Directory) summarize(m *mucDomain, address string, r *replicaRoom) RoomSummary {
	return RoomSummary{
		Address: address, Type: m.typ, Tenant: tenantOf(address), Exists: true, Participants: r.counts.People(), CreatedAt: r.facts.CreatedAt, AsOf: m.asOf,
	}
}

// fingerprintOfVersion returns the Fingerprint of a room without related rooms; version 0 is a room that doesn't exist.
func fingerprintOfVersion(version uint64) Fingerprint {
	return Fingerprint(maphash.Comparable(seed, version))
}

// fingerprints returns the State and Numbers of a room. The caller holds mu.
// Related rooms change without an event of this room, so their numbers are part of both.
func (d *Directory) fingerprints(m *mucDomain, address string, r *replicaRoom, now time.Time) (all, anonymous Fingerprint) {
	var others Fingerprint
	if parent := d.parentAddress(m, address); parent != "" {
		others = Fingerprint(maphash.String(seed, parent))
	}
	for other := range d.relatedRooms(m, r, now) {
		others = Fingerprint(maphash.Comparable(seed, struct {
			Fingerprint
			known, exists bool
			people        int
		}{others, other.Known, other.Exists, other.Participants}))
	}
	return others + 31*fingerprintOfVersion(r.version), others + 31*fingerprintOfVersion(r.numbersVersion)
}

// lookup returns the room at an address and its domain, unless the room is hidden. The caller holds mu.
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
