package main

import (
	"runtime"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/collectors"
)

// newMetrics returns a registry with the metrics of the process and of this build.
// It is not the default registry, in which imported packages register metrics.
func newMetrics() *prometheus.Registry {
	metrics := prometheus.NewRegistry()
	commit, _ := builtFrom()
	metrics.MustRegister(
		collectors.NewGoCollector(),
		collectors.NewProcessCollector(collectors.ProcessCollectorOpts{}),
		prometheus.NewGaugeFunc(prometheus.GaugeOpts{
			Name:        "ppch_build_info",
			Help:        "Always 1; the labels describe this build.",
			ConstLabels: prometheus.Labels{"version": version, "revision": short(commit), "goversion": runtime.Version()},
		}, func() float64 { return 1 }),
	)
	return metrics
}

// register adds the metrics of parts, with the prefix of this program.
func register(metrics *prometheus.Registry, parts ...[]prometheus.Collector) {
	ours := prometheus.WrapRegistererWithPrefix("ppch_", metrics)
	for _, collectors := range parts {
		ours.MustRegister(collectors...)
	}
}
