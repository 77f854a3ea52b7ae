package main

import (
	"context"
	"net"
	"net/http"
	"slices"
	"strings"
	"testing"

	"ppch/prosody/prosodytest"
)

// What the page of a share link says of itself, and in which layout.
func TestShareLink_Page(t *testing.T) {
	t.Parallel()
	srv := prosodytest.New(t, prosodytest.Options{Module: true, HideRooms: true})
	browser := startChromium(t)
	door, doorLine := newLink(t, nil, "--room", "planning")
	single, singleLine := newLink(t, nil, "--room", "planning", "--streams", "1")
	env := envFor(srv)
	env["PPCH_API_KEYS_FILE"] = written(t, "keys", strings.Join([]string{doorLine, singleLine, ""}, "\n"))
	_, env["PPCH_PORT"], _ = net.SplitHostPort(freeAddress(t))
	s := runService(t, env).ready()
	cast := castOn(t, srv)
	planning := srv.Room("planning")
	ada := meeting(t, cast, planning, "Ada", "Grace")[0]

	t.Run("without a stream", func(t *testing.T) {
		ctx, leave := context.WithCancel(t.Context())
		defer leave()
		other := must(s.client.Do(must(http.NewRequestWithContext(ctx, http.MethodGet, s.url+single+"/events", nil))(t)))(t)
		defer other.Body.Close()
		p := browser.open(t, s.url+single)
		p.says("Not current")
		p.recordStates()
		check(t, ada.Leave(t.Context()))
		p.shows("the number", "1", func() string { return p.text(".number") })
		if states := evaluate[[]string](p, "states"); slices.ContainsFunc(states, func(text string) bool { return !strings.HasPrefix(text, "Not current") }) {
			t.Errorf("a page without a stream says %q", states)
		}
		leave()
		p.says("Live")
	})

	t.Run("layouts", func(t *testing.T) {
		for query, want := range map[string]string{"": ".door", "?view=door": ".door", "?view=wall": ".wall", "?view=compact": ".compact", "?view=none": ".door"} {
			t.Run(query, func(t *testing.T) { // a browser opens no more than six streams at once
				p := browser.open(t, s.url+door+query)
				p.as("light", 1280, 720)
				p.until("the page has "+want, func() bool { return p.text(want) != "" })
				if others := p.list(".door, .wall, .compact", "e.className"); len(others) != 1 {
					t.Errorf("got %q want only %s", others, want)
				}
			})
		}
		for query, want := range map[string]string{"": "light", "?theme=dark": "dark", "?theme=light": "light"} {
			t.Run(query+" is "+want, func(t *testing.T) {
				p := browser.open(t, s.url+door+query)
				p.shows("the theme", want, func() string {
					return evaluate[string](p, `getComputedStyle(document.body).backgroundColor === "rgb(255, 255, 255)" ? "light" : "dark"`)
				})
			})
		}
		p := browser.open(t, s.url+door+"?theme=light")
		p.as("dark", 3840, 2160)
		p.until("the number is large", func() bool {
			return evaluate[bool](p, `[...document.querySelectorAll(".number")].some(e => parseFloat(getComputedStyle(e).fontSize) > 700)`)
		})
	})

	t.Run("the service stops and comes back", func(t *testing.T) {
		p := browser.open(t, s.url+door)
		p.says("Live")
		check(t, s.stop())
		p.says("Connection lost: as of")
		s = runService(t, env).ready()
		ken := must(cast.User(context.WithoutCancel(t.Context()), planning, "Ken"))(t)
		p.says("Live")
		p.shows("the number", "2", func() string { return p.text(".number") })
		check(t, ken.Leave(t.Context()))
	})
}

// says waits until the state of a share page begins with a text.
func (p *tab) says(text string) {
	p.t.Helper()
	p.until("the page says "+text, func() bool { return strings.HasPrefix(p.text("#state"), text) })
}

// recordStates records what a share page says from now on in the variable states.
func (p *tab) recordStates() {
	p.t.Helper()
	evaluate[bool](p, `(element => {
		window.states = [];
		new MutationObserver(() => states.push(element.textContent)).observe(element, {childList: true, characterData: true, subtree: true});
		return true;
	})(document.querySelector("#state"))`)
}
