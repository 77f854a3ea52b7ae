package view

import (
	"cmp"
	"slices"

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
	Shards        []ShardHealth     `json:"shards"`
	Store         *StoreHealth      `json:"store"`
	Webhooks      *WebhooksHealth   `json:"webhooks"`
	Settings      *SettingsHealth   `json:"settings"`
}

// SettingsHealth is the status of API keys, share links and webhooks in NATS. It is nil (null) if they are configured on this node.
type SettingsHealth struct {
	Status string            `json:"status"`
	Reason *occupancy.Reason `json:"reason"`
	Known  bool              `json:"known"` // they stay known while NATS is away
	ReadAt *string           `json:"read_at"`
}

// AddSettings adds the settings in NATS, if there are any. It returns why clients with a key can't be served, or nil.
func (h *Health) AddSettings(nats *occupancy.NATSDiagnostics) *occupancy.UnavailableError {
	if nats == nil || nats.Bucket == nil {
		return nil
	}
	b := nats.Bucket
	p := cmp.Or(b.Unknown, b.Problem)
	h.Settings = &SettingsHealth{Status: Status(p), Known: b.Unknown == nil, ReadAt: Stamp(b.ReadAt)}
	h.Settings.Reason, _ = Reason(p)
	if b.Unknown != nil && h.Status == "ok" {
		h.Status, h.Reason = "error", &b.Unknown.Reason
	}
	return b.Unknown
}

// WebhooksHealth says whether one service delivers the webhooks of each shard, of several that watch it.
// It is nil (null) if this one stores nothing, or shares nothing over NATS.
type WebhooksHealth struct {
	Status string            `json:"status"`
	Reason *occupancy.Reason `json:"reason"`
}

// AddWebhooks adds who delivers webhooks, if several services may. Counts don't depend on it.
func (h *Health) AddWebhooks(nats *occupancy.NATSDiagnostics) {
	if nats == nil {
		return
	}
	var p *occupancy.UnavailableError
	for _, c := range nats.Published {
		if c.Webhooks != nil {
			h.Webhooks = &WebhooksHealth{}
			p = cmp.Or(p, c.Webhooks.Problem)
		}
	}
	if h.Webhooks != nil {
		h.Webhooks.Status = Status(p)
		h.Webhooks.Reason, _ = Reason(p)
	}
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
	Shard  string          `json:"shard"`
	Domain string          `json:"domain"`
	Mode   *occupancy.Mode `json:"mode"`
	Status string          `json:"status"`
}

// ShardHealth is the status of one shard: that of its main domain.
type ShardHealth struct {
	Shard     string              `json:"shard"`
	Kind      occupancy.ShardKind `json:"kind"`
	Status    string              `json:"status"`
	Reason    *occupancy.Reason   `json:"reason"`
	Connected bool                `json:"connected"`
	Since     *string             `json:"since"`
}

// NewHealth returns the document without version and last answer, which the caller adds.
// Each main shard must be ok, by its first domain; the first that isn't decides.
func NewHealth(domains []occupancy.Domain) Health {
	lead := HealthLead(domains)
	doc := Health{
		Status:        "ok",
		Service:       ServiceName,
		ProsodyStatus: Status(lead.CountProblem()),
		Connected:     lead.Connected,
		Since:         Stamp(lead.Since),
		Domains:       []DomainHealth{},
		Shards:        []ShardHealth{},
	}
	if p := lead.CountProblem(); p != nil {
		doc.Status = "error"
		doc.Reason = &p.Reason
	}
	for _, domain := range domains {
		d := DomainHealth{Shard: domain.Shard, Domain: domain.JID.String(), Status: Status(domain.CountProblem())}
		if domain.Problem == nil {
			d.Mode = &domain.Mode
		}
		doc.Domains = append(doc.Domains, d)
	}
	for _, first := range ShardLeads(domains) {
		s := ShardHealth{
			Shard: first.Shard, Kind: first.Kind, Status: Status(first.CountProblem()), Connected: first.Connected, Since: Stamp(first.Since),
		}
		s.Reason, _ = Reason(first.CountProblem())
		doc.Shards = append(doc.Shards, s)
	}
	if p := lead.CountProblem(); p != nil && len(doc.Shards) > 1 && p.Reason != occupancy.ReasonSyncing {
		doc.ProsodyStatus = "error: shard " + lead.Shard + ": " + p.Remedy
	}
	return doc
}

// ShardLeads returns the first domain of each shard.
func ShardLeads(domains []occupancy.Domain) (leads []occupancy.Domain) {
	for _, d := range domains {
		if !slices.ContainsFunc(leads, func(l occupancy.Domain) bool { return l.Shard == d.Shard }) {
			leads = append(leads, d)
		}
	}
	return leads
}

// HealthLead returns the domain that decides about the health of the service: the first domain of a main shard that can't be counted, or else the first of all.
func HealthLead(domains []occupancy.Domain) occupancy.Domain {
	for _, d := range ShardLeads(domains) {
		if d.Kind == occupancy.ShardMain && d.CountProblem() != nil {
			return d
		}
	}
	return domains[0]
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
