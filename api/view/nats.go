package view

import (
	"cmp"

	"ppch/component/occupancy"
)

// NATSDiagnostics is the state of the connection to NATS and of the shards that it carries.
type NATSDiagnostics struct {
	Connected       bool              `json:"connected"`
	Server          *string           `json:"server"`
	Since           *string           `json:"since"`
	Reason          *occupancy.Reason `json:"reason"`
	Remedy          *string           `json:"remedy"`
	Reconnects      uint64            `json:"reconnects"`
	SlowConsumer    uint64            `json:"slow_consumer"`
	ForeignMessages uint64            `json:"foreign_messages"`
	Published       []PublishedShard  `json:"published"`
	Followed        []FollowedShard   `json:"followed"`
	Settings        *SharedSettings   `json:"settings"` // nil (null) if keys are configured on this node
}

// SharedSettings is the state of API keys, share links and webhooks in NATS.
type SharedSettings struct {
	Bucket  string            `json:"bucket"`
	Known   bool              `json:"known"`
	ReadAt  *string           `json:"read_at"`
	Keys    int               `json:"keys"`
	Hooks   int               `json:"webhooks"`
	Refused uint64            `json:"refused"`
	Reason  *occupancy.Reason `json:"reason"`
	Remedy  *string           `json:"remedy"`
}

func newSharedSettings(b *occupancy.BucketDiagnostics) *SharedSettings {
	if b == nil {
		return nil
	}
	doc := &SharedSettings{Bucket: b.Name, Known: b.Unknown == nil, ReadAt: Stamp(b.ReadAt), Keys: b.Keys, Hooks: b.Webhooks, Refused: b.Refused}
	doc.Reason, doc.Remedy = Reason(cmp.Or(b.Unknown, b.Problem))
	return doc
}

// PublishedShard is a shard that this service publishes. Its reason is another collector with the same name.
type PublishedShard struct {
	Shard     string            `json:"shard"`
	Collector string            `json:"collector"`
	Epoch     string            `json:"epoch"`
	Seq       uint64            `json:"seq"`
	Batches   uint64            `json:"batches"`
	TooLarge  uint64            `json:"too_large"`
	Pages     uint64            `json:"snapshot_pages"`
	Webhooks  *SharedWebhooks   `json:"webhooks"` // nil (null) if this service stores nothing
	Reason    *occupancy.Reason `json:"reason"`
	Remedy    *string           `json:"remedy"`
}

// SharedWebhooks is who delivers the webhooks of a shard, of several services that watch it.
type SharedWebhooks struct {
	Deliverer  *string           `json:"deliverer"`
	Delivering bool              `json:"delivering"`
	Reason     *occupancy.Reason `json:"reason"`
	Remedy     *string           `json:"remedy"`
}

// FollowedShard is a shard that this service receives. Its reason is that two collectors have the same name.
type FollowedShard struct {
	Shard       string            `json:"shard"`
	Collector   *string           `json:"collector"`
	Epoch       *string           `json:"epoch"`
	Version     *string           `json:"version"`
	Seq         uint64            `json:"seq"`
	LastMessage *string           `json:"last_message"`
	Collectors  []string          `json:"collectors"`
	Resyncs     uint64            `json:"resyncs"`
	Switches    uint64            `json:"switches"`
	Gaps        uint64            `json:"gaps"`
	Repeated    uint64            `json:"repeated"`
	Invalid     uint64            `json:"invalid"`
	Reason      *occupancy.Reason `json:"reason"`
	Remedy      *string           `json:"remedy"`
}

func newNATS(nats *occupancy.NATSDiagnostics) *NATSDiagnostics {
	if nats == nil {
		return nil
	}
	doc := &NATSDiagnostics{
		Connected: nats.Connected, Server: OrNull(nats.Server), Since: Stamp(nats.Since),
		Reconnects: nats.Reconnects, SlowConsumer: nats.SlowConsumer, ForeignMessages: nats.Foreign,
		Published: []PublishedShard{}, Followed: []FollowedShard{}, Settings: newSharedSettings(nats.Bucket),
	}
	doc.Reason, doc.Remedy = Reason(nats.Problem)
	for _, c := range nats.Published {
		p := PublishedShard{
			Shard: c.Shard, Collector: c.Name, Epoch: c.Epoch, Seq: c.Seq, Batches: c.Batches, TooLarge: c.TooLarge, Pages: c.Pages,
		}
		p.Reason, p.Remedy = Reason(c.Problem)
		if w := c.Webhooks; w != nil {
			p.Webhooks = &SharedWebhooks{Deliverer: OrNull(w.Deliverer), Delivering: w.Delivering}
			p.Webhooks.Reason, p.Webhooks.Remedy = Reason(w.Problem)
		}
		doc.Published = append(doc.Published, p)
	}
	for _, n := range nats.Followed {
		f := FollowedShard{
			Shard: n.Shard, Collector: OrNull(n.Collector), Epoch: OrNull(n.Epoch), Version: OrNull(n.Version),
			Seq: n.Seq, LastMessage: Stamp(n.LastMessage), Collectors: append([]string{}, n.Collectors...),
			Resyncs: n.Resyncs, Switches: n.Switches, Gaps: n.Gaps, Repeated: n.Repeated, Invalid: n.Garbage,
		}
		f.Reason, f.Remedy = Reason(n.Problem)
		doc.Followed = append(doc.Followed, f)
	}
	return doc
}
