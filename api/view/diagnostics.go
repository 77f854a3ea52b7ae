package view

import (
	"time"

	"ppch/component/occupancy"
)

// Diagnostics is the state of the connection to Prosody: "GET /api/diagnostics".
type Diagnostics struct {
	Version    string              `json:"version"`
	Component  string              `json:"component"`
	Prosody    string              `json:"prosody"`
	Connected  bool                `json:"connected"`
	Since      *string             `json:"since"`
	LastAnswer *string             `json:"last_answer"`
	Reason     *occupancy.Reason   `json:"reason"`
	Remedy     *string             `json:"remedy"`
	Domains    []DomainDiagnostics `json:"domains"`
	Services   []MUCService        `json:"services"`
	Admins     []AdminDomain       `json:"admin_domains"`
	NotCounted []NotCounted        `json:"not_counted,omitempty"`
	Shards     []ShardDiagnostics  `json:"shards"`
	NATS       *NATSDiagnostics    `json:"nats"` // nil (null) without NATS

	// UnwatchedVisitors are the rooms for which Jicofo counts more visitors than the watched visitor nodes have;
	// nil (null) if there are no visitor nodes, or if one can't be read.
	UnwatchedVisitors *UnwatchedVisitors `json:"unwatched_visitors"`
}

// ShardDiagnostics is the connection to the Prosody of one shard. Component and Prosody are nil (null) if this process doesn't connect to it.
type ShardDiagnostics struct {
	Shard      string              `json:"shard"`
	Kind       occupancy.ShardKind `json:"kind"`
	Component  *string             `json:"component"`
	Prosody    *string             `json:"prosody"`
	Connected  bool                `json:"connected"`
	Since      *string             `json:"since"`
	LastAnswer *string             `json:"last_answer"`
	Reason     *occupancy.Reason   `json:"reason"`
	Remedy     *string             `json:"remedy"`
}

// UnwatchedVisitors compares Jicofo's number of visitors with that on the watched visitor nodes.
type UnwatchedVisitors struct {
	Rooms    int `json:"rooms"`
	Reported int `json:"reported"`
	Watched  int `json:"watched"`
}

// DomainDiagnostics is the state of one watched MUC domain.
type DomainDiagnostics struct {
	Shard   string              `json:"shard"`
	Domain  string              `json:"domain"`
	Mode    *occupancy.Mode     `json:"mode"`
	Reason  *occupancy.Reason   `json:"reason"`
	Remedy  *string             `json:"remedy"`
	AsOf    *string             `json:"as_of"`
	Resyncs uint64              `json:"resyncs"`
	Module  *ModuleSubscription `json:"module"`
}

// ModuleSubscription is the subscription to the Lua module.
type ModuleSubscription struct {
	Version    string   `json:"version"`
	Heartbeat  float64  `json:"heartbeat_seconds"`
	LastBatch  *string  `json:"last_batch"`
	Lag        float64  `json:"lag_seconds"`
	ClockAhead *float64 `json:"clock_ahead_seconds"`
	Rooms      int      `json:"rooms"`
	RoomCache  *int     `json:"room_cache"`
}

// MUCService is a MUC service of the Prosody of a shard.
type MUCService struct {
	Shard     string   `json:"shard"`
	Domain    string   `json:"domain"`
	Protocols []string `json:"protocols"`
}

// NewServices returns the documents of services.
func NewServices(services []occupancy.Service) []MUCService {
	docs := []MUCService{}
	for _, s := range services {
		docs = append(docs, MUCService{Shard: s.Shard, Domain: s.JID.String(), Protocols: append([]string{}, s.Protocols...)})
	}
	return docs
}

// AdminDomain is a domain of admins. Their accounts stay private.
type AdminDomain struct {
	Domain string `json:"domain"`
	Local  bool   `json:"local"`
}

// NotCounted is a rule of PPCH_NOT_COUNTED, with the number of occupants that it hides now. Its pattern, a JID, stays private.
type NotCounted struct {
	Rule      string `json:"rule"`
	Occupants int    `json:"occupants"`
}

// NewDiagnostics returns the document without Version and Services, which the caller adds. Component and Prosody are empty if all shards are received over NATS.
func NewDiagnostics(diagnostics occupancy.Diagnostics) Diagnostics {
	main := diagnostics.Domains[0]
	doc := Diagnostics{
		Component:  diagnostics.Component.String(),
		Prosody:    diagnostics.Prosody,
		Connected:  main.Connected,
		Since:      Stamp(main.Since),
		LastAnswer: Stamp(diagnostics.LastAnswer),
		Domains:    []DomainDiagnostics{},
		Admins:     []AdminDomain{},
		Shards:     newShards(diagnostics),
		NATS:       newNATS(diagnostics.NATS),
	}
	if !main.Connected {
		doc.Reason, doc.Remedy = Reason(main.Problem)
	}
	for _, domain := range diagnostics.Domains {
		d := DomainDiagnostics{Shard: domain.Shard, Domain: domain.JID.String(), AsOf: Stamp(domain.AsOf), Resyncs: domain.Resyncs, Module: newModule(domain)}
		d.Reason, d.Remedy = Reason(domain.CountProblem())
		if domain.Problem == nil {
			d.Mode = &domain.Mode
		}
		doc.Domains = append(doc.Domains, d)
	}
	listed := map[string]bool{}
	for _, admin := range diagnostics.Admins {
		if domain := admin.JID.Domainpart(); !listed[domain] {
			listed[domain] = true
			doc.Admins = append(doc.Admins, AdminDomain{domain, admin.Local})
		}
	}
	for _, r := range diagnostics.Rules {
		doc.NotCounted = append(doc.NotCounted, NotCounted{r.Rule, r.Occupants})
	}
	return doc
}

// newShards returns the documents of all shards, each with the problem of its main domain.
func newShards(diagnostics occupancy.Diagnostics) []ShardDiagnostics {
	docs := []ShardDiagnostics{}
	for _, s := range diagnostics.Shards {
		doc := ShardDiagnostics{
			Shard: s.Shard, Kind: s.Kind, Component: OrNull(s.Component.String()), Prosody: OrNull(s.Prosody), LastAnswer: Stamp(s.LastAnswer),
		}
		for _, d := range diagnostics.Domains {
			if d.Shard == s.Shard {
				doc.Connected, doc.Since = d.Connected, Stamp(d.Since)
				doc.Reason, doc.Remedy = Reason(d.CountProblem())
				break
			}
		}
		docs = append(docs, doc)
	}
	return docs
}

func newModule(domain occupancy.DomainDiagnostics) *ModuleSubscription {
	sync := domain.Sync
	if sync == nil {
		return nil
	}
	doc := &ModuleSubscription{
		Version:   sync.Version,
		Heartbeat: sync.Heartbeat.Seconds(),
		LastBatch: Stamp(sync.LastBatch),
		Lag:       sync.Lag.Round(time.Millisecond).Seconds(),
		Rooms:     domain.Rooms,
	}
	if sync.RoomCache > 0 {
		doc.RoomCache = &sync.RoomCache
	}
	if sync.Ahead != nil {
		doc.ClockAhead = new(sync.Ahead.Round(time.Millisecond).Seconds())
	}
	return doc
}
