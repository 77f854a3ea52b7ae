package api_test

import (
	"context"
	"encoding/csv"
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"ppch/api"
	"ppch/component/history"
	"ppch/component/occupancy"
)

const (
	meetingPath    = "/api/meetings/{meeting_id}"
	attendancePath = "/api/meetings/{meeting_id}/attendance"
	stayPath       = "/api/meetings/{meeting_id}/stays/{stay_id}"
	personPath     = "/api/people/{user_id}"

	// meetingID is the id of the meeting of Standup below, stayID that of a stay in it.
	meetingID = "5b1de0aa000000000000000000000001"
	stayID    = "57a9e0aa000000000000000000000001"
)

// minute returns a time of the meeting below.
func minute(m int) int64 { return timeAt(m).UnixMilli() }

func timeAt(minute int) time.Time {
	return now.Add(time.Duration(minute-60) * time.Minute).Truncate(time.Minute).UTC()
}

// stayRow is a row of the store.
type stayRow struct {
	id, meeting                   int
	kind                          occupancy.Kind
	joined, leftAfter, leftBefore int // minutes; 0 for present
	nick, name, user, reason      string
	rule                          string
}

var meetingRows = []struct {
	id             int
	room, parent   string
	typ            occupancy.RoomType
	from, to, peak int
}{
	{1, "standup@muc.meet.jitsi", "", occupancy.RoomMain, 0, 55, 2},
	{2, "5e0c77aa@breakout.meet.jitsi", "standup@muc.meet.jitsi", occupancy.RoomBreakout, 20, 30, 1},
	{3, "[acme]planning@muc.meet.jitsi", "", occupancy.RoomMain, 10, 0, 1},
}

var stayRows = []stayRow{
	{1, 1, occupancy.KindUser, 1, 20, 20, "8f3a11cd", "Ada", "8a7c1f02", "", ""},
	{2, 2, occupancy.KindUser, 20, 30, 30, "8f3a11cd", "Ada", "8a7c1f02", "", ""},
	{3, 1, occupancy.KindUser, 30, 40, 45, "8f3a11cd", "Ada", "8a7c1f02", "", ""},
	{4, 1, occupancy.KindSIP, 5, 55, 55, "4cc01d1e", `=cmd|' /C calc'!A0`, "", "room-destroyed", ""},
	{5, 3, occupancy.KindUser, 12, 0, 0, "c0ffee00", "Grace", "99f00d11", "", ""},
	{6, 1, occupancy.KindHidden, 6, 55, 55, "b07b07b0", "Minutes", "", "room-destroyed", "bots"},
}

// withMeetings records two meetings and a breakout room, and a gap.
func withMeetings(cfg *api.Config) {
	record(cfg, func(tx *history.Tx) error {
		for _, m := range meetingRows {
			tenant := ""
			if m.id == 3 {
				tenant = "acme"
			}
			if _, err := tx.Exec(`INSERT INTO meetings (number, id, shard, room, type, tenant, parent, meeting_id, began, ended_after, ended_before, peak)
				VALUES (?1, ?2, 'main', ?3, ?4, ?5, NULLIF(?6, ''), ?7, ?8, ?9, ?9, ?10)`,
				m.id, idOf("5b1de0aa", m.id), m.room, m.typ, tenant, m.parent, fmt.Sprintf("1c5f0a3e-%04d", m.id), minute(m.from), orNull(m.to), m.peak); err != nil {
				return err
			}
		}
		for _, s := range stayRows {
			if _, err := tx.Exec(`INSERT INTO stays (id, meeting, kind, joined, left_after, left_before, nick, name, user_id, reason, rule)
				VALUES (?, ?, ?, ?, ?, ?, ?, ?, NULLIF(?, ''), NULLIF(?, ''), NULLIF(?, ''))`,
				idOf("57a9e0aa", s.id), s.meeting, s.kind, minute(s.joined), orNull(s.leftAfter), orNull(s.leftBefore), s.nick, s.name, s.user, s.reason, s.rule); err != nil {
				return err
			}
		}
		if _, err := tx.Exec("INSERT INTO gaps (domain, began, ended, reason) VALUES ('muc.meet.jitsi', ?, ?, 'stopped')", minute(40), minute(45)); err != nil {
			return err
		}
		return nil
	})
}

