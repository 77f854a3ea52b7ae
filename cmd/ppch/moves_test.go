package main

import (
	"testing"

	"ppch/prosody/prosodytest"
)

// A participant who changes from one breakout room of a meeting to another leaves the one and joins the other, and both events say so.
func TestEvents_MoveBetweenBreakoutRooms(t *testing.T) {
	t.Parallel()
	srv := prosodytest.New(t, prosodytest.Options{Module: true})
	cast := castOn(t, srv)
	room, one, two := srv.Room("planning"), "b1@"+srv.Domains.Breakout, "b2@"+srv.Domains.Breakout
	for _, r := range []string{room, one, two} {
		meeting(t, cast, r, "Ann")
	}
	must(srv.Shell(t.Context(), `> (function () prosody.hosts["muc.meet.jitsi"].modules.muc.get_room_from_jid("`+room+`")._data.breakout_rooms = { ["`+one+`"] = "One", ["`+two+`"] = "Two" }; end)()`))(t)
	s := runService(t, envFor(srv)).ready()
	events := s.stream("/api/rooms/planning/events?breakouts=true")
	ada := must(srv.Guest(t.Context()))(t)
	in := must(ada.Join(t.Context(), one, "ada"))(t)
	if got := events.Until("participant.joined"); got.Text("room_jid") != one {
		t.Errorf("got %v want a join of %s", got, one)
	}
	check(t, ada.Send("<presence to='"+in.JIDInRoom()+"' type='unavailable'><status>switch_room</status></presence>"))
	if got := events.Until("participant.left"); got.Text("room_jid") != one || got.Text("reason") != "moved" {
		t.Errorf("got %v want a move out of %s", got, one)
	}
	must(ada.Join(t.Context(), two, "ada"))(t)
	got := events.Until("participant.joined")
	if o, _ := got.Data["occupant"].(map[string]any); got.Text("room_jid") != two || got.Text("parent_room_jid") != room || o["moved_from"] != one {
		t.Errorf("got %v want a move from %s into %s", got, one, two)
	}
}
