package occupancy

import (
	"iter"
	"slices"
	"time"

	"mellium.im/xmpp/jid"
)

// Totals are the numbers of rooms and occupants of a domain at one moment.
type Totals struct {
	JID  jid.JID
	Type RoomType

	// Shard is the shard whose numbers these are; empty for those of several shards, where rooms of one address count as one.
	Shard string

	// AsOf is when this was last confirmed.
	AsOf time.Time

	Rooms  int
	Counts Counts
	Sizes  Sizes

	moves joinsAndLeaves
}

// Joins returns how many occupants of kind k have joined rooms of the domain since the Directory was created.
// Occupants in the first snapshot don't count. Changes count when they arrive, even late.
func (t Totals) Joins(k Kind) uint64 { return countOf(t.moves.joins, k) }

// Leaves is like Joins, for occupants who left.
func (t Totals) Leaves(k Kind) uint64 { return countOf(t.moves.leaves, k) }

// Totals returns the totals of domain, with the errors of [Directory.Room]. No client waits for it, so it doesn't signal [Shard.Unanswered].
func (d *Directory) Totals(domain jid.JID) (Totals, error) {
	d.mu.RLock()
	defer d.mu.RUnlock()
	g := d.group(domain.Domainpart())
	if g == nil {
		return Totals{}, ErrNotWatched
	}
	now := time.Now()
	for _, m := range g.members {
		if p := d.readProblem(m, now); p != nil {
			return Totals{}, d.named(m, p)
		}
	}
	return g.totals(), nil
}

// LiveTotals returns the present totals of all watched domains but those of visitor shards, the main one first.
//
// Unlike [Directory.Totals] it returns an error unless each domain is live on each shard, its replica confirmed on the present connection.
func (d *Directory) LiveTotals() ([]Totals, error) {
	d.mu.RLock()
	defer d.mu.RUnlock()
	now := time.Now()
	all := make([]Totals, 0, len(d.groups))
	for _, g := range d.groups {
		if g.kind == ShardVisitors && !d.onlyVisitors() {
			continue
		}
		for _, m := range g.members {
			if p := d.eventProblem(m, now); p != nil {
				return nil, d.named(m, p)
			}
		}
		all = append(all, g.totals())
	}
	return all, nil
}

// LiveTotals returns the present totals of the shard's domains, the main one first, or an error unless each of them is live,
// as in [Directory.LiveTotals].
func (s *Shard) LiveTotals() ([]Totals, error) {
	d := s.directory
	d.mu.RLock()
	defer d.mu.RUnlock()
	now := time.Now()
	all := make([]Totals, 0, len(s.domains))
	for _, m := range s.domains {
		if p := d.eventProblem(m, now); p != nil {
			return nil, p
		}
		all = append(all, m.totals())
	}
	return all, nil
}

// totals returns the totals of a domain that has a replica. The caller holds mu.
func (m *mucDomain) totals() Totals {
	return Totals{
		JID: m.jid, Type: m.typ, Shard: m.shard.name, AsOf: m.asOf, Rooms: m.replica.shown, Counts: m.replica.counts, Sizes: m.replica.sizes, moves: m.joinsAndLeaves,
	}
}

// Stats is the totals of a domain and its largest room.
type Stats struct {
	Totals

	// Largest is the room with the most people, the first by address among equals; zero without rooms.
	Largest RoomSummary
}

// Stats returns the statistics of the watched domains that q selects by Domain and Shard, each over all shards that q selects,
// the main one first. It visits every room. Its errors are those of [Directory.Rooms].
func (d *Directory) Stats(q Query) ([]Stats, error) {
	d.mu.RLock()
	defer d.mu.RUnlock()
	domains, err := d.selectDomains(Query{Domain: q.Domain, Shard: q.Shard})
	if err != nil {
		return nil, err
	}
	now := time.Now()
	if _, err := d.oldestAsOf(domains, now); err != nil {
		return nil, err
	}
	stats := make([]Stats, 0, len(domains))
	for _, m := range domains {
		switch {
		case q.Shard != "" || len(m.group.members) == 1:
			stats = append(stats, Stats{Totals: m.totals(), Largest: d.largest(m.alone, nil, now)})
		case m == m.group.members[0]:
			stats = append(stats, Stats{Totals: m.group.totals(), Largest: d.largest(m.group.members, m.group.split, now)})
		}
	}
	return stats, nil
}

// largest returns the largest room of domains of one name, in which the rooms at the split addresses count as one. The caller holds mu.
func (d *Directory) largest(domains []*mucDomain, split map[string]struct{}, now time.Time) RoomSummary {
	var largest string
	var most int
	var in *mucDomain
	for _, m := range domains {
		for address, r := range m.replica.rooms {
			if r.hidden {
				continue
			}
			people := r.counts.People()
			if _, ok := split[address]; ok {
				people = m.group.people(address)
			}
			if in == nil || people > most || people == most && address < largest {
				in, largest, most = m, address, people
			}
		}
	}
	if in == nil {
		return RoomSummary{}
	}
	if _, ok := split[largest]; ok {
		return d.mergedSummary(in.group.homesOf(largest), largest, nil, now)
	}
	return d.summarize(in, largest, in.replica.rooms[largest], now)
}

// sizeBounds are the upper bounds of the size classes, finest where most meetings are.
var sizeBounds = [...]int{0, 1, 2, 3, 4, 5, 10, 20, 50, 100, 200, 500}

// Sizes counts rooms by size class, the size of a room being its number of people.
// It is updated with each change, because visiting all rooms would delay the changes. Like a Counts it is a value.
type Sizes [len(sizeBounds) + 1]int32

// AtMost yields the bounds in ascending order, each with the number of rooms of at most that size.
func (s Sizes) AtMost() iter.Seq2[int, int] {
	return func(yield func(int, int) bool) {
		n := 0
		for i, bound := range sizeBounds {
			n += int(s[i])
			if !yield(bound, n) {
				return
			}
		}
	}
}

// add adds n rooms of a size.
func (s *Sizes) add(people int, n int32) {
	i, _ := slices.BinarySearch(sizeBounds[:], people)
	s[i] += n
}

// joinsAndLeaves counts the occupants who joined and left rooms of a domain, by kind in the order of kinds.
type joinsAndLeaves struct{ joins, leaves [len(kinds)]uint64 }

// count counts a change. The caller holds the mu of the Directory.
func (m *joinsAndLeaves) count(c change) {
	counts := &m.joins
	switch c.kind {
	case EventJoined:
	case EventLeft:
		counts = &m.leaves
	default:
		return
	}
	if i := slices.Index(kinds[:], c.occupant.Kind()); i >= 0 {
		counts[i]++
	}
}

// countOf returns the count of kind k.
func countOf(counts [len(kinds)]uint64, k Kind) uint64 {
	if i := slices.Index(kinds[:], k); i >= 0 {
		return counts[i]
	}
	return 0
}
