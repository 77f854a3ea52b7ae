package main

import (
	"slices"
	"strings"
	"testing"
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
