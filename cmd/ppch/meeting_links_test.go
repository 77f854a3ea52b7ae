package main

import (
	"fmt"
	"net/http"
	"net/url"
	"strings"
	"testing"
	"time"

	"ppch/prosody/prosodytest"
)

// A meeting link is accepted wherever a room name is.
func TestNames_MeetingLinksEverywhere(t *testing.T) {
	t.Parallel()
	srv := prosodytest.New(t, prosodytest.Options{Module: true, HideRooms: true})
	const link = "https://meet.example.com/Planning?jwt=x#config.a=1"
	escaped := url.QueryEscape(link)
	plain, _, _ := strings.Cut(link, "?") // a pattern has no parameters
	public := variables{"PPCH_MEET_URL": "https://meet.example.com"}
	_, shareLine := newLink(t, public, "--room", plain)
	if want := "scope=share room=planning"; !strings.HasSuffix(shareLine, want) {
		t.Errorf("ppch key share got %q want the end %q", shareLine, want)
	}
	env := withStore(t, envFor(srv))
	env["PPCH_MEET_URL"], env["PPCH_HISTORY"] = public["PPCH_MEET_URL"], "numbers"
	limited, line := newKeyFor(t, "--name", "limited", "--scope", "all", "--room", "planning")
	env["PPCH_API_KEYS_FILE"] = written(t, "keys", strings.Replace(line, "room=planning", "room="+plain, 1)+"\n")
	s := runService(t, env).ready()
	jid := srv.Room("planning")
	cast := castOn(t, srv)
	in := newInbox(t)
	s.hook("linked", in.URL, `,"rooms":["`+plain+`"]`)
	meeting(t, cast, srv.Room("standup"), "Alan")
	meeting(t, cast, jid, "Ada", "Grace")
	in.await(t, "participant.joined")
	for _, e := range in.events(t) {
		if e.Data.RoomJID != jid {
			t.Errorf("the webhook got an event of %s", e.Data.RoomJID)
		}
	}

	for _, tt := range []struct{ key, path, want string }{
		{testKey, "/api/rooms/" + escaped, `"participant_count":2`},
		{testKey, "/api/rooms/" + escaped + "/participants", `"participant_count":2`},
		{testKey, "/api/rooms/" + escaped + "/events/recent", `"events":[`},
		{testKey, "/api/rooms?name=" + escaped, `"participant_count":2`},
		{testKey, "/api/rooms?q=" + escaped, `"room_jid":"` + jid},
		{testKey, "/api/meetings?room=" + escaped, `"room_jid":"` + jid},
		{testKey, "/api/rooms/" + escaped + "/meetings", `"room_jid":"` + jid},
		{limited, "/api/rooms", `"room_jid":"` + jid},
	} {
		get := func() answer { return s.sendAs(tt.key, http.MethodGet, tt.path, "") }
		eventually(t, 10*time.Second, tt.path+" has "+tt.want, func() bool { return strings.Contains(get().body, tt.want) })
		if got := get(); got.status != 200 || strings.Contains(got.body, "standup") {
			t.Errorf("%s: got %d %s", tt.path, got.status, got.body)
		}
	}
	events := s.stream("/api/rooms/" + escaped + "/events?snapshot=true")
	if got := events.Until("snapshot"); !strings.Contains(fmt.Sprint(got.Data), jid) {
		t.Errorf("the events are of %s", got.Data)
	}
	out, err := command(t, variables{"PPCH_API_KEY": testKey}, "room", link, "--url", s.url)
	if err != nil || !strings.Contains(out, "Ada") {
		t.Errorf("ppch room: got %q, %v", out, err)
	}
}
