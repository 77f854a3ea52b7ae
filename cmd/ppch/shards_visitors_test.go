package main

import (
	"path/filepath"
	"strings"
	"testing"

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
