package main

import (
	"fmt"
	"html/template"
	"net/http"
	"net/http/httptest"
	"os"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"ppch/prosody/prosodytest"
)

var shared = regexp.MustCompile(`^Share link, not shown again:\n(\S*/s/pps_[A-Z2-7]{26})\n\n` +
	`Line for the file in PPCH_API_KEYS_FILE:\n(name=\S+ sha256=[0-9a-f]{64} scope=.+)\n$`)

// newLink runs "ppch key share" and returns the path of the link and its line.
func newLink(t *testing.T, env variables, args ...string) (path, line string) {
	t.Helper()
	out, err := command(t, env, append([]string{"key", "share"}, args...)...)
	m := shared.FindStringSubmatch(out)
	if err != nil || m == nil {
		t.Fatalf("got %q, %v want a link and its line", out, err)
	}
	return m[1], m[2]
}

func TestKeyShare_Output(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		args, public string
		want         string // the end of the line
	}{
		{"--name a --room planning", "", "scope=share room=planning"},
		{"--name a --room planning --names", "https://ppch.example.com", "scope=participants,share room=planning"},
		{"--name a --room acme/* --room x --expires 2099-12-31", "https://example.com/ppch/", "scope=share room=[acme]*,x expires=2099-12-31"},
		{"--name a --all --streams 5", "", "scope=share streams=5"},
	} {
		path, line := newLink(t, variables{"PPCH_PUBLIC_URL": tt.public}, strings.Fields(tt.args)...)
		if !strings.HasPrefix(path, strings.TrimSuffix(tt.public, "/")+"/s/pps_") || !strings.HasPrefix(line, "name=a ") || !strings.HasSuffix(line, " "+tt.want) ||
			strings.Contains(line, "pps_") {
			t.Errorf("%s: got %s and %s", tt.args, path, line)
		}
	}
	if _, line := newLink(t, nil, "--all"); !regexp.MustCompile(`^name=share-[a-z2-7]{6} `).MatchString(line) {
		t.Errorf("without a name got %s", line)
	}
}

func TestKeyShare_Errors(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct{ args, want string }{
		{"", "key share: use --room for each room, or --all for every room"},
		{"--all --room x", "key share: use --room for each room, or --all for every room"},
		{"--room [x", "key share: room: a bracket has no partner; a tenant's room is [tenant]room"},
		{"--room x --expires 2020-01-01", "key share: expires: 2020-01-01 is in the past"},
		{"--room x --name PPCH_API_KEY", "key share: name: PPCH_API_KEY is reserved for the key that is set without a file"},
	} {
		if out, err := command(t, nil, append([]string{"key", "share"}, strings.Fields(tt.args)...)...); err == nil || err.Error() != tt.want || out != "" {
			t.Errorf("%s: got %q, %v want only the error %q", tt.args, out, err, tt.want)
		}
	}
}

// wiki is a page of another origin that shows a badge and a frame.
var wiki = template.Must(template.New("wiki").Parse(`<!doctype html><html lang="en"><meta charset="utf-8"><title>Wiki</title><link rel="icon" href="data:,">
<h1>Team</h1><p><img id="badge" src="{{.}}.svg" alt="people in planning"></p><iframe title="Planning" src="{{.}}?view=compact" width="400" height="200" style="max-width: 100%"></iframe></html>`))

// startWiki serves wiki for each link that is sent to shows.
func startWiki(t *testing.T) (server *httptest.Server, shows chan<- string) {
	t.Helper()
	links := make(chan string, 1)
	server = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { _ = wiki.Execute(w, <-links) }))
	t.Cleanup(server.Close)
	return server, links
}

// hostile are names that must stay text, wherever they are shown.
var hostile = []string{`<img src=x onerror=alert(1)>`, `"><script>alert(1)</script>`, "\u202egnp.exe", `'; --`}

