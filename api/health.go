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
	domains := s.directory.Domains()
	view := newHealthView(domains)
	view.Version, view.Commit, view.Built = s.version, orNull(s.commit), stamp(s.built)
	view.LastAnswer = stamp(s.prosody.Wiring().LastAnswer)
	p := domains[0].CountProblem()
	if p == nil {
		return writeJSON(w, http.StatusOK, view)
	}
	if p.RetryAfter > 0 {
		w.Header().Set("Retry-After", strconv.Itoa(seconds(p.RetryAfter)))
	}
	return writeJSON(w, http.StatusServiceUnavailable, view)
}

// newHealthView returns how the watched domains are doing, of which the main one decides.
func newHealthView(domains []occupancy.Domain) healthView {
	main := domains[0]
	view := healthView{
		Status:        "ok",
		Service:       service,
		ProsodyStatus: statusOf(main.CountProblem()),
		Connected:     main.Connected,
		Since:         stamp(main.Since),
		Domains:       []domainView{},
	}
	if p := main.CountProblem(); p != nil {
		view.Status = "error"
		view.Reason = &p.Reason
	}
	for _, domain := range domains {
		d := domainView{Domain: domain.JID.String(), Status: statusOf(domain.CountProblem())}
		if domain.Problem == nil {
			d.Mode = &domain.Mode
		}
		view.Domains = append(view.Domains, d)
	}
	return view
}

// statusOf returns "ok", or "error: " and how to fix it; clients look at how it begins.
// While rooms are loading there is nothing to fix, so "syncing" is neither.
func statusOf(trouble *occupancy.UnknownError) string {
	switch {
	case trouble == nil:
		return "ok"
	case trouble.Reason == occupancy.ReasonSyncing:
		return "syncing"
	}
	return "error: " + trouble.Mend
}
