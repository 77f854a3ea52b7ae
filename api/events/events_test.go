package events_test

import (
	"fmt"
	"slices"
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

func TestStream_BreakoutRoomsOfOneRoom(t *testing.T) {
	d := apitest.NewMeetings(t, map[string]int{"other": 1})
	main := occupancy.RoomFacts{Breakouts: []occupancy.Breakout{{JID: "b1@breakout.meet.jitsi", Name: "One"}}}
	d.Change(occupancy.Delta{Room: "daily@muc.meet.jitsi", New: true, Facts: &main, Present: []occupancy.Occupant{apitest.Person("ann"), apitest.Person("bob")}})
	s := start(t, d.Directory)
	with, without := s.follow("/daily?breakouts=true"), s.follow("/daily")
	with.Until("status")
	without.Until("status")
	moved := apitest.Person("ann")
	moved.MovedFrom = "daily@muc.meet.jitsi"
	d.Change(occupancy.Delta{Room: "daily@muc.meet.jitsi", Left: []string{"ann"}, Reasons: map[string]occupancy.LeaveReason{"ann": occupancy.LeaveMoved}})
	d.Change(occupancy.Delta{Room: "b1@breakout.meet.jitsi", New: true, Facts: &occupancy.RoomFacts{}, Present: []occupancy.Occupant{moved}})
	d.Change(occupancy.Delta{Room: "b2@breakout.meet.jitsi", New: true, Facts: &occupancy.RoomFacts{}}) // of no meeting that is known
	d.Leave("daily", "bob")
	type event struct{ name, room, nick, reason, from string }
	read := func(f *apitest.Stream, n int) (got []event) {
		for range n {
			e := f.Next()
			occupant, _ := e.Data["occupant"].(map[string]any)
			from, _ := occupant["moved_from"].(string)
			reason, _ := e.Data["reason"].(string)
			got = append(got, event{e.Name, e.Text("room_jid"), e.Nick(), reason, from})
		}
		return got
	}
	want := []event{
		{"participant.left", "daily@muc.meet.jitsi", "ann", "moved", ""},
		{"room.started", "b1@breakout.meet.jitsi", "", "", ""},
		{"participant.joined", "b1@breakout.meet.jitsi", "ann", "", "daily@muc.meet.jitsi"},
		{"participant.left", "daily@muc.meet.jitsi", "bob", "", ""},
	}
	if got := read(with, 4); !slices.Equal(got, want) {
		t.Errorf("with breakout rooms: got %v want %v", got, want)
	}
	if got := read(without, 2); !slices.Equal(got, []event{want[0], want[3]}) {
		t.Errorf("without: got %v", got)
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
