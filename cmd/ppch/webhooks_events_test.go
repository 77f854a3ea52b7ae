package main

import (
	"encoding/json"
	"fmt"
	"testing"

	"github.com/google/go-cmp/cmp"

	"ppch/prosody/prosodytest"
)

// A webhook for a main room gets what happens in its lobby and its breakout rooms, with the numbers of the meeting.
func TestWebhooks_EventsOfOneMeeting(t *testing.T) {
	t.Parallel()
	srv := prosodytest.New(t, prosodytest.Options{Module: true})
	cast := castOn(t, srv)
	room, breakout, lobby := srv.Room("planning"), "b1@"+srv.Domains.Breakout, "planning@"+srv.Domains.Lobby
	meeting(t, cast, room, "Ann")
	meeting(t, cast, breakout, "Bob")
	must(srv.Shell(t.Context(), `> (function () prosody.hosts["muc.meet.jitsi"].modules.muc.get_room_from_jid("`+room+`")._data.breakout_rooms = { ["`+breakout+`"] = "One" }; end)()`))(t)
	env := withStore(t, envFor(srv))
	env["MUC_DOMAIN"] += "," + srv.Domains.Lobby
	s := runService(t, env).ready()
	in := newInbox(t)
	s.hook("in", in.URL, `,"names":true,"rooms":["planning"],"events":["participant.joined","participant.left","transcription.*","lobby.*","room.occupied","room.emptied"]`)

	transcriber := must(cast.Transcriber(t.Context(), room))(t)
	in.await(t, "transcription.started")
	check(t, transcriber.Leave(t.Context()))
	in.await(t, "transcription.ended")
	must(cast.Open(t.Context(), lobby))(t)
	eve := must(cast.User(t.Context(), lobby, "Eve"))(t)
	in.await(t, "lobby.waiting")
	check(t, eve.Leave(t.Context()))
	in.await(t, "lobby.left")
	ada := must(srv.Guest(t.Context()))(t)
	inMain := must(ada.Join(t.Context(), room, "ada", "<nick xmlns='http://jabber.org/protocol/nick'>Ada</nick>"))(t)
	in.await(t, "participant.joined")
	check(t, ada.Send("<presence to='"+inMain.JIDInRoom()+"' type='unavailable'><status>switch_room</status></presence>"))
	in.await(t, "participant.left")
	must(ada.Join(t.Context(), breakout, "ada", "<nick xmlns='http://jabber.org/protocol/nick'>Ada</nick>"))(t)
	in.await(t, "participant.joined")

	var got, meetings []string
	for _, r := range in.all() {
		var e struct {
			Type string
			Data struct {
				RoomJID       string  `json:"room_jid"`
				Parent        *string `json:"parent_room_jid"`
				Participants  *int    `json:"participant_count"`
				Meeting       *string
				MeetingPeople *int `json:"meeting_participant_count"`
				Waiting       *int `json:"waiting_count"`
				Counts        map[string]int
				Reason        *string
				CreatedAt     *string `json:"created_at"`
				Occupant      struct {
					Name      string
					MovedFrom *string `json:"moved_from"`
				}
			}
		}
		check(t, json.Unmarshal([]byte(r.body), &e))
		d := e.Data
		line := fmt.Sprintf("%s %s %s: %s of %s", e.Type, d.RoomJID, d.Occupant.Name, text(d.Participants), text(d.MeetingPeople))
		for _, more := range [][2]string{{" waiting ", text(d.Waiting)}, {" because ", text(d.Reason)}, {" from ", text(d.Occupant.MovedFrom)}, {" in ", text(d.Parent)}} {
			if more[1] != "null" {
				line += more[0] + more[1]
			}
		}
		got = append(got, line)
		if d.Parent == nil {
			meetings = append(meetings, text(d.Meeting)+text(d.CreatedAt))
		}
		if d.Counts["user"] != *d.Participants {
			t.Errorf("%s: got the counts %v", line, d.Counts)
		}
	}
	want := []string{
		"transcription.started " + room + " Transcriber: 1 of 2",
		"transcription.ended " + room + " Transcriber: 1 of 2",
		"lobby.waiting " + room + " Eve: 1 of 2 waiting 1",
		"lobby.left " + room + " Eve: 1 of 2 waiting 0 because left",
		"participant.joined " + room + " Ada: 2 of 3",
		"participant.left " + room + " Ada: 1 of 2 because moved",
		"participant.joined " + breakout + " Ada: 2 of 3 from " + room + " in " + room,
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("-want +got:\n%s", diff)
	}
	for _, m := range meetings {
		if m != meetings[0] || m == "nullnull" {
			t.Errorf("got the meetings %q", meetings)
		}
	}
}

// text returns the value that a field has, or null.
func text[T any](value *T) string {
	if value == nil {
		return "null"
	}
	return fmt.Sprint(*value)
}
