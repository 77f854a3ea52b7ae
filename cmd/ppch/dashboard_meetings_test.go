package main

import (
	"context"
	"encoding/csv"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/chromedp/cdproto/browser"
	"github.com/chromedp/chromedp"
	"github.com/chromedp/chromedp/kb"

	"ppch/prosody/prosodytest"
)

// saves makes the browser save downloads to a folder, which it returns.
func (p *tab) saves() string {
	p.t.Helper()
	dir := p.t.TempDir()
	p.do(chromedp.Func(func(ctx context.Context, _ *chromedp.Target) error {
		_, err := chromedp.Call(ctx, browser.SetDownloadBehavior, browser.SetDownloadBehaviorParams{
			Behavior: browser.SetDownloadBehaviorBehaviorAllow, DownloadPath: dir,
		})
		return err
	}))
	return dir
}

// goTo opens the page of an address within the dashboard.
func (d dashboard) goTo(hash string) {
	d.t.Helper()
	evaluate[string](d.tab, `location.hash = `+`"`+hash+`"`)
}

// offers waits for the links to the pages.
func (d dashboard) offers(want ...string) {
	d.t.Helper()
	d.shows("the pages", strings.Join(want, ", "), func() string {
		return strings.Join(strings.Fields(strings.Join(d.list("#pages a", `e.checkVisibility() ? e.firstChild.textContent : ""`), " ")), ", ")
	})
}

// pastMeeting is a meeting that PPCH watched but for a while, in which Grace left.
type pastMeeting struct {
	*service
	planning, hostile string // rooms
	numbers, nothing  string // keys: with history but without names; with neither
}

const hostileName = `<img src=x onerror=window.pwned=1>`

func recordMeeting(t *testing.T) pastMeeting {
	t.Helper()
	srv := prosodytest.New(t, prosodytest.Options{Module: true, HideRooms: true, DomainMapper: true})
	numbers, numbersLine := newKeyFor(t, "--name", "numbers", "--scope", "count,events,history")
	nothing, nothingLine := newKeyFor(t, "--name", "nothing", "--scope", "count,events,participants")
	env := envFor(srv)
	env["PPCH_DATA_DIR"], env["PPCH_HISTORY"] = t.TempDir(), "names"
	env["PPCH_API_KEYS_FILE"] = written(t, "keys", numbersLine+"\n"+nothingLine+"\n")
	r := pastMeeting{runService(t, env).ready(), srv.Room("planning"), srv.Room("%3cb%3e"), numbers, nothing}
	cast := castOn(t, srv)
	people := meeting(t, cast, r.planning, "Ada", "Grace", hostileName)
	must(cast.Recorder(t.Context(), r.planning))(t)
	gone := meeting(t, cast, srv.TenantRoom("acme", "retro"), "Edsger")
	meeting(t, cast, r.hostile, "Ken")
	leave := func(o *prosodytest.Occupant) {
		t.Helper()
		if err := o.Leave(t.Context()); err != nil {
			t.Fatal(err)
		}
	}
	eventually(t, 20*time.Second, "all meetings are recorded", func() bool {
		a := r.get("/api/meetings", "X-API-Key", testKey)
		all, _ := a.data["meetings"].([]any)
		return len(all) == 3
	})
	leave(people[0])
	leave(gone[0])
	eventually(t, 20*time.Second, "Ada's end is recorded", func() bool {
		all := r.get("/api/rooms/planning/meetings", "X-API-Key", testKey).data["meetings"].([]any)
		a := r.get("/api/meetings/"+all[0].(map[string]any)["id"].(string)+"/attendance", "X-API-Key", testKey)
		for _, attendee := range a.data["attendees"].([]any) {
			if person := attendee.(map[string]any); person["name"] == "Ada" {
				return person["last_left_at"] != nil
			}
		}
		return false
	})
	if err := r.stop(); err != nil {
		t.Fatal(err)
	}
	leave(people[1])
	r.service = runService(t, env).ready()
	eventually(t, 20*time.Second, "Grace has left", func() bool { return r.room("planning").data["participant_count"] == 1.0 })
	return r
}

