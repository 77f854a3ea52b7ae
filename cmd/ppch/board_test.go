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
	if err := json.Unmarshal([]byte(ofFile(t, "deploy/grafana/ppch.json")), &board); err != nil {
		t.Fatal(err)
	}
	filled := strings.NewReplacer("$job", ".*", "$instance", ".*", "$domain", ".*", "$__rate_interval", "2m", "[1d:5m]", "[1d:1s]")
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
	env := withStore(t, envFor(srv))
	env["PPCH_HISTORY"] = "numbers"
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
