package main

import (
	"net/http"
	"net/url"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"ppch/prosody/prosodytest"
)

// listed returns the name and the count of each room of a list.
func listed(t *testing.T, a answer) map[string]any {
	t.Helper()
	rooms, ok := a.data["rooms"].([]any)
	if !ok {
		t.Fatalf("got %v want a list", a)
	}
	counts := map[string]any{}
	for _, r := range rooms {
		room := r.(map[string]any)
		counts[room["room_name"].(string)] = room["participant_count"]
	}
	return counts
}

func TestLists_OpenRooms(t *testing.T) {
	t.Parallel()
	srv := prosodytest.New(t, prosodytest.Options{Module: true, HideRooms: true, DomainMapper: true})
	cast := castOn(t, srv)
	meeting(t, cast, srv.Room("planning"), "Ada", "Grace")
	meeting(t, cast, srv.Room("caf%c3%a9"), "Alan")
	meeting(t, cast, srv.TenantRoom("acme", "stand%20up"), "Edsger")
	s := runService(t, envFor(srv)).ready()

	want := map[string]any{"planning": 2.0, "caf%c3%a9": 1.0, "[acme]stand%20up": 1.0}
	eventually(t, 5*time.Second, "everybody in the list", func() bool {
		return cmp.Equal(want, listed(t, s.get("/api/rooms", "X-API-Key", testKey)))
	})
	for query, want := range map[string]map[string]any{
		"?tenant=acme":                                  {"[acme]stand%20up": 1.0},
		"?q=caf%C3%A9":                                  {"caf%c3%a9": 1.0},
		"?min_participants=2&sort=participants":         {"planning": 2.0},
		"?name=Planning&name=acme/Stand%20Up&name=gone": {"Planning": 2.0, "acme/Stand Up": 1.0, "gone": 0.0},
	} {
		same(t, query, want, listed(t, s.get("/api/rooms"+query, "X-API-Key", testKey)))
	}
	for name := range want {
		got := s.get("/api/rooms/"+url.PathEscape(name), "X-API-Key", testKey)
		if got.data["participant_count"] != want[name] || got.data["type"] != "main" || got.data["duration_seconds"] == nil {
			t.Errorf("%s: got %v", name, got.data)
		}
	}
	stats := s.get("/api/stats", "X-API-Key", testKey).data
	if stats["rooms"] != 3.0 || stats["participant_count"] != 4.0 || stats["largest_room"].(map[string]any)["room_name"] != "planning" {
		t.Errorf("got %v", stats)
	}
}

func TestLists_WithoutModule(t *testing.T) {
	t.Parallel()
	srv := prosodytest.New(t, prosodytest.Options{})
	cast := castOn(t, srv)
	meeting(t, cast, srv.Room("planning"), "Ada")
	s := runService(t, envFor(srv)).ready()
	for _, path := range []string{"/api/rooms", "/api/stats"} {
		got := s.get(path, "X-API-Key", testKey)
		if got.status != http.StatusServiceUnavailable || got.data["code"] != "count-unknown" || got.data["reason"] != "module-missing" {
			t.Errorf("%s: got %v want that the module is missing", path, got)
		}
	}
	if got := listed(t, s.get("/api/rooms?name=planning&name=gone", "X-API-Key", testKey)); !cmp.Equal(got, map[string]any{"planning": 2.0, "gone": 0.0}) {
		t.Errorf("got %v want Prosody's number for each room by name", got)
	}
}
