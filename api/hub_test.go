package api_test

import (
	"net/http"
	"regexp"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"ppch/component/occupancy"
)

// awake reports whether a channel is closed within some time.
func awake(woken <-chan struct{}, within time.Duration) bool {
	select {
	case <-woken:
		return true
	case <-time.After(within):
		return false
	}
}

func TestOnlyWhoIsConcernedIsWoken(t *testing.T) {
	d := newSite(t, breakoutDomain, lobbyDomain)
	s := start(t, telling(d.Directory))
	d.join("daily", "ann")
	d.Begin(breakoutDomain, occupancy.SystemAccounts{})
	b := occupancy.Batch{Synced: true}
	if err := d.Apply(breakoutDomain, b, time.Now()); err != nil {
		t.Fatal(err)
	}
	d.tell(occupancy.Delta{Room: "daily@muc.meet.jitsi", Facts: &occupancy.RoomFacts{Breakouts: []occupancy.Breakout{{JID: "b1@breakout.meet.jitsi"}}}})
	time.Sleep(300 * time.Millisecond) // until all of this is told

	all, endAll := s.Follow("")
	daily, endDaily := s.Follow("daily@muc.meet.jitsi")
	other, endOther := s.Follow("other@muc.meet.jitsi")
	lobby, endLobby := s.Follow("daily@lobby.meet.jitsi")
	allWoken, dailyWoken, otherWoken, lobbyWoken := all(), daily(), other(), lobby()
	d.join("daily", "bob")
	if !awake(allWoken, 5*time.Second) || !awake(dailyWoken, 5*time.Second) || awake(otherWoken, 100*time.Millisecond) || awake(lobbyWoken, 0) {
		t.Error("want those of the room and of all rooms to be woken, and no others")
	}

	dailyWoken = daily()
	b = occupancy.Batch{Synced: true, Rooms: 1, Occupants: 1, Deltas: []occupancy.Delta{{Room: "b1@breakout.meet.jitsi", Present: []occupancy.Occupant{person("bob")}}}}
	if err := d.Apply(breakoutDomain, b, time.Now()); err != nil {
		t.Fatal(err)
	}
	if !awake(dailyWoken, 5*time.Second) || awake(otherWoken, 100*time.Millisecond) {
		t.Error("want the room of a breakout room to be woken, and no others")
	}

	d.Forget(mainDomain)
	if !awake(otherWoken, 5*time.Second) || !awake(lobbyWoken, 5*time.Second) {
		t.Error("want every room to be woken when a domain is forgotten: rooms show those of other domains")
	}
	if n := s.Followed(); n != 4 {
		t.Errorf("got %d rooms that are followed", n)
	}
	endAll()
	endDaily()
	endOther()
	endLobby()
	if n := s.Followed(); n != 0 {
		t.Errorf("got %d rooms that are followed by nobody", n)
	}
}

func TestAStreamSaysWhetherItIsLive(t *testing.T) {
	d := newSite(t, lobbyDomain)
	d.join("daily", "ann")
	s := start(t, telling(d.Directory))
	f := s.follow("/api/rooms/daily/events")
	next := func(live bool, status string, reason any) {
		t.Helper()
		got := f.next()
		if got.name != "status" || got.text("domain") != "muc.meet.jitsi" || got.data["live"] != live || !strings.HasPrefix(got.text("status"), status) || got.data["reason"] != reason {
			t.Errorf("got %v, want live %t, %s", got, live, status)
		}
	}
	next(true, "ok", nil)
	d.SetStatus(mainDomain, occupancy.Status{Problem: away})
	next(false, "error: nothing listens", "refused")
	d.connect(time.Now())
	next(false, "syncing", "syncing") // what is known is of before
	d.join("daily", "bob")
	if got := f.next(); got.name != "participant.joined" {
		t.Errorf("got %v, want what happened before the word that all is known again", got)
	}
	next(true, "ok", nil)
	d.SetStatus(mainDomain, occupancy.Status{Connected: true, Since: time.Now(), Mode: occupancy.ModeDisco})
	next(false, "error: Prosody reports changes on muc.meet.jitsi only through the Lua module", "module-missing")

	all := s.follow("/api/events")
	if got := []string{all.next().text("domain"), all.next().text("domain")}; got[0] != "muc.meet.jitsi" || got[1] != "lobby.meet.jitsi" {
		t.Errorf("got statuses of %q", got)
	}
}

