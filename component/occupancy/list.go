package occupancy

import (
	"cmp"
	"maps"
	"slices"
	"sort"
	"strings"
	"time"
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

// listing is the rooms of all watched MUC domains in one order, as they were at one moment.
// It never changes.
type listing struct {
	age     uint64 // of the directory when this was made
	entries []entry
}

type entry struct {
	at  string
	key int64 // ascending
}

// Position is where a room stands in lists of one order, whether or not it is in them.
type Position struct {
	Key     int64 // 0 in an order by name
	Address string
}

func (e entry) compare(p Position) int {
	return cmp.Or(cmp.Compare(e.key, p.Key), strings.Compare(e.at, p.Address))
}

// after returns the index of the first room after p, or backwards of the first before it.
func (l *listing) after(p Position, backwards bool) int {
	if backwards {
		return sort.Search(len(l.entries), func(i int) bool { return l.entries[i].compare(p) >= 0 }) - 1
	}
	return sort.Search(len(l.entries), func(i int) bool { return l.entries[i].compare(p) > 0 })
}

// order returns the rooms of all domains that have a replica. The caller holds mu.
// A listing is made where the last no longer holds, so that an order costs nothing until a list is read.
func (d *Directory) order(by Order) *listing {
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
func (d *Directory) listing(by Order, age uint64, entries func() []entry) *listing {
	if l := d.listings[by].Load(); l != nil && l.age == age {
		return l
	}
	l := &listing{age: age, entries: entries()}
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
func (d *Directory) byKey(names *listing, by Order) []entry {
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
	domains, err := d.selected(q.Domain, q.Type)
	if err != nil {
		return Page{}, err
	}
	p := Page{}
	now := time.Now()
	if p.AsOf, err = d.readAll(domains, now); err != nil {
		return Page{}, err
	}
	l := d.order(q.By)
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
		w, r := d.find(e.at)
		if r == nil || q.Domain != "" && w.name != q.Domain || q.Type != "" && w.typ != q.Type {
			continue
		}
		g := d.glance(w, e.at, r)
		if q.Keep != nil && !q.Keep(g) {
			continue
		}
		if len(p.Rooms) == limit {
			p.Last = &Position{Key: last.key, Address: last.at}
			break
		}
		g.State, g.Numbers = d.states(w, g.Address, r, now)
		p.Rooms, last = append(p.Rooms, g), e
	}
	return p, nil
}

// readAll returns when the oldest of these replicas was confirmed, or why one of them can't be read. The caller holds mu.
func (d *Directory) readAll(domains []*watched, now time.Time) (asOf time.Time, err error) {
	for i, w := range domains {
		if err := d.unreadable(w, nil, now); err != nil {
			return time.Time{}, err
		}
		if i == 0 || w.asOf.Before(asOf) {
			asOf = w.asOf
		}
	}
	return asOf, nil
}
