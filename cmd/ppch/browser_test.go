package main

import (
	"context"
	"encoding/json"
	"html/template"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"ppch/prosody/prosodytest"
)

// followingPage follows events as in api/README.md and lists them.
var followingPage = template.Must(template.New("page").Parse(`<!doctype html>
<meta charset="utf-8">
<title>Who is there?</title>
<link rel="icon" href="data:,">
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
	});
</script>
`))

// A page of another origin in a real browser follows a room with a ticket.
func TestBrowser_FollowsEventsWithTicket(t *testing.T) {
	t.Parallel()
	srv := prosodytest.New(t, prosodytest.Options{Module: true, HideRooms: true})
	follows := make(chan string, 1)
	site := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		if err := followingPage.Execute(w, <-follows); err != nil {
			t.Error(err)
		}
	}))
	t.Cleanup(site.Close)
	t.Cleanup(site.CloseClientConnections)
	env := envFor(srv)
	env["PPCH_CORS_ORIGINS"] = site.URL
	s := runService(t, env).ready()
	cast := castOn(t, srv)
	room := srv.Room("planning")
	people := meeting(t, cast, room, "Ada")
	eventually(t, 5*time.Second, "Ada is in the room", func() bool { return s.room("Planning").data["participant_count"] == 1.0 })

	follows <- s.url + "/api/rooms/Planning/events?snapshot=true&ticket=" + s.ticket(t.Context())
	p := startChromium(t).open(t, site.URL, s.url)
	shows := func(want string) {
		t.Helper()
		p.shows("the list", want, func() string { return strings.Join(p.list("li", "e.textContent"), ", ") })
	}
	shows("snapshot Ada")
	must(cast.User(t.Context(), room, "Grace"))(t)
	shows("snapshot Ada, participant.joined Grace")
	check(t, people[0].Leave(t.Context()))
	shows("snapshot Ada, participant.joined Grace, participant.left Ada")
}

// ticket requests a ticket, as the server of a page does.
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
