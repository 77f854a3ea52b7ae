package main

import (
	"testing"

	"ppch/prosody/prosodytest"
)

// A room is found by its meeting link and its name, not only by its JID.
func TestDashboard_MeetingLinks(t *testing.T) {
	t.Parallel()
	srv := prosodytest.New(t, prosodytest.Options{Module: true, HideRooms: true})
	env := envFor(srv)
	env["PPCH_MEET_URL"] = "https://meet.example.com"
	s := runService(t, env).ready()
	cast := castOn(t, srv)
	meeting(t, cast, srv.Room("planning"), "Ada", "Grace")
	meeting(t, cast, srv.Room("standup"), "Alan")
	d := openDashboard(t, startChromium(t), s.url).signIn(testKey)
	d.hasRooms("planning 2", "standup 1")
	for _, search := range []string{"https://meet.example.com/Planning", "meet.example.com/planning"} {
		d.write("#search", search)
		d.hasRooms("planning 2")
		d.click("#search-clear")
		d.hasRooms("planning 2", "standup 1")
	}
	d.write("#search", "https://meet.example.com/empty")
	d.shows("what was found", "0 of 2 rooms", func() string { return d.text("#found") })
	for _, name := range []string{"planning", "https%3A%2F%2Fmeet.example.com%2FPlanning"} {
		evaluate[string](d.tab, `location.hash = "#/room/`+name+`"`)
		d.shows("the people of "+name, "2", func() string { return d.text("#room-people") })
		d.shows("the room", "planning", func() string { return d.text("#room-name") })
	}
	evaluate[string](d.tab, `location.hash = "#/room/x%40elsewhere.example"`)
	d.until("the page says that the room is unknown", func() bool { return d.text("#room-note") != "" && d.text("#room-note") != "The rooms are loading …" })
}
