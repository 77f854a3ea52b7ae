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

// Totals returns the totals of domain, with the errors of [Directory.Room]. No client waits for it, so it doesn't signal [Directory.Unanswered].
func (d *Directory) Totals(domain jid.JID) (Totals, error) {
	d.mu.RLock()
	defer d.mu.RUnlock()
	m := d.domain(domain.Domainpart())
	if m == nil {
		return Totals{}, ErrNotWatched
	}
	if p := d.readProblem(m, time.Now()); p != nil {
		return Totals{}, p
	}
	return m.totals(), nil
}

// LiveTotals returns the present totals of all watched domains, the main one first.
//
// Unlike [Directory.Totals] it returns an error unless each domain is live, its replica confirmed on the present connection.
func (d *Directory) LiveTotals() ([]Totals, error) {
	d.mu.RLock()
	defer d.mu.RUnlock()
	now := time.Now()
	all := make([]Totals, 0, len(d.domains))
	for _, m := range d.domains {
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
		JID: m.jid, Type: m.typ, AsOf: m.asOf, Rooms: m.replica.shown, Counts: m.replica.counts, Sizes: m.replica.sizes, moves: m.joinsAndLeaves,
	}
}

// Stats is the totals of a domain and its largest room.
type Stats struct {
	Totals

	// Largest is the room with the most people, the first by address among equals; zero without rooms.
	Largest RoomSummary
}

// Stats returns the statistics of a watched domain, or of all if domain is empty, the main one first.
// It visits every room. Its errors are those of [Directory.Rooms].
func (d *Directory) Stats(domain string) ([]Stats, error) {
	d.mu.RLock()
	defer d.mu.RUnlock()
	domains, err := d.selectDomains(domain, "")
	if err != nil {
		return nil, err
	}
	if _, err := d.oldestAsOf(domains, time.Now()); err != nil {
		return nil, err
	}
	stats := make([]Stats, 0, len(domains))
	for _, m := range domains {
		s := Stats{Totals: m.totals()}
		for address, r := range m.replica.rooms {
			if r.hidden {
				continue
			}
			people := r.counts.People()
			if l := s.Largest; l.Address == "" || people > l.Participants || people == l.Participants && address < l.Address {
				s.Largest = RoomSummary{Address: address, Participants: people}
			}
		}
		if l := &s.Largest; l.Address != "" {
			*l = d.summarize(m, l.Address, m.replica.rooms[l.Address])
		}
		stats = append(stats, s)
	}
	return stats, nil
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
	if i := slices.Index(kinds[:], c.occupant.Kind); i >= 0 {
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
