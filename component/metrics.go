package component

import (
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"ppch/component/occupancy"
)

// Labels: an operator watches only a few MUC domains. No label has a room or a person.
const (
	labelDomain = "domain"
	labelKind   = "kind"
	labelMode   = "mode"
)

// The metrics of the connection and of the rooms. Registration adds the prefix of their names.
var (
	descUp      = prometheus.NewDesc("stream_up", "Whether the stream to Prosody's component port is established.", nil, nil)
	descStreams = prometheus.NewDesc("streams_total", "Streams to Prosody that have been established.", nil, nil)
	descUsable  = prometheus.NewDesc("domain_up", "Whether the rooms of the MUC domain are available.", []string{labelDomain}, nil)
	descMode    = prometheus.NewDesc("domain_mode", "How the rooms of the MUC domain are read, as a label; absent while they are unavailable.", []string{labelDomain, labelMode}, nil)
	descResyncs = prometheus.NewDesc("resyncs_total", "Resyncs of the MUC domain.", []string{labelDomain}, nil)
	descLag     = prometheus.NewDesc("sync_lag_seconds", "Age of the data about the MUC domain; absent without data.", []string{labelDomain}, nil)
	descRooms   = prometheus.NewDesc("rooms", "Rooms of the MUC domain.", []string{labelDomain}, nil)
	descPeople  = prometheus.NewDesc("participants", "People in all rooms of the MUC domain, counted as participant_count is.", []string{labelDomain}, nil)
	descKinds   = prometheus.NewDesc("occupants", "Occupants of all rooms of the MUC domain by kind, including focus and recorders.", []string{labelDomain, labelKind}, nil)
	descSizes   = prometheus.NewDesc("room_participants",
		"Rooms of the MUC domain by their number of people now. Its buckets go down as well as up, so rate() is meaningless.", []string{labelDomain}, nil)
	descJoins   = prometheus.NewDesc("joins_total", "Occupants who joined rooms of the MUC domain while it was available.", []string{labelDomain, labelKind}, nil)
	descLeaves  = prometheus.NewDesc("leaves_total", "Occupants who left rooms of the MUC domain while it was available.", []string{labelDomain, labelKind}, nil)
	descRefused = prometheus.NewDesc("admin_stanzas_refused_total", "Stanzas of XMPP admins refused because too many waited.", nil, nil)
	descDropped = prometheus.NewDesc("subscriptions_dropped_total", "Event subscriptions ended because their readers were too slow.", nil, nil)
)

// Metrics returns the metrics of the connection and of the rooms.
// Unknown values are absent, never 0.
func (c *Component) Metrics() []prometheus.Collector {
	return []prometheus.Collector{collector{c}}
}

// collector reads a Component on each scrape, so that all metrics are of one moment.
type collector struct{ *Component }

// Describe implements prometheus.Collector.
func (c collector) Describe(to chan<- *prometheus.Desc) {
	for _, d := range []*prometheus.Desc{
		descUp, descStreams, descUsable, descMode, descResyncs, descLag, descRooms, descPeople, descKinds, descSizes, descJoins, descLeaves, descRefused, descDropped,
	} {
		to <- d
	}
}

// Collect implements prometheus.Collector.
func (c collector) Collect(to chan<- prometheus.Metric) {
	domains := c.cfg.Shard.Domains()
	gauge(to, descUp, truth(domains[0].Connected))
	counter(to, descStreams, c.established())
	counter(to, descRefused, c.admin.Refused())
	counter(to, descDropped, c.cfg.Directory.Dropped())
	for _, d := range domains {
		name := d.JID.String()
		gauge(to, descUsable, truth(d.Problem == nil), name)
		if d.Problem == nil {
			gauge(to, descMode, 1, name, string(d.Mode))
		}
		if !d.AsOf.IsZero() {
			// The estimate of Prosody's clock can be slightly ahead.
			gauge(to, descLag, max(0, time.Since(d.AsOf).Seconds()), name)
		}
		// There are totals whenever there are answers about rooms.
		if totals, err := c.cfg.Shard.Totals(d.JID); err == nil {
			collectTotals(to, name, totals)
		}
	}
	for _, d := range c.domains {
		counter(to, descResyncs, d.follower.Resyncs(), d.jid.String())
	}
}

func collectTotals(to chan<- prometheus.Metric, name string, totals occupancy.Totals) {
	gauge(to, descRooms, float64(totals.Rooms), name)
	gauge(to, descPeople, float64(totals.Counts.People()), name)
	for _, kind := range occupancy.Kinds() {
		gauge(to, descKinds, float64(totals.Counts.Of(kind)), name, string(kind))
		counter(to, descJoins, totals.Joins(kind), name, string(kind))
		counter(to, descLeaves, totals.Leaves(kind), name, string(kind))
	}
	buckets := make(map[float64]uint64)
	for size, rooms := range totals.Sizes.AtMost() {
		buckets[float64(size)] = uint64(rooms) // #nosec G115 -- a number of rooms is not negative
	}
	to <- prometheus.MustNewConstHistogram(descSizes, uint64(totals.Rooms), float64(totals.Counts.People()), buckets, name) // #nosec G115 -- nor is this one
}

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
