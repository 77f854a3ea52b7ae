package main

import (
	"fmt"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/chromedp/cdproto/input"
	"github.com/chromedp/chromedp"
	"github.com/chromedp/chromedp/kb"

	"ppch/prosody/prosodytest"
)

// press types a key, wherever the focus is, as a keyboard does.
func (p *tab) press(key string) {
	p.t.Helper()
	// A page that prevents the default of a rawKeyDown gets no char event; after chromedp's keyDown it gets one, which types into what has the focus by then.
	p.do(chromedp.KeyEvent(key, func(k *input.DispatchKeyEventParams) {
		if k.Type == kb.KeyDown {
			k.Type = kb.KeyRawDown
		}
	}))
}

// focused waits until the element with an id has the focus.
func (p *tab) focused(id string) {
	p.t.Helper()
	p.shows("what has the focus", id, func() string { return evaluate[string](p, "document.activeElement.id") })
}

// What the dashboard offers in addition to its data: links, filters, keys, titles, languages.
func TestDashboard_Flows(t *testing.T) {
	t.Parallel()
	srv := prosodytest.New(t, prosodytest.Options{Module: true, HideRooms: true, DomainMapper: true})
	browser := startChromium(t)
	env := envFor(srv)
	env["PPCH_MEET_URL"], env["PPCH_SITE_NAME"] = "https://meet.example.com", `Example <Meet> "1"`
	env["PPCH_DATA_DIR"], env["PPCH_HISTORY"] = t.TempDir(), "numbers"
	s := runService(t, env).ready()
	began := time.Now()
	town(t, srv)
	planning := srv.Room("planning")
	const rooms = 10
	opened := func(t *testing.T) dashboard {
		d := openDashboard(t, browser, s.url).signIn(testKey)
		d.until("all rooms are there", func() bool { return len(d.list("#rooms tbody tr[data-jid]", "1")) == rooms })
		return d
	}

	t.Run("links to the meeting", func(t *testing.T) {
		d := opened(t)
		evaluate[string](d.tab, `location.hash = "#/room/" + encodeURIComponent("`+srv.Room("[acme]stand%20up")+`")`)
		d.shows("the room", "stand up acme", func() string { return d.text("#room-name") + " " + d.text("#room-tenant") })
		d.has("the link", "#join", "e.href + ' ' + e.target + ' ' + e.rel", "https://meet.example.com/acme/stand%20up _blank noopener noreferrer")
		evaluate[bool](d.tab, "navigator.clipboard.writeText = async text => { window.copied = text; }, true")
		d.press(kb.Tab) // from the title
		d.focused("copy")
		d.press(kb.Enter)
		d.shows("what was copied", "https://meet.example.com/acme/stand%20up Copied", func() string {
			return evaluate[string](d.tab, "window.copied") + " " + d.text("#copied")
		})
	})

	t.Run("shows what happened before", func(t *testing.T) {
		d := opened(t)
		d.until("the list has joins from before", func() bool { return d.lists("participant.joined", "joined planning") })
		d.look(planning, "planning")
		d.until("only those of the room", func() bool {
			return d.lists("participant.joined", "Ada Lovelace joined planning") && !d.lists("participant.joined", "Charles")
		})
		d.until("the room's chart begins with an empty room", func() bool {
			return strings.Contains(evaluate[string](d.tab, `document.querySelector("#room-chart svg").getAttribute("aria-label")`), "from 0 to 5")
		})
		d.until("the peak has its time", func() bool {
			text, isPeak := strings.CutPrefix(d.text("#room-chart .peak"), "Peak 5 · ")
			for at := began; isPeak && at.Before(time.Now().Add(time.Minute)); at = at.Add(time.Minute) {
				if strings.HasPrefix(text, at.Format("3:04")) {
					return true
				}
			}
			return false
		})
	})

	t.Run("shows microphones, cameras and hands", func(t *testing.T) {
		d := opened(t)
		d.look(planning, "planning")
		d.has("the media", "#people tbody [data-cell=media]", `[...e.querySelectorAll("svg")].map(i => i.getAttribute("aria-label")).join(", ")`,
			"Screen shared, Microphone on, Camera on", "Microphone off, Camera on", "Hand raised, Microphone off, Camera off", "Microphone on, Camera off", "")
	})

	t.Run("names people in order of arrival", func(t *testing.T) {
		d := opened(t)
		row := "#rooms tr[data-jid='" + srv.Room("physics%202b") + "'] [data-cell=who]"
		shown := d.list(row, "e.firstChild.textContent")[0]
		names := strings.NewReplacer("\u2068", "", "\u2069", "").Replace(shown)
		more := d.list(row, "e.lastChild.textContent")[0]
		people := must(strconv.Atoi(d.list(strings.Replace(row, "who", "people", 1), "e.textContent")[0]))(t)
		if rest := people - strings.Count(shown, "\u2068"); !strings.HasPrefix(names, "Niels, Marie, Albert") || rest < 1 || more != fmt.Sprint("+", rest) {
			t.Errorf("got %q %q want the %d people who are not named", names, more, rest)
		}
	})

	t.Run("filters by size and tenant", func(t *testing.T) {
		d := opened(t)
		chips := func() string { return strings.Join(d.list("#filters button", "e.textContent"), ", ") }
		d.shows("the chips", "2+ people, 5+ people, 10+ people, acme, school", chips)
		d.click("#filters [data-tenant=acme]")
		d.hasRooms("acme/stand up 5", "acme/retro 2")
		d.shows("what was found", "2 of 10 rooms", func() string { return d.text("#found") })
		d.click("#filters [data-size='5']")
		d.hasRooms("acme/stand up 5")
		d.write("#search", "nothing like it")
		d.hasRooms()
		d.shows("the empty state", "No match for “nothing like it”", func() string { return d.text("#empty-title") })
		d.click("#empty-clear")
		d.until("all rooms are back", func() bool { return len(d.list("#rooms tbody tr[data-jid]", "1")) == rooms })
	})

	t.Run("charts a day, a week and a month of the history", func(t *testing.T) {
		d := opened(t)
		d.has("the ranges", "#ranges button:not([hidden])", "e.textContent", "1 h", "24 h", "7 days", "30 days")
		for _, button := range [][2]string{{"24h", "24 h"}, {"7d", "7 days"}, {"30d", "30 days"}} {
			d.click("#ranges [data-range='" + button[0] + "']")
			d.has("the chosen range", "#ranges [aria-pressed=true]", "e.textContent", button[1])
			d.until("a point of the history is drawn", func() bool {
				return evaluate[bool](d.tab, `(({points, source}) => points > 0 && source === "history")(document.querySelector("#people-chart").dataset)`)
			})
		}
	})

	t.Run("by keyboard", func(t *testing.T) {
		d := opened(t)
		d.focused("search")
		d.press("pla")
		d.hasRooms("planning 5")
		d.press(kb.Escape)
		d.until("all rooms are back", func() bool { return len(d.list("#rooms tbody tr[data-jid]", "1")) == rooms })
		d.look(planning, "planning")
		evaluate[bool](d.tab, `addEventListener("keydown", e => { window.prevented = e.defaultPrevented; }), true`)
		d.press("/")
		d.focused("search")
		if !evaluate[bool](d.tab, "window.prevented") {
			t.Error("the key types a slash in addition to its action")
		}
		if got := evaluate[string](d.tab, "location.hash + document.querySelector('#search').value"); got != "#/" {
			t.Errorf("got %q want the list and an empty search", got)
		}
	})

	t.Run("has a title with numbers", func(t *testing.T) {
		d := opened(t)
		d.shows("the title", `(45) Rooms · Example <Meet> "1"`, func() string { return evaluate[string](d.tab, "document.title") })
		d.shows("the site", `Example <Meet> "1"`, func() string { return d.text("#site") })
		d.look(planning, "planning")
		d.shows("the title", `(45) planning · Example <Meet> "1"`, func() string { return evaluate[string](d.tab, "document.title") })
	})

	t.Run("remembers density and language", func(t *testing.T) {
		d := opened(t)
		height := func() int { return evaluate[int](d.tab, `document.querySelector("#rooms tbody tr").offsetHeight`) }
		before := height()
		d.click("#menu-button")
		d.click("#compact")
		d.until("rows are lower", func() bool { return height() < before })
		d.do(chromedp.Reload())
		d.isState("live")
		d.until("rows are still lower", func() bool { return height() < before })
		evaluate[bool](d.tab, `(s => { s.value = "fr"; setTimeout(() => s.dispatchEvent(new Event("change")), 100); return true; })(document.querySelector("#menu .language"))`)
		time.Sleep(time.Second) // the page reloads
		d.shows("the language", "fr Salles", func() string {
			return evaluate[string](d.tab, `document.documentElement.lang + " " + (document.querySelector("h1")?.textContent ?? "")`)
		})
		d.isState("live")
		evaluate[bool](d.tab, "localStorage.clear(), true")
	})
}