// The dashboard lists meetings, shows who attended one and for how long, and saves that as a file.
func TestDashboard_Meetings(t *testing.T) {
	t.Parallel()
	s := recordMeeting(t)
	chromium := startChromium(t)
	opened := func(t *testing.T, key string) dashboard {
		d := openDashboard(t, chromium, s.url).signIn(key)
		d.click("#to-meetings")
		return d
	}
	names := func(d dashboard) string {
		return strings.Join(d.list("#meetings-table tbody tr", `e.checkVisibility() ? e.querySelector("a").textContent : ""`), ", ")
	}
	attends := func(d dashboard) {
		d.click("#meetings-table tbody tr:last-child a")
		d.shows("the meeting", "planning", func() string { return d.text("#meeting-name") })
		d.until("people are listed", func() bool { return d.text("#attendees") != "" })
	}

	t.Run("lists and filters them", func(t *testing.T) {
		d := openDashboard(t, chromium, s.url).signIn(testKey)
		d.offers("Rooms", "Meetings", "Webhooks")
		d.click("#to-meetings")
		d.shows("the meetings", "<b>, retro, planning", func() string { return names(d) })
		d.shows("their number", "3 meetings", func() string { return d.text("#meetings-found") })
		d.shows("the title", "Meetings", func() string { return evaluate[string](d.tab, "document.title") })
		d.has("the page's link", "#pages [aria-current]", "e.textContent", "Meetings")
		d.write("#meetings-filter [name=room]", "planning")
		d.press(kb.Enter)
		d.shows("the meetings", "planning", func() string { return names(d) })
		d.do(chromedp.Reload())
		d.isState("live")
		d.shows("the meetings after a reload", "planning", func() string { return names(d) })
		d.click("#meetings-clear")
		d.shows("the meetings", "<b>, retro, planning", func() string { return names(d) })
		d.goTo("#/meetings?from=2020-01-01&to=2020-12-31")
		d.shows("none", "No meeting matches", func() string { return d.text("#meetings-empty .title") })
		d.goTo("#/meetings?room=%2F%2F%2F")
		d.until("the name is refused", func() bool { return strings.Contains(d.text("#meetings-empty"), "refuses") })
		d.goTo("#/meetings?from=never")
		d.shows("the meetings", "<b>, retro, planning", func() string { return names(d) })
	})

	t.Run("shows attendance with bounds and gaps", func(t *testing.T) {
		d := opened(t, testKey)
		d.shows("the meetings", "<b>, retro, planning", func() string { return names(d) })
		attends(d)
		cell := func(person, key string) string {
			return strings.Join(d.list("#attendees tbody tr:not(.detail)", `e.firstChild.textContent.startsWith(`+quoted(person)+`) ? e.querySelector("[data-cell=`+key+`]").textContent : ""`), "")
		}
		d.has("the people", "#attendees tbody th", "e.textContent", "Ada", "Grace", hostileName, "recorder")
		if got := cell("Grace", "last"); !strings.HasPrefix(got, "between ") {
			t.Errorf("Grace left at %q want bounds", got)
		}
		if got := cell("Ada", "last"); strings.Contains(got, "between") || got == "here now" {
			t.Errorf("Ada left at %q want one time", got)
		}
		if got := cell(hostileName, "last"); got != "here now" {
			t.Errorf("got %q want a person who is here", got)
		}
		d.until("the gap is shown", func() bool { return strings.Contains(d.text("#meeting-gaps"), "PPCH wasn’t running") })
		d.click("#attendees tbody tr:nth-child(3) .unfold")
		d.until("Grace's stay is shown", func() bool { return strings.Contains(d.text("#attendees .detail:not([hidden]) .stays"), "between ") })
		if evaluate[bool](d.tab, "'pwned' in window") || len(d.list("img[src=x]", "1")) > 0 {
			t.Error("a name has become markup")
		}
		d.press(kb.Escape)
		d.shows("the meetings", "<b>, retro, planning", func() string { return names(d) })
	})

	t.Run("saves a file of each format", func(t *testing.T) {
		d := opened(t, testKey)
		dir := d.saves()
		attends(d)
		for format, want := range map[string]string{"plain": "name", "zoom": "Meeting ID", "teams": "1. Summary"} {
			evaluate[string](d.tab, `document.querySelector("#download-format").value = "`+format+`"`)
			d.click("#download button")
			var text string
			eventually(t, 20*time.Second, "the file is saved as "+format, func() bool {
				files := must(filepath.Glob(filepath.Join(dir, "attendance-*.csv")))(t)
				if len(files) != 1 {
					return false
				}
				text = string(must(os.ReadFile(files[0]))(t))
				if text != "" {
					must[any](nil, os.Remove(files[0]))(t)
				}
				return text != ""
			})
			if !strings.HasPrefix(text, "\ufeff"+want) || !strings.Contains(text, "Grace") {
				t.Errorf("%s: got %q", format, text)
			}
			if format == "plain" {
				if rows := must(csv.NewReader(strings.NewReader(text)).ReadAll())(t); len(rows) < 4 {
					t.Errorf("got %q", rows)
				}
			}
		}
	})

	t.Run("leads there from a room", func(t *testing.T) {
		d := openDashboard(t, chromium, s.url).signIn(testKey)
		d.look(s.planning, "planning")
		d.click("#room-meetings a")
		d.shows("the room's meetings", "planning", func() string { return names(d) })
	})

	t.Run("keeps names from a key without the scope", func(t *testing.T) {
		d := opened(t, s.numbers)
		d.offers("Rooms", "Meetings")
		d.shows("the meetings", "<b>, retro, planning", func() string { return names(d) })
		d.click("#meetings-table tbody tr:last-child a")
		d.until("it says why", func() bool { return strings.Contains(d.text("#attendance-note"), "lacks the scope participants") })
		if all := evaluate[string](d.tab, "document.documentElement.outerHTML"); strings.Contains(all, "Grace") {
			t.Error("the page has names in it")
		}
	})

	t.Run("offers nothing to a key without the scope", func(t *testing.T) {
		d := openDashboard(t, chromium, s.url).signIn(s.nothing)
		d.goTo("#/meetings")
		d.shows("why", "This key doesn’t show this page", func() string { return d.text("#meetings-empty .title") })
		d.goTo("#/meeting/0123")
		d.shows("why", "This key doesn’t show this page", func() string { return d.text("#meeting-empty .title") })
		d.offers()
	})

	t.Run("explains an unknown meeting", func(t *testing.T) {
		d := opened(t, testKey)
		d.goTo("#/meeting/" + strings.Repeat("0", 32))
		d.shows("why", "This meeting is unknown", func() string { return d.text("#meeting-empty .title") })
	})
}

