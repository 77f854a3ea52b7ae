package api

import (
	"time"

	"ppch/api/view"
	"ppch/component/occupancy"
)

// status is what a stream says of how it gets the events of a domain: live if the reason is empty.
type status struct{ reason occupancy.Reason }

func statusIn(d occupancy.Domain) status {
	if d.EventProblem == nil {
		return status{}
	}
	return status{d.EventProblem.Reason}
}

// statusView is a status as it is sent.
type statusView struct {
	Event  string            `json:"event"`
	Domain string            `json:"domain"`
	Live   bool              `json:"live"`
	Status string            `json:"status"`
	Reason *occupancy.Reason `json:"reason"`
	AsOf   *string           `json:"as_of"`
	MaxAge float64           `json:"max_staleness_seconds"`
	Time   string            `json:"time"`
}

func (h *hub) newStatusView(d occupancy.Domain) statusView {
	doc := statusView{
		Event:  "status",
		Domain: d.JID.String(),
		Live:   d.EventProblem == nil,
		Status: view.Status(d.EventProblem),
		AsOf:   view.Stamp(d.AsOf),
		MaxAge: h.directory.MaxStaleness.Seconds(),
		Time:   time.Now().UTC().Format(view.Timestamp),
	}
	doc.Reason, _ = view.Problem(d.EventProblem)
	return doc
}

// setStatuses takes statuses to be those that streams know.
func (h *hub) setStatuses(domains []occupancy.Domain) {
	for _, d := range domains {
		h.statuses[d.JID.String()] = statusIn(d)
	}
}

// takeStatus puts the status of a domain into the ring, if streams know another one.
// Either way it wakes all that wait for a change of a room, which may not be readable any more.
func (h *hub) takeStatus(d occupancy.Domain) {
	domain := d.JID.String()
	if now := statusIn(d); now != h.statuses[domain] {
		h.statuses[domain] = now
		h.add(&frame{domain: domain}, "status", h.newStatusView(d))
	}
	h.due[""] = struct{}{}
}

// statusesIn returns the statuses of a domain, or of all if it is empty, as they are now.
func (h *hub) statusesIn(domain string) (views []statusView) {
	for _, d := range h.directory.Domains() {
		if domain == "" || domain == d.JID.String() {
			views = append(views, h.newStatusView(d))
		}
	}
	return views
}
