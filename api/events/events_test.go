package events_test

import (
	"fmt"
	"testing"

	"ppch/api/apitest"
	"ppch/component/occupancy"
)

func TestStream_EveryKindOfEvent(t *testing.T) {
	d := apitest.NewDirectory(t)
	s := start(t, d.Directory)
	f := s.follow("/")
	if got := f.Until("status"); got.Data["live"] != true || got.Text("status") != "ok" || got.Data["max_staleness_seconds"] != 45.0 || got.ID == "" {
		t.Errorf("got %v, want a live status and the maximum staleness", got)
	}
	const room = "[acme]daily%20plans@muc.meet.jitsi"
	ann := apitest.Person("ann")
	ann.Name = "Ann"
	d.Change(occupancy.Delta{Room: room, New: true, Facts: &occupancy.RoomFacts{CreatedAt: apitest.Joined}})
	d.Join("[acme]daily%20plans", "ann")
	d.Change(occupancy.Delta{Room: room, Present: []occupancy.Occupant{ann}})
	d.Change(occupancy.Delta{Room: room, Facts: &occupancy.RoomFacts{CreatedAt: apitest.Joined, Subject: "Plans\nand <b>more</b>"}})
	d.Leave("[acme]daily%20plans", "ann")
	d.Change(occupancy.Delta{Room: room, Gone: true})
	for _, want := range []struct {
		name   string
		people float64
		nick   string
	}{
		{"room.started", 0, ""}, {"participant.joined", 1, "ann"}, {"participant.updated", 1, "ann"},
		{"room.updated", 1, ""}, {"participant.left", 0, "ann"}, {"room.ended", 0, ""},
	} {
		got := f.Next()
		if got.Name != want.name || got.Text("event") != want.name || got.Data["participant_count"] != want.people || got.Nick() != want.nick {
			t.Errorf("got %s %v, want %v", got.Name, got.Data, want)
		}
		if got.Text("room_jid") != room || got.Text("room_name") != "[acme]daily%20plans" || got.Text("time") == "" || got.ID == "" {
			t.Errorf("got %v", got)
		}
		if facts, _ := got.Data["facts"].(map[string]any); got.Name == "room.updated" && facts["subject"] != "Plans\nand <b>more</b>" {
			t.Errorf("got facts %v", facts)
		}
	}
}

func TestStream_OneRoom(t *testing.T) {
	d := apitest.NewDirectory(t)
	s := start(t, d.Directory)
	f := s.follow("/my%2520room")
	f.Until("status")
	d.Join("other", "bob")
	d.Join("my%20room", "ann")
	d.Join("my%20room2", "cyd")
	d.Leave("my%20room", "ann")
	for _, want := range []string{"room.started", "participant.joined", "participant.left"} {
		if got := f.Next(); got.Name != want || got.Text("room_jid") != "my%20room@muc.meet.jitsi" {
			t.Errorf("got %v, want %s of the room", got, want)
		}
	}
}

func TestStream_SnapshotThenEvents(t *testing.T) {
	d := apitest.NewDirectory(t)
	d.Join("daily", "ann", "bob")
	s := start(t, d.Directory)
	for _, c := range []struct {
		target string
		rooms  string
	}{
		{"/?snapshot=true", "[daily@muc.meet.jitsi 2 2]"},
		{"/daily?snapshot=true", "[daily@muc.meet.jitsi 2 2]"},
		{"/nowhere?snapshot=true", "[]"},
	} {
		f := s.follow(c.target)
		snapshot := f.Until("snapshot")
		got := []string{}
		for _, r := range snapshot.Data["rooms"].([]any) {
			r := r.(map[string]any)
			got = append(got, fmt.Sprintf("%s %v %d", r["room_jid"], r["participant_count"], len(r["occupants"].([]any))))
		}
		if got := fmt.Sprint(got); got != c.rooms || snapshot.Data["last"] != true || snapshot.ID == "" {
			t.Errorf("%s: got %s and %v, want %s", c.target, got, snapshot, c.rooms)
		}
	}
	f := s.follow("/?snapshot=true")
	f.Until("snapshot")
	d.Join("daily", "cyd")
	if got := f.Next(); got.Name != "participant.joined" || got.Nick() != "cyd" {
		t.Errorf("got %v, want the person who joined after the snapshot", got)
	}
}
