package main

import (
	"encoding/json"
	"fmt"
	"net/http"
	"testing"
	"time"

	"ppch/api/view"
	"ppch/prosody/prosodytest"
)

// Two collectors are connected to one Prosody, and a node follows one of them. It answers requests for positions of both, with their events,
// and all three have the same tags, also after the followed collector was killed and started again.
func TestCluster_PositionsAndETagsOfEachCollector(t *testing.T) {
	t.Parallel()
	program := buildProgram(t)
	srv := prosodytest.New(t, prosodytest.Options{
		Module: true, HideRooms: true, ConflictResolve: "kick_old", Components: []string{"ppch2.meet.jitsi"},
		GlobalConfig: `room_participants_heartbeat = 1; room_participants_components = { "ppch.meet.jitsi", "ppch2.meet.jitsi" }`,
	})
	collectors, node := startCollectors(t, program, srv)
	get := func(p *process, path string, headers ...string) answer {
		t.Helper()
		return must((&service{url: p.url, client: p.client}).try(t.Context(), path, append(headers, "X-API-Key", testKey)...))(t)
	}
	const path = "/api/rooms/planning/participants"
	cast := must(srv.Cast(t.Context()))(t)
	t.Cleanup(func() { _ = cast.Close() })
	must(cast.Open(t.Context(), srv.Room("planning")))(t)
	people := 0
	join := func() {
		t.Helper()
		people++
		must(cast.User(t.Context(), srv.Room("planning"), fmt.Sprint("Guest ", people)))(t)
		for name, c := range collectors {
			eventually(t, 20*time.Second, name+" has the guest", func() bool { return get(c, path).data["participant_count"] == float64(people) })
			var doc view.Diagnostics
			check(t, json.Unmarshal([]byte(get(c, "/api/diagnostics").body), &doc))
			at := doc.NATS.Published[0]
			a := get(node, fmt.Sprintf("%s?at_least=main:%s:%d", path, at.Epoch, at.Seq))
			if a.status != http.StatusOK || a.data["participant_count"] != float64(people) {
				t.Errorf("%s at %s:%d: got %d %s", name, at.Epoch, at.Seq, a.status, a.body)
			}
		}
	}
	tags := func() string {
		t.Helper()
		all := ""
		for _, path := range []string{path, "/api/rooms/planning", "/api/rooms", "/api/rooms?name=planning&expand=occupants"} {
			want := get(node, path)
			for name, c := range collectors {
				if a := get(c, path); a.header.Get("ETag") != want.header.Get("ETag") || a.status != http.StatusOK {
					t.Errorf("%s of %s: got %s %s\nwant %s %s", path, name, a.header.Get("ETag"), a.body, want.header.Get("ETag"), want.body)
				}
			}
			all += want.header.Get("ETag")
		}
		return all
	}
	join()
	join()
	before := tags()
	first := followedBy(node)
	if collectors[first] == nil {
		t.Fatalf("the node follows %q", first)
	}
	collectors[first].kill()
	collectors[first].start()
	collectors[first].ready(t)
	eventually(t, time.Minute, "the node follows a collector", func() bool { return followedBy(node) != "" })
	if after := tags(); after != before {
		t.Errorf("got the tags %s after a restart, want %s", after, before)
	}
	join()
	a := get(node, path+"?wait=1s", "If-None-Match", get(collectors[first], path).header.Get("ETag"))
	if a.status != http.StatusNotModified {
		t.Errorf("got %d %s with the tag of a collector, without a change", a.status, a.body)
	}
}
