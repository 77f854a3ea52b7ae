package component

import (
	"slices"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"ppch/component/occupancy"
)

// Labels: an operator watches only a few MUC domains. No label has a room or a person.
const (
	labelDomain = "domain"
	labelKind   = "kind"
	labelMode   = "mode"
	labelShard  = "shard"
)

// descs are the metrics of the connections and of the rooms. Registration adds the prefix of their names.
type descs struct {
	up, streams, usable, mode, resyncs, lag, rooms, people, kinds, sizes, joins, leaves, refused, dropped *prometheus.Desc
}

// newDescs returns the metrics with these labels before their own. Only dropped has none: it is of the whole process.
func newDescs(common ...string) descs {
	d := func(name, help string, labels ...string) *prometheus.Desc {
		return prometheus.NewDesc(name, help, slices.Concat(common, labels), nil)
	}
	return descs{
		up:      d("stream_up", "Whether the stream to Prosody's component port is established."),
		streams: d("streams_total", "Streams to Prosody that have been established."),
		usable:  d("domain_up", "Whether the rooms of the MUC domain are available.", labelDomain),
		mode:    d("domain_mode", "How the rooms of the MUC domain are read, as a label; absent while they are unavailable.", labelDomain, labelMode),
		resyncs: d("resyncs_total", "Resyncs of the MUC domain.", labelDomain),
		lag:     d("sync_lag_seconds", "Age of the data about the MUC domain; absent without data.", labelDomain),
		rooms:   d("rooms", "Rooms of the MUC domain.", labelDomain),
		people:  d("participants", "People in all rooms of the MUC domain, counted as participant_count is.", labelDomain),
		kinds:   d("occupants", "Occupants of all rooms of the MUC domain by kind, including focus and recorders.", labelDomain, labelKind),
		sizes: d("room_participants",
			"Rooms of the MUC domain by their number of people now. Its buckets go down as well as up, so rate() is meaningless.", labelDomain),
		joins:   d("joins_total", "Occupants who joined rooms of the MUC domain while it was available.", labelDomain, labelKind),
		leaves:  d("leaves_total", "Occupants who left rooms of the MUC domain while it was available.", labelDomain, labelKind),
		refused: d("admin_stanzas_refused_total", "Stanzas of XMPP admins refused because too many waited."),
		dropped: prometheus.NewDesc("subscriptions_dropped_total", "Event subscriptions ended because their readers were too slow.", nil, nil),
	}
}

// descInfo describes the shards, where there is a label shard.
var descInfo = prometheus.NewDesc("shard_info",
	"Always 1; kind is main for meetings, or visitors for a visitor node.", []string{labelShard, labelKind}, nil)

// Metrics returns the metrics of the connection and of the rooms, without the label shard: c is the only Component.
// Unknown values are absent, never 0.
func (c *Component) Metrics() []prometheus.Collector {
	r := NewRouter(c.cfg.Directory)
	r.Add(c)
	return r.Metrics(false)
}

// Metrics returns the metrics of the connections and of the rooms, those of each shard by itself.
// The label shard has its name if byShard is set. Without it there must be one shard only.
// Unknown values are absent, never 0.
func (r *Router) Metrics(byShard bool) []prometheus.Collector {
	if byShard {
		return []prometheus.Collector{collector{r, newDescs(labelShard), true}}
	}
	return []prometheus.Collector{collector{r, newDescs(), false}}
}

// collector reads all shards on each scrape, so that all metrics of a shard are of one moment.
type collector struct {
	*Router
	descs
	byShard bool
}

// Describe implements prometheus.Collector.
func (c collector) Describe(to chan<- *prometheus.Desc) {
	d := c.descs
	for _, d := range []*prometheus.Desc{
		d.up, d.streams, d.usable, d.mode, d.resyncs, d.lag, d.rooms, d.people, d.kinds, d.sizes, d.joins, d.leaves, d.refused, d.dropped,
	} {
		to <- d
	}
	if c.byShard {
		to <- descInfo
	}
}

// Collect implements prometheus.Collector.
func (c collector) Collect(to chan<- prometheus.Metric) {
	counter(to, c.dropped, c.directory.Dropped())
	for _, s := range c.directory.Shards() {
		var common []string
		if c.byShard {
			common = []string{s.Name()}
			gauge(to, descInfo, 1, s.Name(), string(s.Kind()))
		}
		c.collectShard(to, s, common)
		if of := c.component(s.Name()); of != nil {
			c.collectConnection(to, of, common)
		}
	}
}

// collectConnection collects what only the owner of a connection to Prosody knows.
func (c collector) collectConnection(to chan<- prometheus.Metric, of *Component, common []string) {
	gauge(to, c.up, truth(of.domains[0].state().Connected), common...)
	counter(to, c.streams, of.established(), common...)
	counter(to, c.refused, of.admin.Refused(), common...)
	for _, d := range of.domains {
		counter(to, c.resyncs, d.follower.Resyncs(), with(common, d.jid.String())...)
	}
}

// collectShard collects the metrics of rooms.
func (c collector) collectShard(to chan<- prometheus.Metric, s *occupancy.Shard, common []string) {
	for _, d := range s.Domains() {
		labels := with(common, d.JID.String())
		gauge(to, c.usable, truth(d.Problem == nil), labels...)
		if d.Problem == nil {
			gauge(to, c.mode, 1, with(labels, string(d.Mode))...)
		}
		if !d.AsOf.IsZero() {
			// The estimate of Prosody's clock can be slightly ahead.
			gauge(to, c.lag, max(0, time.Since(d.AsOf).Seconds()), labels...)
		}
		// There are totals whenever there are answers about rooms.
		if totals, err := s.Totals(d.JID); err == nil {
			c.collectTotals(to, labels, totals)
		}
	}
}

func (c collector) collectTotals(to chan<- prometheus.Metric, labels []string, totals occupancy.Totals) {
	gauge(to, c.rooms, float64(totals.Rooms), labels...)
	gauge(to, c.people, float64(totals.Counts.People()), labels...)
	for _, kind := range occupancy.Kinds() {
		ofKind := with(labels, string(kind))
		gauge(to, c.kinds, float64(totals.Counts.Of(kind)), ofKind...)
		counter(to, c.joins, totals.Joins(kind), ofKind...)
		counter(to, c.leaves, totals.Leaves(kind), ofKind...)
	}
	buckets := make(map[float64]uint64)
	for size, rooms := range totals.Sizes.AtMost() {
		buckets[float64(size)] = uint64(rooms) // #nosec G115 -- a number of rooms is not negative
	}
	to <- prometheus.MustNewConstHistogram(c.sizes, uint64(totals.Rooms), float64(totals.Counts.People()), buckets, labels...) // #nosec G115 -- nor is this one
}

// with returns labels and one more, without changing labels.
func with(labels []string, more string) []string { return append(slices.Clip(labels), more) }

func gauge(to chan<- prometheus.Metric, d *prometheus.Desc, value float64, labels ...string) {
	to <- prometheus.MustNewConstMetric(d, prometheus.GaugeValue, value, labels...)
}

func counter(to chan<- prometheus.Metric, d *prometheus.Desc, value uint64, labels ...string) {
	to <- prometheus.MustNewConstMetric(d, prometheus.CounterValue, float64(value), labels...)
}

func truth(b bool) float64 {
	if b {
		return 1
	}
	return 0
}
