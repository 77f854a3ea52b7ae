package main

import (
	"slices"
	"strings"
	"testing"

	"ppch/prosody/prosodytest"
)

// dashboard is the page at /dashboard/ in a tab; api/web/dashboard defines the names of its parts.
type dashboard struct{ *tab }

// openDashboard opens the page, which asks for a key.
func openDashboard(t testing.TB, c *chromium, url string) dashboard {
	t.Helper()
	d := dashboard{c.open(t, url+"/dashboard/")}
	d.isState("ask")
	return d
}

// enter submits a key.
func (d dashboard) enter(key string) {
	d.t.Helper()
	d.write("#key", key)
	d.click("#key-submit")
}

// signIn submits a valid key.
func (d dashboard) signIn(key string) dashboard {
	d.t.Helper()
	d.enter(key)
	d.isState("live")
	return d
}

func (d dashboard) isState(want string) {
	d.t.Helper()
	d.shows("the state", want, func() string { return evaluate[string](d.tab, `document.body?.dataset.state ?? ""`) })
}

// hasRooms waits for these rows of the table, each "room people" or "tenant/room people".
func (d dashboard) hasRooms(want ...string) {
	d.t.Helper()
	d.shows("the rooms", strings.Join(want, ", "), func() string {
		return strings.Join(d.list("#rooms tbody tr[data-jid]", `!e.checkVisibility() ? "" : (cell => {
			const tenant = cell("name").querySelector(".tag").textContent;
			return (tenant ? tenant + "/" : "") + cell("name").querySelector("a").textContent.trim() + " " + cell("people").dataset.value;
		})(name => e.querySelector("[data-cell=" + name + "]"))`), ", ")
	})
}

// has waits for a list of texts.
func (d dashboard) has(what, selector, expression string, want ...string) {
	d.t.Helper()
	d.shows(what, strings.Join(want, " | "), func() string { return strings.Join(d.list(selector, expression), " | ") })
}

// look opens the room with a JID, which the page shows by name.
func (d dashboard) look(room, name string) {
	d.t.Helper()
	d.click("#rooms tr[data-jid='" + room + "'] a")
	d.shows("the room", name, func() string { return d.text("#room-name") })
}

// lists reports whether the activity has an event with this text.
func (d dashboard) lists(event, words string) bool {
	d.t.Helper()
	return slices.ContainsFunc(d.list("#activity li[data-event='"+event+"']", "e.textContent"), func(said string) bool { return strings.Contains(said, words) })
}

// value returns the number that an element of the totals shows, "" while it is unknown.
func (d dashboard) value(selector string) string {
	d.t.Helper()
	return evaluate[string](d.tab, `document.querySelector("`+selector+`").dataset.value ?? "nothing"`)
}

// A total that is unknown says why, to those who point at it and to screen readers, in each language.
func TestDashboard_SaysWhyATotalIsUnknown(t *testing.T) {
	t.Parallel()
	srv := prosodytest.New(t, prosodytest.Options{Module: true, HideRooms: true})
	limited, line := newKeyFor(t, "--name", "limited", "--scope", "all", "--room", "plan*")
	env := envFor(srv) // without the domain of lobbies
	env["PPCH_API_KEYS_FILE"] = written(t, "keys", line+"\n")
	s := runService(t, env).ready()
	browser := startChromium(t)
	for language, want := range map[string][2]string{
		"en": {"PPCH does not watch the domain of these rooms.", "this key may not see all of these rooms."},
		"de": {"PPCH beobachtet die Domain dieser Räume nicht.", "Dieser Schlüssel sieht vielleicht nicht alle diese Räume."},
		"fr": {"PPCH n’observe pas le domaine de ces salles.", "cette clé ne voit peut-être pas toutes ces salles."},
		"es": {"PPCH no observa el dominio de estas salas.", "puede que esta clave no vea todas estas salas."},
	} {
		for i, key := range []string{testKey, limited} {
			t.Run(language+" "+want[i], func(t *testing.T) { // closes its tab
				d := openDashboard(t, browser, s.url)
				d.inLanguage(language)
				d.isState("ask")
				d.signIn(key)
				why := func(name string) []string {
					return d.list("#"+name+"-total, #"+name+"-why", `e.title || e.textContent`)
				}
				d.until("the lobbies say why", func() bool {
					got := why("lobby")
					return d.value("#lobby-total") == "" && got[0] == got[1] && strings.HasSuffix(got[0], ": "+want[i])
				})
				if i == 0 {
					d.until("the breakout rooms are known", func() bool {
						return d.value("#breakout-total") == "0" && slices.Equal(why("breakout"), []string{"0", ""})
					})
				}
			})
		}
	}
}
