package api

import (
	"log/slog"
	"net/http"
	"strconv"
	"time"

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
		}, func() float64 { return float64(s.cert.Expires().Unix()) }))
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
func (s *Server) getMetrics(w *response, r *http.Request) error {
	if _, err := parseQuery(r, "name[]"); err != nil {
		return err
	}
	s.scrape.ServeHTTP(w, r)
	return nil
}

// traffic measures requests by route, method and status. It is safe for concurrent use.
type traffic struct {
	durations *prometheus.HistogramVec
}

func newTraffic() *traffic {
	return &traffic{
		durations: prometheus.NewHistogramVec(prometheus.HistogramOpts{
			Name: "http_request_duration_seconds",
			Help: "Time until requests were answered, by route template.",
			// A response from memory takes about 0.1 ms, a query to Prosody a few ms and up to 5 s.
			Buckets: []float64{.0001, .00025, .0005, .001, .0025, .005, .01, .025, .05, .1, .25, .5, 1, 2.5, 5, 10},
		}, []string{"route", "method", "code"}),
	}
}

// observe counts a request.
func (t *traffic) observe(route, method string, status int, took time.Duration) {
	t.durations.WithLabelValues(route, methodLabel(method), strconv.Itoa(status)).Observe(took.Seconds())
}

// methodLabel returns the method, or "other" for an unusual one, because clients can invent any number of methods.
func methodLabel(method string) string {
	switch method {
	case http.MethodGet, http.MethodHead, http.MethodPost, http.MethodPut, http.MethodPatch, http.MethodDelete, http.MethodOptions:
		return method
	}
	return "other"
}
