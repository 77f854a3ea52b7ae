package history

import (
	"time"

	"github.com/prometheus/client_golang/prometheus"
)

// StoreStats counts the write transactions of a Store since the program started.
type StoreStats struct {
	Transactions, Failures uint64
	Took                   time.Duration // all of them together
}

// Stats returns the counts of write transactions.
func (s *Store) Stats() StoreStats {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.writes
}

// Metrics returns the metrics of the Recorder and its Store; none without a data folder.
func (r *Recorder) Metrics() []prometheus.Collector {
	s := r.cfg.Store
	if s.Path() == "" {
		return nil
	}
	counter := func(name, help string, value func() float64) prometheus.Collector {
		return prometheus.NewCounterFunc(prometheus.CounterOpts{Name: name, Help: help}, value)
	}
	gauge := func(name, help string, value func() float64) prometheus.Collector {
		return prometheus.NewGaugeFunc(prometheus.GaugeOpts{Name: name, Help: help}, value)
	}
	return []prometheus.Collector{
		r.gaps,
		gauge("store_up", "1 while the file with meetings and webhooks can be written, otherwise 0; /health says why.", func() float64 {
			if s.Problem() != nil {
				return 0
			}
			return 1
		}),
		gauge("store_bytes", "Size of the file and its write-ahead log.", func() float64 { return float64(s.Size()) }),
		counter("store_writes_total", "Write transactions.", func() float64 { return float64(s.Stats().Transactions) }),
		counter("store_write_failures_total", "Write transactions that failed.", func() float64 { return float64(s.Stats().Failures) }),
		counter("store_write_seconds_total", "Time that write transactions took.", func() float64 { return s.Stats().Took.Seconds() }),
		counter("history_events_total", "Changes that were recorded.", func() float64 { return float64(r.events.Load()) }),
	}
}