// withSilentCollector has also a second collector of the shard, which doesn't answer.
func withSilentCollector(cfg *api.Config) {
	withMeetings(cfg)
	cfg.Archive = history.NewArchive(cfg.Meetings, silentCollector{})
}

type silentCollector struct{}

func (silentCollector) Ask(_ context.Context, _ string, _ []byte, _ bool, each func(string, []byte, error)) {
	each("ppch2.meet.jitsi", nil, context.DeadlineExceeded)
}

// withBrokenStore has a store whose file is no database.
func withBrokenStore(cfg *api.Config) {
	dir := filepath.Join(temp(), "data")
	if err := os.MkdirAll(dir, 0o700); err != nil {
		panic(err)
	}
	if err := os.WriteFile(filepath.Join(dir, "ppch.db"), []byte(strings.Repeat("no database", 100)), 0o600); err != nil {
		panic(err)
	}
	store, err := history.Open(context.Background(), dir, history.Options{})
	if err == nil {
		panic("the file was opened")
	}
	cfg.Meetings = history.NewRecorder(history.RecorderConfig{Store: store, Directory: cfg.Directory, Level: history.LevelNames})
}

// stores is a folder for the stores of all tests.
var stores = func() string {
	dir, err := os.MkdirTemp("", "ppch-api-")
	if err != nil {
		panic(err)
	}
	return dir
}()

// temp returns an empty folder in stores.
func temp() string {
	dir, err := os.MkdirTemp(stores, "")
	if err != nil {
		panic(err)
	}
	return dir
}

// storeIn returns the open store in a folder.
func storeIn(dir string) *history.Store {
	store, err := history.Open(context.Background(), dir, history.Options{})
	if err != nil {
		panic(err)
	}
	return store
}

// idOf returns the id that ends in a number.
func idOf(start string, n int) []byte {
	id, err := history.ParseID(fmt.Sprintf("%s%024d", start, n))
	if err != nil {
		panic(err)
	}
	return id[:]
}

func orNull(m int) any {
	if m == 0 {
		return nil
	}
	return minute(m)
}

func TestMeetings_NeedTheirScopes(t *testing.T) {
	for _, tt := range []struct{ fields, target, want string }{
		{"scope=all", "/api/meetings", "history"},
		{"scope=history", "/api/meetings", ""},
		{"scope=history", "/api/meetings/" + meetingID, ""},
		{"scope=history", "/api/meetings/" + meetingID + "/attendance", "participants"},
		{"scope=history,participants", "/api/meetings/" + meetingID + "/attendance", ""},
		{"scope=history", "/api/people/8a7c1f02", "participants"},
	} {
		got := start(t, withMeetings, withKeys(tt.fields)).get(tt.target)
		if tt.want == "" {
			if got.status != 200 {
				t.Errorf("%s %s: got %d %s", tt.fields, tt.target, got.status, got.body)
			}
			continue
		}
		if problem := got.wantProblem(t, 403, "scope-missing"); problem["detail"] != fmt.Sprintf("This API key lacks the scope %q.", tt.want) {
			t.Errorf("%s %s: got %v", tt.fields, tt.target, problem["detail"])
		}
	}
}

// A key for some rooms sees nothing of others, not even that there was a meeting.
func TestMeetings_RoomPatterns(t *testing.T) {
	s := start(t, withMeetings, withKeys("scope=all,history room=acme/*"))
	if list := s.get("/api/meetings?type=all").object(t)["meetings"].([]any); len(list) != 1 {
		t.Errorf("got %d meetings want that of acme", len(list))
	}
	s.get("/api/meetings/"+meetingID).wantProblem(t, 404, "no-such-meeting")
	s.get("/api/meetings/"+meetingID+"/attendance").wantProblem(t, 404, "no-such-meeting")
	s.get("/api/rooms/standup/meetings").wantProblem(t, 403, "room-not-allowed")
	s.do(ask{method: http.MethodDelete, target: "/api/meetings/" + meetingID + "/stays/" + stayID}).wantProblem(t, 404, "no-such-meeting")
	s.do(ask{method: http.MethodDelete, target: "/api/people/8a7c1f02"}).wantProblem(t, 403, "room-not-allowed")
	if stays := s.get("/api/people/8a7c1f02").object(t)["stays"].([]any); len(stays) != 0 {
		t.Errorf("got %d stays in rooms of others", len(stays))
	}
}

