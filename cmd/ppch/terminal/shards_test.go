package terminal

import (
	"strings"
	"testing"
	"time"

	"github.com/tmaxmax/go-sse"

	"ppch/api/view"
	"ppch/component/componenttest"
	"ppch/component/occupancy"
)

// onShard returns a listed room of two people.
func onShard(name, shard string) listed {
	r := listed{}
	r.RoomName, r.DisplayName, r.Shard, r.Exact, r.ParticipantCount = name, name, &shard, true, 2
	r.Exists, r.Counts = true, map[occupancy.Kind]int{occupancy.KindUser: 2}
	return r
}

func TestRoomsTable_NamesShardsOnlyWhereSeveral(t *testing.T) {
	one := roomsTable([]listed{onShard("daily", "main"), onShard("weekly", "main")}, totals{known: true, rooms: 2}, "", Style{})
	if strings.Contains(strings.ToLower(one), "shard") || strings.Contains(one, "main") {
		t.Errorf("got a shard in\n%s", one)
	}
	split := onShard("daily", "")
	split.Shard, split.Split, split.Parts = nil, true, []view.RoomPart{{Shard: "main", ParticipantCount: 1}, {Shard: "second", ParticipantCount: 1}}
	several := roomsTable([]listed{split, onShard("weekly", "second")}, totals{known: true, rooms: 2}, "", Style{})
	for _, want := range []string{"main 1 + second 1", "second\n"} {
		if !strings.Contains(strings.ReplaceAll(several, "  ", ""), strings.ReplaceAll(want, "\n", "")) {
			t.Errorf("got\n%s, want %q", several, want)
		}
	}
}

func TestRoomTable_WithUnknownShards(t *testing.T) {
	r := onShard("daily", "main").room
	r.Exact, r.UnknownShards, r.asOf, r.Note = false, []string{"second"}, time.Now(), "The room may also be on shards that can't be read now (second)."
	got := roomTable(r, Style{})
	if !strings.Contains(got, "≥2 people") || !strings.Contains(got, "(second)") {
		t.Errorf("got\n%s", got)
	}
}

func TestRoomFollower_NeedsAllShards(t *testing.T) {
	f := &roomFollower{changed: make(chan struct{}, 1), stale: map[string]string{}}
	status := func(shard string, live bool) {
		data := `{"shard":"` + shard + `","domain":"muc.meet.jitsi","live":false,"status":"error: gone"}`
		if live {
			data = strings.Replace(data, "false", "true", 1)
		}
		componenttest.Check(t, f.receive(sse.Event{Type: "status", Data: data}))
	}
	status("main", false)
	status("second", true)
	state, err := f.read(t.Context())
	if err != nil || state.Problem != "error: gone" {
		t.Errorf("got %+v, %v, want the problem of one shard", state, err)
	}
	status("main", true)
	if len(f.stale) > 0 {
		t.Errorf("got %v", f.stale)
	}
	status("second", false)
	if err := f.receive(sse.Event{Type: "reset", Data: `{"reason":"retired","shard":"second","domain":"muc.meet.jitsi"}`}); err != nil || len(f.stale) > 0 {
		t.Errorf("got %v, %v want no shard that was retired", f.stale, err)
	}
}

// The number of people doesn't depend on a visitor node.
func TestRoomFollower_NeedsNoVisitorNode(t *testing.T) {
	f := &roomFollower{changed: make(chan struct{}, 1), problem: "lost", stale: map[string]string{}}
	e := sse.Event{Type: "status", Data: `{"shard":"v1","kind":"visitors","visitors_of":["muc.meet.jitsi"],"domain":"muc.v1.meet.jitsi","live":false,` +
		`"status":"error: gone","time":"2026-11-30T04:00:00Z"}`}
	if err := f.receive(e); err != nil || len(f.stale) > 0 || f.problem != "lost" {
		t.Errorf("got %+v, %v", f.stale, err)
	}
	for data, want := range map[sse.Event]string{
		e: "visitors on v1: error: gone",
		{Type: "status", Data: `{"shard":"b","domain":"muc.meet.jitsi","status":"error: lost","time":"2026-11-30T04:00:00Z"}`}:  "muc.meet.jitsi on b: error: lost",
		{Type: "status", Data: `{"shard":"main","domain":"muc.meet.jitsi","status":"ok","time":"2026-11-30T04:00:00Z"}`}:        "  muc.meet.jitsi: ok",
		{Type: "reset", Data: `{"shard":"b","domain":"muc.meet.jitsi","reason":"retired","time":"2026-11-30T04:00:00Z"}`}:       "muc.meet.jitsi on b: out of service",
		{Type: "reset", Data: `{"shard":"b","domain":"muc.meet.jitsi","reason":"ring-exceeded","time":"2026-11-30T04:00:00Z"}`}: "events were missed (ring-exceeded)",
	} {
		if got := lineFor(data, 0); !strings.HasSuffix(got, want) {
			t.Errorf("got %q want %q", got, want)
		}
	}
}
