package main

import (
	"encoding/csv"
	"encoding/json"
	"fmt"
	"net/http"
	"net/http/httptest"
	"os/exec"
	"strings"
	"testing"
	"time"

	"ppch/prosody/prosodytest"
)

// Every recipe in the folder is in its README, and says how it is tested.
func TestRecipes_README(t *testing.T) {
	t.Parallel()
	readme := ofTheProject(t, "cmd/ppch/deploy/recipes/README.md")
	for _, file := range []string{"home-assistant.yaml", "slack.json", "mattermost.json", "matrix.json", "ntfy.json", "n8n.json", "n8n-webhook.json", "moodle.jq", "booked-but-empty.mjs"} {
		if !strings.Contains(readme, "("+file+")") {
			t.Errorf("README.md has no link to %s", file)
		}
	}
	if sections, tested := strings.Count(readme, "\n## "), strings.Count(readme, "\nTested"); sections != tested {
		t.Errorf("of %d recipes %d say how they are tested", sections, tested)
	}
}

// Moodle's file has each user once, and nothing that PPCH can't be sure of.
func TestRecipes_Moodle(t *testing.T) {
	t.Parallel()
	_, document, _ := strings.Cut(ofTheProject(t, "api/testdata/attendance.golden"), "\n\n")
	for minutes, status := range map[string]string{"39": "P", "40": "L"} { // the user was there for 2,340 s at least, which is 39 min
		cmd := exec.Command(prosodytest.Installed(t, "jq"), "-rf", "deploy/recipes/moodle.jq", "--argjson", "minutes", minutes)
		cmd.Stdin = strings.NewReader(document)
		out := must(cmd.Output())(t)
		rows := must(csv.NewReader(strings.NewReader(string(out))).ReadAll())(t)
		want := fmt.Sprintf("[[user scantime status] [8a7c1f02 2026-11-22T08:31:00.000Z %s]]", status)
		if got := fmt.Sprint(rows); got != want {
			t.Errorf("got %s want %s", got, want)
		}
	}
}

// booking is one entry of bookings.json.
type booking struct {
	Room  string    `json:"room"`
	Title string    `json:"title"`
	From  time.Time `json:"from"`
	To    time.Time `json:"to"`
}

// bookedPage writes the page of the bookings.
func bookedPage(t *testing.T, url, key string, bookings []booking) (page string, err error) {
	t.Helper()
	file := written(t, "bookings.json", string(must(json.Marshal(bookings))(t)))
	cmd := exec.Command(prosodytest.Installed(t, "node"), "deploy/recipes/booked-but-empty.mjs", file)
	cmd.Env = append(cmd.Environ(), "PPCH_URL="+url, "PPCH_API_KEY="+key)
	out, err := cmd.Output()
	return string(out), err
}

// The page says of each booked room whether it is used, empty or unknown, and shows hostile names as text.
func TestRecipes_BookedButEmpty(t *testing.T) {
	t.Parallel()
	srv := prosodytest.New(t, prosodytest.Options{Module: true, HideRooms: true})
	s := runService(t, envFor(srv)).ready()
	meeting(t, castOn(t, srv), srv.Room("planning"), "Ada", "Grace")
	meeting(t, castOn(t, srv), srv.Room("focus-only"))
	eventually(t, 10*time.Second, "everyone is there", func() bool {
		return s.room("planning").data["participant_count"] == 2.0 && s.room("focus-only").data["exists"] == true
	})
	now := time.Now()
	began, ends := now.Add(-30*time.Minute-time.Second), now.Add(time.Hour)
	bookings := []booking{
		{"planning", "Weekly", began, ends}, {"Planning", "the same room", began, ends},
		{"focus-only", "no people", began, ends},
		{"retro", hostile[0], began, ends}, {"just begun", "", now.Add(-time.Minute), ends},
		{"later", "", ends, ends.Add(time.Hour)}, {"over", "", began, now.Add(-time.Minute)},
	}
	for i := range 100 { // more than one request
		bookings = append(bookings, booking{fmt.Sprint("room-", i), "", began, ends})
	}
	page, err := bookedPage(t, s.url, testKey, bookings)
	check(t, err)
	browser := startChromium(t)
	site := newSite(t, page)
	p := browser.open(t, site)
	p.shows("the summary", "102 booked but empty.", func() string {
		_, summary, _ := strings.Cut(p.text("p"), "Z. ")
		return summary
	})
	rows := evaluate[string](p, `[...document.querySelectorAll("tbody tr")].slice(0, 5).map(r => [...r.cells].map(c => c.textContent).join("|")).join("\n")`)
	want := "planning|Weekly|2 people\nPlanning|the same room|2 people\nfocus-only|no people|booked but empty, 30 minutes after the beginning\n" +
		"retro|" + hostile[0] + "|booked but empty, 30 minutes after the beginning\njust begun||has just begun"
	if rows != want {
		t.Errorf("got %s want %s", rows, want)
	}

	lost := runService(t, variables{"PPCH_API_KEY": testKey, "PPCH_COMPONENT_SECRET": "s3cret", "PPCH_PORT": "0", "PROSODY_URL": "xmpp://127.0.0.1:1"})
	page, err = bookedPage(t, lost.url, testKey, bookings[:2])
	if err != nil || strings.Contains(page, "but empty,") || strings.Count(page, `<tr class="unknown">`) != 2 {
		t.Errorf("without Prosody got %v and %s", err, page)
	}
	for name, url := range map[string]string{"a wrong key": s.url, "no PPCH": "http://127.0.0.1:1"} {
		if page, err := bookedPage(t, url, "guess", bookings[:1]); err == nil || page != "" {
			t.Errorf("%s: got %v and the page %s", name, err, page)
		}
	}
}

// newSite serves a page, and returns its URL.
func newSite(t *testing.T, page string) string {
	t.Helper()
	in := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path != "/" {
			w.WriteHeader(http.StatusNoContent)
			return
		}
		w.Header().Set("Content-Type", "text/html; charset=utf-8")
		_, _ = w.Write([]byte(page))
	}))
	t.Cleanup(in.Close)
	return in.URL
}
