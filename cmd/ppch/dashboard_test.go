package main

import (
	"net/http"
	"net/http/httptest"
	"net/http/httputil"
	"net/url"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/chromedp/chromedp"
	"github.com/chromedp/chromedp/kb"

	"ppch/prosody/prosodytest"
)

// counted finds people in the history of totals.
var counted = regexp.MustCompile(`"participant_count":\[[^]]*[1-9]`)

// The dashboard asks for a key once, lists rooms, opens one, and shows joins and leaves.
func TestDashboard_InBrowser(t *testing.T) {
	t.Parallel()
	srv := prosodytest.New(t, prosodytest.Options{Module: true, HideRooms: true, DomainMapper: true})
	browser := startChromium(t)
	numbers, numbersLine := newKeyFor(t, "--name", "numbers", "--scope", "count,events")
	polling, pollingLine := newKeyFor(t, "--name", "polling", "--scope", "participants")
	acme, acmeLine := newKeyFor(t, "--name", "acme", "--scope", "all", "--room", "acme/*")
	env := envFor(srv)
	env["MUC_DOMAIN"] += "," + srv.Domains.Lobby
	env["PPCH_API_KEYS_FILE"] = written(t, "keys", numbersLine+"\n"+pollingLine+"\n"+acmeLine+"\n")
	s := runService(t, env).ready()
	cast := castOn(t, srv)
	planning, retro := srv.Room("planning"), srv.TenantRoom("acme", "retro")
	meeting(t, cast, planning, "Ada", "Grace")
	must(cast.Recorder(t.Context(), planning))(t)
	meeting(t, cast, srv.Room("standup"), "Alan")
	meeting(t, cast, retro, "Edsger", "Barbara", "Tony", "Donald")
	all := []string{"acme/retro 4", "planning 2", "standup 1"} // most people first

	t.Run("asks for a key, once", func(t *testing.T) {
		d := openDashboard(t, browser, s.url)
		d.enter("guess-guess-guess-guess")
		d.shows("why not", "This service does not know the key.", func() string { return d.text("#key-error") })
		d.isState("ask")
		d.signIn(testKey).hasRooms(all...)
		if got := evaluate[string](d.tab, "location.href"); strings.Contains(got, testKey) {
			t.Errorf("the URL contains the key: %s", got)
		}
		d.do(chromedp.Reload())
		d.isState("live")
		d.hasRooms(all...)
		d.click("#menu-button")
		d.click("#sign-out")
		d.isState("ask")
		if got := evaluate[int](d.tab, "sessionStorage.length + localStorage.length + document.cookie.length"); got != 0 {
			t.Errorf("the page stored %d items for a key it should not remember", got)
		}
	})

	t.Run("shows totals", func(t *testing.T) {
		d := openDashboard(t, browser, s.url).signIn(testKey)
		for selector, want := range map[string]string{"#rooms-total": "3", "#people-total": "7", "#lobby-total": "0", "#breakout-total": "0"} {
			d.shows(selector, want, func() string { return d.value(selector) })
		}
	})

	t.Run("finds and sorts rooms", func(t *testing.T) {
		d := openDashboard(t, browser, s.url).signIn(testKey)
		d.hasRooms(all...)
		d.click("[data-sort=people]")
		d.hasRooms("standup 1", "planning 2", "acme/retro 4")
		d.has("the order", "#rooms th[aria-sort]", `e.dataset.cell + " " + e.getAttribute("aria-sort")`, "people ascending")
		d.click("[data-sort=name]")
		d.hasRooms("planning 2", "acme/retro 4", "standup 1")
		d.write("#search", "PLAN")
		d.hasRooms("planning 2")
		d.shows("what was found", "1 of 3 rooms", func() string { return d.text("#found") })
		d.write("#search", "no such name")
		d.hasRooms()
	})

	t.Run("shows who is in a room", func(t *testing.T) {
		d := openDashboard(t, browser, s.url).signIn(testKey)
		d.look(planning, "planning")
		people := `[..."name role".split(" ")].map(cell => (e.querySelector("[data-cell=" + cell + "] bdi") ?? e.querySelector("[data-cell=" + cell + "]")).innerText.trim()).join("/")`
		d.has("the people in order of arrival", "#people tbody tr[data-id]", people, "Ada/participant", "Grace/participant")
		d.shows("the occupants who are not counted", "2", func() string { return d.text("#others-count") })
		d.click("#not-counted summary")
		d.has("their kinds", "#others tbody tr[data-id] .kind", "e.innerText.trim()", "recorder", "focus")
		linus := must(cast.User(t.Context(), planning, "Linus"))(t)
		d.has("the people", "#people tbody tr[data-id]", people, "Ada/participant", "Grace/participant", "Linus/participant")
		if err := linus.Leave(t.Context()); err != nil {
			t.Fatal(err)
		}
		d.has("the people", "#people tbody tr[data-id]", people, "Ada/participant", "Grace/participant")
		d.click("#back")
		d.hasRooms(all...)
	})

	t.Run("fits the smallest screen, the connection panel too", func(t *testing.T) {
		d := openDashboard(t, browser, s.url)
		d.as("light", 320, 568)
		fits := func(at string) {
			t.Helper()
			wide := d.list("html, #connection:popover-open", `Math.max(e.scrollWidth, e.getBoundingClientRect().right) - innerWidth`)
			if slices.ContainsFunc(wide, func(beyond string) bool { return !strings.HasPrefix(beyond, "-") && beyond != "0" }) {
				t.Errorf("%s: the page, or its panel, is wider than the screen by %q px", at, wide)
			}
		}
		d.signIn(testKey).hasRooms(all...)
		fits("the rooms")
		d.look(planning, "planning")
		fits("a room")
		d.click("#state")
		d.until("the panel is open", func() bool { return len(d.list("#connection:popover-open", "1")) == 1 })
		fits("the panel")
		d.do(chromedp.KeyEvent(kb.Escape))
		d.until("the panel is closed", func() bool { return len(d.list("#connection:popover-open", "1")) == 0 })
		if got := d.text("#room-name"); got != "planning" {
			t.Errorf("closing the panel also leaves the room: got %q", got)
		}
		d.do(chromedp.KeyEvent(kb.Escape))
		d.hasRooms(all...)
	})

	t.Run("shows joins and leaves live", func(t *testing.T) {
		d := openDashboard(t, browser, s.url).signIn(testKey)
		d.hasRooms(all...)
		evaluate[bool](d.tab, "window.stays = true")
		ken := must(cast.User(t.Context(), planning, "Ken"))(t)
		d.hasRooms("acme/retro 4", "planning 3", "standup 1")
		d.shows("the people", "8", func() string { return d.value("#people-total") })
		d.until("the activity shows that Ken joined", func() bool { return d.lists("participant.joined", "Ken joined planning") })
		if err := ken.Leave(t.Context()); err != nil {
			t.Fatal(err)
		}
		d.hasRooms(all...)
		d.until("the activity shows that Ken left", func() bool { return d.lists("participant.left", "Ken left planning") })
		if !evaluate[bool](d.tab, "window.stays === true") {
			t.Error("the page was reloaded")
		}
	})

	t.Run("shows counts without names to a key for counts", func(t *testing.T) {
		d := openDashboard(t, browser, s.url).signIn(numbers)
		d.hasRooms(all...)
		d.shows("the people", "7", func() string { return d.value("#people-total") })
		d.look(planning, "planning")
		d.shows("the rows", "", func() string { return strings.Join(d.list("#people tbody tr[data-id]", "e.textContent"), " ") })
		d.until("it says why there are no names", func() bool { return d.text("#room-note") != "" })
		d.click("#back")
		if all := evaluate[string](d.tab, "document.documentElement.outerHTML"); strings.Contains(all, "Ada") || strings.Contains(all, "Grace") {
			t.Error("the page has names in it")
		}
	})

	t.Run("polls with a key that can't follow events", func(t *testing.T) {
		d := openDashboard(t, browser, s.url)
		d.enter(polling)
		d.isState("polling")
		d.hasRooms(all...)
		ken := must(cast.User(t.Context(), planning, "Ken"))(t)
		d.hasRooms("acme/retro 4", "planning 3", "standup 1")
		if err := ken.Leave(t.Context()); err != nil {
			t.Fatal(err)
		}
		d.hasRooms(all...)
	})

	t.Run("shows a limited key only its rooms", func(t *testing.T) {
		d := openDashboard(t, browser, s.url).signIn(acme)
		d.hasRooms("acme/retro 4")
		d.shows("the people", "4", func() string { return d.value("#people-total") })
		d.until("it says that these are not all rooms", func() bool { return d.text("#note-rooms") != "" })
		d.shows("what has the focus", "search", func() string { return evaluate[string](d.tab, "document.activeElement.id") })
		evaluate[string](d.tab, `location.hash = "#/room/`+planning+`"`)
		d.until("it says that the key doesn't show the room", func() bool { return strings.HasPrefix(d.text("#room-note"), "This key doesn’t show this room") })
		d.shows("the room", "planning", func() string { return d.text("#room-name") })
	})

	t.Run("reconnects after a lost stream", func(t *testing.T) {
		between := must(prosodytest.NewNetwork(strings.TrimPrefix(s.url, "http://")))(t)
		t.Cleanup(func() { _ = between.Close() })
		d := openDashboard(t, browser, "http://"+between.Addr()).signIn(testKey)
		evaluate[bool](d.tab, `(states => {
			window.states = states;
			new MutationObserver(() => states.push(document.body.dataset.state)).observe(document.body, {attributeFilter: ["data-state"]});
			return true;
		})([])`)
		between.Break()
		ken := must(cast.User(t.Context(), planning, "Ken"))(t)
		d.shows("what the state has been", "lost live", func() string {
			states := evaluate[[]string](d.tab, "window.states")
			return strings.Join(slices.DeleteFunc(states, func(s string) bool { return s == "connecting" }), " ")
		})
		d.hasRooms("acme/retro 4", "planning 3", "standup 1")
		if err := ken.Leave(t.Context()); err != nil {
			t.Fatal(err)
		}
	})

	t.Run("works below a proxy's path", func(t *testing.T) {
		upstream := must(url.Parse(s.url))(t)
		proxy := httptest.NewServer(http.StripPrefix("/below", httputil.NewSingleHostReverseProxy(upstream)))
		t.Cleanup(proxy.Close)
		t.Cleanup(proxy.CloseClientConnections)
		d := dashboard{browser.open(t, proxy.URL+"/below/dashboard")}
		d.isState("ask")
		d.signIn(testKey).hasRooms(all...)
		d.look(planning, "planning")
		for _, asked := range d.asks() {
			if !strings.HasPrefix(asked, proxy.URL+"/below/") {
				t.Errorf("the page asks %s", asked)
			}
		}
	})

	t.Run("draws the last hour", func(t *testing.T) {
		d := openDashboard(t, browser, s.url).signIn(testKey)
		eventually(t, 2*time.Minute, "the history has a sample", func() bool {
			return counted.MatchString(s.get("/api/stats/history", "X-API-Key", testKey).body)
		})
		d.do(chromedp.Reload())
		d.shows("where the charts are from", "history history", func() string { return strings.Join(d.list("figure[data-source]", "e.dataset.source"), " ") })
		d.until("a point is drawn", func() bool {
			return evaluate[int](d.tab, `Number(document.querySelector("#people-chart").dataset.points)`) > 0
		})
	})

	t.Run("shows names as text", func(t *testing.T) {
		d := openDashboard(t, browser, s.url).signIn(testKey)
		const script, image = "<script>window.pwned=1</script>", "<img src=x onerror=window.pwned=2>"
		room := srv.Room("%3cimg%20src%3dx%20onerror%3dwindow.pwned%3d3%3e")
		meeting(t, cast, room, script, image)
		d.hasRooms("acme/retro 4", "<img src%3dx onerror%3dwindow.pwned%3d3> 2", "planning 2", "standup 1") // Jitsi would delete the = of a link
		d.look(room, "<img src%3dx onerror%3dwindow.pwned%3d3>")
		for _, name := range []string{script, image} {
			d.until(name+" is there", func() bool {
				return slices.Contains(d.list("#people tbody .goes", "e.innerText.trim()"), name)
			})
		}
		if evaluate[bool](d.tab, "'pwned' in window") || len(d.list("img[src=x], main script", "e.outerHTML")) > 0 {
			t.Error("a name has become markup")
		}
	})
}

