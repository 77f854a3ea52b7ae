package view

import (
	"ppch/component/history"
	"ppch/component/occupancy"
)

// ServiceName is the name of this service. Monitors have relied on it since version 1.
const ServiceName = "Prosody Participant Count Hook"

// Health says whether counts are available, and how to fix it if not: "GET /health".
// The first four fields are those of version 1.
type Health struct {
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
	Domains       []DomainHealth    `json:"domains"`
	Store         *StoreHealth      `json:"store"`
}

// StoreHealth is the status of the file with meetings and webhooks. Counts don't depend on it.
// It is nil (null) if PPCH keeps no data.
type StoreHealth struct {
	Status  string          `json:"status"`
	Reason  *history.Reason `json:"reason"`
	History string          `json:"history"`
}

// NewStoreHealth returns the document for the store of r.
func NewStoreHealth(r *history.Recorder) *StoreHealth {
	if r.Store().Path() == "" {
		return nil
	}
	doc := &StoreHealth{Status: "ok", History: r.Level().String()}
	if p := r.Store().Problem(); p != nil {
		doc.Status, doc.Reason = "error: "+p.Title+": "+p.Remedy, &p.Reason
	}
	return doc
}

// DomainHealth is the status of one watched MUC domain.
type DomainHealth struct {
	Domain string          `json:"domain"`
	Mode   *occupancy.Mode `json:"mode"`
	Status string          `json:"status"`
}

// NewHealth returns the document without version and last answer, which the caller adds. The first domain decides.
func NewHealth(domains []occupancy.Domain) Health {
	main := domains[0]
	doc := Health{
		Status:        "ok",
		Service:       ServiceName,
		ProsodyStatus: Status(main.CountProblem()),
		Connected:     main.Connected,
		Since:         Stamp(main.Since),
		Domains:       []DomainHealth{},
	}
	if p := main.CountProblem(); p != nil {
		doc.Status = "error"
		doc.Reason = &p.Reason
	}
	for _, domain := range domains {
		d := DomainHealth{Domain: domain.JID.String(), Status: Status(domain.CountProblem())}
		if domain.Problem == nil {
			d.Mode = &domain.Mode
		}
		doc.Domains = append(doc.Domains, d)
	}
	return doc
}

// Status returns "ok", or "error: ", what is wrong and how to fix it; clients check how it begins.
// While rooms are loading it returns "syncing", because there is nothing to fix.
func Status(problem *occupancy.UnavailableError) string {
	switch {
	case problem == nil:
		return "ok"
	case problem.Reason == occupancy.ReasonSyncing:
		return "syncing"
	}
	return "error: " + problem.Remedy
}