func TestMeetings_Queries(t *testing.T) {
	s := start(t, withMeetings)
	for target, want := range map[string]string{
		"/api/meetings":                                   "[acme]planning standup",
		"/api/meetings?type=all":                          "5e0c77aa@breakout.meet.jitsi [acme]planning standup",
		"/api/meetings?type=breakout":                     "5e0c77aa@breakout.meet.jitsi",
		"/api/meetings?room=acme/planning":                "[acme]planning",
		"/api/meetings?tenant=acme":                       "[acme]planning",
		"/api/meetings?min_participants=2":                "standup",
		"/api/meetings?to=2026-11-22T08:35:00Z":           "standup",
		"/api/meetings?to=2026-11-22":                     "[acme]planning standup",
		"/api/meetings?from=2026-11-22&to=2026-11-22":     "[acme]planning standup",
		"/api/meetings?from=2026-11-23":                   "[acme]planning",
		"/api/rooms/Standup/meetings":                     "standup",
		"/api/rooms/none/meetings":                        "",
		"/api/rooms/standup@muc.meet.jitsi/meetings":      "standup",
		"/api/meetings?from=2026-11-20&to=2026-11-21":     "",
		"/api/meetings?room=5e0c77aa@breakout.meet.jitsi": "5e0c77aa@breakout.meet.jitsi",
	} {
		var names []string
		for _, m := range s.get(target).object(t)["meetings"].([]any) {
			names = append(names, m.(map[string]any)["room_name"].(string))
		}
		if got := strings.Join(names, " "); got != want {
			t.Errorf("%s: got %q want %q", target, got, want)
		}
	}
	for target, want := range map[string]string{
		"/api/meetings?from=2026-11-21&to=2026-11-20":                    `from: "2026-11-21" is later than to`,
		"/api/meetings?from=yesterday":                                   `from: "yesterday" is neither a day such as 2027-12-31 nor a time such as 2027-12-31T18:00:00Z`,
		"/api/meetings?cursor=guess":                                     "cursor: not one of this list: send next_cursor of the previous page unchanged, or start with the first page",
		"/api/meetings/" + meetingID + "/attendance?format=excel":        `format: "excel" is not json or plain or zoom or teams`,
		"/api/meetings/" + meetingID + "/attendance?tz=Mars/Olympus":     `tz: "Mars/Olympus" is not a time zone such as Europe/Berlin`,
		"/api/meetings/" + meetingID + "/attendance?tz=../../etc/passwd": `tz: "../../etc/passwd" is not a time zone such as Europe/Berlin`,
	} {
		if problem := s.get(target).wantProblem(t, 400, "bad-parameter"); problem["detail"] != want {
			t.Errorf("%s: got %v want %s", target, problem["detail"], want)
		}
	}
}

func TestMeetings_Pages(t *testing.T) {
	s := start(t, withMeetings)
	seen, target := 0, "/api/meetings?type=all&limit=1"
	for target != "" {
		page := s.get(target)
		seen += len(page.object(t)["meetings"].([]any))
		next, _, _ := strings.Cut(strings.TrimPrefix(page.header.Get("Link"), "<"), ">")
		target = next
	}
	if seen != 3 {
		t.Errorf("got %d meetings in all pages, want 3", seen)
	}
	// A cursor of a list of rooms is none of this list.
	rooms := start(t, withPast(several()))
	cursor, _ := rooms.get("/api/rooms?limit=1").object(t)["next_cursor"].(string)
	if cursor == "" {
		t.Fatal("got no cursor")
	}
	s.get("/api/meetings?cursor="+cursor).wantProblem(t, 400, "bad-parameter")
}

// What a person reads of others is logged, and the person can read that.
func TestMeetings_AccessLog(t *testing.T) {
	s := start(t, withMeetings)
	s.get("/api/meetings/" + meetingID + "/attendance")
	s.get("/api/people/8a7c1f02")
	var got []string
	for _, a := range s.get("/api/people/8a7c1f02").object(t)["accesses"].([]any) {
		access := a.(map[string]any)
		got = append(got, fmt.Sprint(access["key"], " ", access["action"], " ", access["meeting"]))
	}
	slices.Sort(got)
	want := []string{"PPCH_API_KEY attendance " + meetingID, "PPCH_API_KEY person <nil>", "PPCH_API_KEY person <nil>"}
	if !slices.Equal(got, want) {
		t.Errorf("got %q want %q", got, want)
	}
}

