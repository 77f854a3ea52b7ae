package main

import (
	"net/http"
	"net/url"
	"path/filepath"
	"testing"
	"time"

	"ppch/prosody/prosodytest"
)

// A line that is added to the file is a shard without a restart, also on a MUC domain that is new: its rooms are found by the names that PPCH shows.
func TestShards_AddedWithANewDomain(t *testing.T) {
	t.Parallel()
	a, b := prosodytest.New(t, prosodytest.Options{Module: true}), prosodytest.New(t, prosodytest.Options{Module: true, Base: "b.example", MUCPrefix: "conference"})
	file := filepath.Join(t.TempDir(), "shards")
	put(t, file, shardLine(t, "a", "main", a))
	s := runService(t, variables{"PPCH_API_KEY": testKey, "PPCH_RATE_LIMIT": "0", "PPCH_PORT": "0", "PPCH_SHARDS_FILE": file}).ready()
	meeting(t, castOn(t, b), b.Room("[acme]planning"), "Ann")
	paths := []string{"acme/planning@conference.b.example", "planning@conference.acme.b.example", "/acme/planning@conference.b.example", "[acme]planning@conference.b.example"}
	for _, name := range paths {
		if got := s.room(url.PathEscape(name)); got.status != http.StatusBadRequest || got.data["code"] != "domain-not-watched" {
			t.Errorf("%s: got %d %s want a domain that is not watched", name, got.status, got.body)
		}
	}
	put(t, file, shardLine(t, "a", "main", a)+shardLine(t, "b", "main", b))
	for _, name := range paths {
		eventually(t, 20*time.Second, name+" is found", func() bool { return s.room(url.PathEscape(name)).data["participant_count"] == 1.0 })
	}
	rooms, _ := s.get("/api/rooms", "X-API-Key", testKey).data["rooms"].([]any)
	if len(rooms) != 1 {
		t.Fatalf("got %v want one room", rooms)
	}
	shown, _ := rooms[0].(map[string]any)["room_name"].(string)
	if got := s.room(url.PathEscape(shown)); got.data["room_jid"] != b.Room("[acme]planning") {
		t.Errorf("%s: got %d %s want the room with that name", shown, got.status, got.body)
	}
	if got := s.room("planning"); got.data["exists"] != false || got.data["exact"] != true {
		t.Errorf("got %s want no room on the first domain", got.body)
	}
}
