package events

import (
	"slices"

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

// liveness returns why streams don't get the events of a domain, "" if they do.
func liveness(d occupancy.Domain) occupancy.Reason {
	if d.EventProblem == nil {
		return ""
	}
	return d.EventProblem.Reason
}

// takeStatus adds the status of a domain to the ring if it differs from the last one.
// Either way it wakes all waiters, because their rooms may have become unavailable.
func (h *Hub) takeStatus(d occupancy.Domain) {
	key := shardDomain{d.Shard, d.JID.String()}
	if now, ok := h.statuses[key]; !ok || now != liveness(d) {
		h.statuses[key] = liveness(d)
		h.add(&frame{domain: key.domain, shard: d.Shard, visitors: h.isVisitors(d.Shard)}, "status", view.NewStatusEvent(d, h.directory.MaxStaleness))
	}
	h.due[""] = struct{}{}
}

// statusesIn returns the current statuses of the domains that a stream follows.
func (h *Hub) statusesIn(n *filter) (statuses []view.StatusEvent) {
	for _, d := range h.directory.Domains() {
		if (n.domain == "" || n.domain == d.JID.String()) && n.includes(d.Shard, h.isVisitors(d.Shard)) {
			statuses = append(statuses, view.NewStatusEvent(d, h.directory.MaxStaleness))
		}
	}
	return statuses
}
