package main

import (
	"encoding/json"
	"fmt"
	"regexp"
	"strings"
	"testing"
	"time"

	"ppch/prosody/prosodytest"
)

// boardQueries returns the title and expressions of each panel of Grafana's board, as Grafana sends them when everything is selected,
// with days sampled often enough for a service that has just started.
func boardQueries(t *testing.T) map[string][]string {
	t.Helper()
	var board struct {
		Panels []struct {
			Title   string
			Targets []struct{ Expr string }
		}
	}
	check(t, json.Unmarshal([]byte(ofFile(t, "deploy/grafana/ppch.json")), &board))
	filled := strings.NewReplacer("$job", ".*", "$instance", ".*", "$shard", ".*", "$domain", ".*", "$__rate_interval", "2m", "[1d:5m]", "[1d:1s]")
	queries := map[string][]string{}
	for _, p := range board.Panels {
		for _, target := range p.Targets {
			queries[p.Title] = append(queries[p.Title], filled.Replace(target.Expr))
		}
	}
	return queries
}

// A metric that a panel needs exists, and Prometheus answers each panel's query.
func TestBoard_QueriesAreAnswered(t *testing.T) {
	t.Parallel()
	srv := prosodytest.New(t, prosodytest.Options{Module: true, HideRooms: true})
	cast := castOn(t, srv)
	meeting(t, cast, srv.Room("planning"), "Ada", "Bob")
	far := prosodytest.New(t, prosodytest.Options{Base: "v1.meet.jitsi", Module: true, HideRooms: true})
	nats := runNATS(t)
	collector := envFor(far)
	collector["PPCH_SHARDS_FILE"] = written(t, "far", fmt.Sprintf("name=v1 kind=visitors url=xmpp://%s component=%s muc=%s\n", far.ComponentAddr(), far.Domains.Component, far.Domains.MUC))
	env := withStore(t, envFor(srv))
	env["PPCH_HISTORY"] = "numbers"
	env["PPCH_SHARDS_FILE"] = written(t, "shards", fmt.Sprintf("name=a url=xmpp://%s component=%s muc=%s\nname=v1 kind=visitors via=nats muc=%s\n",
		srv.ComponentAddr(), srv.Domains.Component, srv.Domains.MUC, far.Domains.MUC))
	for _, e := range []variables{collector, env} {
		e["PPCH_NATS_URL"], e["PPCH_CLUSTER_SECRET"] = nats, "a-secret-of-all-nodes"
	}
	runService(t, collector)
	s := runService(t, env).ready()
	s.hook("board", newInbox(t).URL, "")
	s.room("planning")
	page := s.get("/metrics", "X-API-Key", testKey).body
	query := scraped(t, s)
	meeting(t, cast, srv.Room("standup"), "Cy")
	for title, all := range boardQueries(t) {
		for _, expr := range all {
			for _, name := range regexp.MustCompile(`\b(?:ppch|process|go)_\w+`).FindAllString(expr, -1) {
				if !strings.Contains(page, "# TYPE "+strings.TrimSuffix(strings.TrimSuffix(name, "_count"), "_bucket")+" ") {
					t.Errorf("%s: /metrics has no %s", title, name)
				}
			}
			// Rates and increases of one metric take two scrapes; some panels are empty while all is well.
			if strings.Contains(expr, "refused") || strings.Contains(expr, "cut") || strings.Contains(expr, "resets") || strings.Contains(expr, "[45]") || strings.HasSuffix(expr, "== 0") {
				query(expr)
				continue
			}
			eventually(t, 20*time.Second, fmt.Sprintf("%s: %s has a value", title, expr), func() bool { return len(query(expr)) > 0 })
		}
	}
}

// A total is shown only while each main shard is known: a sum over the others would be too small.
func TestBoard_TotalsNeedAllShards(t *testing.T) {
	t.Parallel()
	queries := boardQueries(t)
	people, rooms, without := queries["People"][0], queries["Rooms"][0], queries["Domains without data"][0]
	var tests strings.Builder
	expect := func(expr, at, samples string) {
		fmt.Fprintf(&tests, "      - {expr: %q, eval_time: %s, exp_samples: %s}\n", expr, at, samples)
	}
	const none = "[]"
	expect(people, "1m", "[{value: 30}]")
	expect(rooms, "1m", "[{value: 3}]")
	expect(people, "4m", none) // the second shard is unknown
	expect(rooms, "4m", none)
	expect(without, "4m", "[{value: 1}]")
	expect(people, "7m", "[{value: 30}]") // a visitor node is unknown, which has no meetings of its own
	expect(without, "7m", "[{value: 1}]")
	expect(people, "12m", none) // nothing reports the second shard any more
	expect(without, "12m", "[{value: 2}]")
	expect(people, "80m", "[{value: 10}]") // it was retired
	expect(without, "80m", "[{value: 0}]")
	promtool(t, "", "test", "rules", written(t, "totals.yaml", `evaluation_interval: 1m
tests:
  - interval: 1m
    input_series:
      - {series: 'ppch_shard_info{instance="n",shard="a",kind="main"}', values: '1x90'}
      - {series: 'ppch_shard_info{instance="n",shard="b",kind="main"}', values: '1x90'}
      - {series: 'ppch_shard_info{instance="n",shard="v",kind="visitors"}', values: '1x90'}
      - {series: 'ppch_domain_up{instance="n",shard="a",domain="muc"}', values: '1x90'}
      - {series: 'ppch_domain_up{instance="n",shard="b",domain="muc"}', values: '1 1 1 0 0 1 1 1 1 stale'}
      - {series: 'ppch_domain_up{instance="n",shard="v",domain="muc.v"}', values: '1 1 1 1 1 1 0 0 0 0 0 stale'}
      - {series: 'ppch_participants{instance="n",shard="a",domain="muc"}', values: '10x90'}
      - {series: 'ppch_participants{instance="n",shard="b",domain="muc"}', values: '20 20 20 stale _ 20 20 20 20 stale'}
      - {series: 'ppch_rooms{instance="n",shard="a",domain="muc"}', values: '1x90'}
      - {series: 'ppch_rooms{instance="n",shard="b",domain="muc"}', values: '2 2 2 stale _ 2 2 2 2 stale'}
      - {series: 'ppch_rooms{instance="n",shard="v",domain="muc.v"}', values: '3x90'}
    promql_expr_test:
`+tests.String()))
}
