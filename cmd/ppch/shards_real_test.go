package main

import (
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"ppch/prosody/prosodytest"
)

// Two Prosodys with the same MUC domain and a visitor node, whose room has mirrors of the meeting's participants as mod_fmuc makes them:
// occupants with their main JIDs. The room is split; then one Prosody is killed, is retired; then the visitor node is killed, and restarts without rooms.
func TestShards_RealProsodys(t *testing.T) {
	t.Parallel()
	options := prosodytest.Options{Module: true, HideRooms: true}
	a, b := prosodytest.New(t, options), prosodytest.New(t, options)
	options.Base, options.Components = "v1.meet.jitsi", []string{"meet.jitsi"} // a component stands in for the main Prosody
	node := prosodytest.New(t, options)
	castA, castB, castNode := castOn(t, a), castOn(t, b), castOn(t, node)

	file := filepath.Join(t.TempDir(), "shards")
	lines := shardLine(t, "a", "main", a) + shardLine(t, "b", "main", b) + shardLine(t, "v1", "visitors", node)
	check(t, os.WriteFile(file, []byte(lines), 0o600))
	env := variables{"PPCH_API_KEY": testKey, "PPCH_RATE_LIMIT": "0", "PPCH_PORT": "0", "PPCH_SHARDS_FILE": file, "PPCH_MAX_STALENESS": "15s"}
	s := runService(t, env).ready()

	ctx := t.Context()
	must(castA.Open(ctx, a.Room("planning")))(t)
	must(castA.User(ctx, a.Room("planning"), "Ann"))(t)
	must(castA.User(ctx, a.Room("planning"), "Bob"))(t)
	must(castB.Open(ctx, b.Room("planning")))(t)
	must(castB.User(ctx, b.Room("planning"), "Cyd"))(t)
	must(castB.Open(ctx, b.Room("only-b")))(t)
	must(castNode.Open(ctx, node.Room("planning")))(t)
	main := must(node.Component(ctx, "meet.jitsi"))(t)
	t.Cleanup(func() { _ = main.Close() })
	for _, nick := range []string{"ann", "bob"} {
		must(main.JoinAs(ctx, nick+"@meet.jitsi/web", node.Room("planning"), nick))(t)
	}
	must(castNode.User(ctx, node.Room("planning"), "Vera"))(t)
	must(castNode.User(ctx, node.Room("planning"), "Wim"))(t)

	room := func(name string, is func(answer) bool) {
		t.Helper()
		var got answer
		defer func() {
			if t.Failed() {
				t.Logf("%s: %d %s", name, got.status, got.body)
			}
		}()
		eventually(t, 40*time.Second, name+" is as expected", func() bool { got = s.room(name); return is(got) })
	}
	room("planning", func(a answer) bool {
		return a.data["participant_count"] == 3.0 && a.data["split"] == true && a.data["exact"] == true && a.data["visitors"] == 2.0
	})
	room("none", func(a answer) bool { return a.status == http.StatusOK && a.data["exists"] == false })
	for _, path := range []string{"/api/rooms", "/api/stats"} {
		if got := s.get(path, "X-API-Key", testKey); got.status != http.StatusOK || strings.Contains(got.body, "v1.meet.jitsi") {
			t.Errorf("%s: got %d %s want the rooms of both Prosodys", path, got.status, got.body)
		}
	}

	check(t, b.Kill())
	// Until b is too old, its data answers; after that nothing may deny that it has rooms.
	room("planning", func(a answer) bool {
		return a.data["participant_count"] == 2.0 && a.data["exact"] == false && strings.Contains(a.body, `"unknown_shards":["b"]`) && a.data["visitors"] == 2.0
	})
	for _, path := range []string{"/api/rooms/none/participants", "/api/rooms/only-b/participants", "/api/rooms", "/api/stats"} {
		if got := s.get(path, "X-API-Key", testKey); got.status != http.StatusServiceUnavailable {
			t.Errorf("%s: got %d %s want a 503", path, got.status, got.body)
		}
	}
	if got := s.get("/api/stats?shard=a", "X-API-Key", testKey); got.data["participant_count"] != 2.0 {
		t.Errorf("got %s want the people on a", got.body)
	}

	// Deleting the line changes nothing; retiring the shard does.
	check(t, os.WriteFile(file, []byte(strings.Replace(lines, "name=b", "# name=b", 1)), 0o600))
	eventually(t, 20*time.Second, "the removed shard is noticed", func() bool {
		return strings.Contains(s.get("/api/rooms/none", "X-API-Key", testKey).body, "shard-removed")
	})
	check(t, os.WriteFile(file, []byte(lines), 0o600))
	if out, err := command(t, env, "shard", "retire", "b"); err != nil || !strings.HasPrefix(out, "b is retired in ") {
		t.Fatalf("got %q, %v want b retired", out, err)
	}
	room("planning", func(a answer) bool {
		return a.data["participant_count"] == 2.0 && a.data["exact"] == true && a.data["shard"] == "a"
	})
	room("none", func(a answer) bool { return a.status == http.StatusOK && a.data["exists"] == false })

	d := openDashboard(t, startChromium(t), s.url).signIn(testKey)
	d.shows("the number of visitors", "2", func() string { return d.text("#visitors-total") })
	events := s.stream("/api/events")
	status := func(live bool) {
		t.Helper()
		for {
			e := events.Next()
			if e.Name == "room.updated" {
				t.Errorf("got %v want no event of a room", e)
			}
			if of, _ := e.Data["visitors_of"].([]any); e.Text("shard") == "v1" && len(of) == 1 && e.Data["live"] == live {
				return
			}
		}
	}
	status(true)
	check(t, node.Kill())
	status(false)
	d.shows("the number of visitors", "—", func() string { return d.text("#visitors-total") })
	d.shows("the number of people", "2", func() string { return d.text("#people-total") })
	d.shows("why", "The number of visitors is unknown: no data from v1. Prosody isn’t running, or its component port is closed.", func() string { return d.text("#totals-note") })
	room("planning", func(a answer) bool {
		return a.data["participant_count"] == 2.0 && a.data["exact"] == true && a.data["visitors"] == nil
	})
	check(t, node.Restart(ctx))
	d.shows("the number of visitors", "0", func() string { return d.text("#visitors-total") })
	room("planning", func(a answer) bool { return a.data["visitors"] == 0.0 })
}

func TestShard_List(t *testing.T) {
	t.Parallel()
	file := filepath.Join(t.TempDir(), "shards")
	text := "name=a url=xmpp://a component=ppch.meet.jitsi muc=muc.meet.jitsi\nname=b muc=muc.meet.jitsi via=nats retired=2026-11-30T02:00:00Z\n"
	check(t, os.WriteFile(file, []byte(text), 0o600))
	out, err := command(t, variables{"PPCH_SHARDS_FILE": file}, "shard", "list")
	want := `NAME  KIND  VIA   PROSODY  COMPONENT        MUC DOMAIN      RETIRED
a     main  xmpp  a:5347   ppch.meet.jitsi  muc.meet.jitsi  -
b     main  nats  -        -                muc.meet.jitsi  2026-11-30T02:00:00Z
`
	if err != nil || out != want {
		t.Errorf("got\n%s%v want\n%s", out, err, want)
	}
	if _, err := command(t, variables{}, "shard", "retire", "a"); err == nil || !strings.Contains(err.Error(), "PPCH_SHARDS_FILE is not set") {
		t.Errorf("got %v want the variable", err)
	}
}
