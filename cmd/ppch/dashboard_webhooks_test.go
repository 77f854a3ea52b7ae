package main

import (
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"ppch/prosody/prosodytest"
)

// fussy is a receiver of webhooks that refuses them as long as a test wants, with an answer.
type fussy struct {
	*httptest.Server
	status   atomic.Int32
	accepted atomic.Int32
}

func newFussy(t *testing.T, status int32) *fussy {
	t.Helper()
	f := &fussy{}
	f.status.Store(status)
	f.Server = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		_, _ = io.Copy(io.Discard, r.Body)
		if f.status.Load() == http.StatusOK {
			f.accepted.Add(1)
		}
		w.WriteHeader(int(f.status.Load()))
		_, _ = io.WriteString(w, "<script>window.pwned=1</script>\nsecond line")
	}))
	t.Cleanup(f.Close)
	return f
}

// The dashboard shows whether webhooks deliver, what they sent and got, tests them, and sends deliveries again.
func TestDashboard_Webhooks(t *testing.T) {
	t.Parallel()
	srv := prosodytest.New(t, prosodytest.Options{Module: true, HideRooms: true})
	cast := castOn(t, srv)
	nothing, line := newKeyFor(t, "--name", "nothing", "--scope", "all")
	env := withStore(t, envFor(srv))
	env["PPCH_API_KEYS_FILE"] = written(t, "keys", line+"\n")
	s := runService(t, env).ready()
	good, bad, gone := newFussy(t, http.StatusOK), newFussy(t, http.StatusInternalServerError), newFussy(t, http.StatusGone)
	s.hook("good", good.URL+"/a", `,"names":true`)
	s.hook("bad", bad.URL+"/b", `,"events":["room.occupied"]`)
	s.hook("gone", gone.URL+"/c", "")
	s.hook("off", good.URL+"/d", `,"enabled":false`)
	meeting(t, cast, srv.Room("planning"), hostileName)
	eventually(t, 20*time.Second, "each receiver has answered", func() bool {
		states := ""
		for _, id := range []string{"bad", "gone"} {
			state, _ := s.get("/api/webhooks/"+id, "X-API-Key", testKey).data["state"].(string)
			states += state + " "
		}
		return states == "failing stopped " && good.accepted.Load() >= 3
	})
	chromium := startChromium(t)
	opened := func(t *testing.T, id string) dashboard {
		d := openDashboard(t, chromium, s.url).signIn(testKey)
		d.goTo("#/webhook/" + id)
		d.until("deliveries are listed", func() bool { return d.text("#deliveries tbody") != "" })
		return d
	}
	rows := func(d dashboard) int { return len(d.list("#deliveries tbody tr:not(.detail)", "1")) }

	t.Run("lists them, those that need attention first", func(t *testing.T) {
		d := openDashboard(t, chromium, s.url).signIn(testKey)
		d.offers("Rooms", "Meetings", "Webhooks")
		d.shows("the mark", "2", func() string { return d.text("#webhooks-mark") })
		d.click("#to-webhooks")
		d.until("all are listed", func() bool { return d.text("#webhooks-found") == "4 webhooks" })
		states := map[string]string{}
		for _, row := range d.list("#webhooks-table tbody tr", `e.querySelector("code").textContent + " " + e.querySelector("[data-cell=state]").textContent`) {
			id, state, _ := strings.Cut(row, " ")
			states[id] = state
		}
		for id, want := range map[string]string{"good": "Delivers", "bad": "Failing", "gone": "Disabled", "off": "Switched off"} {
			if states[id] != want {
				t.Errorf("%s: got %q want %q", id, states[id], want)
			}
		}
		if first := d.list("#webhooks-table tbody code", "e.textContent")[:2]; strings.Contains(strings.Join(first, " "), "good") {
			t.Errorf("got %q first", first)
		}
	})

	t.Run("explains why one is disabled, fails or is off", func(t *testing.T) {
		for id, want := range map[string]string{"gone": "PPCH disabled this webhook", "bad": "The receiver has failed since", "off": "Switched off"} {
			d := openDashboard(t, chromium, s.url).signIn(testKey)
			d.goTo("#/webhook/" + id)
			d.until(id+" is explained", func() bool { return strings.Contains(d.text("#webhook-why"), want) })
			if id == "gone" {
				d.until("with the receiver's answer", func() bool { return strings.Contains(d.text("#webhook-why-detail"), "410") })
			}
		}
	})

	t.Run("shows deliveries with body and answer", func(t *testing.T) {
		d := opened(t, "bad")
		d.click("#deliveries tbody tr:first-child .unfold")
		d.until("the answer is text", func() bool {
			return strings.Contains(d.text("#deliveries .detail:not([hidden])"), "<script>window.pwned=1</script>\nsecond line")
		})
		d = opened(t, "good") // answers to a success are not kept
		evaluate[bool](d.tab, `[...document.querySelectorAll("#deliveries .unfold")].find(b => b.textContent.startsWith("participant.joined")).click() ?? true`)
		d.until("the body is text", func() bool {
			text := d.text("#deliveries .detail:not([hidden])")
			return strings.Contains(text, `"participant_count": 1`) && strings.Contains(text, hostileName)
		})
		d.click("#delivery-states [data-state=failed]")
		d.shows("none has failed", "No deliveries", func() string { return d.text("#deliveries-empty .title") })
		d.click("#delivery-states [data-state=delivered]")
		d.until("deliveries are back", func() bool { return rows(d) >= 3 })
		if evaluate[bool](d.tab, "'pwned' in window") || len(d.list("main script, img[src=x]", "1")) > 0 {
			t.Error("text has become markup")
		}
	})

	t.Run("tests one", func(t *testing.T) {
		d := opened(t, "good")
		d.click("#test")
		d.until("it is delivered", func() bool { return strings.HasPrefix(d.text("#test-result"), "Delivered: HTTP 200") })
		d.until("with the answer", func() bool { return strings.Contains(d.text("#test-answer"), "second line") })
		d = opened(t, "bad")
		d.click("#test")
		d.until("it is not delivered", func() bool { return strings.HasPrefix(d.text("#test-result"), "Not delivered: ") })
	})

	t.Run("sends one delivery again, and all of a time", func(t *testing.T) {
		d := opened(t, "good")
		before, had := rows(d), good.accepted.Load()
		d.click("#deliveries tbody tr:first-child .unfold")
		d.click("#deliveries .detail:not([hidden]) button")
		d.until("it is listed", func() bool { return rows(d) == before+1 })
		eventually(t, 20*time.Second, "the receiver gets it", func() bool { return good.accepted.Load() == had+1 })
		d.click("#webhook-all details summary")
		d.click("#replay button")
		d.until("all are sent", func() bool { return strings.Contains(d.text("#replay-result"), "sent again") })
		eventually(t, 20*time.Second, "the receiver gets them", func() bool { return int(good.accepted.Load()) > int(had)+before })
	})

	t.Run("explains an unknown one", func(t *testing.T) {
		d := openDashboard(t, chromium, s.url).signIn(testKey)
		d.goTo("#/webhook/none")
		d.shows("why", "This webhook doesn’t exist", func() string { return d.text("#webhook-empty .title") })
	})

	t.Run("offers nothing to a key without the scope", func(t *testing.T) {
		d := openDashboard(t, chromium, s.url).signIn(nothing)
		d.goTo("#/webhooks")
		d.shows("why", "This key doesn’t show this page", func() string { return d.text("#webhooks-empty .title") })
		d.offers()
	})
}
