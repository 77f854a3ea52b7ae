package events_test

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"ppch/api/apitest"
	"ppch/api/events"
	"ppch/component/occupancy"
)

func TestStream_Resume(t *testing.T) {
	d := apitest.NewDirectory(t)
	s := start(t, d.Directory)
	f := s.follow("/")
	f.Until("status")
	d.Join("daily", "ann")
	f.Until("participant.joined")
	f.Leave()
	_ = f.Ended()
	d.Join("daily", "bob", "cyd")
	g := s.follow("/?snapshot=true", f.ID())
	g.Until("status")
	d.Join("daily", "dan")
	for _, want := range []string{"bob", "cyd", "dan"} {
		if got := g.Next(); got.Name != "participant.joined" || got.Nick() != want {
			t.Errorf("got %v, want %s to join and nothing else", got, want)
		}
	}
}

func TestStream_ResumeBeforeFirstEvent(t *testing.T) {
	d := apitest.NewDirectory(t)
	s := start(t, d.Directory)
	f := s.follow("/daily")
	f.Until("status")
	f.Leave()
	_ = f.Ended()
	d.Join("daily", "ann")
	g := s.follow("/daily", f.ID())
	g.Until("status")
	if got := g.Next(); got.Name != "room.started" {
		t.Errorf("got %v, want the first event after", got)
	}
}

func TestStream_UnknownIDIsReset(t *testing.T) {
	d := apitest.NewDirectory(t)
	d.Join("daily", "ann")
	s := start(t, d.Directory)
	f := s.follow("/")
	f.Until("status")
	id := f.ID()
	instance := s.Instance()
	for _, since := range []string{
		"AAAAAAAAAA-1", "1", "1.", "1.AAAA", "1.=", "x", "-", instance, instance + "-", instance + "-x", instance + "--1", instance + "-+1", instance + "-01",
		instance + "-18446744073709551616", instance + "-18446744073709551615", instance + "-9999999",
		id[:len(id)-1], id + "0000000", id + id, "\x80\xff", strings.Repeat("9", 20000), "ü-1", `"><script>`, "0x1",
	} {
		g := s.follow("/?snapshot=true", since)
		if got := g.Next(); got.Name != "reset" || got.Text("reason") != "unknown-id" {
			t.Errorf("%q: got %v, want a reset", since, got)
		}
		g.Until("status")
		if got := g.Next(); got.Name != "snapshot" || len(got.Data["rooms"].([]any)) != 1 {
			t.Errorf("%q: got %v, want a snapshot", since, got)
		}
		g.Leave()
	}
}

func TestStream_IDOfAnotherRunIsReset(t *testing.T) {
	before := apitest.NewDirectory(t)
	f := start(t, before.Directory).follow("/")
	f.Until("status")
	before.Join("daily", "ann")
	f.Until("participant.joined")
	f.Leave()
	after := start(t, apitest.NewDirectory(t).Directory)
	if got := after.follow("/", f.ID()).Next(); got.Name != "reset" || got.Text("reason") != "unknown-id" {
		t.Errorf("got %v, want a reset", got)
	}
}

func TestStream_OldIDIsReset(t *testing.T) {
	d := apitest.NewDirectory(t)
	s := start(t, d.Directory)
	f := s.follow("/")
	f.Until("status")
	id := f.ID()
	room := "daily@muc.meet.jitsi"
	for i := range events.MaxFrames + 1 {
		d.Change(occupancy.Delta{Room: room, Facts: &occupancy.RoomFacts{Visitors: new(i + 1)}})
		for i%1000 == 0 && s.Stats().Position < uint64(i) { // the hub is to be quick enough here
			time.Sleep(time.Millisecond)
		}
	}
	for s.Stats().Position < events.MaxFrames+1 {
		time.Sleep(time.Millisecond)
	}
	if got := s.follow("/", id).Next(); got.Name != "reset" || got.Text("reason") != "expired" {
		t.Errorf("got %v, want a reset", got)
	}
	if got := s.Stats(); got.Resets["expired"] != 1 {
		t.Errorf("got %+v, want one reset counted", got)
	}
}

func TestStream_ForgottenAndLoadedDomainIsReset(t *testing.T) {
	d := apitest.NewDirectory(t)
	d.Join("daily", "ann")
	s := start(t, d.Directory)
	plain, whole := s.follow("/"), s.follow("/?snapshot=true")
	plain.Until("status")
	if got := whole.Until("snapshot"); len(got.Data["rooms"].([]any)) != 1 {
		t.Errorf("got %v", got)
	}
	d.Forget(apitest.Main)
	for _, f := range []*apitest.Stream{plain, whole} {
		if got := f.Until("reset"); got.Text("reason") != "unloaded" || got.Text("domain") != "muc.meet.jitsi" {
			t.Errorf("got %v", got)
		}
	}
	got := whole.Until("snapshot")
	if domain := got.Data["domains"].([]any)[0].(map[string]any); len(got.Data["rooms"].([]any)) != 0 || domain["known"] != false || domain["as_of"] != nil {
		t.Errorf("got %v, want a snapshot of an unknown domain", got)
	}
	if got := plain.Until("status"); got.Data["live"] != false || got.Text("status") != "syncing" {
		t.Errorf("got %v, want the status syncing", got)
	}
	d.Load(apitest.Main)
	for _, f := range []*apitest.Stream{plain, whole} {
		if got := f.Until("reset"); got.Text("reason") != "loaded" {
			t.Errorf("got %v", got)
		}
	}
	if got := plain.Until("status"); got.Data["live"] != true {
		t.Errorf("got %v, want the status live", got)
	}
}

func TestSnapshot_LargeOneComesInParts(t *testing.T) {
	d := apitest.NewDirectory(t)
	var deltas []occupancy.Delta
	for i := range 300 {
		deltas = append(deltas, occupancy.Delta{Room: fmt.Sprintf("room%03d@muc.meet.jitsi", i), Present: []occupancy.Occupant{apitest.Person("a"), apitest.Person("b")}})
	}
	var crowd []occupancy.Occupant
	for i := range 1000 {
		crowd = append(crowd, apitest.Person(fmt.Sprintf("n%04d", i)))
	}
	d.Change(append(deltas, occupancy.Delta{Room: "huge@muc.meet.jitsi", Present: crowd})...)
	s := start(t, d.Directory)
	f := s.follow("/?snapshot=true")
	occupants := map[string]int{}
	for part := 1; ; part++ {
		got := f.Until("snapshot")
		if got.Data["part"] != float64(part) {
			t.Fatalf("got part %v, want %d", got.Data["part"], part)
		}
		size := 0
		for _, r := range got.Data["rooms"].([]any) {
			r := r.(map[string]any)
			n := len(r["occupants"].([]any))
			occupants[r["room_jid"].(string)] += n
			size += 200 * n
			if r["room_jid"] == "huge@muc.meet.jitsi" && r["participant_count"] != 1000.0 {
				t.Errorf("got %v people", r["participant_count"])
			}
		}
		if size > 2*events.MaxPart {
			t.Errorf("part %d has about %d bytes", part, size)
		}
		if last := got.Data["last"] == true; last != (got.ID != "") {
			t.Errorf("part %d: last is %t and the id %q", part, last, got.ID)
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
	if got := f.ID(); got == "" {
		t.Error("there is no id to come back with")
	}
}
