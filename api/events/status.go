package events

import (
	"slices"
	"strings"

	"mellium.im/xmpp/jid"

	"ppch/api/view"
	"ppch/component/occupancy"
)

// shardDomain is a domain of a shard.
type shardDomain struct{ shard, domain string }

// isVisitors reports whether the rooms of a shard show rooms of other shards once more.
func (h *Hub) isVisitors(shard string) bool {
	s := h.directory.Shard(shard)
	return s != nil && s.Kind() == occupancy.ShardVisitors &&
		slices.ContainsFunc(h.directory.Shards(), func(s *occupancy.Shard) bool { return s.Kind() == occupancy.ShardMain })
}

// hasVisitors reports whether there are visitor nodes, which change the numbers of other shards' rooms.
func (h *Hub) hasVisitors() bool {
	return slices.ContainsFunc(h.directory.Shards(), func(s *occupancy.Shard) bool { return s.Kind() == occupancy.ShardVisitors })
}

// status is what streams report of a domain: why they don't get its events, "" if they do, and the domains whose visitors it has,
// separated by spaces.
type status struct {
	reason     occupancy.Reason
	visitorsOf string
}

func statusOf(d occupancy.Domain) (s status) {
	if d.EventProblem != nil {
		s.reason = d.EventProblem.Reason
	}
	s.visitorsOf = strings.Join(visitorsOf(d.VisitorsOf), " ")
	return s
}

// visitorsOf returns the names of domains whose visitors another one has.
func visitorsOf(domains []jid.JID) (names []string) {
	for _, served := range domains {
		names = append(names, served.String())
	}
	return names
}

// takeStatus adds the status of a domain to the ring if it differs from the last one.
// Either way it wakes all waiters, because their rooms may have become unavailable.
func (h *Hub) takeStatus(d occupancy.Domain) {
	key := shardDomain{d.Shard, d.JID.String()}
	before, ok := h.statuses[key]
	if now := statusOf(d); !ok || now != before {
		h.statuses[key] = now
		f := &frame{domain: key.domain, shard: d.Shard, visitors: h.isVisitors(d.Shard), visitorsOf: visitorsOf(d.VisitorsOf)}
		if len(f.visitorsOf) == 0 { // those who saw it with visitors
			f.visitorsOf = strings.Fields(before.visitorsOf)
		}
		h.add(f, "status", view.NewStatusEvent(&d, h.directory.MaxStaleness))
	}
	h.due[""] = struct{}{}
}

// retire forgets a domain of a shard that was retired. It returns the domains whose visitors it had, whose rooms then have other numbers.
func (h *Hub) retire(shard, domain string) (visitorsOf []string) {
	h.ring.forget(shard)
	key := shardDomain{shard, domain}
	visitorsOf = strings.Fields(h.statuses[key].visitorsOf)
	delete(h.statuses, key)
	return visitorsOf
}

// statusesIn returns the current statuses of the domains that a stream follows, and of those with visitors of their rooms.
func (h *Hub) statusesIn(n *filter) (statuses []*view.StatusEvent) {
	domains := h.directory.Domains()
	for i := range domains {
		d := &domains[i] // without a copy: the stack of each stream would keep the place
		own := (n.domain == "" || n.domain == d.JID.String()) && n.includes(d.Shard, h.isVisitors(d.Shard))
		if own || n.showsVisitorsOf(visitorsOf(d.VisitorsOf)) {
			statuses = append(statuses, view.NewStatusEvent(d, h.directory.MaxStaleness))
		}
	}
	return statuses
}