// A domain that falls silent isn't live any more after 15 s, which no event of a room says.
func TestStream_StatusByAge(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		d := newSite(t)
		got := listen(t, d, "/api/events", time.Minute, func() {
			time.Sleep(20 * time.Second)
			d.tell() // the module is back
		})
		var live []string
		for _, m := range regexp.MustCompile(`"live":(\w+),"status":"(\w+)"`).FindAllStringSubmatch(got, -1) {
			live = append(live, m[1]+" "+m[2])
		}
		if want := []string{"true ok", "false syncing", "true ok", "false syncing"}; !slices.Equal(live, want) {
			t.Errorf("got %q, want %q: %s", live, want, got)
		}
	})
}

func TestAStreamOpensWhateverIsKnown(t *testing.T) {
	s := start(t, linked(lostConnection()))
	got := s.follow("/api/events?snapshot=true")
	if status := got.next(); status.data["live"] != false || status.text("status") != "error: "+refused {
		t.Errorf("got %v", status)
	}
	snapshot := got.next()
	if domain := snapshot.data["domains"].([]any)[0].(map[string]any); domain["known"] != false || len(snapshot.data["rooms"].([]any)) != 0 {
		t.Errorf("got %v", snapshot)
	}
}

func TestAKeyForCountsGetsNoNames(t *testing.T) {
	d := newSite(t)
	d.join("daily", "ann")
	d.tell(occupancy.Delta{Room: "daily@muc.meet.jitsi", Facts: &occupancy.RoomFacts{Subject: "Old plans", Breakouts: []occupancy.Breakout{{JID: "0c2e@breakout.meet.jitsi", Name: "Group 0"}}}})
	s := start(t, telling(d.Directory), keyed("scope=events,count"))
	body := make(chan string, 1)
	go func() {
		body <- string(s.do(ask{target: "/api/events?snapshot=true", events: 7, then: func() {
			stage = d
			perform()
		}}).body)
	}()
	got := <-body
	for _, private := range []string{"ann", "ame of", "grace", "ull ", "lans", "Group", "avatar", "\"name\":\""} {
		if strings.Contains(got, private) {
			t.Errorf("got %q in %s", private, got)
		}
	}
	for _, wanted := range []string{`"participant_count":1`, "participant.joined", "room.updated", `"occupants":null`, `"counts":{"user":1}`} {
		if !strings.Contains(got, wanted) {
			t.Errorf("got no %q in %s", wanted, got)
		}
	}
}

func TestAKeyForSomeRoomsGetsNoOthers(t *testing.T) {
	d := newSite(t)
	d.join("daily", "ann")
	d.join("secret", "bob")
	s := start(t, telling(d.Directory), keyed("scope=all room=daily"))
	f := s.follow("/api/events?snapshot=true")
	snapshot := f.until("snapshot")
	if rooms := snapshot.data["rooms"].([]any); len(rooms) != 1 || rooms[0].(map[string]any)["room_jid"] != "daily@muc.meet.jitsi" {
		t.Errorf("got %v", rooms)
	}
	d.join("secret", "cyd")
	d.join("daily", "dan")
	if got := f.next(); got.text("room_jid") != "daily@muc.meet.jitsi" {
		t.Errorf("got %v", got)
	}
	s.get("/api/rooms/secret/events").wantProblem(t, http.StatusForbidden, "room-not-allowed")
}