// The page of a share link in a real browser: for one room and for all, as they change, withdrawn, and in pages of other origins.
// Errors in the console and violations of the policy fail the test, see tab.
func TestShareLink_InBrowser(t *testing.T) {
	t.Parallel()
	srv := prosodytest.New(t, prosodytest.Options{Module: true, HideRooms: true})
	browser := startChromium(t)
	friend, friendShows := startWiki(t)
	stranger, strangerShows := startWiki(t)

	door, doorLine := newLink(t, nil, "--room", "Planning", "--names")
	wall, wallLine := newLink(t, nil, "--all")
	gone, goneLine := newLink(t, nil, "--room", "Planning")
	soon, soonLine := newLink(t, nil, "--room", "Planning", "--expires", time.Now().Add(25*time.Second).UTC().Format(time.RFC3339))
	file := written(t, "keys", strings.Join([]string{doorLine, wallLine, goneLine, soonLine, ""}, "\n"))
	env := envFor(srv)
	env["PPCH_API_KEYS_FILE"], env["PPCH_EMBED_ORIGINS"] = file, friend.URL
	s := runService(t, env).ready()
	cast := castOn(t, srv)
	planning := srv.Room("planning")
	meeting(t, cast, planning, "Ada", hostile[0])
	meeting(t, cast, srv.Room("standup"), "Alan")

	t.Run("withdrawn and expired", func(t *testing.T) {
		withdrawn, expiring := browser.open(t, s.url+gone), browser.open(t, s.url+soon+"?lang=de")
		withdrawn.shows("the number", "2", func() string { return withdrawn.text(".number") })
		expiring.shows("the number", "2", func() string { return expiring.text(".number") })
		text := strings.Join([]string{doorLine, wallLine, soonLine, ""}, "\n")
		check(t, os.WriteFile(file, []byte(text), 0o600))
		began := time.Now()
		withdrawn.shows("the page", "This link is no longer valid.", func() string { return withdrawn.text("h1") })
		if took := time.Since(began); took > 15*time.Second {
			t.Errorf("the page said so after %s, want 15 s at most", took)
		}
		expiring.shows("the page", "Dieser Link ist abgelaufen.", func() string { return expiring.text("h1") })
		if strings.Contains(expiring.text("body"), "2") {
			t.Errorf("the page still shows a number: %s", expiring.text("body"))
		}
		for path, want := range map[string]int{gone: 404, soon: 410, "/s/pps_FORGED": 404} {
			if got := s.get(path); got.status != want {
				t.Errorf("%s got %d want %d", path, got.status, want)
			}
		}
		forged := browser.open(t, s.url+"/s/pps_FORGED")
		forged.shows("the page", "This link is no longer valid.", func() string { return forged.text("h1") })
	})

	t.Run("door", func(t *testing.T) {
		p := browser.open(t, s.url+door)
		p.shows("the number", "2", func() string { return p.text(".number") })
		p.shows("the names", "Ada, "+hostile[0], func() string { return p.text(".names") })
		p.shows("the title", "2 · planning", func() string { return evaluate[string](p, "document.title") })
		for i, name := range hostile[1:] {
			must(cast.User(t.Context(), planning, name))(t)
			p.shows("the number", fmt.Sprint(3+i), func() string { return p.text(".number") })
		}
		p.until("the state is live", func() bool { return strings.HasPrefix(p.text("#state"), "Live") })
		if got := evaluate[int](p, `document.querySelectorAll("main script, main img, main a").length`); got != 0 {
			t.Errorf("names became %d elements", got)
		}
	})

	t.Run("wall", func(t *testing.T) {
		p := browser.open(t, s.url+wall+"?lang=fr")
		p.as("dark", 1920, 1080)
		p.shows("the rooms", "planning 5, standup 1", func() string {
			return strings.Join(p.list(".wall > li", `e.querySelector("h2").innerText + " " + e.querySelector(".number").innerText`), ", ")
		})
		if strings.Contains(p.text("body"), "Ada") {
			t.Errorf("a link without names shows them: %s", p.text("body"))
		}
	})

	t.Run("in other pages", func(t *testing.T) {
		badge := func(p *tab) bool { return evaluate[bool](p, `document.querySelector("#badge").naturalWidth > 50`) }
		framed := func(p *tab) bool {
			return slices.ContainsFunc(p.asks(), func(url string) bool { return strings.HasSuffix(url, "/s/assets/share.js") })
		}
		friendShows <- s.url + door
		p := browser.open(t, friend.URL, s.url)
		p.until("the page shows the badge and the frame", func() bool { return badge(p) && framed(p) })

		strangerShows <- s.url + door
		p = browser.open(t, stranger.URL, s.url)
		p.until("the page shows the badge, and why not the frame", func() bool { return badge(p) && len(p.forget("frame-ancestors")) > 0 })
		if framed(p) {
			t.Error("a page of a stranger frames the link")
		}
	})

	t.Run("Prosody is frozen", func(t *testing.T) {
		p := browser.open(t, s.url+door)
		p.shows("the number", "5", func() string { return p.text(".number") })
		check(t, srv.Pause())
		defer srv.Resume()
		p.until("the page says that it is not current", func() bool { return strings.HasPrefix(p.text("#state"), "Not current") })
		p.shows("the state", "Prosody doesn’t answer", func() string { return p.text("#state") })
		p.shows("the number", "?", func() string { return p.text(".number") })
		check(t, srv.Resume())
		p.shows("the number", "5", func() string { return p.text(".number") })
	})
}