// times are an hour and five minutes, and five past two today and a day before, as the pages of a language write them.
var times = map[string]string{
	"en": "1h 5m | 2:05 AM | 2:05 AM",
	"de": "1 Std. 5 Min. | 02:05 | 02:05",
	"fr": "1 h 5 min | 02:05 | 02:05",
	"es": "1 h 5 min | 2:05 | 2:05",
}

// Each language fits the width of a phone: no page scrolls sideways, and no text is cut off where its own catalogue wrote it.
func TestDashboard_LanguagesFitPhones(t *testing.T) {
	t.Parallel()
	srv := prosodytest.New(t, prosodytest.Options{Module: true, HideRooms: true, DomainMapper: true})
	browser := startChromium(t)
	env := envFor(srv)
	env["MUC_DOMAIN"] += "," + srv.Domains.Lobby
	env["PPCH_MEET_URL"] = "https://meet.example.com"
	env["PPCH_HISTORY"] = "names"
	s := runService(t, withStore(t, env)).ready()
	s.hook("no-receiver", "http://127.0.0.1:9/a/path/that/no/phone/can/show/in/one/line", `,"names":true`)
	town(t, srv)
	for _, language := range []string{"en", "de", "fr", "es"} {
		t.Run(language, func(t *testing.T) {
			d := openDashboard(t, browser, s.url)
			d.as("light", 390, 844)
			d.inLanguage(language)
			d.isState("ask")
			fits := func(at string) {
				t.Helper()
				cut := d.list("[data-t], .number, .total, #state-text, .chart figcaption span, .chip, #found, .listing :is(th, td), .facts :is(dt, dd), .state, .notice, .muted, html", `e.checkVisibility() && (e.scrollWidth > e.clientWidth + 1 && e.clientWidth > 0
					|| e.getBoundingClientRect().right > innerWidth + 1 && !e.closest("#filters")) ? e.tagName + " " + (e.dataset.t ?? e.id) + ": " + e.textContent.slice(0, 80) : ""`)
				if cut = slices.DeleteFunc(cut, func(s string) bool { return s == "" }); len(cut) > 0 {
					t.Errorf("%s: cut off: %q", at, cut)
				}
				if missing := d.list("[data-t]", `e.checkVisibility() && e.textContent.trim() === e.dataset.t && e.dataset.t.includes(".") ? e.dataset.t : ""`); slices.ContainsFunc(missing, func(s string) bool { return s != "" }) {
					t.Errorf("%s: without text: %q", at, missing)
				}
			}
			fits("the key")
			got := evaluate[string](d.tab, `import(document.querySelector("script[type=module]").src.replace(/[^/]*$/, "format.js")).then(({minute, recent, span}) => {
				const today = new Date().setHours(2, 5, 0, 0), past = new Date(today).setDate(new Date(today).getDate() - 1);
				return [span(3_900_000), minute(today), recent(past).match(/\d.*/)[0]].join(" | ").replace(/\s/g, " ");
			})`)
			if want := times[language]; got != want {
				t.Errorf("times are %q want %q", got, want)
			}
			d.signIn(testKey)
			d.until("rooms are there", func() bool { return len(d.list("#rooms tbody tr[data-jid]", "1")) == 10 })
			fits("the list")
			evaluate[bool](d.tab, `(document.querySelector("#people-total").textContent = (1_300_000).toLocaleString(document.documentElement.lang), true)`)
			fits("a large number")
			if top := evaluate[float64](d.tab, `document.querySelector("#rooms tbody tr").getBoundingClientRect().bottom`); top > 844 {
				t.Errorf("the first room ends at %f px, below the fold", top)
			}
			d.click("#menu-button")
			fits("the menu")
			d.click("#menu-button")
			d.click("#state")
			d.until("the panel has data", func() bool { return d.text("#connection-health") != "" })
			fits("the connection")
			d.press(kb.Escape)
			d.write("#search", "nothing like it")
			fits("no match")
			d.press(kb.Escape)
			d.look(srv.Room("planning"), "planning")
			d.click("#not-counted summary")
			fits("a room")
			for _, page := range []string{"meetings", "webhooks"} {
				d.click("#to-" + page)
				d.until(page+" are listed", func() bool { return d.text("#"+page+"-table") != "" })
				fits(page)
				d.click("#" + page + "-table tbody a")
				list := map[string]string{"meetings": "#attendees", "webhooks": "#deliveries"}[page]
				d.until("its list is there", func() bool { return d.text(list) != "" })
				d.click(list + " .unfold")
				if page == "webhooks" {
					d.click("#webhook-all details summary")
					d.click("#test")
					d.until("the test has failed", func() bool { return strings.Contains(d.text("#test-result"), "ms") })
				}
				fits("one of the " + page)
			}
		})
	}
}