func TestAttendance_DefusesFormulas(t *testing.T) {
	for text, want := range map[string]string{
		"Ada":                "Ada",
		"=cmd|' /C calc'!A0": "'=cmd|' /C calc'!A0",
		"+1":                 "'+1",
		"-1+1":               "'-1+1",
		"@SUM(A1)":           "'@SUM(A1)",
		"\t=1+1":             "' =1+1",
		"\r\n=1+1":           "'  =1+1",
		"  =1+1":             "'  =1+1",
		"\u200b=1+1":         "'\u200b=1+1",
		"\ufeff=1+1":         "'\ufeff=1+1",
		"＝1+1":               "'＝1+1",
		`a"b,c;d`:            `a"b,c;d`,
		"line\none":          "line one",
		"Zoë 日本":             "Zoë 日本",
		"":                   "",
		"-":                  "'-",
	} {
		if got := api.Cell(text); got != want {
			t.Errorf("%q: got %q want %q", text, got, want)
		}
	}
}

// Every format is a table that a CSV reader understands, with any names that people choose.
func TestAttendance_FilesAreTables(t *testing.T) {
	s := start(t, withMeetings)
	for format, comma := range map[string]rune{"plain": ',', "zoom": ',', "teams": '\t'} {
		got := s.get("/api/meetings/" + meetingID + "/attendance?bom=true&format=" + format)
		text, marked := strings.CutPrefix(string(got.body), "\ufeff")
		if !marked || !strings.HasPrefix(got.header.Get("Content-Disposition"), "attachment; filename=") {
			t.Errorf("%s: got %q with %q", format, got.body[:3], got.header)
		}
		r := csv.NewReader(strings.NewReader(text))
		r.Comma, r.FieldsPerRecord, r.LazyQuotes = comma, -1, false
		rows, err := r.ReadAll()
		if err != nil {
			t.Errorf("%s: %v", format, err)
		}
		for _, row := range rows {
			for _, cell := range row {
				if strings.HasPrefix(cell, "=") {
					t.Errorf("%s: got the formula %q", format, cell)
				}
			}
		}
	}
}

// What a silent collector may have is named, and never denied: nor is a deletion complete without it.
func TestMeetings_SilentCollector(t *testing.T) {
	s := start(t, withSilentCollector)
	const named = `"unanswered":[{"shard":"main","collector":"ppch2.meet.jitsi","why":"it did not answer in time"}]`
	for _, target := range []string{"/api/meetings", "/api/rooms/standup/meetings", "/api/meetings/" + meetingID, "/api/people/8a7c1f02"} {
		if got := s.get(target); got.status != http.StatusOK || !strings.Contains(string(got.body), named) {
			t.Errorf("%s: got %d %s want the name of the collector", target, got.status, got.body)
		}
	}
	if got := s.get("/api/stats/history?range=7d"); !strings.Contains(string(got.body), named) {
		t.Errorf("got %s want the name of the collector", got.body)
	}
	if got := s.get("/api/meetings/" + meetingID + "/attendance?format=plain"); got.header.Get("PPCH-Unanswered") != "main ppch2.meet.jitsi" {
		t.Errorf("got the headers %v want the name of the collector", got.header)
	}
	if got := s.get("/api/meetings/" + strings.Repeat("0", 32)); got.status != http.StatusServiceUnavailable {
		t.Errorf("got %d %s want a 503", got.status, got.body)
	}
	for _, target := range []string{"/api/people/8a7c1f02", "/api/meetings/" + meetingID + "/stays/" + stayID} {
		if got := s.do(ask{method: http.MethodDelete, target: target}); got.status != http.StatusServiceUnavailable || !strings.Contains(string(got.body), named) {
			t.Errorf("DELETE %s: got %d %s want the name of the collector", target, got.status, got.body)
		}
	}
}

// record gives a service a store that fill fills, with its main domain watched for an hour.
func record(cfg *api.Config, fill func(*history.Tx) error) {
	store := storeIn(temp())
	err := store.Write(context.Background(), func(tx *history.Tx) error {
		if err := fill(tx); err != nil {
			return err
		}
		_, err := tx.Exec("INSERT INTO domains VALUES ('muc.meet.jitsi', ?)", minute(60))
		return err
	})
	if err != nil {
		panic(err)
	}
	cfg.Meetings = history.NewRecorder(history.RecorderConfig{Store: store, Directory: cfg.Directory, Level: history.LevelNames})
}
