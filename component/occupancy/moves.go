package occupancy

import (
	"slices"

	"mellium.im/xmpp/jid"
)

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

// Moves returns how many occupants of each kind have joined and left the rooms of domain since the Directory was made,
// and false if nothing is known of the domain.
// Whoever was there when the domain became known hasn't joined, and a change that nobody told of for a time counts once it is known.
func (d *Directory) Moves(domain jid.JID) (joins, leaves map[Kind]uint64, known bool) {
	d.mu.RLock()
	defer d.mu.RUnlock()
	w := d.domain(domain.Domainpart())
	if w == nil || w.served == nil {
		return nil, nil, false
	}
	joins, leaves = make(map[Kind]uint64, len(kinds)), make(map[Kind]uint64, len(kinds))
	for i, k := range kinds {
		joins[k], leaves[k] = w.moves.joins[i], w.moves.leaves[i]
	}
	return joins, leaves, true
}
