package terminal_test

import (
	"context"
	"encoding/json"
	"flag"
	"fmt"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/jedib0t/go-pretty/v6/text"

	"ppch/cmd/ppch/terminal"
	"ppch/component/componenttest"
)

var update = flag.Bool("update", false, "write testdata again")

// Names that are hard to fit: 200 characters, wide ones, combined ones, and an emoji of three code points.
var (
	longRoom  = strings.Repeat("quarterly-planning-", 11)[:200]
	hardNames = []string{longRoom, "class 10", "class 2", strings.Repeat("生命", 30), strings.Repeat("e\u0301", 60), "team 👩\u200d🚀"}
)

// hardService is a service with those names.
func hardService(t *testing.T) *terminal.Client {
	var list []string
	for i, name := range hardNames {
		quoted, _ := json.Marshal(name)
		more := ""
		if i == 0 {
			more = `"counts":{"recorder":1,"visitor":2},"visitors":14,"lobby":{"participant_count":3},`
		}
		list = append(list, fmt.Sprintf(`{"display_name":%s,"exists":true,"participant_count":%d,"exact":true,%s"created_at":"2026-11-22T09:18:00Z",%s}`,
			quoted, []int{1234, 5, 5, 4, 3, 2}[i], more, asOf))
	}
	person := func(id, name, kind, role string) string {
		return fmt.Sprintf(`{"id":%q,"name":%q,"kind":%q,"role":%q,"duration_seconds":65}`, id, name, kind, role)
	}
	return answers(t, map[string]http.HandlerFunc{
		"/api/rooms": says(`{"rooms":[` + strings.Join(list, ",") + `],"next_cursor":null,` + asOf + `}`),
		"/api/rooms/" + longRoom: says(`{"display_name":"` + longRoom + `","exists":true,"participant_count":1234,"exact":true,"visitors":0,"duration_seconds":2520,"occupants":[` +
			person("ada12345", "Ada", "user", "moderator") + "," + person(strings.Repeat("n", 80), strings.Repeat("Eve ", 50), "user", "participant") + "," +
			person("phone", "+49 30 123456", "sip", "participant") + "," + person("room", "Raum 生命", "sip_video", "participant") + `],` + asOf + `}`),
		"/api/events": streams(true, event("1", "participant.joined", `"display_name":"`+longRoom+`","participant_count":1234,"occupant":{"id":"ada","name":"Ada Lovelace","kind":"user"}`),
			event("2", "participant.left", `"display_name":"planning","participant_count":4,"occupant":{"id":"x","name":"`+strings.Repeat("Eve ", 50)+`","kind":"sip"}`),
			event("3", "participant.left", `"display_name":"`+longRoom+`","participant_count":1233,"occupant":{"id":"x","name":"`+strings.Repeat("生", 90)+`","kind":"user"}`),
			event("4", "room.ended", `"display_name":"`+longRoom+`"`)),
	})
}

// Long names give way so that counts stay visible on terminals of 60, 80 and 120 columns.
func TestTables_FitTheTerminal(t *testing.T) {
	c := hardService(t)
	var got strings.Builder
	for _, columns := range []int{60, 80, 120} {
		style := terminal.Style{Width: columns, Height: 24}
		var tables strings.Builder
		check(t, c.Rooms(t.Context(), &tables, terminal.List{Query: url.Values{"sort": {"participants"}}}, style))
		check(t, c.Room(t.Context(), &tables, longRoom, style))
		var live screen
		check(t, until(t, &live, " ended", func(ctx context.Context) error {
			return c.WatchTable(ctx, &live, "", func() terminal.Style { return style })
		}))
		frames := strings.Split(live.String(), "\x1b[H")
		frame, _, _ := strings.Cut(frames[len(frames)-1], "\x1b[J")
		tables.WriteString(strings.NewReplacer("\x1b[K", "", "\r", "").Replace(frame) + "\n")
		for line := range strings.Lines(tables.String()) {
			if w := text.StringWidthWithoutEscSequences(strings.TrimSuffix(line, "\n")); w > columns {
				t.Errorf("got %d columns want %d: %q", w, columns, line)
			}
		}
		fmt.Fprintf(&got, "%s %d columns\n%s", strings.Repeat("=", columns-12), columns, tables.String())
	}
	local := time.Date(2026, 11, 22, 10, 0, 0, 0, time.UTC).Local().Format(time.TimeOnly)
	golden(t, "widths.txt", strings.ReplaceAll(got.String(), local, "10:00:00"))
}

func golden(t *testing.T, name, got string) {
	t.Helper()
	file := filepath.Join("testdata", name)
	if *update {
		check(t, os.WriteFile(file, []byte(got), 0o600))
	}
	want := must(os.ReadFile(file))(t)
	if diff := cmp.Diff(string(want), got); diff != "" {
		t.Errorf("%s differs; go test ./cmd/ppch/terminal -update writes it again (-want +got):\n%s", file, diff)
	}
}

