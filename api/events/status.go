package events

import (
	"ppch/api/view"
	"ppch/component/occupancy"
)

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
	domain := d.JID.String()
	if now := liveness(d); now != h.statuses[domain] {
		h.statuses[domain] = now
		h.add(&frame{domain: domain}, "status", view.NewStatusEvent(d, h.directory.MaxStaleness))
	}
	h.due[""] = struct{}{}
}

// statusesIn returns the current statuses of a domain, or of all if it is empty.
func (h *Hub) statusesIn(domain string) (statuses []view.StatusEvent) {
	for _, d := range h.directory.Domains() {
		if domain == "" || domain == d.JID.String() {
			statuses = append(statuses, view.NewStatusEvent(d, h.directory.MaxStaleness))
		}
	}
	return statuses
}
