package api_test

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"ppch/api"
	"ppch/component/occupancy"
)

func TestAClientThatComesBackHasMissedNothing(t *testing.T) {
	d := newSite(t)
	s := start(t, telling(d.Directory))
	f := s.follow("/api/events")
	f.until("status")
	d.join("daily", "ann")
	f.until("participant.joined")
	f.leave()
	_ = f.ended()
	d.join("daily", "bob", "cyd")
	g := s.follow("/api/events?snapshot=true", "Last-Event-ID", f.id())
	d.join("daily", "dan")
	for _, want := range []string{"bob", "cyd", "dan"} {
		if got := g.next(); got.name != "participant.joined" || got.nick() != want {
			t.Errorf("got %v, want %s to join and nothing else", got, want)
		}
	}
}

func TestAClientThatSawNothingComesBackToWhereItWas(t *testing.T) {
	d := newSite(t)
	s := start(t, telling(d.Directory))
	f := s.follow("/api/rooms/daily/events")
	f.until("status")
	f.leave()
	_ = f.ended()
	d.join("daily", "ann")
	g := s.follow("/api/rooms/daily/events", "Last-Event-ID", f.id())
	if got := g.next(); got.name != "room.started" {
		t.Errorf("got %v, want the first event after", got)
	}
}

func TestIDsThatAreUnknownLeadToAReset(t *testing.T) {
	d := newSite(t)
	d.join("daily", "ann")
	s := start(t, telling(d.Directory))
	f := s.follow("/api/events")
	f.until("status")
	id := f.id()
	instance, _, _ := strings.Cut(id, "-")
	for _, since := range []string{
		"AAAAAAAAAA-1", "1", "x", "-", instance, instance + "-", instance + "-x", instance + "--1", instance + "-+1", instance + "-01",
		instance + "-18446744073709551616", instance + "-18446744073709551615", instance + "-9999999",
		strings.ToLower(id), id + "0000000", "\x80\xff", strings.Repeat("9", 20000), "ü-1", `"><script>`, "0x1",
	} {
		g := s.follow("/api/events?snapshot=true", "Last-Event-ID", since)
		if got := g.next(); got.name != "reset" || got.text("reason") != "unknown-id" {
			t.Errorf("%q: got %v, want a reset", since, got)
		}
		g.until("status")
		if got := g.next(); got.name != "snapshot" || len(got.data["rooms"].([]any)) != 1 {
			t.Errorf("%q: got %v, want a snapshot", since, got)
		}
		g.leave()
	}
}

func TestAnotherInstanceStartsOver(t *testing.T) {
	d := newSite(t)
	before := start(t, telling(d.Directory))
	f := before.follow("/api/events")
	f.until("status")
	d.join("daily", "ann")
	f.until("participant.joined")
	f.leave()
	after := start(t, telling(d.Directory))
	if got := after.follow("/api/events", "Last-Event-ID", f.id()).next(); got.name != "reset" || got.text("reason") != "unknown-id" {
		t.Errorf("got %v, want a reset", got)
	}
}

func TestAnIDThatIsTooOldLeadsToAReset(t *testing.T) {
	d := newSite(t)
	s := start(t, telling(d.Directory))
	f := s.follow("/api/events")
	f.until("status")
	id := f.id()
	room := "daily@muc.meet.jitsi"
	for i := range api.MaxFrames + 1 {
		d.tell(occupancy.Delta{Room: room, Facts: &occupancy.RoomFacts{Visitors: new(i + 1)}})
		if i%1000 == 0 {
			time.Sleep(5 * time.Millisecond) // the hub is to be quick enough here
		}
	}
	for s.Streams().Position < api.MaxFrames+1 {
		time.Sleep(time.Millisecond)
	}
	if got := s.follow("/api/events", "Last-Event-ID", id).next(); got.name != "reset" || got.text("reason") != "expired" {
		t.Errorf("got %v, want a reset", got)
	}
	if got := s.Streams(); got.Resets["expired"] != 1 {
		t.Errorf("got %+v, want one reset counted", got)
	}
}

func TestWhatTheDirectoryForgetsAndLearnsIsAReset(t *testing.T) {
	d := newSite(t)
	d.join("daily", "ann")
	s := start(t, telling(d.Directory))
	plain, whole := s.follow("/api/events"), s.follow("/api/events?snapshot=true")
	plain.until("status")
	if got := whole.until("snapshot"); len(got.data["rooms"].([]any)) != 1 {
		t.Errorf("got %v", got)
	}
	d.Forget(mainDomain)
	for _, f := range []*follower{plain, whole} {
		if got := f.until("reset"); got.text("reason") != "unloaded" || got.text("domain") != "muc.meet.jitsi" {
			t.Errorf("got %v", got)
		}
	}
	got := whole.until("snapshot")
	if domain := got.data["domains"].([]any)[0].(map[string]any); len(got.data["rooms"].([]any)) != 0 || domain["known"] != false || domain["as_of"] != nil {
		t.Errorf("got %v, want a snapshot of nothing that is known", got)
	}
	if got := plain.until("status"); got.data["live"] != false || got.text("status") != "syncing" {
		t.Errorf("got %v, want to be told that nothing is", got)
	}
	d.learn()
	for _, f := range []*follower{plain, whole} {
		if got := f.until("reset"); got.text("reason") != "loaded" {
			t.Errorf("got %v", got)
		}
	}
	if got := plain.until("status"); got.data["live"] != true {
		t.Errorf("got %v, want to be told that all is well", got)
	}
}

func TestALargeSnapshotComesInParts(t *testing.T) {
	d := newSite(t)
	var deltas []occupancy.Delta
	for i := range 300 {
		deltas = append(deltas, occupancy.Delta{Room: fmt.Sprintf("room%03d@muc.meet.jitsi", i), Present: []occupancy.Occupant{person("a"), person("b")}})
	}
	var crowd []occupancy.Occupant
	for i := range 1000 {
		crowd = append(crowd, person(fmt.Sprintf("n%04d", i)))
	}
	d.tell(append(deltas, occupancy.Delta{Room: "huge@muc.meet.jitsi", Present: crowd})...)
	s := start(t, telling(d.Directory))
	f := s.follow("/api/events?snapshot=true")
	occupants := map[string]int{}
	for part := 1; ; part++ {
		got := f.until("snapshot")
		if got.data["part"] != float64(part) {
			t.Fatalf("got part %v, want %d", got.data["part"], part)
		}
		size := 0
		for _, r := range got.data["rooms"].([]any) {
			r := r.(map[string]any)
			n := len(r["occupants"].([]any))
			occupants[r["room_jid"].(string)] += n
			size += 200 * n
			if r["room_jid"] == "huge@muc.meet.jitsi" && r["participant_count"] != 1000.0 {
				t.Errorf("got %v people", r["participant_count"])
			}
		}
		if size > 2*api.MaxPart {
			t.Errorf("part %d has about %d bytes", part, size)
		}
		if last := got.data["last"] == true; last != (got.id != "") {
			t.Errorf("part %d: last is %t and the id %q", part, last, got.id)
		} else if last {
			if part < 5 {
				t.Errorf("got %d parts", part)
			}
			break
		}
	}
	if len(occupants) != 301 || occupants["huge@muc.meet.jitsi"] != 1000 || occupants["room007@muc.meet.jitsi"] != 2 {
		t.Errorf("got %d rooms, %d in the huge one", len(occupants), occupants["huge@muc.meet.jitsi"])
	}
	if got := f.id(); got == "" {
		t.Error("there is no id to come back with")
	}
}
