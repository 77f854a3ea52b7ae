package cluster

import (
	"slices"
	"strings"
	"time"

	"github.com/prometheus/client_golang/prometheus"
)

// NodeDiagnostics is the state of a Node at one moment, for diagnosis.
type NodeDiagnostics struct {
	Shard string

	// Collector is the name of the collector that is followed, Epoch that of its run, Version its program's; empty if none is.
	Collector, Epoch, Version string

	// Seq is the number of the last batch, and LastMessage when that or a heartbeat came.
	Seq         uint64
	LastMessage time.Time

	// Collectors are the names of all collectors that were heard lately.
	Collectors []string

	// Twins is a name that two of them share, or empty.
	Twins string

	// Resyncs counts the snapshots after the first, Switches those from another collector than before, Gaps those because a batch was missing.
	// Repeated counts batches that came again. Garbage are messages that made no sense, Foreign those not sealed with the secret;
	// the latter are of all shards.
	Resyncs, Switches, Gaps, Repeated, Garbage, Foreign uint64
}

// Diagnostics returns the state of the node. The caller owns it.
func (n *Node) Diagnostics() NodeDiagnostics {
	d := NodeDiagnostics{
		Shard: n.cfg.Shard, Resyncs: n.follower.Resyncs(), Switches: n.switches.Load(), Gaps: n.gaps.Load(),
		Repeated: n.repeated.Load(), Garbage: n.garbage.Load(), Foreign: n.conn.foreign.Load(),
	}
	n.mu.Lock()
	defer n.mu.Unlock()
	if p := n.current; p != nil {
		d.Collector, d.Epoch, d.Version, d.LastMessage, d.Seq = p.name, p.epoch, p.version, p.takenAt, p.seq
	}
	for _, p := range n.alive() {
		d.Collectors = append(d.Collectors, p.name)
	}
	slices.SortFunc(d.Collectors, strings.Compare)
	d.Twins = n.twins()
	return d
}

// CollectorDiagnostics is the state of a Collector at one moment, for diagnosis.
type CollectorDiagnostics struct {
	Shard, Name, Epoch string

	// Seq is the number of the last batch.
	Seq uint64

	// Batches counts those that were published, TooLarge those that nodes had to load as snapshots, and Pages those of snapshots.
	Batches, TooLarge, Pages uint64
}

// Diagnostics returns the state of the collector.
func (c *Collector) Diagnostics() CollectorDiagnostics {
	origin := c.cfg.Shard.States().Origin
	return CollectorDiagnostics{
		Shard: c.cfg.Shard.Name(), Name: c.cfg.Name, Epoch: origin.Epoch, Seq: origin.Seq,
		Batches: c.published.Load(), TooLarge: c.lost.Load(), Pages: c.pages.Load(),
	}
}

// ConnDiagnostics is the state of a connection to NATS at one moment, for diagnosis.
type ConnDiagnostics struct {
	// Connected is whether there is a connection, to URL and since when; without one since when there is none.
	Connected bool
	URL       string
	Since     time.Time

	// Reconnects counts connections after the first. SlowConsumer counts how often messages came faster than they were read,
	// and Foreign the messages that weren't sealed with the secret.
	Reconnects, SlowConsumer, Foreign uint64
}

// Diagnostics returns the state of the connection.
func (c *Conn) Diagnostics() ConnDiagnostics {
	c.mu.Lock()
	defer c.mu.Unlock()
	return ConnDiagnostics{
		Connected: c.nats.IsConnected(), URL: c.nats.ConnectedUrlRedacted(), Since: c.since,
		Reconnects: c.nats.Stats().Reconnects, SlowConsumer: c.slow.Load(), Foreign: c.foreign.Load(),
	}
}

// The metrics. Registration adds the prefix of their names.
var (
	descUp         = prometheus.NewDesc("nats_up", "Whether there is a connection to NATS.", nil, nil)
	descReconnects = prometheus.NewDesc("nats_reconnects_total", "Connections to NATS after the first.", nil, nil)
	descSlow       = prometheus.NewDesc("nats_slow_consumer_total", "Times that messages from NATS came faster than PPCH read them.", nil, nil)
	descForeign    = prometheus.NewDesc("nats_foreign_messages_total", "Messages from NATS that were not sealed with PPCH_CLUSTER_SECRET.", nil, nil)
	descPublished  = prometheus.NewDesc("collector_batches_total", "Batches that were published for other nodes.", []string{"shard"}, nil)
	descPages      = prometheus.NewDesc("collector_pages_total", "Pages of snapshots that other nodes requested.", []string{"shard"}, nil)
	descFollowed   = prometheus.NewDesc("node_collectors", "Collectors that were heard lately.", []string{"shard"}, nil)
	descResyncs    = prometheus.NewDesc("node_resyncs_total", "Snapshots of the shard after the first.", []string{"shard"}, nil)
	descSwitches   = prometheus.NewDesc("node_switches_total", "Changes from one collector of the shard to another.", []string{"shard"}, nil)
	descGaps       = prometheus.NewDesc("node_gaps_total", "Resyncs of the shard because a batch was missing.", []string{"shard"}, nil)
)

// Metrics returns the metrics of a connection and of what it carries now.
func Metrics(c *Conn, carried func() ([]*Collector, []*Node)) []prometheus.Collector {
	return []prometheus.Collector{metrics{c, carried}}
}

type metrics struct {
	conn    *Conn
	carried func() ([]*Collector, []*Node)
}

// Describe implements prometheus.Collector.
func (m metrics) Describe(to chan<- *prometheus.Desc) {
	for _, d := range []*prometheus.Desc{
		descUp, descReconnects, descSlow, descForeign, descPublished, descPages, descFollowed, descResyncs, descSwitches, descGaps,
	} {
		to <- d
	}
}

// Collect implements prometheus.Collector.
func (m metrics) Collect(to chan<- prometheus.Metric) {
	counter := func(d *prometheus.Desc, n uint64, labels ...string) {
		to <- prometheus.MustNewConstMetric(d, prometheus.CounterValue, float64(n), labels...)
	}
	gauge := func(d *prometheus.Desc, n float64, labels ...string) {
		to <- prometheus.MustNewConstMetric(d, prometheus.GaugeValue, n, labels...)
	}
	conn := m.conn.Diagnostics()
	up := 0.0
	if conn.Connected {
		up = 1
	}
	gauge(descUp, up)
	counter(descReconnects, conn.Reconnects)
	counter(descSlow, conn.SlowConsumer)
	counter(descForeign, conn.Foreign)
	collectors, nodes := m.carried()
	for _, c := range collectors {
		d := c.Diagnostics()
		counter(descPublished, d.Batches, d.Shard)
		counter(descPages, d.Pages, d.Shard)
	}
	for _, n := range nodes {
		d := n.Diagnostics()
		gauge(descFollowed, float64(len(d.Collectors)), d.Shard)
		counter(descResyncs, d.Resyncs, d.Shard)
		counter(descSwitches, d.Switches, d.Shard)
		counter(descGaps, d.Gaps, d.Shard)
	}
}
