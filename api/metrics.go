package api

import (
	"log/slog"
	"net/http"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/promhttp"
)

// Metrics returns the metrics of requests, connections and event streams.
func (s *Server) Metrics() []prometheus.Collector {
	metrics := []prometheus.Collector{s.traffic.durations}
	metrics = append(metrics, s.hub.Metrics()...)
	metrics = append(metrics, s.unread.metrics()...)
	metrics = append(metrics, s.gate.metrics()...)
	if s.cert != nil {
		metrics = append(metrics, prometheus.NewGaugeFunc(prometheus.GaugeOpts{
			Name: "tls_certificate_expiry_timestamp_seconds",
			Help: "Expiry of the TLS certificate in use, in seconds since 1970.",
		}, func() float64 { return float64(s.cert.expires().Unix()) }))
	}
	return metrics
}

// newScrape returns a handler that serves metrics in Prometheus' formats.
// If one collector fails, it serves the others.
func newScrape(metrics prometheus.Gatherer, log *slog.Logger) http.Handler {
	return promhttp.HandlerFor(metrics, promhttp.HandlerOpts{
		ErrorLog:       slog.NewLogLogger(log.Handler(), slog.LevelWarn),
		ErrorHandling:  promhttp.ContinueOnError,
		CoalesceGather: true, // concurrent scrapes share one
	})
}

// getMetrics handles "GET /metrics".
func (s *Server) getMetrics(w http.ResponseWriter, r *http.Request) error {
	s.scrape.ServeHTTP(w, r)
	return nil
}
