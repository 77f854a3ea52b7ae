package view

import (
	"time"

	"ppch/component/occupancy"
)

// StatusEvent reports whether a stream gets the events of a domain: the data of "status" in a stream.
type StatusEvent struct {
	Event  string            `json:"event"`
	Shard  string            `json:"shard"`
	Domain string            `json:"domain"`
	Live   bool              `json:"live"`
	Status string            `json:"status"`
	Reason *occupancy.Reason `json:"reason"`
	AsOf   *string           `json:"as_of"`
	MaxAge float64           `json:"max_staleness_seconds"`
	Time   string            `json:"time"`
}

// NewStatusEvent returns the document for a domain whose data may be as old as maxAge.
func NewStatusEvent(d occupancy.Domain, maxAge time.Duration) StatusEvent {
	doc := StatusEvent{
		Event:  "status",
		Shard:  d.Shard,
		Domain: d.JID.String(),
		Live:   d.EventProblem == nil,
		Status: Status(d.EventProblem),
		AsOf:   Stamp(d.AsOf),
		MaxAge: maxAge.Seconds(),
		Time:   FormatTime(time.Now()),
	}
	doc.Reason, _ = Reason(d.EventProblem)
	return doc
}
