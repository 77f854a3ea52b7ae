package terminal_test

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"testing"

	"github.com/jedib0t/go-pretty/v6/text"

	"ppch/cmd/ppch/terminal"
	"ppch/component/componenttest"
)

// answers returns a client of a fake service with a handler for each path.
func answers(t *testing.T, paths map[string]http.HandlerFunc) *terminal.Client {
	t.Helper()
	srv := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		answer, ok := paths[r.URL.EscapedPath()]
		if !ok {
			http.NotFound(w, r)
			return
		}
		answer(w, r)
	}))
	t.Cleanup(srv.Close)
	u := must(url.Parse(srv.URL))(t)
	c := &terminal.Client{URL: u, Key: "key"}
	t.Cleanup(c.Close)
	return c
}

func says(body string) http.HandlerFunc {
	return func(w http.ResponseWriter, _ *http.Request) { fmt.Fprint(w, body) }
}

const asOf = `"as_of":"2026-11-22T10:00:00Z"`

// listOf returns a list of rooms with different ages.
func listOf(names ...string) string {
	var rooms []string
	for i, name := range names {
		quoted, _ := json.Marshal(name)
		began := []string{`"2026-11-22T09:59:15Z"`, `"2026-11-22T09:18:00Z"`, `"2026-11-22T07:30:00Z"`, `"2026-11-19T05:00:00Z"`, "null"}[i%5]
		rooms = append(rooms, fmt.Sprintf(`{"display_name":%s,"exists":true,"participant_count":%d,"exact":true,"created_at":%s,%s}`, quoted, i+1, began, asOf))
	}
	return `{"rooms":[` + strings.Join(rooms, ",") + `],"next_cursor":null,` + asOf + `}`
}

func rooms(t *testing.T, style terminal.Style, names ...string) string {
	t.Helper()
	var b strings.Builder
	c := answers(t, map[string]http.HandlerFunc{"/api/rooms": says(listOf(names...))})
	check(t, c.Rooms(context.Background(), &b, terminal.List{Query: url.Values{"sort": {"name"}}}, style))
	return b.String()
}

func TestRooms_ColumnsAlign(t *testing.T) {
	got := rooms(t, terminal.Style{}, "planning", "кафе", "生命", "a%1b%5b2Jb", "acme/stand up")
	lines := strings.Split(got, "\n")
	want := []string{
		"PEOPLE  ROOM           AGE",
		"     4  a%1b%5b2Jb     3d 5h",
		"     5  acme/stand up  ?",
		"     1  planning       45s",
		"     2  кафе           42m",
		"     3  生命           2h 30m",
	}
	for i, line := range want {
		if lines[i] != line {
			t.Errorf("got %q want %q", lines[i], line)
		}
	}
	if !strings.HasPrefix(lines[len(want)], "5 rooms, 15 people, as of ") {
		t.Errorf("got %q", lines[len(want)])
	}
}

func TestRooms_ColorsOnlyOnTerminal(t *testing.T) {
	t.Setenv("NO_COLOR", "") // overrides the environment
	text.EnableColors()
	if got := rooms(t, terminal.Style{Color: true}, "planning"); !strings.Contains(got, "\x1b[1m") {
		t.Errorf("got %q want a header in bold", got)
	}
	if got := rooms(t, terminal.Style{}, "planning", "\x1b[1m"); strings.Contains(got, "\x1b") {
		t.Errorf("got %q want no escape sequences", got)
	}
}

func TestRoom_UnknownVisitors(t *testing.T) {
	for visitors, want := range map[string]string{"null": "1 person, visitors elsewhere unknown; open", "0": "1 person; open", "1": "1 person, 1 visitor elsewhere; open"} {
		c := answers(t, map[string]http.HandlerFunc{"/api/rooms/a": says(`{"display_name":"a","exists":true,"participant_count":1,"exact":true,"type":"main",
			"visitors":` + visitors + `,"duration_seconds":5,` + asOf + `}`)})
		var b strings.Builder
		if err := c.Room(t.Context(), &b, "a", terminal.Style{}); err != nil || !strings.Contains(b.String(), want) {
			t.Errorf("visitors %s: got %q, %v want %q in it", visitors, b.String(), err, want)
		}
	}
}

func TestRoom_ShowsAllFields(t *testing.T) {
	c := answers(t, map[string]http.HandlerFunc{"/api/rooms/Planning": says(`{"display_name":"Planning","exists":true,"participant_count":2,"exact":false,
		"counts":{"recorder":1,"visitor":2,"focus":1},"subject":"Plans\u001b[2J","note":"half known","visitors":3,"duration_seconds":3700,
		"lobby":{"participant_count":1},"breakout_rooms":[{"participant_count":2},{"participant_count":null}],
		"occupants":[{"id":"1","name":"Ada\u202e","kind":"user\u001b[2J","role":"moderator","duration_seconds":5},{"id":"2","name":"","kind":"focus","role":"moderator"}],` + asOf + `}`)})
	var b strings.Builder
	check(t, c.Room(t.Context(), &b, "Planning", terminal.Style{}))
	got := b.String()
	for _, want := range []string{
		"Planning: ≤2 people, 1 recorder, 2 visitors, 1 waiting, 2 in breakout rooms, 1 visitor elsewhere; open for 1h 1m, as of ",
		"\nhalf known\nSubject: Plans·[2J\nNAME  KIND      ROLE       HERE FOR  NICK\n",
		"Ada·  user·[2J  moderator  5s        1\n", "2     focus     moderator  ?         2\n",
	} {
		if !strings.Contains(got, want) {
			t.Errorf("got\n%s want %q in it", got, want)
		}
	}
	if strings.ContainsAny(got, "\x1b\u202e") {
		t.Errorf("got %q", got)
	}
}

// must returns v, and ends the test if there is an error.
func must[T any](v T, err error) func(testing.TB) T { return componenttest.Must(v, err) }

// check ends the test if there is an error.
var check = componenttest.Check

func TestRoom_OnOneShard(t *testing.T) {
	asked := ""
	c := answers(t, map[string]http.HandlerFunc{"/api/rooms/a": func(w http.ResponseWriter, r *http.Request) {
		asked = r.URL.RawQuery
		says(`{"display_name":"a","exists":true,"participant_count":1,"exact":true,"type":"main",`+asOf+`}`)(w, r)
	}})
	for shard, want := range map[string]string{"": "", "second": "shard=second"} {
		c.Shard = shard
		if err := c.Room(t.Context(), &strings.Builder{}, "a", terminal.Style{}); err != nil || asked != want {
			t.Errorf("got %q, %v want %q", asked, err, want)
		}
	}
}
