package main

import (
	"context"
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	cdppage "github.com/chromedp/cdproto/page"
	"github.com/chromedp/chromedp"

	"ppch/prosody/prosodytest"
)

// picturesVariable names the folder for the pictures of TestPictures, which otherwise doesn't run.
const picturesVariable = "PPCH_PICTURES"

// screen is a size of the browser's window.
type screen struct{ width, height int64 }

// screens are a phone, a tablet, a laptop and a wall.
var screens = []screen{{390, 844}, {1024, 768}, {1440, 900}, {3840, 2160}}

func (s screen) String() string { return fmt.Sprintf("%dx%d", s.width, s.height) }

// inLanguage makes new documents of the tab use a language, as a viewer's browser does.
func (p *tab) inLanguage(language string) {
	p.t.Helper()
	script := fmt.Sprintf("Object.defineProperty(navigator, 'languages', {get: () => [%q]})", language)
	p.do(chromedp.Func(func(ctx context.Context, _ *chromedp.Target) error {
		_, err := chromedp.Call(ctx, cdppage.AddScriptToEvaluateOnNewDocument, cdppage.AddScriptToEvaluateOnNewDocumentParams{Source: script})
		return err
	}), chromedp.Reload())
}

// sources renders a client's presence for its microphone, camera and screen.
func sources(mic, camera, shared bool) string {
	muted := func(on bool) string { return fmt.Sprintf(`{"muted":%t}`, !on) }
	info := `{"a-a0":` + muted(mic) + `,"a-v0":` + muted(camera)
	if shared {
		info += `,"a-v1":{"muted":false,"videoType":"desktop"}`
	}
	return "<SourceInfo>" + prosodytest.Escape(info+"}") + "</SourceInfo>"
}

const raisedHand = "<jitsi_participant_raisedHand>1700000000000</jitsi_participant_raisedHand>"

// town fills rooms as a site has them on a busy morning.
func town(t *testing.T, srv *prosodytest.Server) {
	t.Helper()
	cast := castOn(t, srv)
	enter := func(room, name string, extra ...string) { must(cast.User(t.Context(), room, name, extra...))(t) }
	for _, room := range [][2]string{
		{srv.Room("physics%202b"), "Niels Marie Albert Lise Max Emmy Erwin Wolfgang Werner Paul Enrico Richard Chien-Shiung Maria Rosalind Vera Jocelyn Subrahmanyan Hedy Katherine"},
		{srv.Room("customer%20call%20weber"), "Barbara Edsger Donald"},
		{srv.Room("%d0%ba%d0%b0%d1%84%d0%b5"), "Иван Мария"},
		{srv.Room("onboarding"), "Radia"},
		{srv.TenantRoom("acme", "stand%20up"), "Margaret Frances Alan Ken Dennis"},
		{srv.TenantRoom("acme", "retro"), "Tony Niklaus"},
		{srv.TenantRoom("school", "class%2010"), "Carl Emmy Sofja Leonhard Sophie Évariste"},
		{srv.Room("a%20room%20with%20a%20name%20that%20no%20column%20can%20hold%20in%20full"), "Charles"},
	} {
		meeting(t, cast, room[0], strings.Fields(room[1])...)
	}
	meeting(t, cast, srv.Room("waiting"))
	planning := srv.Room("planning")
	must(cast.Open(t.Context(), planning))(t)
	enter(planning, "Ada Lovelace", sources(true, true, true))
	enter(planning, "Grace Hopper", sources(false, true, false))
	enter(planning, "Linus", sources(false, false, false), raisedHand)
	enter(planning, "Анна Каренина", sources(true, false, false))
	must(cast.Caller(t.Context(), planning, "+49 30 123456"))(t)
	must(cast.Recorder(t.Context(), planning))(t)
}