// forget returns the faults of the page with a text, which the test then expects.
func (p *tab) forget(text string) (found []string) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.faults = slices.DeleteFunc(p.faults, func(fault string) bool {
		if !strings.Contains(fault, text) {
			return false
		}
		found = append(found, fault)
		return true
	})
	return found
}

// The page of a share link is accessible, and nothing is wider than the screen, in each layout, in light and dark.
func TestShareLink_Accessible(t *testing.T) {
	t.Parallel()
	script := fetchAxe(t)
	srv := prosodytest.New(t, prosodytest.Options{Module: true, HideRooms: true})
	door, doorLine := newLink(t, nil, "--room", "Planning", "--names")
	wall, wallLine := newLink(t, nil, "--all", "--names")
	env := envFor(srv)
	env["PPCH_API_KEYS_FILE"] = written(t, "keys", doorLine+"\n"+wallLine+"\n")
	s := runService(t, env).ready()
	cast := castOn(t, srv)
	meeting(t, cast, srv.Room("planning"), "Ada", strings.Repeat("Grace ", 40))
	meeting(t, cast, srv.Room(strings.Repeat("longname", 20)), "Alan")
	for i := range 18 {
		meeting(t, cast, srv.Room(fmt.Sprint("team", i)), "Radia")
	}
	browser := startChromium(t)
	for _, page := range []string{door, wall, wall + "?view=compact", wall + "?view=door", "/s/pps_UNKNOWN"} {
		for _, scheme := range []string{"light", "dark"} {
			for _, size := range []screen{{320, 568}, {1440, 900}, {3840, 2160}} {
				name := strings.Join([]string{page[len("/s/pps_"):], scheme, size.String()}, " ")
				t.Run(name, func(t *testing.T) {
					p := browser.open(t, s.url+page)
					p.as(scheme, size.width, size.height)
					p.until("the page is there", func() bool { return p.text("h1, h2") != "" })
					for _, f := range p.findings(script) {
						t.Errorf("%s %s: %s: %+v", f.Impact, f.ID, f.Help, f.Nodes)
					}
					if wide := p.list("html, main, footer", `Math.round(Math.max(e.scrollWidth, e.getBoundingClientRect().right) - innerWidth)`); slices.ContainsFunc(wide, func(beyond string) bool {
						return beyond != "0" && !strings.HasPrefix(beyond, "-")
					}) {
						t.Errorf("the page is wider than the screen by %q px", wide)
					}
				})
			}
		}
	}
}
