package api_test

import (
	"errors"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"ppch/api"
	"ppch/api/apitest"
	"ppch/component/componenttest"
)

// withMetrics sets the metrics to a single one, since the others are only examples.
func withMetrics(cfg *api.Config) {
	registry := prometheus.NewRegistry()
	people := prometheus.NewGaugeVec(prometheus.GaugeOpts{
		Name: "ppch_participants", Help: "People in all rooms of the MUC domain, counted as participant_count is.",
	}, []string{"domain"})
	people.WithLabelValues("muc.meet.jitsi").Set(3)
	registry.MustRegister(people)
	cfg.Metrics = registry
}

// withOwnMetrics starts a service that serves its own metrics.
func withOwnMetrics(t *testing.T, options ...func(*api.Config)) *service {
	t.Helper()
	registry := prometheus.NewPedanticRegistry()
	s := start(t, append(options, func(cfg *api.Config) { cfg.Metrics = registry })...)
	registry.MustRegister(s.Metrics()...)
	return s
}

// wantSeries waits for a line in the metrics: a request is counted after its response was sent.
func (s *service) wantSeries(lines ...string) string {
	s.t.Helper()
	deadline := time.Now().Add(5 * time.Second)
	for {
		page := string(s.get("/metrics").body)
		missing := ""
		for _, line := range lines {
			if !strings.Contains(page, "\n"+line+"\n") {
				missing = line
			}
		}
		switch {
		case missing == "":
			return page
		case time.Now().After(deadline):
			s.t.Fatalf("got no %s in\n%s", missing, page)
		}
		time.Sleep(5 * time.Millisecond)
	}
}

func TestMetrics_RequestsByRouteMethodAndStatus(t *testing.T) {
	s := withOwnMetrics(t, withRooms(occupied))
	for range 3 {
		s.get("/api/rooms/Planning/participants")
	}
	s.get("/api/rooms/Other%20Room/participants")
	s.do(ask{method: http.MethodHead, target: "/api/rooms/Planning/participants"})
	s.do(ask{target: "/api/rooms/Planning/participants", header: http.Header{"X-Api-Key": {"guess"}}})
	s.get("/nothing/here")
	s.do(ask{method: http.MethodPost, target: "/health"})
	s.do(ask{method: "INVENTED", target: "/health"})

	const durations, participants = "http_request_duration_seconds_count", `route="/api/rooms/{room_name}/participants"`
	page := s.wantSeries(
		durations+`{code="200",method="GET",`+participants+`} 4`,
		durations+`{code="200",method="HEAD",`+participants+`} 1`,
		durations+`{code="403",method="GET",`+participants+`} 1`,
		durations+`{code="404",method="GET",route="unmatched"} 1`,
		durations+`{code="405",method="POST",route="unmatched"} 1`,
		durations+`{code="405",method="other",route="unmatched"} 1`,
	)
	componenttest.HasNo(t, strings.ToLower(strings.ReplaceAll(page, `method="other"`, "")), "planning", "other", "nothing", "invented")
}

func TestMetrics_CountPanics(t *testing.T) {
	s := withOwnMetrics(t, withRooms(panics))
	s.get("/api/rooms/Planning/participants")
	s.wantSeries(`http_request_duration_seconds_count{code="500",method="GET",route="/api/rooms/{room_name}/participants"} 1`)
}

func TestMetrics_Public(t *testing.T) {
	s := start(t, withMetrics, func(cfg *api.Config) { cfg.MetricsPublic = true })
	noKey := http.Header{"X-Api-Key": nil}
	if got := s.do(ask{target: "/metrics", header: noKey}); got.status != 200 || !strings.Contains(string(got.body), "ppch_participants") {
		t.Errorf("got %d %s", got.status, got.body)
	}
	s.do(ask{target: "/api/rooms/MyRoom/participants", header: noKey}).wantProblem(t, 401, "missing-key")
}

func TestMetrics_OwnScope(t *testing.T) {
	s := start(t, withMetrics, withKeys("scope=metrics"))
	if got := s.get("/metrics"); got.status != 200 {
		t.Errorf("got %d %s", got.status, got.body)
	}
	s.get("/api/stats").wantProblem(t, 403, "scope-missing")
	start(t, withMetrics, withKeys("scope=participants,events")).get("/metrics").wantProblem(t, 403, "scope-missing")
}

// faulty is a collector that fails.
type faulty struct{ desc *prometheus.Desc }

func (f faulty) Describe(to chan<- *prometheus.Desc) { to <- f.desc }

func (f faulty) Collect(to chan<- prometheus.Metric) {
	to <- prometheus.NewInvalidMetric(f.desc, errors.New("the collector is broken"))
}

func TestMetrics_OneFailingCollector(t *testing.T) {
	s := start(t, withMetrics, func(cfg *api.Config) {
		cfg.Metrics.(*prometheus.Registry).MustRegister(faulty{prometheus.NewDesc("ppch_faulty", "Always fails.", nil, nil)})
	})
	if got := s.get("/metrics"); got.status != 200 || !strings.Contains(string(got.body), "ppch_participants{") {
		t.Errorf("got %d %s", got.status, got.body)
	}
	if log := s.log.String(); !strings.Contains(log, "the collector is broken") {
		t.Errorf("the log got %s", log)
	}
}

func TestMetrics_EventStreams(t *testing.T) {
	d := apitest.NewDirectory(t)
	s := withOwnMetrics(t, withDirectory(d.Directory), func(cfg *api.Config) { cfg.MaxStreams = 1 })
	f := s.follow("/api/events", "Last-Event-ID", "x")
	f.Until("status")
	s.get("/api/events").wantProblem(t, http.StatusServiceUnavailable, "too-many-streams")
	d.Join("daily", "ann")
	f.Until("participant.joined")
	s.wantSeries("event_streams 1", "event_streams_refused_total 1", "event_streams_cut_total 0", `event_resets_total{reason="unknown-id"} 1`, `event_resets_total{reason="slow-consumer"} 0`)
	time.Sleep(1100 * time.Millisecond)
	f.Leave()
	s.wantSeries("event_streams 0", `http_request_duration_seconds_bucket{code="200",method="GET",route="/api/events",le="1"} 1`)
}

func TestMetrics_DurationExcludesWait(t *testing.T) {
	s := withOwnMetrics(t, withDirectory(apitest.NewMeetings(t, map[string]int{"daily": 1}).Directory))
	const target = "/api/rooms/daily/participants?wait=1100ms"
	s.do(ask{target: target, header: has(s.get(target))})
	s.wantSeries(`http_request_duration_seconds_bucket{code="304",method="GET",route="/api/rooms/{room_name}/participants",le="1"} 1`)
}