// Without a folder, the pages say which settings turn them on.
func TestDashboard_StoreOff(t *testing.T) {
	t.Parallel()
	srv := prosodytest.New(t, prosodytest.Options{Module: true})
	s := runService(t, envFor(srv)).ready()
	if got := s.get("/api/meetings", "X-API-Key", testKey).status; got != http.StatusNotFound {
		t.Fatalf("got %d", got)
	}
	d := openDashboard(t, startChromium(t), s.url).signIn(testKey)
	d.offers("Rooms", "Meetings", "Webhooks")
	d.click("#to-meetings")
	d.until("it names the settings", func() bool {
		text := d.text("#meetings-empty")
		return strings.Contains(text, "PPCH_DATA_DIR") && strings.Contains(text, "PPCH_HISTORY")
	})
	d.click("#to-webhooks")
	d.until("it names the setting", func() bool { return strings.Contains(d.text("#webhooks-empty"), "PPCH_DATA_DIR") })
	d.goTo("#/webhook/none")
	d.until("it names the setting", func() bool { return strings.Contains(d.text("#webhook-empty"), "PPCH_DATA_DIR") })
	d.has("the ranges of charts", "#ranges:not([hidden])", "e.textContent")
}

// quoted returns text as a string of JavaScript.
func quoted(text string) string { return "`" + text + "`" }
