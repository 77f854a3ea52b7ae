package main

import (
	"fmt"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"ppch/prosody/prosodytest"
)

// A main Prosody promotes a visitor of another, which is its visitor node: the visitor leaves one room for the other, by both events.
func TestShards_PromotedVisitorHasMoved(t *testing.T) {
	t.Parallel()
	options := prosodytest.Options{Module: true, HideRooms: true, HostModules: map[string][]string{"auth.meet.jitsi": {"visitors_component"}}}
	main := prosodytest.New(t, options)
	options.Base, options.Components = "v1.meet.jitsi", []string{"visitors.auth.meet.jitsi"} // a component stands in for the connection between the two
	options.HostModules = map[string][]string{"muc.v1.meet.jitsi": {"fmuc"}}
	options.HostConfig = map[string]string{"muc.v1.meet.jitsi": `main_domain = "auth.meet.jitsi"`}
	node := prosodytest.New(t, options)
	castMain, castNode := castOn(t, main), castOn(t, node)
	file := filepath.Join(t.TempDir(), "shards")
	put(t, file, shardLine(t, "main", "main", main)+shardLine(t, "v1", "visitors", node))
	s := runService(t, variables{"PPCH_API_KEY": testKey, "PPCH_RATE_LIMIT": "0", "PPCH_PORT": "0", "PPCH_SHARDS_FILE": file}).ready()

	room, inNode := main.Room("planning"), node.Room("planning")
	meeting(t, castMain, room, "Ann")
	meeting(t, castNode, inNode)
	here, there := s.stream("/api/rooms/"+room+"/events"), s.stream("/api/rooms/"+inNode+"/events")
	vera := must(node.Guest(t.Context()))(t)
	visitor := must(vera.Join(t.Context(), inNode, "vera"))(t)
	there.Until("participant.joined")
	promoted := must(main.Guest(t.Context()))(t)
	login, _, _ := strings.Cut(promoted.JID(), "@")
	must(main.Shell(t.Context(), `> prosody.hosts["auth.meet.jitsi"].modules.visitors_component.promote("v1.meet.jitsi", "`+inNode+`", "`+vera.JID()+`", "`+login+`", "true")`))(t)
	connection := must(node.Component(t.Context(), "visitors.auth.meet.jitsi"))(t)
	t.Cleanup(func() { _ = connection.Close() })
	must(connection.IQ(t.Context(), "v1.meet.jitsi", "set", `<visitors xmlns="jitsi:visitors" room="`+inNode+`"><promotion-response jid="`+vera.JID()+`" username="`+login+`" allow="true"/></visitors>`))(t)
	check(t, visitor.Leave(t.Context()))
	if got := there.Until("participant.left"); got.Text("reason") != "moved" {
		t.Errorf("got %v want moved", got)
	}
	must(promoted.Join(t.Context(), room, "vera"))(t)
	if o, _ := here.Until("participant.joined").Data["occupant"].(map[string]any); o["moved_from"] != inNode {
		t.Errorf("got %v want an occupant from %s", o, inNode)
	}
}

// What focus counts, late, is the number of visitors until their node is watched. After that it only shows the doctor that a node is missing.
func TestShards_FocusCountsVisitorsLate(t *testing.T) {
	t.Parallel()
	options := prosodytest.Options{Module: true, HideRooms: true}
	main := prosodytest.New(t, options)
	options.Base = "v1.meet.jitsi"
	node := prosodytest.New(t, options)
	castMain, castNode := castOn(t, main), castOn(t, node)
	file := filepath.Join(t.TempDir(), "shards")
	put(t, file, shardLine(t, "main", "main", main))
	s := runService(t, variables{"PPCH_API_KEY": testKey, "PPCH_RATE_LIMIT": "0", "PPCH_PORT": "0", "PPCH_SHARDS_FILE": file}).ready()
	shows := func(path, want string, what func(answer) string) {
		t.Helper()
		eventually(t, 20*time.Second, path+" is "+want, func() bool { return what(s.get(path, "X-API-Key", testKey)) == want })
	}
	visitors := func(want string) {
		t.Helper()
		shows("/api/rooms/planning", want, func(a answer) string {
			return fmt.Sprint(a.data["participant_count"], " ", a.data["visitors"], " ", a.data["visitors_source"], " ", a.data["exact"])
		})
	}
	unwatched := func(want, line string) {
		t.Helper()
		shows("/api/diagnostics", want, func(a answer) string { return fmt.Sprint(a.data["unwatched_visitors"]) })
		if out, _ := command(t, variables{"PPCH_SHARDS_FILE": file, "PPCH_API_KEY": testKey}, "doctor", "--url", s.url); strings.Contains(out, " visitors ") != (line != "") || !strings.Contains(out, line) {
			t.Errorf("got\n%s\nwant the line %q", out, line)
		}
	}

	focus := must(castMain.Open(t.Context(), main.Room("planning")))(t)
	must(castMain.User(t.Context(), main.Room("planning"), "Ann"))(t)
	counts := func(n string) {
		t.Helper()
		check(t, focus.Update(t.Context(), prosodytest.ConferenceProperties("visitor-count", n)))
	}
	counts("2")
	visitors("1 2 focus true")
	unwatched("<nil>", "")

	meeting(t, castNode, node.Room("planning"), "Vera")
	put(t, file, shardLine(t, "main", "main", main)+shardLine(t, "v1", "visitors", node))
	visitors("1 1 nodes true")
	counts("7")
	unwatched("map[reported:7 rooms:1 watched:1]", "! visitors       Jicofo's number of visitors is 7, that of the watched visitor nodes 1 (rooms: 1)")
	visitors("1 1 nodes true")
	must(castNode.User(t.Context(), node.Room("planning"), "Wim"))(t)
	visitors("1 2 nodes true")
	counts("1")
	unwatched("map[reported:0 rooms:0 watched:0]", "✓ visitors       the watched visitor nodes have all visitors")
	visitors("1 2 nodes true")
}
