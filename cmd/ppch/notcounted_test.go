package main

import (
	"maps"
	"strings"
	"testing"
	"time"

	"ppch/api/apitest"
	"ppch/prosody/prosodytest"
)

// A bot with an account is hidden by an operator's rule in all faces. A guest who uses its name still counts.
func TestNotCounted_HidesBotsInAllFaces(t *testing.T) {
	t.Parallel()
	const bot = "minutes-bot@auth.meet.jitsi"
	srv := prosodytest.New(t, prosodytest.Options{Module: true, HideRooms: true, Accounts: map[string]string{bot: "secret"}})
	cast := castOn(t, srv)
	meeting(t, cast, srv.Room("planning"), "Ada", "minutes-bot")
	env := envFor(srv)
	env["PPCH_NOT_COUNTED"] = "bots=*-bot@auth.meet.jitsi, ghost@auth.meet.jitsi"
	env["PPCH_HISTORY"] = "names"
	withStore(t, env)
	s := runService(t, env).ready()
	stream := s.stream("/api/rooms/planning/events")
	stream.Until("status", live)
	account := must(srv.Login(t.Context(), bot+"/x"))(t)
	defer account.Close()
	must(account.Join(t.Context(), srv.Room("planning"), "b0t", prosodytest.DisplayName("Minutes")))(t)

	eventually(t, 10*time.Second, "the bot is known", func() bool {
		a := s.room("planning")
		return strings.Contains(a.body, `"name":"Minutes","kind":"hidden"`) && strings.Contains(a.body, `"rule":"bots"`) &&
			a.data["participant_count"] == 2.0 && a.data["exact"] == true && !strings.Contains(strings.Join(texts(a.data["participants"]), ","), "Minutes")
	})
	joined := stream.Until("participant.joined", func(apitest.Event) bool { return true })
	occupant, _ := joined.Data["occupant"].(map[string]any)
	if occupant["kind"] != "hidden" || occupant["rule"] != "bots" || joined.Data["participant_count"] != 2.0 {
		t.Errorf("got the event %v", joined.Data)
	}
	client := asks(t, s)
	out, err := command(t, client, "room", "planning")
	if err != nil || !strings.Contains(out, "planning: 2 people, 1 hidden; ") || !strings.Contains(out, "Minutes      hidden by rule bots") {
		t.Errorf("got %s, %v", out, err)
	}
	id := ""
	eventually(t, 10*time.Second, "the meeting is recorded", func() bool {
		meetings, _ := s.get("/api/meetings", "X-API-Key", testKey).data["meetings"].([]any)
		if len(meetings) != 1 {
			return false
		}
		id, _ = meetings[0].(map[string]any)["id"].(string)
		return true
	})
	eventually(t, 10*time.Second, "the bot's stay is recorded", func() bool {
		out, err = command(t, client, "attendance", id)
		return err == nil && strings.Contains(out, "\nMinutes (hidden by rule bots)  ")
	})
	if !strings.Contains(out, ", peak 2\n") {
		t.Errorf("got %s", out)
	}
	full := variables{}
	maps.Copy(full, env)
	maps.Copy(full, client)
	out, err = command(t, full, "doctor")
	if err != nil || !strings.Contains(out, "✓ not-counted    bots hides 1, ghost@auth.meet.jitsi hides 0 of the present occupants\n") {
		t.Errorf("got %s, %v", out, err)
	}
}
