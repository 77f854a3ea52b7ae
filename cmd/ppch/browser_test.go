package main

import (
	"context"
	"encoding/json"
	"html/template"
	"io"
	"net/http"
	"net/http/httptest"
	"os/exec"
	"testing"
	"time"

	"ppch/prosody/prosodytest"
)

// followingPage follows events in the way of README.md, lists them, and tells its own server each time what it shows.
var followingPage = template.Must(template.New("page").Parse(`<!doctype html>
<meta charset="utf-8">
<title>Who is there?</title>
<ul></ul>
<script>
const list = document.querySelector("ul");
const events = new EventSource({{.}});
for (const name of ["snapshot", "participant.joined", "participant.left"])
	events.addEventListener(name, e => {
		const data = JSON.parse(e.data), item = document.createElement("li");
		const people = data.rooms ? data.rooms.flatMap(r => r.occupants) : [data.occupant];
		item.textContent = [name, ...people.map(o => o.name).filter(Boolean)].join(" ");
		list.append(item);
		fetch("/shown", {method: "POST", body: list.innerHTML});
	});
</script>
`))

// page is a web page of another origin than the service's.
type page struct {
	*httptest.Server
	follows string      // the stream's URL, set before the page is asked for
	shown   chan string // the list, each time that it has got longer
}

func newPage(t *testing.T) *page {
	t.Helper()
	p := &page{shown: make(chan string, 100)}
	mux := http.NewServeMux()
	mux.HandleFunc("GET /{$}", func(w http.ResponseWriter, _ *http.Request) {
		if err := followingPage.Execute(w, p.follows); err != nil {
			t.Error(err)
		}
	})
	mux.HandleFunc("POST /shown", func(_ http.ResponseWriter, r *http.Request) {
		list, _ := io.ReadAll(r.Body)
		p.shown <- string(list)
	})
	p.Server = httptest.NewServer(mux)
	t.Cleanup(p.CloseClientConnections)
	t.Cleanup(p.Close)
	return p
}

// shows waits until the page's list is as wanted.
func (p *page) shows(t *testing.T, want string) {
	t.Helper()
	last, late := "nothing", time.After(30*time.Second)
	for last != want {
		select {
		case last = <-p.shown:
		case <-late:
			t.Fatalf("the page shows %s want %s", last, want)
		}
	}
}

// A page in a real browser, of another origin, follows a room by a ticket that was got for it.
func TestABrowserFollowsEventsByATicket(t *testing.T) {
	t.Parallel()
	srv := prosodytest.New(t, prosodytest.Options{Module: true, HideRooms: true})
	chromium := installed(t, "chromium")
	p := newPage(t)
	env := envFor(srv)
	env["PPCH_CORS_ORIGINS"] = p.URL
	s := runService(t, env).ready()
	cast := castOn(t, srv)
	room := srv.Room("planning")
	people := meeting(t, cast, room, "Ada")
	eventually(t, 5*time.Second, "Ada is known", func() bool { return s.room("Planning").data["participant_count"] == 1.0 })

	p.follows = s.url + "/api/rooms/Planning/events?snapshot=true&ticket=" + s.ticket(t.Context())
	// As root there is no sandbox to be had; what else is switched off would look for updates on the way.
	inBackground(t, exec.Command(chromium, "--headless", "--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage", "--no-first-run",
		"--no-proxy-server", "--disable-background-networking", "--disable-component-update", "--disable-sync",
		"--remote-debugging-port=0", "--user-data-dir="+t.TempDir(), p.URL))
	p.shows(t, "<li>snapshot Ada</li>")

	must(cast.User(t.Context(), room, "Grace"))(t)
	p.shows(t, "<li>snapshot Ada</li><li>participant.joined Grace</li>")
	if err := people[0].Leave(t.Context()); err != nil {
		t.Fatal(err)
	}
	p.shows(t, "<li>snapshot Ada</li><li>participant.joined Grace</li><li>participant.left Ada</li>")
}

// ticket gets one, as a page's server does.
func (s *service) ticket(ctx context.Context) string {
	s.t.Helper()
	req := must(http.NewRequestWithContext(ctx, http.MethodPost, s.url+"/api/events/ticket", nil))(s.t)
	req.Header.Set("X-API-Key", testKey)
	got := must(s.client.Do(req))(s.t)
	defer got.Body.Close()
	var body struct{ Ticket string }
	if err := json.NewDecoder(got.Body).Decode(&body); err != nil || body.Ticket == "" {
		s.t.Fatalf("got %s, %v want a ticket", got.Status, err)
	}
	return body.Ticket
}
