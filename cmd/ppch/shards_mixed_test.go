package main

import (
	"encoding/json"
	"maps"
	"net/http"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"ppch/api/view"
	"ppch/component/occupancy"
	"ppch/prosody/prosodytest"
)

// One Prosody with the Lua module, and one without: its rooms can only be asked about, one at a time.
func TestShards_WithAndWithoutModule(t *testing.T) {
	t.Parallel()
	a, b := prosodytest.New(t, prosodytest.Options{Module: true}), prosodytest.New(t, prosodytest.Options{})
	castA, castB := castOn(t, a), castOn(t, b)
	file := filepath.Join(t.TempDir(), "shards")
	put(t, file, shardLine(t, "a", "main", a)+shardLine(t, "b", "main", b))
	s := runService(t, variables{"PPCH_API_KEY": testKey, "PPCH_RATE_LIMIT": "0", "PPCH_PORT": "0", "PPCH_SHARDS_FILE": file})
	meeting(t, castA, a.Room("planning"), "Ann", "Bob")
	meeting(t, castA, a.Room("only-a"), "Ann")
	meeting(t, castB, b.Room("planning"), "Cyd")
	meeting(t, castB, b.Room("only-b"), "Cyd")
	room := func(path string, is func(answer) bool) {
		t.Helper()
		var got answer
		defer func() {
			if t.Failed() {
				t.Logf("%s: %d %s", path, got.status, got.body)
			}
		}()
		eventually(t, 20*time.Second, path+" is as expected", func() bool {
			got = s.get("/api/rooms/"+path, "X-API-Key", testKey)
			return is(got)
		})
	}
	count := func(n float64, exact bool) func(answer) bool {
		return func(a answer) bool {
			return a.status == http.StatusOK && a.data["participant_count"] == n && a.data["exact"] == exact && a.data["unknown_shards"] == nil
		}
	}
	room("only-a", count(1, true))
	room("only-b", count(2, false)) // with focus, which disco counts, too
	room("planning", count(4, false))
	room("planning/participants", count(4, false))
	room("planning?shard=a", count(2, true))
	room("planning?shard=b", count(2, false))
	room("planning?shard=b&expand=visitors", count(2, false))
	room("only-a?shard=b", func(a answer) bool { return a.status == http.StatusOK && a.data["exists"] == false })
	room("only-b?shard=b", func(a answer) bool { return a.status == http.StatusOK && a.data["shard"] == "b" })
	if got := s.get("/api/rooms?name=planning&name=only-a&name=only-b", "X-API-Key", testKey); strings.Count(got.body, `"exists":true`) != 3 || strings.Contains(got.body, "unknown_shards") {
		t.Errorf("got %d %s want the three rooms", got.status, got.body)
	}
	for _, path := range []string{"/api/rooms", "/api/rooms?shard=b", "/api/stats", "/api/stats?shard=b"} { // Prosody lists no rooms
		if got := s.get(path, "X-API-Key", testKey); got.status != http.StatusServiceUnavailable || !strings.Contains(got.body, `"unknown_shards":["b"]`) {
			t.Errorf("%s: got %d %s want b unknown", path, got.status, got.body)
		}
	}
	if got := s.get("/api/rooms?shard=a", "X-API-Key", testKey); got.status != http.StatusOK || strings.Count(got.body, `"exists":true`) != 2 {
		t.Errorf("got %d %s want the rooms of a", got.status, got.body)
	}

	// The diagnostics are per shard, although both have the same domains.
	var doc view.Diagnostics
	check(t, json.Unmarshal([]byte(s.get("/api/diagnostics", "X-API-Key", testKey).body), &doc))
	for _, d := range doc.Domains {
		if want := map[string]occupancy.Mode{"amuc": occupancy.ModeModule, "abreakout": occupancy.ModeModule, "bmuc": occupancy.ModeDisco, "bbreakout": occupancy.ModeUndecided}[d.Shard+strings.TrimSuffix(d.Domain, ".meet.jitsi")]; d.Mode == nil || *d.Mode != want || (d.Module != nil) != (d.Shard == "a") {
			t.Errorf("got %+v want the mode %s", d, want)
		}
	}
	services := map[string]int{}
	for _, service := range doc.Services {
		services[service.Shard] += len(service.Protocols)
	}
	if want := map[string]int{"a": 3, "b": 0}; !maps.Equal(services, want) {
		t.Errorf("got %v want the module only on the services of a: %v", services, want)
	}
	out, _ := command(t, variables{"PPCH_SHARDS_FILE": file, "PPCH_API_KEY": testKey}, "doctor", "--url", s.url)
	for _, line := range []string{
		"✓ module         muc.meet.jitsi of a, breakout.meet.jitsi of a: version",
		"! module         muc.meet.jitsi of b: the Lua module is not loaded there\n",
		"! mode           muc.meet.jitsi of b: disco: raw counts",
	} {
		if !strings.Contains(out, line) {
			t.Errorf("got\n%s\nwant the line %q", out, line)
		}
	}
}
