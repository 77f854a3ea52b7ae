package occupancy

import (
	"cmp"
	"maps"
	"slices"
	"sort"
	"strings"

	"mellium.im/xmpp/jid"
)

// Order is how a Listing is sorted. Rooms that are equal in it follow each other by address.
type Order int

// The orders, each in the direction that people want to read it.
const (
	ByName         Order = iota // by address
	ByParticipants              // most people first
	ByCreation                  // youngest first, and last those of unknown age
	orders
)

// Listing is the rooms of all watched MUC domains in one order, as they were at one moment.
// It never changes, and so may be shared.
type Listing struct {
	by      Order
	age     uint64 // of the directory when this was made
	entries []entry
}

type entry struct {
	at  string
	key int64 // ascending
}

// Position is where a room stands in listings of one order, whether or not it is in them.
type Position struct {
	Key     int64 // 0 in an order by name
	Address string
}

func (e entry) compare(p Position) int {
	return cmp.Or(cmp.Compare(e.key, p.Key), strings.Compare(e.at, p.Address))
}

// Len returns the number of rooms.
func (l *Listing) Len() int { return len(l.entries) }

// Position returns where the room at an index stands.
func (l *Listing) Position(i int) Position {
	return Position{Key: l.entries[i].key, Address: l.entries[i].at}
}

// After returns the index of the first room after p, or backwards of the first before it.
func (l *Listing) After(p Position, backwards bool) int {
	if backwards {
		return sort.Search(len(l.entries), func(i int) bool { return l.entries[i].compare(p) >= 0 }) - 1
	}
	return sort.Search(len(l.entries), func(i int) bool { return l.entries[i].compare(p) > 0 })
}

// Listing returns the rooms of all domains that are known.
// One is made where the last no longer holds, so that nobody pays for the order until somebody asks for a list.
func (d *Directory) Listing(by Order) *Listing {
	d.mu.RLock()
	defer d.mu.RUnlock()
	names := d.listing(ByName, d.comings, d.byName)
	switch by {
	case ByParticipants:
		return d.listing(by, d.seq, func() []entry { return d.byKey(names, by) })
	case ByCreation:
		return d.listing(by, d.comings, func() []entry { return d.byKey(names, by) })
	}
	return names
}

// listing returns the last listing if the directory hasn't aged since, or makes one. The caller holds mu.
func (d *Directory) listing(by Order, age uint64, entries func() []entry) *Listing {
	if l := d.listings[by].Load(); l != nil && l.age == age {
		return l
	}
	l := &Listing{by: by, age: age, entries: entries()}
	d.listings[by].Store(l) // readers share mu, but all of them store the same
	return l
}

func (d *Directory) byName() []entry {
	var entries []entry
	for _, w := range d.watched {
		if w.served == nil {
			continue
		}
		entries = slices.Grow(entries, w.served.shown)
		for at, r := range w.served.rooms {
			if !r.hidden {
				entries = append(entries, entry{at: at})
			}
		}
	}
	slices.SortFunc(entries, func(a, b entry) int { return strings.Compare(a.at, b.at) })
	return entries
}

// byKey sorts rooms whose order by name is known by their keys, of which most have one in common with many others.
func (d *Directory) byKey(names *Listing, by Order) []entry {
	alike := make(map[int64][]entry)
	for _, e := range names.entries {
		if _, r := d.find(e.at); r != nil {
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
func (r *liveRoom) key(by Order) int64 {
	switch {
	case by == ByParticipants:
		return -int64(r.tally.People())
	case by == ByCreation && !r.facts.CreatedAt.IsZero():
		return -r.facts.CreatedAt.UnixMilli()
	}
	return 0
}

// Page is a part of a listing that is to be read.
type Page struct {
	// From is the index of the first room; Backwards counts down from there.
	From      int
	Backwards bool

	// Limit is how many rooms are wanted at most.
	Limit int

	// Keep says which rooms are wanted; nil wants all. It has to be quick, and must not call the Directory.
	Keep func(Glance) bool
}

// Page returns rooms of l as they are now. Those that are gone are passed over.
// Last is the index of the last room that it returns; more is whether others that are wanted follow.
func (d *Directory) Page(l *Listing, p Page) (rooms []Glance, last int, more bool) {
	step := 1
	if p.Backwards {
		step = -1
	}
	last = p.From - step
	rooms = make([]Glance, 0, min(p.Limit, len(l.entries)))
	d.mu.RLock()
	defer d.mu.RUnlock()
	for i := p.From; i >= 0 && i < len(l.entries); i += step {
		w, r := d.find(l.entries[i].at)
		if r == nil {
			continue
		}
		g := d.glance(w, l.entries[i].at, r)
		if p.Keep != nil && !p.Keep(g) {
			continue
		}
		if len(rooms) == p.Limit {
			return rooms, last, true
		}
		g.State, g.Numbers = d.states(w, g.Address, r)
		rooms, last = append(rooms, g), i
	}
	return rooms, last, false
}

// WatchedDomain is a MUC domain and what its rooms are for.
type WatchedDomain struct {
	JID  jid.JID
	Type RoomType
}

// Domains returns the watched MUC domains, main one first.
func (d *Directory) Domains() []WatchedDomain {
	domains := make([]WatchedDomain, 0, len(d.watched))
	for _, w := range d.watched {
		domains = append(domains, WatchedDomain{address(w.name), w.typ})
	}
	return domains
}

// Survey is the totals of a domain, and how they are spread.
type Survey struct {
	Totals

	// Sizes is how many rooms have how many people in them.
	Sizes map[int]int
}

// Survey goes through all rooms of a domain. It returns false if not all of them are known.
func (d *Directory) Survey(domain jid.JID) (Survey, bool) {
	d.mu.RLock()
	defer d.mu.RUnlock()
	w := d.domain(domain.Domainpart())
	if w == nil || w.served == nil || w.served.unseen {
		return Survey{}, false
	}
	s := Survey{Totals: w.totals(), Sizes: make(map[int]int)}
	for _, r := range w.served.rooms {
		if !r.hidden {
			s.Sizes[r.tally.People()]++
		}
	}
	return s, true
}
