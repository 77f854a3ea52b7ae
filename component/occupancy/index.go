package occupancy

import (
	"cmp"
	"maps"
	"slices"
	"sort"
	"strings"
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

// index lists the addresses of rooms on all watched MUC domains in one order, at one moment. It never changes.
type index struct {
	version uint64 // of the Directory when this was made
	entries []entry
}

type entry struct {
	address string
	key     int64      // ascending
	m       *mucDomain // that has the room; nil if several shards have it
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
				entries = append(entries, entry{address: address, m: m})
			}
		}
	}
	slices.SortFunc(entries, func(a, b entry) int { return strings.Compare(a.address, b.address) })
	if len(d.shards) == 1 {
		return entries
	}
	// One entry stands for all rooms of an address.
	merged := entries[:0]
	for i, e := range entries {
		if i > 0 && entries[i-1].address == e.address {
			continue
		}
		if i+1 < len(entries) && entries[i+1].address == e.address {
			e.m = nil
		}
		merged = append(merged, e)
	}
	return merged
}

// entriesByKey sorts rooms by their keys, and by name where keys are equal. It counts the rooms of each key first because many share one.
func (d *Directory) entriesByKey(names *index, by Order) []entry {
	keys := make([]int64, len(names.entries))
	places := make(map[int64]int) // how many rooms have a key, then where the next of them goes
	for i, e := range names.entries {
		keys[i] = d.keyOf(e, by)
		places[keys[i]]++
	}
	first := 0
	for _, key := range slices.Sorted(maps.Keys(places)) {
		places[key], first = first, first+places[key]
	}
	entries := make([]entry, len(names.entries))
	for i, e := range names.entries {
		e.key = keys[i]
		entries[places[e.key]] = e
		places[e.key]++
	}
	return entries
}

// keyOf returns the sort key of an entry: rooms of one address count as one, as old as the oldest. The caller holds mu.
func (d *Directory) keyOf(e entry, by Order) int64 {
	if e.m != nil {
		return e.m.replica.rooms[e.address].key(by)
	}
	var key int64
	for _, m := range d.homesOf(e.address) {
		switch k := m.replica.rooms[e.address].key(by); {
		case by == ByParticipants:
			key += k
		case by == ByCreation && k != 0:
			key = max(k, cmp.Or(key, k))
		}
	}
	return key
}

// homesOf returns the domains that have a room which is shown. The caller holds mu.
func (d *Directory) homesOf(address string) []*mucDomain {
	_, domain, _ := strings.Cut(address, "@")
	if g := d.group(domain); g != nil {
		return g.homesOf(address)
	}
	return nil
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
