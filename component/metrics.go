package component

import (
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"ppch/component/occupancy"
)

// Labels: a MUC domain is one of the few that the operator watches. No room and no person is ever in a label.
const (
	labelDomain = "domain"
	labelKind   = "kind"
	labelMode   = "mode"
)

// What is told of the way to Prosody and of what is known through it. Names get their prefix where they are registered.
var (
	descUp      = prometheus.NewDesc("stream_up", "Whether the stream to Prosody's component port is established.", nil, nil)
	descStreams = prometheus.NewDesc("streams_total", "Streams to Prosody that have been established.", nil, nil)
	descUsable  = prometheus.NewDesc("domain_up", "Whether rooms of the MUC domain can be asked about.", []string{labelDomain}, nil)
	descMode    = prometheus.NewDesc("domain_mode", "What the MUC domain can be asked, as a label; absent while the domain can't be used.", []string{labelDomain, labelMode}, nil)
	descResyncs = prometheus.NewDesc("resyncs_total", "How often the copy of the MUC domain had to be made anew.", []string{labelDomain}, nil)
	descLag     = prometheus.NewDesc("sync_lag_seconds", "How old what is known of the MUC domain is; absent where nothing is.", []string{labelDomain}, nil)
	descRooms   = prometheus.NewDesc("rooms", "Rooms of the MUC domain.", []string{labelDomain}, nil)
	descPeople  = prometheus.NewDesc("participants", "People in all rooms of the MUC domain, counted as participant_count is.", []string{labelDomain}, nil)
	descKinds   = prometheus.NewDesc("occupants", "Occupants of all rooms of the MUC domain by kind, focus and recorders included.", []string{labelDomain, labelKind}, nil)
	descSizes   = prometheus.NewDesc("room_participants",
		"How many people are in how many rooms of the MUC domain now. Its buckets go down as well as up, so rate() says nothing of them.", []string{labelDomain}, nil)
	descJoins   = prometheus.NewDesc("joins_total", "Occupants who have joined rooms of the MUC domain while it was known.", []string{labelDomain, labelKind}, nil)
	descLeaves  = prometheus.NewDesc("leaves_total", "Occupants who have left rooms of the MUC domain while it was known.", []string{labelDomain, labelKind}, nil)
	descRefused = prometheus.NewDesc("admin_stanzas_refused_total", "Stanzas of XMPP admins that came faster than they could be answered.", nil, nil)
	descDropped = prometheus.NewDesc("subscriptions_dropped_total", "Subscriptions to events that were ended because their readers were too slow.", nil, nil)
)

// Metrics returns what there is to measure of the way to Prosody, and of what is known through it.
// What isn't known while it is asked for is absent, as an API answer is then an error: never 0.
func (c *Component) Metrics() []prometheus.Collector {
	return []prometheus.Collector{collector{c}}
}

// collector reads a Component whenever somebody asks, for what is gathered must be of one moment.
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
	domains := c.cfg.Directory.Domains()
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
			// Prosody's clock may be ahead of where the network makes it seem.
			gauge(to, descLag, max(0, time.Since(d.AsOf).Seconds()), name)
		}
		// There are totals for as long as there would be an answer about one of the rooms.
		if totals, err := c.cfg.Directory.Totals(d.JID); err == nil {
			collectTotals(to, name, totals)
		}
	}
	for _, d := range c.domains {
		counter(to, descResyncs, d.follower.resyncs.Load(), d.jid.String())
	}
}

func collectTotals(to chan<- prometheus.Metric, name string, totals occupancy.Totals) {
	gauge(to, descRooms, float64(totals.Rooms), name)
	gauge(to, descPeople, float64(totals.Tally.People()), name)
	for _, kind := range occupancy.Kinds() {
		gauge(to, descKinds, float64(totals.Tally.Of(kind)), name, string(kind))
		counter(to, descJoins, totals.Joins(kind), name, string(kind))
		counter(to, descLeaves, totals.Leaves(kind), name, string(kind))
	}
	buckets := make(map[float64]uint64)
	for size, rooms := range totals.Sizes.AtMost() {
		buckets[float64(size)] = uint64(rooms) // #nosec G115 -- a number of rooms is not negative
	}
	to <- prometheus.MustNewConstHistogram(descSizes, uint64(totals.Rooms), float64(totals.Tally.People()), buckets, name) // #nosec G115 -- nor is this one
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
