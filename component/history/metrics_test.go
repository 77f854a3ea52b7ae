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

// The metrics count writes, failures, changes and gaps, and measure the file.
func TestMetrics_Values(t *testing.T) {
	s := newSite(t, history.LevelNumbers)
	s.load(10)
	before := metricsOf(t, s.recorder)
	s.apply(20, room("daily", 20, person("ann", 20), person("bob", 20)))
	s.expect("room-started daily  0>0", "joined daily ann 0>1", "joined daily bob 1>2")
	s.load(30, room("daily", 20, person("ann", 20), person("bob", 20)))
	write := func(statement string) error {
		return s.store.Write(t.Context(), func(tx *history.Tx) error {
			_, err := tx.Exec(statement)
			return err
		})
	}
	check(t, write("INSERT INTO settings VALUES ('large', randomblob(1000000))"))
	if err := write("INSERT INTO nothing VALUES (1)"); err == nil {
		t.Fatal("a write without a table succeeded")
	}
	after := metricsOf(t, s.recorder)
	for name, want := range map[string]float64{
		"history_events_total": 3, "history_gaps_total resync": 1, "history_gaps_total store": 0, "store_write_failures_total": 1, "store_up": 0,
	} {
		if got := after[name] - before[name]; got != want {
			t.Errorf("%s: got %v more want %v", name, got, want)
		}
	}
	if got := after["store_writes_total"] - before["store_writes_total"]; got < 4 || got > 10 {
		t.Errorf("got %v writes want one for each batch, each snapshot and each of the two above", got)
	}
	if took := after["store_write_seconds_total"] - before["store_write_seconds_total"]; took <= 0 {
		t.Errorf("got %v s for writes", took)
	}
	if got := after["store_bytes"] - before["store_bytes"]; got < 1e6 || got > 2e6 {
		t.Errorf("got %v bytes more want the megabyte that was written", got)
	}
	if after["store_up"] != 1 {
		t.Error("got no store_up")
	}
	check(t, write("PRAGMA max_page_count = 1"))
	if err := write("INSERT INTO settings VALUES ('larger', randomblob(9000000))"); reason(err) != "full" {
		t.Fatalf("got %v want full", err)
	}
	if got := metricsOf(t, s.recorder); got["store_up"] != 0 || got["store_write_failures_total"] != after["store_write_failures_total"]+1 {
		t.Errorf("a full disk: got %v", got)
	}
}
