package main

import (
	"fmt"
	"net/url"
	"strings"
	"testing"
	"time"

	"ppch/prosody/prosodytest"
)

// shardLine returns the line of a shard in the shards file.
func shardLine(t *testing.T, name, kind string, srv *prosodytest.Server) string {
	t.Helper()
	return fmt.Sprintf("name=%s kind=%s url=xmpp://%s component=%s secret_file=%s muc=%s,%s\n", name, kind, srv.ComponentAddr(), srv.Domains.Component,
		written(t, name+".secret", srv.Secret()), srv.Domains.MUC, srv.Domains.Breakout)
}

// twoShards are two Prosodys that have a room of the same name, and the service that watches both.
type twoShards struct {
	*service
	a, b *prosodytest.Server
}

func startTwoShards(t *testing.T) twoShards {
	t.Helper()
	w := twoShards{}
	w.a = prosodytest.New(t, prosodytest.Options{Module: true, HideRooms: true})
	w.b = prosodytest.New(t, prosodytest.Options{Module: true, HideRooms: true})
	env := envFor(w.a)
	for _, name := range []string{"PROSODY_URL", "PPCH_COMPONENT_DOMAIN", "PPCH_COMPONENT_SECRET", "MUC_DOMAIN"} {
		delete(env, name)
	}
	env["PPCH_SHARDS_FILE"] = written(t, "shards", shardLine(t, "a", "main", w.a)+shardLine(t, "b", "main", w.b))
	env["PPCH_MAX_STALENESS"] = "15s"
	w.service = runService(t, env).ready()
	for _, p := range []struct {
		srv   *prosodytest.Server
		room  string
		names []string
	}{{w.a, "planning", []string{"Ada", "Grace", "Linus"}}, {w.b, "planning", []string{"Claude", "Radia"}}, {w.b, "retro", []string{"Ines"}}} {
		cast := must(p.srv.Cast(t.Context()))(t)
		t.Cleanup(func() { _ = cast.Close() })
		must(cast.Open(t.Context(), p.srv.Room(p.room)))(t)
		for _, name := range p.names {
			must(cast.User(t.Context(), p.srv.Room(p.room), name))(t)
		}
	}
	return w
}

func TestShards_OneNameOnTwoProsodys(t *testing.T) {
	t.Parallel()
	w := startTwoShards(t)
	path := "/api/rooms/planning/participants"
	shows := func(path, want string, what func(answer) string) {
		t.Helper()
		got := ""
		for deadline := time.Now().Add(60 * time.Second); time.Now().Before(deadline); time.Sleep(100 * time.Millisecond) {
			if got = what(w.get(path, "X-API-Key", testKey)); got == want {
				return
			}
		}
		t.Fatalf("%s: got %s want %s", path, got, want)
	}
	room := func(a answer) string {
		return fmt.Sprintln(a.status, a.data["participant_count"], a.data["exact"], a.data["split"], a.data["unknown_shards"])
	}
	shows(path, "200 5 true true <nil>\n", room)
	shows("/api/rooms/planning?shard=b", "200 2 true <nil> <nil>\n", room)
	shows("/api/rooms/absent", "200 0 true <nil> <nil>\n", room)
	check(t, w.b.Kill())
	shows(path, "200 3 false <nil> [b]\n", room)
	code := func(a answer) string { return fmt.Sprintln(a.status, a.data["code"], a.data["unknown_shards"]) }
	shows("/api/rooms/absent/participants", "503 prosody-unavailable [b]\n", code)
	shows("/api/rooms/retro/participants", "503 prosody-unavailable [b]\n", code)
	shows("/api/rooms", "503 prosody-unavailable [b]\n", code)
	shows("/api/stats", "503 prosody-unavailable [b]\n", code)
	shows("/api/rooms?shard=a", "200 <nil> <nil>\n", code)
	if a := w.get("/health"); a.status != 503 {
		t.Errorf("health: got %d want 503", a.status)
	}
}

func TestDashboard_SplitRooms(t *testing.T) {
	t.Parallel()
	w := startTwoShards(t)
	d := openDashboard(t, startChromium(t), w.url).signIn(testKey)
	d.shows("rooms with their people", "planning 5, retro 1", func() string {
		return strings.Join(d.list("#rooms tbody tr[data-jid]", `e.querySelector("[data-cell=name] bdi").textContent + " " + e.querySelector("[data-cell=people]").textContent`), ", ")
	})
	d.shows("people", "6", func() string { return d.text("#people-total") })
	d.goTo("#/room/" + url.PathEscape(w.a.Room("planning")))
	d.shows("the room's people", "5", func() string { return d.text("#room-people") })
	d.until("the shards", func() bool {
		facts := d.text("#room-facts")
		return strings.Contains(facts, "a 3, b 2")
	})
	d.until("the names of both shards", func() bool {
		people := d.text("#people")
		return strings.Contains(people, "Ada") && strings.Contains(people, "Radia")
	})
	check(t, w.b.Kill())
	d.isState("stale")
	d.until("which shard is unknown", func() bool { return strings.Contains(d.text("#problem-title"), "(b)") })
	d.shows("people, unknown", "", func() string { return d.text("#people-total") })
}
