package occupancy

import (
	"iter"
	"slices"
	"time"

	"mellium.im/xmpp/jid"
)

// Totals is who is in all the rooms of a domain at one moment.
type Totals struct {
	JID  jid.JID
	Type RoomType

	// AsOf is when this was last known to be true.
	AsOf time.Time

	Rooms int
	Tally Tally
	Sizes Sizes

	moves joinsAndLeaves
}

// Joins returns how many occupants of kind k have joined rooms of the domain since the Directory was made.
// Occupants who were there when the domain was loaded first haven't joined. A change that came late counts once it is there.
func (t Totals) Joins(k Kind) uint64 { return countOf(t.moves.joins, k) }

// Leaves is like Joins for those who left.
func (t Totals) Leaves(k Kind) uint64 { return countOf(t.moves.leaves, k) }

// Totals returns the totals of domain. Its errors are those of [Directory.Room], but it is no question that somebody waits for:
// it hurries no connection.
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

// LiveTotals returns the totals of all watched domains, main one first.
//
// It is of this moment: each domain has to be live, its replica confirmed on the present connection.
// What [Directory.Totals] may still return with its age is an error here.
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
		JID: m.jid, Type: m.typ, AsOf: m.asOf, Rooms: m.replica.shown, Tally: m.replica.tally, Sizes: m.replica.sizes, moves: m.joinsAndLeaves,
	}
}

// Survey is the totals of a domain, and how they are spread.
type Survey struct {
	Totals

	// Sizes is how many rooms have how many people in them.
	Sizes map[int]int

	// Largest is the room with the most people in it, the first by address if there are several; zero if there are no rooms.
	Largest Glance
}

// Survey goes through all rooms of a watched domain, or of all if that is empty, main one first.
// Its errors are those of [Directory.Rooms].
func (d *Directory) Survey(domain string) ([]Survey, error) {
	d.mu.RLock()
	defer d.mu.RUnlock()
	domains, err := d.selectDomains(domain, "")
	if err != nil {
		return nil, err
	}
	if _, err := d.oldestAsOf(domains, time.Now()); err != nil {
		return nil, err
	}
	surveys := make([]Survey, 0, len(domains))
	for _, m := range domains {
		s := Survey{Totals: m.totals(), Sizes: make(map[int]int)}
		for address, r := range m.replica.rooms {
			if r.hidden {
				continue
			}
			people := r.tally.People()
			s.Sizes[people]++
			if l := s.Largest; l.Address == "" || people > l.Participants || people == l.Participants && address < l.Address {
				s.Largest = Glance{Address: address, Participants: people}
			}
		}
		if l := &s.Largest; l.Address != "" {
			*l = d.summarize(m, l.Address, m.replica.rooms[l.Address])
		}
		surveys = append(surveys, s)
	}
	return surveys, nil
}

// sizeBounds are the sizes up to which rooms are told apart, finest where most meetings are.
var sizeBounds = [...]int{0, 1, 2, 3, 4, 5, 10, 20, 50, 100, 200, 500}

// Sizes is how many rooms there are of which size, which is the number of people in a room.
// It is kept as rooms change, since to walk through all of them would hold up the changes. Like a Tally it is a value.
type Sizes [len(sizeBounds) + 1]int32

// AtMost yields sizes in growing order, and to each how many rooms are at most that large.
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

// add counts n rooms of a size more.
func (s *Sizes) add(people int, n int32) {
	i, _ := slices.BinarySearch(sizeBounds[:], people)
	s[i] += n
}

// joinsAndLeaves counts who has joined and left the rooms of a domain, by kind in the order of kinds.
type joinsAndLeaves struct{ joins, leaves [len(kinds)]uint64 }

// count takes in a change. The caller holds the mu of the Directory.
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
