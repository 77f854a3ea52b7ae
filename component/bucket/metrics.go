package bucket

import (
	"time"

	"github.com/prometheus/client_golang/prometheus"
)

// The metrics. Registration adds the prefix of their names.
var (
	descKnown   = prometheus.NewDesc("settings_known", "Whether the settings in NATS have been read, by this start of PPCH or an earlier one.", nil, nil)
	descRead    = prometheus.NewDesc("settings_age_seconds", "Time since the settings were last compared with those in NATS.", nil, nil)
	descRefused = prometheus.NewDesc("settings_refused_total", "Entries in NATS that were foreign, older than the last one, or deleted by another program.", nil, nil)
)

// Metrics returns the metrics of the settings.
func (b *Bucket) Metrics() []prometheus.Collector { return []prometheus.Collector{metrics{b}} }

type metrics struct{ bucket *Bucket }

// Describe implements prometheus.Collector.
func (m metrics) Describe(to chan<- *prometheus.Desc) {
	for _, d := range []*prometheus.Desc{descKnown, descRead, descRefused} {
		to <- d
	}
}

// Collect implements prometheus.Collector. There is no age before the first look.
func (m metrics) Collect(to chan<- prometheus.Metric) {
	d := m.bucket.Diagnostics()
	known := 0.0
	if d.Loaded {
		known = 1
		to <- prometheus.MustNewConstMetric(descRead, prometheus.GaugeValue, time.Since(d.ReadAt).Seconds())
	}
	to <- prometheus.MustNewConstMetric(descKnown, prometheus.GaugeValue, known)
	to <- prometheus.MustNewConstMetric(descRefused, prometheus.CounterValue, float64(d.Refused))
}