// During an outage of Prosody, unknown values appear as unknown, never as 0.
func TestDashboard_Outage(t *testing.T) {
	t.Parallel()
	srv := prosodytest.New(t, prosodytest.Options{Module: true, HideRooms: true})
	browser := startChromium(t)
	env := envFor(srv)
	env["PPCH_MAX_STALENESS"] = "15s"
	s := runService(t, env).ready()
	planning := srv.Room("planning")
	cast := castOn(t, srv)
	meeting(t, cast, planning, "Ada", "Grace")
	d := openDashboard(t, browser, s.url).signIn(testKey)
	d.hasRooms("planning 2")

	if err := srv.Kill(); err != nil {
		t.Fatal(err)
	}
	_ = cast.Close()
	d.isState("stale")
	d.until("it shows the fix", func() bool { return strings.Contains(d.text("#problem"), "start Prosody") })
	opened := openDashboard(t, browser, s.url)
	opened.enter(testKey)
	opened.isState("stale")
	for _, page := range []dashboard{d, opened} {
		if got := page.value("#people-total"); got != "2" && got != "" {
			t.Errorf("got %q people want the last known number, or none", got)
		}
	}
	// By then the service has no current data either.
	for _, page := range []dashboard{d, opened} {
		eventually(t, 25*time.Second, "all totals are unknown", func() bool { return page.value("#people-total") == "" && page.value("#rooms-total") == "" })
	}

	if err := srv.Restart(t.Context()); err != nil {
		t.Fatal(err)
	}
	// The service may wait up to half a minute before it reconnects; a request makes it retry at once.
	eventually(t, 30*time.Second, "the service is back", func() bool { return s.room("planning").status == http.StatusOK })
	d.isState("live")
	d.shows("the people", "0", func() string { return d.value("#people-total") })
	meeting(t, castOn(t, srv), planning, "Ada")
	d.hasRooms("planning 1")
	opened.hasRooms("planning 1")
}
