package webhook_test

import (
	"encoding/json"
	"flag"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"ppch/api/webhook"
	"ppch/component/occupancy"
)

var update = flag.Bool("update", false, "rewrite the golden files")

// at returns a time some seconds into a meeting.
func at(seconds int) time.Time {
	return time.Date(2026, 11, 22, 9, 30, seconds, 125e6, time.UTC)
}

// event returns an event in a meeting of the tenant acme, with Ada if it concerns a participant.
func event(t webhook.Type) *webhook.Event {
	e := &webhook.Event{
		ID: "evt_0123456789abcdef", Type: t, At: at(5),
		Position: webhook.Position{Shard: "main", Epoch: "20261122T080000Z-k3x", Seq: 42},
		Room: webhook.Room{
			JID: "[acme]stand%20up@muc.meet.jitsi", Name: "[acme]stand%20up", Display: "acme/stand up", URL: "https://meet.example.com/acme/stand%20up", Type: occupancy.RoomMain, Tenant: "acme",
			MeetingID: "3d8e2c0e-5f0e-4b7e-9d2a-0b0a4d0c1a11", CreatedAt: at(1),
		},
		Participants: new(2), MeetingParticipants: new(3), Counts: map[occupancy.Kind]int{occupancy.KindFocus: 1, occupancy.KindUser: 2, occupancy.KindRecorder: 1},
	}
	kind, _, _ := strings.Cut(string(t), ".")
	switch kind {
	case "participant", "lobby":
		e.Stay = "stay-1"
		e.Occupant = &webhook.Occupant{
			ID: "3b9d1a77", Name: "Ada", Kind: occupancy.KindUser, Role: "moderator", JoinedAt: at(5),
			UserID: "u-7341", UserName: "Ada L.", UserGroup: "staff", Flags: occupancy.FlagAudioMuted,
		}
	case "watch":
		e.Room, e.Participants, e.MeetingParticipants, e.Counts = webhook.Room{}, nil, nil, nil
		e.Domain, e.Reason = "muc.meet.jitsi", "refused"
	}
	if t == webhook.ParticipantLeft {
		e.Reason, e.Occupant.LeftAt = "disconnected", at(9)
	}
	return e
}

// breakout returns e in a breakout room.
func breakout(e *webhook.Event) *webhook.Event {
	e.Room.Parent, e.Room.JID, e.Room.Name, e.Room.Type, e.Room.Tenant = e.Room.JID, "b7c1@breakout.meet.jitsi", "b7c1@breakout.meet.jitsi", occupancy.RoomBreakout, ""
	return e
}

func ended() *webhook.Event {
	e := event(webhook.RoomEnded)
	e.Participants, e.Counts = new(0), map[occupancy.Kind]int{}
	e.Stays = []webhook.Occupant{{ID: "3b9d1a77", Name: "Ada", JoinedAt: at(2), LeftAt: at(4)}}
	return e
}

func TestRender_Golden(t *testing.T) {
	t.Parallel()
	template := must(webhook.ParseTemplate(`{"text":"{participant} joined {room_name} ({participant_count})"}`))(t)
	for name, c := range map[string]struct {
		event  *webhook.Event
		format webhook.Format
		names  bool
	}{
		"ppch-joined":          {event(webhook.ParticipantJoined), webhook.FormatPPCH, true},
		"ppch-joined-numbers":  {event(webhook.ParticipantJoined), webhook.FormatPPCH, false},
		"ppch-left":            {event(webhook.ParticipantLeft), webhook.FormatPPCH, true},
		"ppch-watch-lost":      {event(webhook.WatchLost), webhook.FormatPPCH, true},
		"cloudevents-joined":   {event(webhook.ParticipantJoined), webhook.FormatCloudEvents, true},
		"cloudevents-watch":    {event(webhook.WatchLost), webhook.FormatCloudEvents, true},
		"event_sync-created":   {event(webhook.RoomStarted), webhook.FormatEventSync, true},
		"event_sync-destroyed": {ended(), webhook.FormatEventSync, true},
		"event_sync-joined":    {event(webhook.ParticipantJoined), webhook.FormatEventSync, true},
		"event_sync-breakout":  {breakout(event(webhook.ParticipantLeft)), webhook.FormatEventSync, true},
		"jaas-joined":          {event(webhook.ParticipantJoined), webhook.FormatJaaS, true},
		"jaas-left":            {event(webhook.ParticipantLeft), webhook.FormatJaaS, true},
		"jaas-breakout":        {breakout(event(webhook.ParticipantJoined)), webhook.FormatJaaS, true},
		"jaas-recording":       {event(webhook.RecordingStarted), webhook.FormatJaaS, true},
		"text-joined":          {event(webhook.ParticipantJoined), webhook.FormatText, true},
		"text-joined-numbers":  {event(webhook.ParticipantJoined), webhook.FormatText, false},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			m, ok := webhook.Render(c.event, c.format, c.names, template)
			if !ok {
				t.Fatal("the format has no such event")
			}
			var doc any
			if err := json.Unmarshal(m.Body, &doc); err != nil {
				t.Fatalf("%s: %v", m.Body, err)
			}
			pretty, _ := json.MarshalIndent(doc, "", "  ")
			got := m.ContentType + " " + m.Path + "\n" + string(pretty) + "\n"
			file := filepath.Join("testdata", name+".txt")
			if *update {
				check(t, os.WriteFile(file, []byte(got), 0o600))
			}
			want := must(os.ReadFile(file))(t)
			same(t, "body", string(want), got)
		})
	}
}

