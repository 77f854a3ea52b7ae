package api

import (
	"net/http"
	"strconv"

	"ppch/component/occupancy"
)

// healthView is whether counts can be had, and what to mend if not.
// The first four fields are as the first version of this service had them.
type healthView struct {
	Status        string            `json:"status"`
	Service       string            `json:"service"`
	Version       string            `json:"version"`
	ProsodyStatus string            `json:"prosody_status"`
	Commit        *string           `json:"commit"`
	Built         *string           `json:"built"`
	Reason        *occupancy.Reason `json:"reason"`
	Connected     bool              `json:"connected"`
	Since         *string           `json:"since"`
	LastAnswer    *string           `json:"last_answer"`
	Domains       []domainView      `json:"domains"`
}

// domainView is how one watched MUC domain is doing.
type domainView struct {
	Domain string          `json:"domain"`
	Mode   *occupancy.Mode `json:"mode"`
	Status string          `json:"status"`
}

// getHealth handles "GET /health".
// It tells people what to mend; probes that restart things should look at /livez and /readyz.
func (s *Server) getHealth(w http.ResponseWriter, _ *http.Request) error {
	link := s.link.Link()
	trouble := troubleOf(link)
	view := newHealthView(link, trouble)
	view.Version, view.Commit, view.Built = s.version, orNull(s.commit), stamp(s.built)
	if trouble == nil {
		return writeJSON(w, http.StatusOK, view)
	}
	if trouble.RetryAfter > 0 {
		w.Header().Set("Retry-After", strconv.Itoa(seconds(trouble.RetryAfter)))
	}
	return writeJSON(w, http.StatusServiceUnavailable, view)
}

// newHealthView returns how link is doing, whose trouble is given.
func newHealthView(link occupancy.Link, trouble *occupancy.UnknownError) healthView {
	view := healthView{
		Status:        "ok",
		Service:       service,
		ProsodyStatus: statusOf(trouble),
		Connected:     link.Up,
		Since:         stamp(link.Since),
		LastAnswer:    stamp(link.LastAnswer),
		Domains:       []domainView{},
	}
	if trouble != nil {
		view.Status = "error"
		view.Reason = &trouble.Reason
	}
	for _, domain := range link.Domains {
		// Trouble speaks of the main domain; each is asked as if it were that.
		asMain := link
		asMain.Domains = []occupancy.Domain{domain}
		d := domainView{Domain: domain.JID.String(), Status: statusOf(troubleOf(asMain))}
		if domain.Problem == nil {
			d.Mode = &domain.Mode
		}
		view.Domains = append(view.Domains, d)
	}
	return view
}

// troubleOf returns the trouble of link.
// A link that has not been tried yet is down without a problem of its own, and must not pass for healthy.
func troubleOf(link occupancy.Link) *occupancy.UnknownError {
	trouble := link.Trouble()
	if trouble == nil && !link.Up {
		return &occupancy.UnknownError{
			Reason: occupancy.ReasonConnecting,
			Mend:   "the first connection to Prosody is still being made",
		}
	}
	return trouble
}

// statusOf returns "ok", or "error: " and what to mend; clients look at how it begins.
// While rooms are being learnt nothing is to be mended, so "syncing" is neither.
func statusOf(trouble *occupancy.UnknownError) string {
	switch {
	case trouble == nil:
		return "ok"
	case trouble.Reason == occupancy.ReasonSyncing:
		return "syncing"
	}
	return "error: " + trouble.Mend
}
