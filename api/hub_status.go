package api

import (
	"fmt"
	"slices"
	"time"

	"mellium.im/xmpp/jid"

	"ppch/component/occupancy"
)

// freshFor is how old what is known may be before a stream says so.
// The Lua module tells something every 10 s at the least, however little happens.
const freshFor = 15 * time.Second

// status is whether what happens on a domain is being told as it happens.
type status struct{ view statusView }

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

// same reports whether s says nothing new after t.
func (s status) same(t status) bool {
	return s.view.Domain == t.view.Domain && s.view.Live == t.view.Live && (s.view.Live || *s.view.Reason == *t.view.Reason)
}

// statusesIn returns the statuses of a domain, or of all if it is empty, as they were told last.
func (h *hub) statusesIn(domain string) []status {
	last := h.statuses.Load()
	if last == nil {
		return nil // only without Run
	}
	if domain == "" {
		return *last
	}
	i := slices.IndexFunc(*last, func(s status) bool { return s.view.Domain == domain })
	if i < 0 {
		return nil
	}
	return (*last)[i : i+1]
}

// statusesOf returns the statuses of the watched domains, main one first.
func statusesOf(link occupancy.Link, directory *occupancy.Directory) []status {
	statuses := make([]status, 0, len(link.Domains))
	for _, d := range link.Domains {
		asOf, known := directory.AsOf(d.JID)
		trouble := silence(link, d, asOf, known)
		view := statusView{
			Event:  "status",
			Domain: d.JID.String(),
			Live:   trouble == nil,
			Status: statusOf(trouble),
			AsOf:   stamp(asOf),
			MaxAge: link.MaxStaleness.Seconds(),
			Time:   time.Now().UTC().Format(timestamp),
		}
		if trouble != nil {
			view.Reason = &trouble.Reason
		}
		statuses = append(statuses, status{view})
	}
	return statuses
}

// silence returns why what happens on a domain isn't told as it happens, or nil where it is.
//
// A read may still be answered from a copy of before the link was lost, with its as_of.
// A stream is only live once that copy was confirmed on this very link.
func silence(link occupancy.Link, d occupancy.Domain, asOf time.Time, known bool) *occupancy.UnknownError {
	switch {
	case !link.Up && link.Problem == nil:
		return troubleOf(link)
	case !link.Up:
		return link.Problem
	case d.Problem != nil:
		return d.Problem
	case d.Mode != occupancy.ModeModule:
		return noEvents(d.JID)
	case !known || asOf.Before(link.Since) || time.Since(asOf) > freshFor:
		return &occupancy.UnknownError{Reason: occupancy.ReasonSyncing, RetryAfter: time.Second}
	}
	return nil
}

// noEvents returns the error for a domain of which Prosody can be asked, but that tells nothing by itself.
func noEvents(domain jid.JID) *occupancy.UnknownError {
	return &occupancy.UnknownError{
		Reason: occupancy.ReasonModuleMissing,
		Mend: fmt.Sprintf("Prosody tells of changes on %s only with the Lua module mod_room_participants_api: load it there "+
			"(docker-jitsi-meet: copy it into prosody-plugins-custom and set XMPP_MUC_MODULES=room_participants_api), then restart Prosody", domain),
	}
}
