package occupancy

import "slices"

// moves counts who has joined and left the rooms of a domain, by kind in the order of kinds.
type moves struct{ joins, leaves [len(kinds)]uint64 }

// count takes in a change. The caller holds the mu of the Directory.
func (m *moves) count(c change) {
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
