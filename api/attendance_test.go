package api_test

import (
	"context"
	"encoding/json"
	"slices"
	"strings"
	"testing"

	"ppch/api"
	"ppch/api/view"
	"ppch/component/history"
	"ppch/component/occupancy"
)

// withLobby records a meeting at which Ada waited in the lobby, was let in and waited again, and Mallory was not let in.
func withLobby(cfg *api.Config) {
	record(cfg, func(tx *history.Tx) error {
		for i, m := range []struct {
			room, typ string
			parent    any
		}{{"standup@muc.meet.jitsi", "main", nil}, {"standup@lobby.meet.jitsi", "lobby", "standup@muc.meet.jitsi"}} {
			if _, err := tx.Exec(`INSERT INTO meetings (number, id, shard, room, type, tenant, parent, began, ended_after, ended_before, peak) VALUES (?1, ?2, 'main', ?3, ?4, '', ?5, ?6, ?7, ?7, 1)`,
				i+1, idOf("5b1de0aa", i+1), m.room, m.typ, m.parent, minute(0), minute(55)); err != nil {
				return err
			}
		}
		for i, s := range []struct {
			meeting, joined, left int
			name                  string
			user                  any
		}{{2, 2, 12, "Ada", "8a7c1f02"}, {1, 12, 22, "Ada", "8a7c1f02"}, {2, 30, 50, "Ada", "8a7c1f02"}, {1, 5, 55, "Grace", "99f00d11"}, {2, 30, 40, "Mallory", nil}} {
			if _, err := tx.Exec(`INSERT INTO stays (id, meeting, kind, joined, left_after, left_before, nick, name, user_id) VALUES (?1, ?2, 'user', ?3, ?4, ?4, '8f3a11cd', ?5, ?6)`,
				idOf("57a9e0aa", i+1), s.meeting, minute(s.joined), minute(s.left), s.name, s.user); err != nil {
				return err
			}
		}
		return nil
	})
}

// One stay has the same length in all formats that show seconds.
func TestAttendance_OneStayHasOneLength(t *testing.T) {
	s := start(t, withMeetings, func(cfg *api.Config) {
		err := cfg.Meetings.Store().Write(context.Background(), func(tx *history.Tx) error {
			_, err := tx.Exec("UPDATE stays SET left_after = joined + 4600, left_before = joined + 4600 WHERE name = 'Ada'")
			return err
		})
		if err != nil {
			panic(err)
		}
	})
	path := "/api/meetings/" + meetingID + "/attendance"
	var doc view.Attendance
	if err := json.Unmarshal(s.get(path).body, &doc); err != nil {
		t.Fatal(err)
	}
	if got := *doc.Attendees[0].Stays[0].Seconds; got != (view.Seconds{Min: 5, Max: 5}) {
		t.Errorf("JSON: got %+v want 5 s", got)
	}
	if body := string(s.get(path + "?format=plain").body); strings.Count(body, ",5,5,14,14,") != 3 {
		t.Errorf("plain: got %s want three stays of 5 s, together 14 s", body)
	}
	if body := string(s.get(path + "?format=teams").body); strings.Count(body, "\t5s\t") != 3 || strings.Count(body, "\t14s\t") != 1 {
		t.Errorf("teams: got %s want three stays of 5 s, together 14 s", body)
	}
}

// To wait for a meeting is not to join it.
func TestAttendance_WaitingIsNotJoining(t *testing.T) {
	s := start(t, withLobby)
	path := "/api/meetings/" + meetingID + "/attendance"
	var doc view.Attendance
	if err := json.Unmarshal(s.get(path).body, &doc); err != nil {
		t.Fatal(err)
	}
	if len(doc.Attendees) != 2 || *doc.Attendees[0].Name != "Grace" || *doc.Attendees[1].Name != "Ada" {
		t.Fatalf("got %+v want Grace, then Ada", doc.Attendees)
	}
	ada := doc.Attendees[1]
	if ada.FirstJoinedAt != view.FormatTime(timeAt(12)) || *ada.LastLeftAt != view.FormatTime(timeAt(22)) || len(ada.Stays) != 3 || ada.Lobby.Max != 1800 {
		t.Errorf("Ada: got %+v want minutes 12 to 22, and 1800 s in the lobby", ada)
	}
	if len(doc.Waited) != 1 || *doc.Waited[0].Name != "Mallory" || doc.Waited[0].FirstJoinedAt != view.FormatTime(timeAt(30)) || doc.Waited[0].Total.Max != 0 || doc.Waited[0].Lobby.Max != 600 {
		t.Errorf("got %+v want Mallory, who waited since minute 30", doc.Waited)
	}
	layout := "1/2/06, 3:04:05 PM"
	for format, want := range map[string][]string{
		"teams": {"Attended participants\t2\r\n", "Ada\t" + timeAt(12).Format(layout) + "\t" + timeAt(22).Format(layout) + "\t10m 0s\t\t8a7c1f02\tAttendee\r\n"},
		"zoom":  {",2\r\n"},
	} {
		body := string(s.get(path + "?format=" + format).body)
		for _, line := range want {
			if !strings.Contains(body, line) {
				t.Errorf("%s: got %s want %q", format, body, line)
			}
		}
		if strings.Contains(body, "Mallory") {
			t.Errorf("%s: got %s with Mallory, who only waited", format, body)
		}
	}
	if rows := strings.Split(string(s.get(path+"?format=plain").body), "\r\n"); len(rows) != 7 || !slices.ContainsFunc(rows, func(r string) bool {
		return strings.HasPrefix(r, "Mallory") && strings.Contains(r, ","+string(occupancy.RoomLobby)+",")
	}) {
		t.Errorf("plain: got %q want a row for each of the five stays", rows)
	}
}