// TestPictures saves pictures of every state of the pages at every size, in light and dark and in each language.
//
//	PPCH_PICTURES=/tmp/pictures go test ./cmd/ppch -run TestPictures -timeout 30m
func TestPictures(t *testing.T) {
	dir := os.Getenv(picturesVariable)
	if dir == "" {
		t.Skip("saves pictures only into the folder in " + picturesVariable)
	}
	srv := prosodytest.New(t, prosodytest.Options{Module: true, HideRooms: true, DomainMapper: true})
	env := envFor(srv)
	env["MUC_DOMAIN"] += "," + srv.Domains.Lobby
	env["PPCH_SITE_NAME"] = "Example Meet"
	env["PPCH_MEET_URL"] = "https://meet.example.com"
	door, doorLine := newLink(t, nil, "--room", "planning", "--names")
	wall, wallLine := newLink(t, nil, "--all")
	people, peopleLine := newLink(t, nil, "--all", "--names")
	over, overLine := newLink(t, nil, "--room", "planning", "--expires", time.Now().Add(3*time.Second).UTC().Format(time.RFC3339Nano))
	env["PPCH_API_KEYS_FILE"] = written(t, "keys", strings.Join([]string{doorLine, wallLine, peopleLine, overLine, ""}, "\n"))
	wikiPage, wikiShows := startWiki(t)
	env["PPCH_EMBED_ORIGINS"] = wikiPage.URL
	env["PPCH_HISTORY"] = "names"
	withStore(t, env)
	writePast(t, env["PPCH_DATA_DIR"], srv)
	s := runService(t, env).ready()
	good, bad, gone := newFussy(t, http.StatusOK), newFussy(t, http.StatusInternalServerError), newFussy(t, http.StatusGone)
	s.hook("attendance-sync", good.URL+"/learning/hooks/attendance", `,"names":true,"rooms":["planning","acme/*"]`)
	town(t, srv)
	browser := startChromium(t)
	empty := prosodytest.New(t, prosodytest.Options{Module: true, HideRooms: true})
	quiet := runService(t, envFor(empty)).ready()
	planning := srv.Room("planning")

	everywhere := func(t *testing.T, state string, show func(t *testing.T, language, scheme string, size screen) *tab) {
		for _, language := range []string{"en", "de", "fr", "es"} {
			for _, size := range screens {
				for _, scheme := range []string{"light", "dark"} {
					name := strings.Join([]string{state, language, size.String(), scheme}, "-")
					t.Run(name, func(t *testing.T) {
						p := show(t, language, scheme, size)
						time.Sleep(700 * time.Millisecond) // highlights fade
						p.dir = dir
						p.picture(name)
					})
				}
			}
		}
	}
	opened := func(t *testing.T, url, language, scheme string, size screen) dashboard {
		d := openDashboard(t, browser, url)
		d.as(scheme, size.width, size.height)
		d.inLanguage(language)
		d.isState("ask")
		return d
	}
	if err := os.MkdirAll(filepath.Clean(dir), 0o700); err != nil {
		t.Fatal(err)
	}
	everywhere(t, "key", func(t *testing.T, language, scheme string, size screen) *tab {
		return opened(t, s.url, language, scheme, size).tab
	})
	everywhere(t, "list", func(t *testing.T, language, scheme string, size screen) *tab {
		d := opened(t, s.url, language, scheme, size).signIn(testKey)
		d.until("rooms are there", func() bool { return len(d.list("#rooms tbody tr[data-jid]", "1")) == 10 })
		return d.tab
	})
	everywhere(t, "room", func(t *testing.T, language, scheme string, size screen) *tab {
		d := opened(t, s.url, language, scheme, size).signIn(testKey)
		d.look(planning, "planning")
		return d.tab
	})
	everywhere(t, "day", func(t *testing.T, language, scheme string, size screen) *tab {
		d := opened(t, s.url, language, scheme, size).signIn(testKey)
		d.click("#ranges [data-range='24h']")
		return d.tab
	})
	everywhere(t, "nomatch", func(t *testing.T, language, scheme string, size screen) *tab {
		d := opened(t, s.url, language, scheme, size).signIn(testKey)
		d.until("rooms are there", func() bool { return len(d.list("#rooms tbody tr[data-jid]", "1")) == 10 })
		d.write("#search", "quarterly review")
		d.until("it finds nothing", func() bool { return d.text("#empty-title") != "" })
		return d.tab
	})
	everywhere(t, "empty", func(t *testing.T, language, scheme string, size screen) *tab {
		return opened(t, quiet.url, language, scheme, size).signIn(testKey).tab
	})
	s.hook("door-display", bad.URL+"/door", `,"events":["room.occupied","room.emptied"]`)
	s.hook("old-chat", gone.URL+"/services/T0/B0", `,"events":["participant.*"]`)
	meeting(t, castOn(t, srv), srv.Room("lunch"), "Radia", "Ada")
	page := func(hash, ready, click string) func(t *testing.T, language, scheme string, size screen) *tab {
		return func(t *testing.T, language, scheme string, size screen) *tab {
			d := opened(t, s.url, language, scheme, size).signIn(testKey)
			d.goTo(hash)
			d.until("the page is there", func() bool { return d.text(ready) != "" })
			if click != "" {
				d.click(click)
			}
			return d.tab
		}
	}
	everywhere(t, "meetings", page("#/meetings", "#meetings-table", ""))
	workshop := s.get("/api/rooms/workshop/meetings", "X-API-Key", testKey).data["meetings"].([]any)[0].(map[string]any)["id"].(string)
	everywhere(t, "attendance", page("#/meeting/"+workshop, "#attendees", "#attendees tbody tr:nth-child(3) .unfold"))
	everywhere(t, "webhooks", page("#/webhooks", "#webhooks-table", ""))
	everywhere(t, "webhook", page("#/webhook/attendance-sync", "#deliveries", "#deliveries tbody tr:nth-child(1) .unfold"))
	everywhere(t, "disabled", page("#/webhook/old-chat", "#deliveries", ""))
	everywhere(t, "off", func(t *testing.T, language, scheme string, size screen) *tab {
		d := opened(t, quiet.url, language, scheme, size).signIn(testKey)
		d.goTo("#/meetings")
		d.until("it explains", func() bool { return d.text("#meetings-empty") != "" })
		return d.tab
	})
	share := func(path, query, ready string) func(t *testing.T, language, scheme string, size screen) *tab {
		return func(t *testing.T, language, scheme string, size screen) *tab {
			p := browser.open(t, s.url+path+query)
			p.as(scheme, size.width, size.height)
			p.inLanguage(language)
			p.until("the page is there", func() bool { return p.text(ready) != "" })
			return p
		}
	}
	everywhere(t, "door", share(door, "", ".names"))
	everywhere(t, "wall", share(wall, "", ".number"))
	everywhere(t, "wallnames", share(people, "", ".number"))
	everywhere(t, "compact", share(people, "?view=compact", ".number"))
	everywhere(t, "expired", share(over, "", "h1"))
	everywhere(t, "wiki", func(t *testing.T, language, scheme string, size screen) *tab {
		p := browser.open(t, "about:blank", wikiPage.URL, s.url)
		p.as(scheme, size.width, size.height)
		p.inLanguage(language)
		wikiShows <- s.url + door
		p.do(chromedp.Navigate(wikiPage.URL))
		return p
	})
	large := prosodytest.New(t, prosodytest.Options{Module: true, HideRooms: true})
	if err := large.Populate(t.Context(), 10_000, 3); err != nil {
		t.Fatal(err)
	}
	many := runService(t, envFor(large)).ready()
	everywhere(t, "10000", func(t *testing.T, language, scheme string, size screen) *tab {
		d := opened(t, many.url, language, scheme, size).signIn(testKey)
		d.until("all rooms are there", func() bool { return d.value("#rooms-total") == "10000" })
		return d.tab
	})
	if err := srv.Pause(); err != nil {
		t.Fatal(err)
	}
	everywhere(t, "doorfrozen", func(t *testing.T, language, scheme string, size screen) *tab {
		p := share(door, "", "#state")(t, language, scheme, size)
		eventually(t, time.Minute, "the page notices", func() bool { return len(p.list("#state[data-is=live]", "1")) == 0 })
		return p
	})
	frozen := func(t *testing.T, language, scheme string, size screen) *tab {
		d := opened(t, s.url, language, scheme, size)
		d.enter(testKey)
		eventually(t, time.Minute, "the page notices", func() bool { return d.text("#problem-title") != "" })
		return d.tab
	}
	everywhere(t, "frozen", frozen)
	if err := srv.Kill(); err != nil {
		t.Fatal(err)
	}
	everywhere(t, "stale", frozen)
}
