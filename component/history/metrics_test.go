package history_test

import (
	"testing"

	"github.com/prometheus/client_golang/prometheus"

	"ppch/component/history"
)

// metricsOf returns the metrics of a Recorder by their names, each followed by the values of its labels.
func metricsOf(t *testing.T, r *history.Recorder) map[string]float64 {
	t.Helper()
	registry := prometheus.NewRegistry()
	registry.MustRegister(r.Metrics()...)
	values := map[string]float64{}
	for _, family := range must(registry.Gather())(t) {
		for _, m := range family.GetMetric() {
			name := family.GetName()
			for _, label := range m.GetLabel() {
				name += " " + label.GetValue()
			}
			values[name] = m.GetCounter().GetValue() + m.GetGauge().GetValue()
		}
	}
	return values
}
