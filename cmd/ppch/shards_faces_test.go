package main

import (
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"ppch/api/apitest"
	"ppch/prosody/prosodytest"
)

// shardsOf returns a file of shards with these Prosodys, by name.
func shardsOf(t *testing.T, prosodys map[string]*prosodytest.Server) string {
	t.Helper()
	dir := t.TempDir()
	var lines []string
	for name, srv := range prosodys {
		secret := filepath.Join(dir, name)
		check(t, os.WriteFile(secret, []byte(srv.Secret()+"\n"), 0o600))
		lines = append(lines, "name="+name+" url=xmpp://"+srv.ComponentAddr()+" component="+srv.Domains.Component+" secret_file="+secret+
			" muc="+srv.Domains.MUC+","+srv.Domains.Breakout)
	}
	slices.Sort(lines)
	file := filepath.Join(dir, "shards")
	check(t, os.WriteFile(file, []byte(strings.Join(lines, "\n")+"\n"), 0o600))
	return file
}

// Two Prosodys with the same domains are one Jitsi: each room names its shard, one room is split, and one Prosody is killed.
func TestShards_TwoProsodys(t *testing.T) {
	t.Parallel()
	first, second := prosodytest.New(t, prosodytest.Options{Module: true, HideRooms: true}), prosodytest.New(t, prosodytest.Options{Module: true, HideRooms: true})
	env := variables{
		"PPCH_API_KEY": testKey, "PPCH_PORT": "0", "PPCH_RATE_LIMIT": "0", "PPCH_MAX_STALENESS": "15s",
		"PPCH_SHARDS_FILE": shardsOf(t, map[string]*prosodytest.Server{"first": first, "second": second}),
	}
	s := runService(t, env).ready()
	a, b := castOn(t, first), castOn(t, second)
	meeting(t, a, first.Room("alone"), "Ada")
	meeting(t, a, first.Room("split"), "Ada", "Grace")
	meeting(t, b, second.Room("split"), "Linus")
	get := func(target string) answer { return s.get(target, "X-API-Key", testKey) }

	eventually(t, 15*time.Second, "the split room has all three people", func() bool {
		got := s.room("split").data
		return got["participant_count"] == 3.0 && got["split"] == true && got["exact"] == true && len(got["parts"].([]any)) == 2
	})
	if got := s.room("alone").data; got["shard"] != "first" || got["exact"] != true {
		t.Errorf("got %v", got)
	}
	if got := get("/api/stats").data; got["rooms"] != 2.0 || got["participant_count"] != 4.0 || len(got["shards"].([]any)) != 2 {
		t.Errorf("got %v", got)
	}

	check(t, second.Kill())
	eventually(t, 40*time.Second, "the second shard is unknown", func() bool { return s.room("nowhere").status == http.StatusServiceUnavailable })
	if got := s.room("alone"); got.status != http.StatusOK || got.data["exact"] != false || got.data["participant_count"] != 1.0 || got.data["unknown_shards"].([]any)[0] != "second" {
		t.Errorf("got %s", got.body)
	}
	if got := get("/api/rooms"); got.status != http.StatusServiceUnavailable || got.data["unknown_shards"].([]any)[0] != "second" || !strings.HasPrefix(got.data["detail"].(string), "shard second: ") {
		t.Errorf("got %s", got.body)
	}
	if out, err := command(t, asks(t, s), "rooms"); out != "" || err == nil || !strings.HasPrefix(err.Error(), "shard second: ") || !strings.HasSuffix(err.Error(), "; --shard NAME lists the rooms of another shard") {
		t.Errorf("got %q, %v want the shard, and how to list the others", out, err)
	}
	if got := get("/api/rooms?shard=first"); got.status != http.StatusOK || len(got.data["rooms"].([]any)) != 2 {
		t.Errorf("got %s", got.body)
	}
	health := get("/health")
	if shards, _ := health.data["shards"].([]any); health.status != http.StatusServiceUnavailable || len(shards) != 2 || shards[0].(map[string]any)["status"] != "ok" {
		t.Errorf("got %s", health.body)
	}
	if got := get("/readyz"); got.status != http.StatusOK {
		t.Errorf("got %s", got.body)
	}

	check(t, second.Restart(t.Context()))
	eventually(t, 60*time.Second, "all is known again, and the room is not split any more", func() bool {
		got := s.room("split").data
		return got["participant_count"] == 2.0 && got["split"] == nil && got["exact"] == true && s.room("nowhere").data["exists"] == false
	})
}

// A client of events moves from one service to another, which follows the first over NATS.
func TestShards_EventsGoOnAtAnotherService(t *testing.T) {
	t.Parallel()
	srv := prosodytest.New(t, prosodytest.Options{Module: true, HideRooms: true})
	nats := runNATS(t)
	env := envFor(srv)
	env["PPCH_NATS_URL"], env["PPCH_CLUSTER_SECRET"] = nats, "a-secret-of-all-nodes"
	collector := runService(t, env).ready()
	shards := filepath.Join(t.TempDir(), "shards")
	check(t, os.WriteFile(shards, []byte("name=main muc="+srv.Domains.MUC+","+srv.Domains.Breakout+" via=nats\n"), 0o600))
	node := runService(t, variables{
		"PPCH_API_KEY": testKey, "PPCH_PORT": "0", "PPCH_RATE_LIMIT": "0",
		"PPCH_SHARDS_FILE": shards, "PPCH_NATS_URL": nats, "PPCH_CLUSTER_SECRET": "a-secret-of-all-nodes",
	}).ready()

	at := collector.stream("/api/events")
	at.Until("status")
	cast := castOn(t, srv)
	room := srv.Room("planning")
	meeting(t, cast, room, "Ada")
	names := []string{}
	joined := func(f *apitest.Stream, want string) {
		for {
			e := f.Next()
			if e.Name == "reset" {
				t.Fatalf("got %v, want no reset", e)
			}
			if o, ok := e.Data["occupant"].(map[string]any); ok && e.Name == "participant.joined" && o["kind"] == "user" {
				names = append(names, o["name"].(string))
				if o["name"] == want {
					return
				}
			}
		}
	}
	joined(at, "Ada")
	for i, name := range []string{"Bob", "Cyd", "Dan", "Eve"} {
		id := at.ID()
		at.Leave()
		_ = at.Ended()
		must(cast.User(t.Context(), room, name))(t) // while the client is away
		to := []*service{node, collector}[i%2]
		at = to.stream("/api/events", "Last-Event-ID", id)
		joined(at, name)
	}
	if want := []string{"Ada", "Bob", "Cyd", "Dan", "Eve"}; !slices.Equal(names, want) {
		t.Errorf("got %q, want %q: each once", names, want)
	}
}
