package main

import (
	"runtime"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/collectors"
)

// newMetrics returns what is measured of the process itself, and of this build.
// It is a registry of our own: whatever registers itself in the global one is nobody's wish.
func newMetrics() *prometheus.Registry {
	metrics := prometheus.NewRegistry()
	commit, _ := builtFrom()
	metrics.MustRegister(
		collectors.NewGoCollector(),
		collectors.NewProcessCollector(collectors.ProcessCollectorOpts{}),
		prometheus.NewGaugeFunc(prometheus.GaugeOpts{
			Name:        "ppch_build_info",
			Help:        "Always 1; what this program was built from is in the labels.",
			ConstLabels: prometheus.Labels{"version": version, "revision": short(commit), "goversion": runtime.Version()},
		}, func() float64 { return 1 }),
	)
	return metrics
}

// measure has the metrics of parts told, under the name of this program.
func measure(metrics *prometheus.Registry, parts ...[]prometheus.Collector) {
	ours := prometheus.WrapRegistererWithPrefix("ppch_", metrics)
	for _, collectors := range parts {
		ours.MustRegister(collectors...)
	}
}
