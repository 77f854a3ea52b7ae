package events_test

import (
	"regexp"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"ppch/api/apitest"
	"ppch/api/events"
	"ppch/component/occupancy"
)

// refused is the problem of a Prosody that isn't there.
var refused = occupancy.ProblemRefused.With(occupancy.Fact{Name: "prosody", Value: "prosody:5347"}).Err(nil)

// awake reports whether a channel is closed within some time.
func awake(woken <-chan struct{}, within time.Duration) bool {
	select {
	case <-woken:
		return true
	case <-time.After(within):
		return false
	}
}

func TestHub_WakesOnlyWaitersOfTheRoom(t *testing.T) {
	d := apitest.NewDirectory(t, apitest.Main, apitest.Breakout, apitest.Lobby)
	s := start(t, d.Directory)
	d.Join("daily", "ann")
	d.Change(occupancy.Delta{Room: "daily@muc.meet.jitsi", Facts: &occupancy.RoomFacts{Breakouts: []occupancy.Breakout{{JID: "b1@breakout.meet.jitsi"}}}})
	time.Sleep(300 * time.Millisecond) // until the hub has taken all of this

	all, daily, other, lobby := s.Follow(""), s.Follow("daily@muc.meet.jitsi"), s.Follow("other@muc.meet.jitsi"), s.Follow("daily@lobby.meet.jitsi")
	allWoken, dailyWoken, otherWoken, lobbyWoken := all.Next(), daily.Next(), other.Next(), lobby.Next()
	d.Join("daily", "bob")
	if !awake(allWoken, 5*time.Second) || !awake(dailyWoken, 5*time.Second) || awake(otherWoken, 100*time.Millisecond) || awake(lobbyWoken, 0) {
		t.Error("want those of the room and of all rooms to be woken, and no others")
	}

	dailyWoken = daily.Next()
	d.Change(occupancy.Delta{Room: "b1@breakout.meet.jitsi", Present: []occupancy.Occupant{apitest.Person("bob")}})
	if !awake(dailyWoken, 5*time.Second) || awake(otherWoken, 100*time.Millisecond) {
		t.Error("want the room of a breakout room to be woken, and no others")
	}

	d.Forget(apitest.Main)
	if !awake(otherWoken, 5*time.Second) || !awake(lobbyWoken, 5*time.Second) {
		t.Error("want every room to be woken when a domain is forgotten: rooms show those of other domains")
	}
	if n := s.Followed(); n != 4 {
		t.Errorf("got %d rooms that are followed", n)
	}
	for _, topic := range []*events.Topic{all, daily, other, lobby} {
		topic.Release()
	}
	if n := s.Followed(); n != 0 {
		t.Errorf("got %d rooms without followers", n)
	}
}

func TestStream_Status(t *testing.T) {
	d := apitest.NewDirectory(t, apitest.Main, apitest.Lobby)
	d.Join("daily", "ann")
	s := start(t, d.Directory)
	f := s.follow("/daily")
	next := func(live bool, status string, reason any) {
		t.Helper()
		got := f.Next()
		if got.Name != "status" || got.Text("domain") != "muc.meet.jitsi" || got.Data["live"] != live || !strings.HasPrefix(got.Text("status"), status) || got.Data["reason"] != reason {
			t.Errorf("got %v, want live %t, %s", got, live, status)
		}
	}
	next(true, "ok", nil)
	d.Shard(occupancy.DefaultShard).SetStatus(apitest.Main, occupancy.Status{Problem: refused})
	next(false, "error: nothing listens", "refused")
	d.Connect(time.Now())
	next(false, "syncing", "syncing") // what is known is of before
	d.Join("daily", "bob")
	if got := f.Next(); got.Name != "participant.joined" {
		t.Errorf("got %v, want what happened before the word that all is known again", got)
	}
	next(true, "ok", nil)
	d.Shard(occupancy.DefaultShard).SetStatus(apitest.Main, occupancy.Status{Connected: true, Since: time.Now(), Mode: occupancy.ModeDisco})
	next(false, "error: Prosody reports changes on muc.meet.jitsi only through the Lua module", "module-missing")

	all := s.follow("/")
	if got := []string{all.Next().Text("domain"), all.Next().Text("domain")}; got[0] != "muc.meet.jitsi" || got[1] != "lobby.meet.jitsi" {
		t.Errorf("got statuses of %q", got)
	}
}

// A domain that falls silent isn't live any more after 15 s, which no event of a room says.
func TestStream_StatusByAge(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		d := apitest.NewDirectory(t)
		got := listen(t, d, "/", time.Minute, func() {
			time.Sleep(20 * time.Second)
			d.Heartbeat() // the module is back
		})
		var live []string
		for _, m := range regexp.MustCompile(`"live":(\w+),"status":"(\w+)`).FindAllStringSubmatch(got, -1) {
			live = append(live, m[1]+" "+m[2])
		}
		if want := []string{"true ok", "false error", "true ok", "false error"}; !slices.Equal(live, want) {
			t.Errorf("got %q, want %q: %s", live, want, got)
		}
	})
}

func TestStream_OpensWithoutData(t *testing.T) {
	d := occupancy.NewDirectory(apitest.Main)
	d.Shard(occupancy.DefaultShard).SetStatus(apitest.Main, occupancy.Status{Problem: refused})
	got := start(t, d).follow("/?snapshot=true")
	if status := got.Next(); status.Data["live"] != false || status.Data["reason"] != "refused" {
		t.Errorf("got %v", status)
	}
	snapshot := got.Next()
	if domain := snapshot.Data["domains"].([]any)[0].(map[string]any); domain["known"] != false || len(snapshot.Data["rooms"].([]any)) != 0 {
		t.Errorf("got %v", snapshot)
	}
}
