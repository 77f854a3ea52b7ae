package cluster

import (
	"net/url"
	"slices"
	"strings"

	"github.com/prometheus/client_golang/prometheus"

	"ppch/component/occupancy"
)

// Diagnostics returns the state of the node. The caller owns it.
func (n *Node) Diagnostics() occupancy.NodeDiagnostics {
	d := occupancy.NodeDiagnostics{
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
	d.Collectors = slices.Compact(d.Collectors)
	if name := n.twins(); name != "" {
		d.Problem = twinProblem(n.cfg.Shard, name)
	}
	return d
}

// Diagnostics returns the state of the collector.
func (c *Collector) Diagnostics() occupancy.CollectorDiagnostics {
	origin := c.cfg.Shard.States().Origin
	return occupancy.CollectorDiagnostics{
		Shard: c.cfg.Shard.Name(), Name: c.cfg.Name, Epoch: origin.Epoch, Seq: origin.Seq,
		Batches: c.published.Load(), TooLarge: c.lost.Load(), Pages: c.pages.Load(), Problem: c.conflict(),
	}
}

// Diagnostics returns the state of the connection, without Published and Followed.
func (c *Conn) Diagnostics() occupancy.NATSDiagnostics {
	problem := c.problem()
	server := ""
	if u, err := url.Parse(c.nats.ConnectedUrl()); err == nil {
		server = u.Host // without a password
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	if problem == nil && c.forbiddenHistory != "" {
		problem = c.forbids(c.forbiddenHistory)
	}
	return occupancy.NATSDiagnostics{
		Connected: c.nats.IsConnected(), Server: server, Since: c.since, Problem: problem,
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
	descAnswers    = prometheus.NewDesc("collector_answers_total", "Answers to questions of other nodes about past meetings.", []string{"shard"}, nil)
	descUnanswered = prometheus.NewDesc("history_unanswered_total", "Questions about past meetings that a collector did not answer.", nil, nil)
	descRefused    = prometheus.NewDesc("history_refused_answers_total", "Messages that are no answer to a question about past meetings, but came as one.", nil, nil)
	descFollowed   = prometheus.NewDesc("node_collectors", "Collectors that were heard lately.", []string{"shard"}, nil)
	descResyncs    = prometheus.NewDesc("node_resyncs_total", "Snapshots of the shard after the first.", []string{"shard"}, nil)
	descSwitches   = prometheus.NewDesc("node_switches_total", "Changes from one collector of the shard to another.", []string{"shard"}, nil)
	descGaps       = prometheus.NewDesc("node_gaps_total", "Resyncs of the shard because a batch was missing.", []string{"shard"}, nil)
)

// Metrics returns the metrics of a connection, of what it carries now, and of questions about past meetings.
func Metrics(c *Conn, h *History, carried func() ([]*Collector, []*Node)) []prometheus.Collector {
	return []prometheus.Collector{metrics{c, h, carried}}
}

type metrics struct {
	conn    *Conn
	history *History
	carried func() ([]*Collector, []*Node)
}

// Describe implements prometheus.Collector.
func (m metrics) Describe(to chan<- *prometheus.Desc) {
	for _, d := range []*prometheus.Desc{
		descUp, descReconnects, descSlow, descForeign, descPublished, descPages, descAnswers,
		descUnanswered, descRefused, descFollowed, descResyncs, descSwitches, descGaps,
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
	counter(descUnanswered, m.history.unanswered.Load())
	counter(descRefused, m.history.refused.Load())
	collectors, nodes := m.carried()
	for _, c := range collectors {
		d := c.Diagnostics()
		counter(descPublished, d.Batches, d.Shard)
		counter(descPages, d.Pages, d.Shard)
		counter(descAnswers, c.answers.Load(), d.Shard)
	}
	for _, n := range nodes {
		d := n.Diagnostics()
		gauge(descFollowed, float64(len(d.Collectors)), d.Shard)
		counter(descResyncs, d.Resyncs, d.Shard)
		counter(descSwitches, d.Switches, d.Shard)
		counter(descGaps, d.Gaps, d.Shard)
	}
}
