package view

import (
	"time"

	"ppch/component/occupancy"
)

// StatusEvent reports whether a stream gets the events of a domain: the data of "status" in a stream.
type StatusEvent struct {
	Event string `json:"event"`
	Shard string `json:"shard"`

	// Kind is what the shard is for. VisitorsOf are the domains whose visitors are there, absent for a main shard:
	// unless it is live, the visitors of their rooms are unknown.
	Kind       occupancy.ShardKind `json:"kind"`
	VisitorsOf []string            `json:"visitors_of,omitempty"`

	Domain string            `json:"domain"`
	Live   bool              `json:"live"`
	Status string            `json:"status"`
	Reason *occupancy.Reason `json:"reason"`
	AsOf   *string           `json:"as_of"`
	MaxAge float64           `json:"max_staleness_seconds"`
	Time   string            `json:"time"`
}

// NewStatusEvent returns the document for a domain whose data may be as old as maxAge.
func NewStatusEvent(d *occupancy.Domain, maxAge time.Duration) *StatusEvent {
	doc := &StatusEvent{
		Event:  "status",
		Shard:  d.Shard,
		Kind:   d.Kind,
		Domain: d.JID.String(),
		Live:   d.EventProblem == nil,
		Status: Status(d.EventProblem),
		AsOf:   Stamp(d.AsOf),
		MaxAge: maxAge.Seconds(),
		Time:   FormatTime(time.Now()),
	}
	for _, served := range d.VisitorsOf {
		doc.VisitorsOf = append(doc.VisitorsOf, served.String())
	}
	doc.Reason, _ = Reason(d.EventProblem)
	return doc
}