// A line that is not for a terminal keeps every name whole.
func TestTables_PipesGetWholeNames(t *testing.T) {
	var b strings.Builder
	check(t, hardService(t).Rooms(t.Context(), &b, terminal.List{Query: url.Values{"sort": {"participants"}}}, terminal.Style{}))
	componenttest.Has(t, b.String(), hardNames...)
}

// A name is never cut between a letter and its accent, or inside of an emoji.
func TestTables_CutBetweenCharacters(t *testing.T) {
	for columns := 33; columns < 60; columns++ {
		got := rooms(t, terminal.Style{Width: columns}, strings.Repeat("e\u0301", 80), strings.Repeat("👩\u200d🚀", 40), strings.Repeat("生", 60))
		for line := range strings.Lines(got) {
			before, _, cut := strings.Cut(line, "…")
			if cut && !strings.HasSuffix(before, "e\u0301") && !strings.HasSuffix(before, "👩\u200d🚀") && !strings.HasSuffix(before, "生") {
				t.Errorf("%d columns: got %q", columns, line)
			}
		}
	}
}

func TestRooms_SortsAsPeopleExpect(t *testing.T) {
	list := `{"rooms":[` + strings.Join([]string{
		`{"display_name":"class 10","exists":true,"participant_count":3,` + asOf + `}`,
		`{"display_name":"class 2","exists":true,"participant_count":3,` + asOf + `}`,
		`{"display_name":"Übung","exists":true,"participant_count":3,` + asOf + `}`,
		`{"display_name":"v","exists":true,"participant_count":1,` + asOf + `}`,
		`{"display_name":"a123456789012345678901","exists":true,"participant_count":9,` + asOf + `}`,
	}, ",") + `],"next_cursor":null,` + asOf + `}`
	c := answers(t, map[string]http.HandlerFunc{"/api/rooms": says(list)})
	for query, want := range map[string]string{
		"sort=participants":           "a123456789012345678901 class_2 class_10 Übung v",
		"sort=participants&order=asc": "v class_2 class_10 Übung a123456789012345678901",
		"sort=name":                   "a123456789012345678901 class_2 class_10 Übung v",
		"sort=name&order=desc":        "v Übung class_10 class_2 a123456789012345678901",
		"sort=created":                "class_10 class_2 Übung v a123456789012345678901", // as the service sorts
	} {
		q, _ := url.ParseQuery(query)
		var b strings.Builder
		check(t, c.RoomsJSON(t.Context(), &b, terminal.List{Query: q}))
		var names []string
		for line := range strings.Lines(b.String()) {
			var r struct {
				Name string `json:"display_name"`
			}
			check(t, json.Unmarshal([]byte(line), &r))
			names = append(names, strings.ReplaceAll(r.Name, " ", "_"))
		}
		if got := strings.Join(names, " "); got != want {
			t.Errorf("%s: got %s want %s", query, got, want)
		}
	}
}

// The totals count all rooms that match, also those beyond the limit.
func TestRooms_Limit(t *testing.T) {
	c := hardService(t)
	var table, lines strings.Builder
	list := terminal.List{Query: url.Values{"sort": {"participants"}}, Limit: 2}
	check(t, c.Rooms(t.Context(), &table, list, terminal.Style{Width: 80}))
	if got := table.String(); strings.Count(got, "\n") != 4 || !strings.Contains(got, "… 4 more; 6 rooms, 1253 people, as of ") || !strings.Contains(got, "class 2 ") {
		t.Errorf("got\n%s", got)
	}
	if err := c.RoomsJSON(t.Context(), &lines, list); err != nil || strings.Count(lines.String(), "\n") != 2 {
		t.Errorf("got %s, %v want two lines", lines.String(), err)
	}
}

// A filter without matches must not look like an empty server.
func TestRooms_NothingMatches(t *testing.T) {
	c := answers(t, map[string]http.HandlerFunc{"/api/rooms": says(listOf())})
	for query, want := range map[string]string{
		"":                             "No rooms are open.\n",
		"type=main&sort=participants":  "No rooms are open.\n",
		"type=breakout":                "No breakout rooms are open.\n",
		"q=plan":                       "No open room has \"plan\" in its name.\n",
		"q=%1b[2J&type=main":           "No open room has \"·[2J\" in its name.\n",
		"q=plan&tenant=acme":           "No open room has \"plan\" in its name. The other filters apply too.\n",
		"tenant=acme":                  "No open room matches these filters.\n",
		"min_participants=9&type=main": "No open room matches these filters.\n",
	} {
		q, _ := url.ParseQuery(query)
		var b strings.Builder
		if err := c.Rooms(t.Context(), &b, terminal.List{Query: q}, terminal.Style{}); err != nil || b.String() != want {
			t.Errorf("%s: got %q, %v want %q", query, b.String(), err, want)
		}
	}
}
