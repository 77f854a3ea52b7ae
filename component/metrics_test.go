package component_test

import (
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/promhttp"

	"ppch/component"
	"ppch/component/componenttest"
)

// measured returns what Prometheus reads from c: values by name and labels.
func measured(t *testing.T, c *component.Component) map[string]string {
	t.Helper()
	registry := prometheus.NewPedanticRegistry()
	registry.MustRegister(c.Metrics()...)
	page := httptest.NewRecorder()
	promhttp.HandlerFor(registry, promhttp.HandlerOpts{}).ServeHTTP(page, httptest.NewRequest(http.MethodGet, "/metrics", nil))
	if page.Code != 200 {
		t.Fatalf("got %d %s", page.Code, page.Body)
	}
	values := map[string]string{}
	for line := range strings.Lines(page.Body.String()) {
		if strings.HasPrefix(line, "#") {
			continue
		}
		at := strings.LastIndexByte(line, ' ')
		values[strings.ReplaceAll(line[:at], `domain="muc.meet.jitsi"`, "D")] = strings.TrimSpace(line[at:])
	}
	return values
}

func wantMeasured(t *testing.T, got, want map[string]string) {
	t.Helper()
	same(t, "metrics", want, got)
}

func TestMetrics_WithTheModule(t *testing.T) {
	const more = "<room jid='planning@muc.meet.jitsi'>+\tbob\tbob@meet.jitsi/x\tparticipant\tnone\n</room>" +
		"<room jid='zoo@muc.meet.jitsi' new='1' facts='1'>+\tfocus\tfocus@auth.meet.jitsi/focus\tmoderator\towner\n</room>"
	follow(t, func(m *module, epoch string) {
		m.send(epoch, 1, 100, synced, oneRoom)
		time.Sleep(time.Second)
		m.send(epoch, 2, 101, "synced='1' rooms='2' occupants='3'", more)
	}, func(t *testing.T, c *component.Component, _ *module) {
		time.Sleep(3 * time.Second)
		synctest.Wait()
		wantMeasured(t, measured(t, c), map[string]string{
			"stream_up": "1", "streams_total": "1", "subscriptions_dropped_total": "0", "admin_stanzas_refused_total": "0",
			"domain_up{D}": "1", `domain_mode{D,mode="module"}`: "1", "resyncs_total{D}": "0",
			"sync_lag_seconds{D}": "2.1",
			"rooms{D}":            "2", "participants{D}": "2",
			`occupants{D,kind="user"}`: "2", `occupants{D,kind="focus"}`: "1", `occupants{D,kind="sip"}`: "0", `occupants{D,kind="sip_video"}`: "0",
			`occupants{D,kind="recorder"}`: "0", `occupants{D,kind="transcriber"}`: "0", `occupants{D,kind="hidden"}`: "0", `occupants{D,kind="visitor"}`: "0",
			// Ann was there before.
			`joins_total{D,kind="user"}`: "1", `joins_total{D,kind="focus"}`: "1", `joins_total{D,kind="sip"}`: "0", `joins_total{D,kind="sip_video"}`: "0",
			`joins_total{D,kind="recorder"}`: "0", `joins_total{D,kind="transcriber"}`: "0", `joins_total{D,kind="hidden"}`: "0", `joins_total{D,kind="visitor"}`: "0",
			`leaves_total{D,kind="user"}`: "0", `leaves_total{D,kind="focus"}`: "0", `leaves_total{D,kind="sip"}`: "0", `leaves_total{D,kind="sip_video"}`: "0",
			`leaves_total{D,kind="recorder"}`: "0", `leaves_total{D,kind="transcriber"}`: "0", `leaves_total{D,kind="hidden"}`: "0", `leaves_total{D,kind="visitor"}`: "0",
			`room_participants_bucket{D,le="0"}`: "1", `room_participants_bucket{D,le="1"}`: "1", `room_participants_bucket{D,le="2"}`: "2",
			`room_participants_bucket{D,le="3"}`: "2", `room_participants_bucket{D,le="4"}`: "2", `room_participants_bucket{D,le="5"}`: "2",
			`room_participants_bucket{D,le="10"}`: "2", `room_participants_bucket{D,le="20"}`: "2", `room_participants_bucket{D,le="50"}`: "2",
			`room_participants_bucket{D,le="100"}`: "2", `room_participants_bucket{D,le="200"}`: "2", `room_participants_bucket{D,le="500"}`: "2",
			`room_participants_bucket{D,le="+Inf"}`: "2", "room_participants_sum{D}": "2", "room_participants_count{D}": "2",
		})
	})
}

func TestMetrics_UnknownIsAbsent(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		cfg := config(componenttest.New("secret", serve(muc(roomInfo))).Dial)
		c := must(component.New(cfg))(t)
		wantMeasured(t, measured(t, c), map[string]string{
			"stream_up": "0", "streams_total": "0", "subscriptions_dropped_total": "0", "admin_stanzas_refused_total": "0", "domain_up{D}": "0", "resyncs_total{D}": "0",
		})
		c, stop := start(t, cfg)
		defer stop()
		time.Sleep(time.Second)
		synctest.Wait()
		// Without the module, the totals are unknown.
		wantMeasured(t, measured(t, c), map[string]string{
			"stream_up": "1", "streams_total": "1", "subscriptions_dropped_total": "0", "admin_stanzas_refused_total": "0",
			"domain_up{D}": "1", `domain_mode{D,mode="undecided"}`: "1", "resyncs_total{D}": "0",
		})
	})
}

func TestMetrics_StaleIsAbsent(t *testing.T) {
	follow(t, func(m *module, epoch string) {
		if epoch == "e1" {
			m.send(epoch, 1, 100, synced, oneRoom)
		}
	}, func(t *testing.T, c *component.Component, _ *module) {
		time.Sleep(25 * time.Second)
		synctest.Wait()
		// The old replica stays in use during the resync.
		if got := measured(t, c); got["participants{D}"] != "1" || got["resyncs_total{D}"] == "0" || got["sync_lag_seconds{D}"] != "25.1" {
			t.Errorf("got %v want one person, 25.1 s ago, and a resync", got)
		}
		time.Sleep(6 * time.Second)
		synctest.Wait()
		got := measured(t, c)
		delete(got, "resyncs_total{D}")
		wantMeasured(t, got, map[string]string{
			"stream_up": "1", "streams_total": "1", "subscriptions_dropped_total": "0", "admin_stanzas_refused_total": "0", "domain_up{D}": "0", "sync_lag_seconds{D}": "31.1",
		})
	})
}
