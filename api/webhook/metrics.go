package webhook

import (
	"sync/atomic"
	"time"

	"github.com/prometheus/client_golang/prometheus"
)

// metrics count what becomes of deliveries.
type metrics struct {
	results  *prometheus.CounterVec
	disabled prometheus.Counter
	oldest   atomic.Int64 // when the oldest delivery that waits was stored, in Unix milliseconds; 0 if none waits
}

func newMetrics() *metrics {
	m := &metrics{
		results:  prometheus.NewCounterVec(prometheus.CounterOpts{Name: "webhook_deliveries_total", Help: "Deliveries to webhooks by result: delivered, retried (an attempt failed and another follows), failed (after the last attempt) or dropped (too much waited, or the webhook was disabled)."}, []string{"result"}),
		disabled: prometheus.NewCounter(prometheus.CounterOpts{Name: "webhooks_disabled_total", Help: "Webhooks that PPCH disabled because every delivery failed for 5 days, or because the receiver answered 410 Gone."}),
	}
	for _, result := range []string{"delivered", "retried", "failed", "dropped"} {
		m.results.WithLabelValues(result)
	}
	return m
}

func (m *metrics) count(state int) { m.results.WithLabelValues(states[state]).Inc() }

func (m *metrics) retried() { m.results.WithLabelValues("retried").Inc() }

func (m *metrics) dropped(n int) { m.results.WithLabelValues("dropped").Add(float64(n)) }

// Metrics returns what to register. Nothing has the id of a webhook as a label, because callers choose those.
func (o *Outbox) Metrics() []prometheus.Collector {
	gauge := func(name, help string, value func() float64) prometheus.Collector {
		return prometheus.NewGaugeFunc(prometheus.GaugeOpts{Name: name, Help: help}, value)
	}
	sum := func(of func(e *endpoint) float64) func() float64 {
		return func() (total float64) {
			for _, e := range *o.all.Load() {
				total += of(e)
			}
			return total
		}
	}
	return []prometheus.Collector{
		o.metrics.results, o.metrics.disabled, shareMetrics{o},
		gauge("webhooks", "Webhooks that are enabled.", sum(func(e *endpoint) float64 {
			if e.config.Load().active() {
				return 1
			}
			return 0
		})),
		gauge("webhooks_failing", "Enabled webhooks whose last delivery failed.", sum(func(e *endpoint) float64 {
			if e.config.Load().active() && e.failingSince.Load() != 0 {
				return 1
			}
			return 0
		})),
		gauge("webhook_waiting_deliveries", "Deliveries that wait.", sum(func(e *endpoint) float64 {
			rows, _, _ := e.queue.size()
			return float64(rows)
		})),
		gauge("webhook_waiting_bytes", "Size of the bodies of deliveries that wait.", sum(func(e *endpoint) float64 {
			_, bytes, _ := e.queue.size()
			return float64(bytes)
		})),
		gauge("webhook_oldest_undelivered_seconds", "Age of the oldest delivery that waits for a webhook which is enabled, 0 if none does. Measured every 15 s.", func() float64 {
			if at := o.metrics.oldest.Load(); at != 0 {
				return time.Since(time.UnixMilli(at)).Seconds()
			}
			return 0
		}),
	}
}

var (
	descDelivering = prometheus.NewDesc("webhook_delivering", "Whether this PPCH delivers the webhooks of a shard that has a deliverer.", []string{"shard"}, nil)
	descTakeovers  = prometheus.NewDesc("webhook_takeovers_total", "Times that this PPCH began to deliver because the deliverer was silent.", []string{"shard"}, nil)
)

// shareMetrics are the metrics of shards that several services record.
type shareMetrics struct{ outbox *Outbox }

// Describe implements prometheus.Collector.
func (m shareMetrics) Describe(to chan<- *prometheus.Desc) {
	to <- descDelivering
	to <- descTakeovers
}

// Collect implements prometheus.Collector.
func (m shareMetrics) Collect(to chan<- prometheus.Metric) {
	for _, s := range m.outbox.sharesNow() {
		delivering := 0.0
		if s.Delivers() {
			delivering = 1
		}
		to <- prometheus.MustNewConstMetric(descDelivering, prometheus.GaugeValue, delivering, s.cfg.Shard)
		to <- prometheus.MustNewConstMetric(descTakeovers, prometheus.CounterValue, float64(s.takeovers.Load()), s.cfg.Shard)
	}
}