// A frozen Prosody keeps its connections open. The page says that it doesn't answer, never that rooms are loading.
func TestDashboard_FrozenProsody(t *testing.T) {
	t.Parallel()
	srv := prosodytest.New(t, prosodytest.Options{Module: true, HideRooms: true})
	browser := startChromium(t)
	s := runService(t, envFor(srv)).ready()
	meeting(t, castOn(t, srv), srv.Room("planning"), "Ada", "Grace")
	d := openDashboard(t, browser, s.url).signIn(testKey)
	d.hasRooms("planning 2")
	d.shows("the icon", "icon.svg", func() string { return d.list("link[rel=icon]", "e.getAttribute('href')")[0] })
	evaluate[bool](d.tab, `(titles => {
		window.titles = titles;
		new MutationObserver(() => titles.push(document.querySelector("#problem-title").textContent)).observe(document.querySelector("#problem-title"), {childList: true, characterData: true, subtree: true});
		return true;
	})([])`)
	if err := srv.Pause(); err != nil {
		t.Fatal(err)
	}
	eventually(t, time.Minute, "the page notices", func() bool { return d.text("#problem-title") == "Prosody doesn’t answer" })
	d.shows("the icon", "icon-stale.svg", func() string { return d.list("link[rel=icon]", "e.getAttribute('href')")[0] })
	d.shows("the title", "Rooms", func() string { return evaluate[string](d.tab, "document.title") })
	d.until("the state has its age", func() bool { return strings.HasSuffix(d.text("#state-text"), " old") })
	late := openDashboard(t, browser, s.url)
	late.enter(testKey)
	late.shows("what a page that opens now says", "Prosody doesn’t answer", func() string { return late.text("#problem-title") })
	// Meanwhile PPCH gives the connection up, and tries again.
	eventually(t, 90*time.Second, "all totals are unknown", func() bool { return d.value("#people-total") == "" })
	time.Sleep(10 * time.Second)
	if titles := evaluate[[]string](d.tab, "window.titles"); slices.ContainsFunc(titles, func(s string) bool { return strings.Contains(s, "loading") }) {
		t.Errorf("got the titles %q while Prosody was frozen", titles)
	}
	if err := srv.Resume(); err != nil {
		t.Fatal(err)
	}
	eventually(t, time.Minute, "the page is live again", func() bool { return evaluate[string](d.tab, "document.body.dataset.state") == "live" })
	d.hasRooms("planning 2")
}
