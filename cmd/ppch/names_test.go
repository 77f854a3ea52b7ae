package main

import (
	"slices"
	"testing"
	"time"

	"ppch/prosody/prosodytest"
)

// Invisible names would be useless in a list, so the nick replaces them.
func TestParticipants_BlankNamesShowTheNick(t *testing.T) {
	t.Parallel()
	srv := prosodytest.New(t, prosodytest.Options{Module: true, HideRooms: true})
	cast := castOn(t, srv)
	people := meeting(t, cast, srv.Room("planning"), "Ada", "", "  ", "\u200b\u202e", "\u3164")
	want := []any{"Ada"}
	for _, o := range people[1:] {
		want = append(want, o.Nick())
	}
	s := runService(t, envFor(srv)).ready()
	var got answer
	eventually(t, 10*time.Second, "five people are in the room", func() bool {
		got = s.room("planning")
		return got.data["participant_count"] == 5.0
	})
	if !slices.Equal(got.data["participants"].([]any), want) {
		t.Errorf("got %+q want %+q", got.data["participants"], want)
	}
}
