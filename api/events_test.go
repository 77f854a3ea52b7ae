package api_test

import (
	"fmt"
	"testing"

	"ppch/component/occupancy"
)

func TestEveryKindOfEventIsTold(t *testing.T) {
	d := newSite(t)
	s := start(t, telling(d.Directory))
	f := s.follow("/api/events")
	if got := f.until("status"); got.data["live"] != true || got.text("status") != "ok" || got.data["max_staleness_seconds"] != 45.0 || got.id == "" {
		t.Errorf("got %v, want a status that says live, and for how long what is known may be told if it isn't", got)
	}
	const room = "[acme]daily%20plans@muc.meet.jitsi"
	ann := person("ann")
	ann.Name = "Ann"
	d.tell(occupancy.Delta{Room: room, New: true, Facts: &occupancy.RoomFacts{CreatedAt: now}})
	d.join("[acme]daily%20plans", "ann")
	d.tell(occupancy.Delta{Room: room, Present: []occupancy.Occupant{ann}})
	d.tell(occupancy.Delta{Room: room, Facts: &occupancy.RoomFacts{CreatedAt: now, Subject: "Plans\nand <b>more</b>"}})
	d.leave("[acme]daily%20plans", "ann")
	d.tell(occupancy.Delta{Room: room, Gone: true})
	for _, want := range []struct {
		name   string
		people float64
		nick   string
	}{
		{"room.started", 0, ""}, {"participant.joined", 1, "ann"}, {"participant.updated", 1, "ann"},
		{"room.updated", 1, ""}, {"participant.left", 0, "ann"}, {"room.ended", 0, ""},
	} {
		got := f.next()
		if got.name != want.name || got.text("event") != want.name || got.data["participant_count"] != want.people || got.nick() != want.nick {
			t.Errorf("got %s %v, want %v", got.name, got.data, want)
		}
		if got.text("room_jid") != room || got.text("room_name") != "[acme]daily%20plans" || got.text("time") == "" || got.id == "" {
			t.Errorf("got %v", got)
		}
		if facts, _ := got.data["facts"].(map[string]any); got.name == "room.updated" && facts["subject"] != "Plans\nand <b>more</b>" {
			t.Errorf("got facts %v", facts)
		}
	}
}

func TestOneRoomIsFollowedWithoutTheOthers(t *testing.T) {
	d := newSite(t)
	s := start(t, telling(d.Directory))
	f := s.follow("/api/rooms/My%20Room/events")
	f.until("status")
	d.join("other", "bob")
	d.join("my%20room", "ann")
	d.join("my%20room2", "cyd")
	d.leave("my%20room", "ann")
	for _, want := range []string{"room.started", "participant.joined", "participant.left"} {
		if got := f.next(); got.name != want || got.text("room_jid") != "my%20room@muc.meet.jitsi" {
			t.Errorf("got %v, want %s of the room", got, want)
		}
	}
}

func TestSnapshotThenEvents(t *testing.T) {
	d := newSite(t)
	d.join("daily", "ann", "bob")
	s := start(t, telling(d.Directory))
	for _, c := range []struct {
		target string
		rooms  string
	}{
		{"/api/events?snapshot=true", "[daily@muc.meet.jitsi 2 2]"},
		{"/api/rooms/daily/events?snapshot=true", "[daily@muc.meet.jitsi 2 2]"},
		{"/api/rooms/nobody/events?snapshot=true", "[]"},
	} {
		f := s.follow(c.target)
		snapshot := f.until("snapshot")
		told := []string{}
		for _, r := range snapshot.data["rooms"].([]any) {
			r := r.(map[string]any)
			told = append(told, fmt.Sprintf("%s %v %d", r["room_jid"], r["participant_count"], len(r["occupants"].([]any))))
		}
		if got := fmt.Sprint(told); got != c.rooms || snapshot.data["last"] != true || snapshot.id == "" {
			t.Errorf("%s: got %s and %v, want %s", c.target, got, snapshot, c.rooms)
		}
	}
	f := s.follow("/api/events?snapshot=true")
	f.until("snapshot")
	d.join("daily", "cyd")
	if got := f.next(); got.name != "participant.joined" || got.nick() != "cyd" {
		t.Errorf("got %v, want who joined after the snapshot", got)
	}
}
