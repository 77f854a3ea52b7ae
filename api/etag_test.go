package api_test

import (
	"net/http"
	"testing"

	"ppch/api/apitest"
	"ppch/component/occupancy"
)

// has returns the header of a client that has response a already.
func has(a answer) http.Header { return http.Header{"If-None-Match": {a.header.Get("ETag")}} }

func TestETag_ChangesWithTheRoom(t *testing.T) {
	d := apitest.NewMeetings(t, map[string]int{"daily": 1, "other": 1})
	s := start(t, withDirectory(d.Directory))
	for i, target := range []string{
		"/api/rooms/daily/participants", "/api/rooms/daily", "/api/rooms", "/api/rooms?sort=participants&expand=occupants", "/api/rooms?name=daily",
	} {
		before := s.get(target)
		if got := s.do(ask{target: target, header: has(before)}); got.status != http.StatusNotModified || len(got.body) > 0 {
			t.Errorf("%s: without a change: got %d", target, got.status)
		} else if got.header.Get("ETag") != before.header.Get("ETag") || got.header.Get("PPCH-As-Of") == "" {
			t.Errorf("%s: got header %v", target, got.header)
		}
		d.SetPeople("daily", i+2)
		after := s.do(ask{target: target, header: has(before)})
		if after.status != http.StatusOK || after.header.Get("ETag") == before.header.Get("ETag") {
			t.Errorf("%s: after a join: got %d with the old tag", target, after.status)
		}
	}
}

func TestETag_DiffersBetweenResponses(t *testing.T) {
	s := start(t, withPast(several()))
	seen := map[string]string{}
	for _, target := range []string{
		"/api/rooms/standup/participants", "/api/rooms/standup", "/api/rooms?name=standup", "/api/rooms?name=standup&expand=occupants",
		"/api/rooms/nowhere", "/api/rooms", "/api/rooms?limit=1", "/api/rooms?q=nowhere",
	} {
		tag := s.get(target).header.Get("ETag")
		if before, ok := seen[tag]; ok {
			t.Errorf("%s has the tag of %s", target, before)
		}
		seen[tag] = target
	}
}

func TestETag_NoneOnErrors(t *testing.T) {
	d := apitest.NewMeetings(t, map[string]int{"daily": 1})
	s := start(t, withDirectory(d.Directory))
	before := s.get("/api/rooms/daily/participants")
	d.Forget(mainDomain)
	got := s.do(ask{target: "/api/rooms/daily/participants", header: has(before)})
	got.wantProblem(t, http.StatusServiceUnavailable, "prosody-unavailable")
	if got.header.Get("ETag") != "" || got.header.Get("Cache-Control") != "no-store" {
		t.Errorf("got header %v", got.header)
	}
}

func TestRoom_KeepsRequestedName(t *testing.T) {
	s := start(t, withPast(several()))
	for path, want := range map[string]string{"Standup": "Standup", "standup": "standup", "standup@muc.meet.jitsi": "standup@muc.meet.jitsi", "STANDUP": "STANDUP"} {
		if got := s.get("/api/rooms/" + path + "/participants").object(t)["room_name"]; got != want {
			t.Errorf("got %v want %s", got, want)
		}
	}
}

func TestETag_WithoutNamesStaysWhenOnlyNamesChange(t *testing.T) {
	d := apitest.NewDirectory(t)
	d.Join("daily", "ann", "bob")
	given := withDirectory(d.Directory)
	named, numbers := start(t, given), start(t, given, withKeys("scope=count"))
	targets := []string{"/api/rooms/daily/participants", "/api/rooms/daily", "/api/rooms", "/api/rooms?name=daily"}
	before := map[*service][]answer{}
	for _, s := range []*service{named, numbers} {
		for _, target := range targets {
			before[s] = append(before[s], s.get(target))
		}
	}
	ann := apitest.Person("ann")
	ann.Name, ann.Flags = "Another", occupancy.FlagHandRaised|occupancy.FlagAudioMuted
	d.Change(occupancy.Delta{Room: "daily@muc.meet.jitsi", Present: []occupancy.Occupant{ann}, Facts: &occupancy.RoomFacts{Subject: "Plans"}})
	for i, target := range targets {
		if got := named.do(ask{target: target, header: has(before[named][i])}); got.status != http.StatusOK {
			t.Errorf("%s with names: got %d want 200", target, got.status)
		}
		got := numbers.do(ask{target: target, header: has(before[numbers][i])})
		if got.status != http.StatusNotModified {
			t.Errorf("%s without names: got %d want 304", target, got.status)
		}
	}
	d.Leave("daily", "bob")
	for i, target := range targets {
		if got := numbers.do(ask{target: target, header: has(before[numbers][i])}); got.status != http.StatusOK {
			t.Errorf("%s without names, after a leave: got %d want 200", target, got.status)
		}
	}
}
