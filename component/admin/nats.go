package admin

import (
	"cmp"
	"strconv"
	"strings"

	"ppch/component/occupancy"
)

// rowFunc adds a row to the diagnostics. It leaves out empty details.
type rowFunc func(what, state string, detail ...string)

// connectionRows adds the connection to the Prosody of each shard.
func connectionRows(w occupancy.Diagnostics, row rowFunc) {
	for _, s := range w.Shards {
		for _, d := range w.Domains {
			if d.Shard != s.Shard {
				continue
			}
			state := "up"
			if !d.Connected {
				state = "down"
			}
			if s.Prosody == "" {
				row("shard "+s.Shard, state, "over NATS", "since "+stamp(d.Since))
				break
			}
			what := "component " + s.Component.String()
			if len(w.Shards) > 1 {
				what += " of " + s.Shard
			}
			row(what, state, "at "+s.Prosody, "since "+stamp(d.Since), "last answer "+stamp(s.LastAnswer))
			break
		}
	}
}

// natsRows adds the state of NATS, unless n is nil.
func natsRows(n *occupancy.NATSDiagnostics, row rowFunc) {
	if n == nil {
		return
	}
	state, server := "down", ""
	if n.Connected {
		state, server = "up", "at "+n.Server
	}
	reason, remedy := reasonOf(n.Problem)
	row("NATS", cmp.Or(reason, state), server, "since "+stamp(n.Since), count(n.Reconnects, "reconnect", "reconnects"),
		count(n.SlowConsumer, "slow consumer", "slow consumers"), count(n.Foreign, "foreign message", "foreign messages"), remedy)
	for _, c := range n.Published {
		reason, remedy := reasonOf(c.Problem)
		row("NATS, shard "+c.Shard, cmp.Or(reason, "published"), "as "+c.Name, "epoch "+c.Epoch, "batch "+strconv.FormatUint(c.Seq, 10),
			count(c.Pages, "page", "pages")+" of snapshots", remedy)
		webhookRow(c, row)
	}
	for _, f := range n.Followed {
		reason, remedy := reasonOf(f.Problem)
		if f.Collector == "" {
			row("NATS, shard "+f.Shard, cmp.Or(reason, "no collector"), remedy)
			continue
		}
		row("NATS, shard "+f.Shard, cmp.Or(reason, "followed"), "collector "+show(f.Collector)+" of "+show(strings.Join(f.Collectors, ", ")), "version "+show(f.Version),
			"epoch "+show(f.Epoch), "batch "+strconv.FormatUint(f.Seq, 10), "last "+ago(f.LastMessage)+" ago",
			count(f.Resyncs, "resync", "resyncs"), count(f.Switches, "switch", "switches"), count(f.Gaps, "gap", "gaps"), remedy)
	}
	if b := n.Bucket; b != nil {
		reason, remedy := reasonOf(cmp.Or(b.Unknown, b.Problem))
		row("NATS, bucket "+b.Name, cmp.Or(reason, "ok"), count(b.Keys, "key", "keys"), "read "+stamp(b.ReadAt),
			count(b.Refused, "entry", "entries")+" refused", remedy)
	}
}

// webhookRow adds who delivers the webhooks of a shard, if this service has a store.
func webhookRow(c occupancy.CollectorDiagnostics, row rowFunc) {
	w := c.Webhooks
	if w == nil {
		return
	}
	state := "waiting"
	if w.Delivering {
		state = "delivering"
	}
	named := ""
	if w.Deliverer != "" {
		named = show(w.Deliverer) + " is to deliver"
	}
	reason, remedy := reasonOf(w.Problem)
	row("NATS, webhooks of "+c.Shard, cmp.Or(reason, state), named, remedy)
}

// reasonOf returns the reason and the remedy of a problem, empty for nil.
func reasonOf(p *occupancy.UnavailableError) (reason, remedy string) {
	if p == nil {
		return "", ""
	}
	return string(p.Reason), p.Remedy
}
