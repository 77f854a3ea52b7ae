package terminal_test

import (
	"io"
	"net/http"
	"net/url"
	"strings"
	"testing"

	"ppch/cmd/ppch/terminal"
)

// Every way to read past meetings says whose are missing, apart from the data, and shows no control characters.
func TestMeetings_Unanswered(t *testing.T) {
	const (
		id       = "5b1de0aa48a1c2e6f0c3a1d2b4c5e6f7"
		meeting  = `{"id":"` + id + `","display_name":"planning","started_at":"2026-11-22T10:00:00Z","ongoing":true}`
		missing  = `"unanswered":[{"shard":"a","collector":"ppch2.meet.jitsi","why":"it did not answer in time\u001b[2J"},{"shard":"b","collector":null,"why":"no collector of the shard was heard"}]`
		withID   = "/api/meetings/" + id + "/attendance"
		wantBoth = "ppch: incomplete without ppch2.meet.jitsi of the shard a: it did not answer in time·[2J\nppch: incomplete without any record of the shard b: no collector of the shard was heard\n"
	)
	c := answers(t, map[string]http.HandlerFunc{
		"/api/meetings": says(`{"meetings":[` + meeting + `],"next_cursor":null,` + missing + `}`),
		withID: func(w http.ResponseWriter, r *http.Request) {
			if r.URL.Query().Get("format") == "" {
				_, _ = io.WriteString(w, `{"meeting":`+meeting+`,"attendees":[],"gaps":[],`+missing+`}`)
				return
			}
			w.Header().Add("PPCH-Unanswered", "a ppch2.meet.jitsi")
			w.Header().Set("Content-Type", "text/csv")
		},
	})
	for name, tt := range map[string]struct {
		run  func() error
		want string
	}{
		"a table of meetings": {func() error {
			return c.Meetings(t.Context(), io.Discard, terminal.MeetingList{}, terminal.Style{})
		}, wantBoth},
		"meetings as JSON": {func() error { return c.MeetingsJSON(t.Context(), io.Discard, terminal.MeetingList{Limit: 1}) }, wantBoth},
		"an attendance":    {func() error { return c.Attendance(t.Context(), io.Discard, id, terminal.Style{}) }, wantBoth},
		"an attendance as JSON": {func() error {
			return c.AttendanceJSON(t.Context(), io.Discard, id)
		}, wantBoth},
		"an attendance as a file": {func() error {
			return c.AttendanceFile(t.Context(), io.Discard, id, url.Values{"format": {"plain"}})
		}, "ppch: incomplete without ppch2.meet.jitsi of the shard a: no answer\n"},
	} {
		var notes strings.Builder
		c.Notes = &notes
		if err := tt.run(); err != nil || notes.String() != tt.want {
			t.Errorf("%s: got %q, %v want %q", name, notes.String(), err, tt.want)
		}
	}
}

// Waiting in the lobby is neither a stay of an attendee nor an attendee.
func TestAttendance_Lobby(t *testing.T) {
	const (
		id    = "5b1de0aa48a1c2e6f0c3a1d2b4c5e6f7"
		times = `"first_joined_at":"2026-11-22T10:00:00Z","last_left_at":"2026-11-22T10:10:00Z"`
	)
	c := answers(t, map[string]http.HandlerFunc{"/api/meetings/" + id + "/attendance": says(`{"meeting":{"display_name":"planning","started_at":"2026-11-22T10:00:00Z"},
		"attendees":[{"name":"Ada","total_seconds":{"min":600,"max":600},"stays":[{"type":"lobby","kind":"user"},{"type":"main","kind":"user"}],` + times + `}],
		"waited":[{"name":"Mallory","lobby_seconds":{"min":600,"max":600},"stays":[{"type":"lobby","kind":"user"}],` + times + `}],"gaps":[]}`)})
	var text strings.Builder
	if err := c.Attendance(t.Context(), &text, id, terminal.Style{}); err != nil {
		t.Fatal(err)
	}
	attended, waited, _ := strings.Cut(text.String(), "Only in the lobby:\n")
	if fields := strings.Join(strings.Fields(attended), " "); !strings.Contains(fields, "Ada 10m 1 ") || strings.Contains(fields, "Mallory") {
		t.Errorf("got %s want Ada with one stay", text.String())
	}
	if fields := strings.Join(strings.Fields(waited), " "); !strings.Contains(fields, "Mallory 10m ") || strings.Contains(fields, "Ada") {
		t.Errorf("got %s want Mallory apart", text.String())
	}
}
