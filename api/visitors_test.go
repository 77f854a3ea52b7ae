package api_test

import (
	"net/http"
	"testing"

	"ppch/api/apitest"
	"ppch/component/occupancy"
)

// visitor is a change of the room daily on v1, in which a visitor is there with that name.
func visitor(nick, name string) occupancy.Delta {
	o := apitest.Person(nick)
	o.Name, o.RealJID = name, nick+"@v1.meet.jitsi/web"
	return occupancy.Delta{Room: "daily@muc.v1.meet.jitsi", Present: []occupancy.Occupant{o, mirror("ann")}}
}

// mirror is a participant of the meeting, mirrored into its room on a visitor node.
func mirror(nick string) occupancy.Occupant {
	o := apitest.Person(nick)
	o.RealJID = nick + "@meet.jitsi/web"
	return o
}

func TestVisitors_NamesOnAllNodes(t *testing.T) {
	f := newFleet(t)
	f.main.Join("daily", "ann")
	f.v1.Change(visitor("vic", "Vic"))
	s := f.serve(t)
	room := s.get("/api/rooms/daily?expand=visitors")
	got := room.object(t)
	visitors := got["visitor_occupants"].([]any)
	if len(visitors) != 1 || got["visitors"] != 1.0 || got["participant_count"] != 1.0 || len(got["occupants"].([]any)) != 1 {
		t.Fatalf("got %s", room.body)
	}
	if v := visitors[0].(map[string]any); v["name"] != "Vic" || v["kind"] != "visitor" || v["shard"] != "v1" {
		t.Errorf("got %v", v)
	}
	again := s.do(ask{target: "/api/rooms/daily?expand=visitors", header: http.Header{"If-None-Match": {room.header.Get("ETag")}}})
	if again.status != http.StatusNotModified {
		t.Errorf("got %d %s", again.status, again.body)
	}
	f.v1.Change(visitor("vic", "Victoria"))
	renamed := s.do(ask{target: "/api/rooms/daily?expand=visitors", header: http.Header{"If-None-Match": {room.header.Get("ETag")}}})
	if renamed.status != http.StatusOK || renamed.object(t)["visitor_occupants"].([]any)[0].(map[string]any)["name"] != "Victoria" {
		t.Errorf("got %d %s", renamed.status, renamed.body)
	}
	if got := s.get("/api/rooms/empty?expand=visitors").object(t); got["exists"] != false || len(got["visitor_occupants"].([]any)) != 0 {
		t.Errorf("got %v", got)
	}
}

func TestVisitors_AreNullIfUnknownOrNotAllowed(t *testing.T) {
	f := newFleet(t)
	f.main.Join("daily", "ann")
	f.v1.Change(visitor("vic", "Vic"))
	if got := f.serve(t, withKeys("scope=count")).get("/api/rooms/daily?expand=visitors").object(t); got["visitor_occupants"] != nil || got["visitors"] != 1.0 {
		t.Errorf("without names: got %v", got)
	}
	s := f.serve(t)
	lose(f.v1, nodeDomain)
	if got := s.get("/api/rooms/daily?expand=visitors").object(t); got["visitor_occupants"] != nil || got["visitors"] != nil || got["exact"] != true {
		t.Errorf("with an unknown node: got %v", got)
	}
	if got := s.get("/api/rooms/nosuch?expand=visitors").object(t); got["visitor_occupants"] != nil || got["visitors"] != nil || got["exists"] != false {
		t.Errorf("with an unknown node: got %v", got)
	}
	s.get("/api/rooms/daily?expand=people").wantProblem(t, http.StatusBadRequest, "bad-parameter")
	s.get("/api/rooms/daily?expand=visitors&wait=1s").wantProblem(t, http.StatusBadRequest, "bad-parameter")
	if got := start(t).get("/api/rooms/daily?expand=visitors").object(t); got["visitor_occupants"] != nil {
		t.Errorf("without visitor nodes: got %v", got)
	}
}
