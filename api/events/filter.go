package events

import (
	"slices"

	"mellium.im/xmpp/jid"

	"ppch/api/keys"
)

// filter is which events a stream gets, and what its key may read of them.
type filter struct {
	jid  jid.JID // zero for all rooms
	room string  // jid as text; empty for all rooms

	breakouts bool // whether the events of a main room include those of its breakout rooms

	domain string // that of room
	shard  string // empty for all shards
	node   bool   // whether shard is a visitor node
	grant  keys.Grant
}

func (h *Hub) newFilter(room jid.JID, shard string, grant keys.Grant, breakouts bool) filter {
	return filter{
		jid: room, room: room.String(), domain: room.Domainpart(), shard: shard, node: shard != "" && h.isVisitors(shard), grant: grant, breakouts: breakouts,
	}
}

// showsVisitorsOf reports whether a stream has rooms of one of these domains, which show the number of their visitors.
func (n *filter) showsVisitorsOf(domains []string) bool {
	return !n.node && len(domains) > 0 && (n.domain == "" || slices.Contains(domains, n.domain))
}

// includes reports whether a stream has the events of a shard. Rooms of visitor nodes show other rooms once more,
// so a stream has them only if it names their shard or one of the rooms.
func (n *filter) includes(shard string, visitors bool) bool {
	if n.shard != "" {
		return n.shard == shard
	}
	return !visitors || n.room != ""
}

// match reports whether a frame passes the filter.
func (n *filter) match(f *frame) bool {
	if !f.silent && n.showsVisitorsOf(f.visitorsOf) {
		return true
	}
	if f.silent || f.shard != "" && !n.includes(f.shard, f.visitors) {
		return false
	}
	if f.room == "" {
		return n.room == "" || f.domain == "" || f.domain == n.domain
	}
	if n.breakouts && f.main != "" && f.main == n.room {
		return n.grant.AllowsAddress(f.main) // its breakout rooms are part of it
	}
	return (n.room == "" || n.room == f.room) && n.grant.AllowsAddress(f.room)
}

// bytes returns f as the key may read it.
func (n *filter) bytes(f *frame) []byte {
	if n.grant.HasNames() {
		return f.named
	}
	return f.counted
}
