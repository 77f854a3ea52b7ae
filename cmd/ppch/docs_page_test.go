package main

import (
	"slices"
	"strings"
	"testing"

	"github.com/chromedp/chromedp"

	"ppch/prosody/prosodytest"
)

// The documentation page takes the key safely, sends nothing by itself, and shows events as they come.
func TestDocs_InBrowser(t *testing.T) {
	t.Parallel()
	srv := prosodytest.New(t, prosodytest.Options{Module: true, HideRooms: true})
	s := runService(t, envFor(srv)).ready()
	cast := castOn(t, srv)
	planning := srv.Room("planning")
	meeting(t, cast, planning, "Ada", "Grace")
	p := startChromium(t).open(t, s.url+"/docs")
	operation := func(id string) string { return "[id$=" + id + "]" }
	open := func(id string) {
		t.Helper()
		p.until(id+" is there", func() bool { return len(p.list(operation(id), "1")) == 1 })
		p.click(operation(id) + " .opblock-summary-control")
		p.until(id+" is open", func() bool { return p.text(operation(id)+" .opblock-body") != "" })
	}

	open("getParticipants")
	shown := p.list(".opblock-summary-path", "e.dataset.path")
	if !slices.Contains(shown, "/api/rooms/{room_name}/participants") || slices.ContainsFunc(shown, func(path string) bool {
		return strings.HasPrefix(path, "/docs") || strings.HasPrefix(path, "/dashboard") || path == "/openapi.json" || strings.HasPrefix(path, "/s/assets")
	}) || len(p.list(".opblock-head", "1")) > 0 {
		t.Errorf("got the operations %q want the API's without HEAD, pages and files", shown)
	}

	p.click(".auth-wrapper .authorize")
	p.until("the dialog is open", func() bool { return len(p.list(".dialog-ux input", "1")) > 0 })
	p.shows("the focused field", "X-API-Key", func() string {
		return evaluate[string](p, `document.activeElement.closest(".auth-container")?.innerText.match(/X-API-Key|Bearer|ticket/)?.[0] ?? ""`)
	})
	if dialog := p.text(".dialog-ux"); strings.Contains(dialog, "ticket") {
		t.Errorf("the dialog offers tickets: %s", dialog)
	}
	p.do(chromedp.SendKeys(".dialog-ux input", testKey))
	p.click(".dialog-ux .auth-btn-wrapper .authorize")
	p.click(".dialog-ux .btn-done")

	room := operation("getParticipants") + " tr[data-param-name=room_name] input"
	value := func(selector string) func() string {
		return func() string { return strings.Join(p.list(selector, "e.value"), " ") }
	}
	p.shows("the room in the form", "planning", value(room))
	p.shows("wait in the form", "", value(operation("getParticipants")+" tr[data-param-name=wait] input"))
	p.click(operation("getParticipants") + " .execute")
	p.until("the answer is there", func() bool { return strings.Contains(p.text(operation("getParticipants")), `"participant_count": 2`) })
	if !slices.Contains(p.asks(), s.url+"/api/rooms/planning/participants") {
		t.Errorf("the page asked %q want the room without parameters", p.asks())
	}

	p.do(chromedp.Reload())
	open("getRoomEvents")
	p.shows("the authorization after a reload", "1", func() string { return strings.Join(p.list(".auth-wrapper .authorize.locked", "1"), "") })
	p.shows("the room in the form", "planning", value(operation("getRoomEvents")+" tr[data-param-name=room_name] input"))
	p.click(operation("getRoomEvents") + " .events .execute")
	p.until("the stream begins", func() bool { return strings.Contains(p.text(".events-text"), "event: status") })
	must(cast.User(t.Context(), planning, "Ken"))(t)
	p.until("a join appears", func() bool {
		return strings.Contains(p.text(".events-text"), "event: participant.joined") && strings.Contains(p.text(".events-text"), "Ken")
	})
	p.shows("the button", "Stop", func() string { return p.text(operation("getRoomEvents") + " .events .execute") })
	p.click(operation("getRoomEvents") + " .events .execute")
	p.shows("the button", "Show events", func() string { return p.text(operation("getRoomEvents") + " .events .execute") })

	p.as("dark", 1280, 900)
	p.picture("docs-dark")
	p.click(".auth-wrapper .authorize")
	p.picture("docs-dark-dialog")
	p.do(chromedp.Click(".dialog-ux .auth-btn-wrapper .btn:not(.btn-done)", chromedp.NodeVisible))
	p.shows("what is remembered after Logout", "0", func() string { return evaluate[string](p, "String(sessionStorage.length + localStorage.length)") })
}

// The documentation page is accessible in light and dark mode, on desktop and phone.
func TestDocs_Accessible(t *testing.T) {
	t.Parallel()
	script := fetchAxe(t)
	srv := prosodytest.New(t, prosodytest.Options{Module: true, HideRooms: true})
	s := runService(t, envFor(srv)).ready()
	meeting(t, castOn(t, srv), srv.Room("planning"), "Ada", "Grace")
	browser := startChromium(t)
	for _, scheme := range []string{"light", "dark"} {
		for screen, size := range map[string][2]int64{"wide": {1280, 900}, "phone": {390, 844}} {
			t.Run(scheme+" "+screen, func(t *testing.T) {
				p := browser.open(t, s.url+"/docs")
				p.as(scheme, size[0], size[1])
				look := func(at string) {
					p.picture(strings.Join([]string{"docs", at, scheme, screen}, "-"))
					for _, f := range p.findings(script) {
						t.Errorf("%s: %s %s: %s: %+v", at, f.Impact, f.ID, f.Help, f.Nodes)
					}
				}
				operation := "[id$=getParticipants]"
				p.until("the operation is there", func() bool { return len(p.list(operation, "1")) == 1 })
				look("list")
				p.click(".auth-wrapper .authorize")
				p.until("the dialog is open", func() bool { return len(p.list(".dialog-ux input", "1")) > 0 })
				look("dialog")
				p.do(chromedp.SendKeys(".dialog-ux input", testKey))
				p.click(".dialog-ux .auth-btn-wrapper .authorize")
				p.click(".dialog-ux .btn-done")
				p.click(operation + " .opblock-summary-control")
				p.until("the operation is open", func() bool { return p.text(operation+" .opblock-body") != "" })
				p.click(operation + " .execute")
				p.until("the answer is there", func() bool { return strings.Contains(p.text(operation), `"participant_count": 2`) })
				look("answer")
			})
		}
	}
}
