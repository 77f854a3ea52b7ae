package events

import (
	"slices"
	"sync/atomic"

	"github.com/prometheus/client_golang/prometheus"

	"ppch/api/keys"
	"ppch/api/view"
)

// counts has the metrics of streams. It is safe for concurrent use.
type counts struct {
	open         *keys.Shares
	refused, cut atomic.Uint64
	resets       [len(view.ResetReasons)]atomic.Uint64
}

// reset counts a reset that was sent to a stream.
func (c *counts) reset(reason view.ResetReason) {
	if i := slices.Index(view.ResetReasons[:], reason); i >= 0 {
		c.resets[i].Add(1)
	}
}

// Metrics returns the metrics of event streams.
func (h *Hub) Metrics() []prometheus.Collector {
	c := &h.counts
	counter := func(name, help string, labels prometheus.Labels, value func() uint64) prometheus.Collector {
		return prometheus.NewCounterFunc(prometheus.CounterOpts{Name: name, Help: help, ConstLabels: labels}, func() float64 { return float64(value()) })
	}
	all := []prometheus.Collector{
		prometheus.NewGaugeFunc(prometheus.GaugeOpts{Name: "event_streams", Help: "Open event streams and waiting requests."}, func() float64 { return float64(c.open.Taken()) }),
		counter("events_total", "Events published to streams, each counted once.", nil, h.ring.last),
		counter("event_streams_refused_total", "Event streams refused because too many were open.", nil, c.refused.Load),
		counter("event_streams_cut_total", "Event streams closed because the client stopped reading.", nil, c.cut.Load),
	}
	for i, reason := range view.ResetReasons {
		all = append(all, counter("event_resets_total", "Resets sent to clients, by reason.", prometheus.Labels{"reason": string(reason)}, c.resets[i].Load))
	}
	return all
}
