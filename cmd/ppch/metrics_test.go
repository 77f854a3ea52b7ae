package main

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"net/url"
	"os/exec"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"ppch/component/componenttest"
	"ppch/prosody/prosodytest"
)

// promtool runs Prometheus' own checks, which must succeed.
func promtool(t *testing.T, stdin string, args ...string) {
	t.Helper()
	cmd := exec.CommandContext(t.Context(), prosodytest.Installed(t, "promtool"), args...)
	cmd.Stdin = strings.NewReader(stdin)
	if out, err := cmd.CombinedOutput(); err != nil || len(args) == 2 && len(out) > 0 {
		t.Errorf("promtool %s: %v\n%s", strings.Join(args, " "), err, out)
	}
}

// scraped runs a Prometheus that scrapes s as documented. It returns a query function: values by labels.
func scraped(t *testing.T, s *service) func(query string) map[string]string {
	t.Helper()
	config := adapted(t, example(t, apiReadme, "yaml", "scrape_configs:"), map[string]string{
		"/etc/prometheus/ppch.key": written(t, "ppch.key", testKey+"\n"),
		"127.0.0.1:8890":           strings.TrimPrefix(s.url, "http://"),
	})
	file := written(t, "prometheus.yml", "global: {scrape_interval: 500ms, scrape_timeout: 500ms}\n"+config)
	promtool(t, "", "check", "config", file)
	address := freeAddress(t)
	inBackground(t, exec.Command(prosodytest.Installed(t, "prometheus"), "--config.file="+file, "--storage.tsdb.path="+t.TempDir(), "--web.listen-address="+address, "--log.level=warn"))
	return func(query string) map[string]string {
		resp, err := s.client.Get("http://" + address + "/api/v1/query?query=" + url.QueryEscape(query))
		if err != nil {
			return nil // no value yet
		}
		defer resp.Body.Close()
		var answer struct {
			Data struct {
				Result []struct {
					Metric map[string]string
					Value  [2]any
				}
			}
		}
		if err := json.NewDecoder(resp.Body).Decode(&answer); err != nil {
			return nil
		}
		values := map[string]string{}
		for _, r := range answer.Data.Result {
			values[strings.TrimPrefix(fmt.Sprint(r.Metric), "map")] = fmt.Sprint(r.Value[1])
		}
		return values
	}
}

// Prometheus scrapes the service as documented and returns the numbers of people and rooms.
func TestMetrics_InPrometheus(t *testing.T) {
	t.Parallel()
	srv := prosodytest.New(t, prosodytest.Options{Module: true, HideRooms: true})
	cast := castOn(t, srv)
	people := meeting(t, cast, srv.Room("planning"), "Ada", "Bob", "Cy")
	meeting(t, cast, srv.Room("standup"), "Dee")
	must(cast.Recorder(t.Context(), srv.Room("planning")))(t)
	s := runService(t, envFor(srv)).ready()
	s.room("planning")
	query := scraped(t, s)

	is := func(value string, labels ...string) map[string]string {
		return map[string]string{"[" + strings.Join(labels, " ") + "]": value}
	}
	for _, tt := range []struct {
		query string
		want  map[string]string
	}{
		{`sum(ppch_participants)`, is("4")},
		{`ppch_rooms{domain="muc.meet.jitsi"} * 1`, is("2", "domain:muc.meet.jitsi", "instance:"+strings.TrimPrefix(s.url, "http://"), "job:ppch")},
		{`sum by (kind) (ppch_occupants{domain="muc.meet.jitsi"}) > 0`, map[string]string{"[kind:user]": "4", "[kind:focus]": "2", "[kind:recorder]": "1"}},
		{`sum by (domain) (ppch_rooms)`, map[string]string{"[domain:muc.meet.jitsi]": "2", "[domain:breakout.meet.jitsi]": "0"}},
		{`max(ppch_room_participants_bucket{domain="muc.meet.jitsi",le="1"})`, is("1")},
		{`max(histogram_quantile(1, ppch_room_participants_bucket{domain="muc.meet.jitsi"}))`, is("3")},
		{`ppch_stream_up * 1 == bool 1`, is("1", "instance:"+strings.TrimPrefix(s.url, "http://"), "job:ppch")},
		{`max(ppch_sync_lag_seconds) < bool 15`, is("1")},
		{`sum by (route) (ppch_http_request_duration_seconds_count{route=~"/api/.*",code="200"})`, is("1", "route:/api/rooms/{room_name}/participants")},
	} {
		eventually(t, 20*time.Second, fmt.Sprintf("%s is %v", tt.query, tt.want), func() bool { return cmp.Equal(tt.want, query(tt.query)) })
	}
	// Bob leaves, and Prometheus gets the change.
	check(t, people[1].Leave(context.Background()))
	eventually(t, 10*time.Second, "Bob has left", func() bool {
		return cmp.Equal(is("3"), query(`sum(ppch_participants)`)) && cmp.Equal(is("1"), query(`sum(ppch_leaves_total)`))
	})
}