// A guest chooses any name; a body is valid JSON, and has it unchanged apart from bytes that aren't UTF-8.
func TestRender_HostileNames(t *testing.T) {
	t.Parallel()
	for _, name := range []string{
		`","type":"room.ended"`, "a\nb\r\n\x00\u2028", "</script><script>", `\`, "=cmd|' /C calc'!A0", "{participant}", "\u202eabc", strings.Repeat("ä", 2000), "\xff\xfe",
	} {
		want := strings.ToValidUTF8(name, strings.Repeat("\ufffd", len(name)))
		for _, format := range []webhook.Format{webhook.FormatPPCH, webhook.FormatCloudEvents, webhook.FormatEventSync, webhook.FormatJaaS} {
			e := event(webhook.ParticipantJoined)
			e.Occupant.Name, e.Occupant.UserName, e.Room.JID = name, "", name+"@muc.meet.jitsi"
			m, ok := webhook.Render(e, format, true, nil)
			if !ok {
				t.Fatalf("%s has no such event", format)
			}
			var doc any
			if err := json.Unmarshal(m.Body, &doc); err != nil || !contains(doc, want) {
				t.Errorf("%s with %q: got %s, %v", format, name, m.Body, err)
			}
			if strings.ContainsAny(m.Path+m.ContentType, "\r\n") || strings.Contains(m.Path, "calc") {
				t.Errorf("%s with %q: got the path %q of the type %q", format, name, m.Path, m.ContentType)
			}
		}
	}
}

// contains reports whether a JSON document has a text as one of its values.
func contains(doc any, text string) bool {
	switch v := doc.(type) {
	case string:
		return v == text
	case map[string]any:
		for _, value := range v {
			if contains(value, text) {
				return true
			}
		}
	}
	return false
}

func TestRender_NumbersIdentifyNobody(t *testing.T) {
	t.Parallel()
	template, _ := webhook.ParseTemplate("{event} {time} {room_name} {room_jid} {tenant} {domain} {reason} {meeting_id} {participant_count} {participant} {kind}")
	for _, typ := range webhook.Types {
		for _, format := range []webhook.Format{webhook.FormatPPCH, webhook.FormatCloudEvents, webhook.FormatText} {
			m, ok := webhook.Render(event(typ), format, false, template)
			if !ok {
				t.Errorf("%s has no %s", format, typ)
			}
			for _, secret := range []string{"Ada", "3b9d1a77", "u-7341", "staff", "stay-1"} {
				if strings.Contains(string(m.Body), secret) {
					t.Errorf("%s of %s without names contains %q: %s", format, typ, secret, m.Body)
				}
			}
		}
	}
}

func TestFilter_Parse(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		in      []string
		yes, no []webhook.Type
	}{
		{nil, []webhook.Type{webhook.RoomStarted, webhook.WatchLost}, nil},
		{[]string{"*"}, []webhook.Type{webhook.RoomStarted, webhook.WatchLost}, nil},
		{[]string{"room.*", "watch.lost"}, []webhook.Type{webhook.RoomStarted, webhook.RoomEmptied, webhook.WatchLost, webhook.Test}, []webhook.Type{webhook.WatchRestored, webhook.ParticipantJoined}},
	} {
		f, err := webhook.ParseFilter(c.in)
		if err != nil {
			t.Errorf("%q: %v", c.in, err)
		}
		for _, typ := range c.yes {
			if !f.Includes(typ) {
				t.Errorf("%q lacks %s", c.in, typ)
			}
		}
		for _, typ := range c.no {
			if f.Includes(typ) {
				t.Errorf("%q includes %s", c.in, typ)
			}
		}
	}
	for _, wrong := range []string{"room.start", "room*", "room.*.x", "", "r*", "nothing.*"} {
		if _, err := webhook.ParseFilter([]string{wrong}); err == nil {
			t.Errorf("%q was accepted", wrong)
		}
	}
}