func TestMetrics_LintAndReadme(t *testing.T) {
	t.Parallel()
	srv := prosodytest.New(t, prosodytest.Options{Module: true})
	meeting(t, castOn(t, srv), srv.Room("planning"), "Ada")
	env := envFor(srv)
	cert, key := certificate(t, time.Hour)
	env["PPCH_DATA_DIR"], env["PPCH_HISTORY"] = t.TempDir(), "numbers"
	env["PPCH_TLS_CERT"], env["PPCH_TLS_KEY"] = cert, key
	s := runService(t, env).trust(cert).ready()
	s.room("planning")
	page := s.get("/metrics", "X-API-Key", testKey)
	promtool(t, page.body, "check", "metrics")

	// All metrics with their labels.
	served := map[string]string{}
	for _, m := range regexp.MustCompile(`(?m)^(ppch_\w+?)(?:_bucket|_sum|_count)?(?:\{(.*)\})? `).FindAllStringSubmatch(page.body, -1) {
		var labels []string
		for _, l := range regexp.MustCompile(`(\w+)="`).FindAllStringSubmatch(m[2], -1) {
			if l[1] != "le" {
				labels = append(labels, l[1])
			}
		}
		slices.Sort(labels)
		served[m[1]] = strings.Join(labels, " ")
	}
	documented := map[string]string{}
	code := regexp.MustCompile("`([^`]+)`")
	for line := range strings.Lines(section(t, apiReadme, "## Metrics")) {
		cells := strings.Split(line, "|")
		if len(cells) < 4 || !strings.HasPrefix(cells[1], " `ppch_") {
			continue
		}
		var labels []string
		for _, l := range code.FindAllStringSubmatch(cells[2], -1) {
			labels = append(labels, l[1])
		}
		slices.Sort(labels)
		for _, name := range code.FindAllStringSubmatch(cells[1], -1) {
			documented[name[1]] = strings.Join(labels, " ")
		}
	}
	if diff := cmp.Diff(documented, served); diff != "" {
		t.Errorf("-README +/metrics:\n%s", diff)
	}
	componenttest.HasNo(t, page.body, "planning", "Ada")
}

func TestMetrics_NeedKey(t *testing.T) {
	t.Parallel()
	env := variables{"PPCH_PORT": "0", "PROSODY_URL": "xmpp://127.0.0.1:1", "PPCH_API_KEY": testKey, "PPCH_COMPONENT_SECRET": "s3cret"}
	closed := runService(t, env)
	if got := closed.get("/metrics"); got.status != http.StatusUnauthorized {
		t.Errorf("without a key got %d %s", got.status, got.body)
	}
	if got := closed.get("/metrics", "Authorization", "Bearer "+testKey); got.status != 200 || !strings.Contains(got.body, "\nppch_stream_up 0\n") {
		t.Errorf("with the key got %d %s", got.status, got.body)
	}
	env["PPCH_METRICS_PUBLIC"] = "true"
	if got := runService(t, env).get("/metrics"); got.status != 200 || !strings.Contains(got.body, `ppch_build_info{goversion="go`) {
		t.Errorf("public metrics got %d %s", got.status, got.body)
	}
}

func TestAlerts_FireAsTested(t *testing.T) {
	t.Parallel()
	promtool(t, "", "check", "rules", "deploy/prometheus/alerts.yaml")
	promtool(t, "", "test", "rules", "deploy/prometheus/alerts_test.yaml")
}

func TestAlerts_AreTestedAndDocumented(t *testing.T) {
	t.Parallel()
	documented, tests := section(t, apiReadme, "## Metrics"), ofFile(t, "deploy/prometheus/alerts_test.yaml")
	rules := regexp.MustCompile(`- alert: (\w+)`).FindAllStringSubmatch(ofFile(t, "deploy/prometheus/alerts.yaml"), -1)
	for _, m := range rules {
		if name := m[1]; !strings.Contains(documented, "`"+name+"`") || !strings.Contains(tests, "alertname: "+name+"\n") {
			t.Errorf("the alert %s is not in README's table, or no test shows that it fires", name)
		}
	}
	if got := len(regexp.MustCompile("`PPCH[A-Z]+[a-z]").FindAllString(documented, -1)); got != len(rules) {
		t.Errorf("got %d alerts in README's table want %d", got, len(rules))
	}
}
