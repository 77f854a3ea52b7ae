package api_test

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"io"
	"net"
	"net/http"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/getkin/kin-openapi/openapi3"
	"mellium.im/xmpp/jid"

	"ppch/api"
	"ppch/component/occupancy"
)

// event is one event of a stream as a client dispatches it.
type event struct {
	id, name string
	data     map[string]any
}

// text returns a field of the data that is text, or empty.
func (e event) text(field string) string {
	s, _ := e.data[field].(string)
	return s
}

// nick returns the id of the occupant of whom e tells.
func (e event) nick() string {
	o, _ := e.data["occupant"].(map[string]any)
	s, _ := o["id"].(string)
	return s
}

// follower is a client of an event stream.
type follower struct {
	t      testing.TB
	events chan event
	leave  context.CancelFunc

	// mu protects what follows.
	mu     sync.Mutex
	lastID string // as EventSource keeps it
	retry  string
	err    error // why the stream ended; nil for a clean end
}

// follow opens a stream, of which all is read until the test ends or leave is called. Headers are given by name and value.
func (s *service) follow(target string, headers ...string) *follower {
	s.t.Helper()
	ctx, leave := context.WithCancel(context.Background())
	f, err := openStream(ctx, s.t, &http.Client{Transport: s.client.Transport}, s.url(target), headers...)
	if err != nil {
		leave()
		s.t.Fatal(err)
	}
	f.leave = leave
	s.t.Cleanup(leave)
	return f
}

// openStream opens a stream with the right key.
func openStream(ctx context.Context, t testing.TB, client *http.Client, url string, headers ...string) (*follower, error) {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, url, nil)
	if err != nil {
		return nil, err
	}
	req.Header.Set("X-API-Key", testKey)
	for i := 0; i < len(headers); i += 2 {
		req.Header.Set(headers[i], headers[i+1])
	}
	resp, err := client.Do(req)
	if err != nil {
		return nil, err
	}
	if got := resp.Header.Get("Content-Type"); resp.StatusCode != http.StatusOK || got != "text/event-stream" {
		defer resp.Body.Close()
		body, _ := io.ReadAll(resp.Body)
		return nil, errors.New(resp.Status + " " + got + " " + string(body))
	}
	f := &follower{t: t, events: make(chan event, 1<<16)}
	go f.read(resp.Body)
	return f, nil
}

// read reads a stream as the HTML standard's section 9.2.6 says.
func (f *follower) read(body io.ReadCloser) {
	defer close(f.events)
	defer body.Close()
	lines := bufio.NewReader(body)
	var e event
	var data string
	for {
		line, err := lines.ReadString('\n')
		if err != nil {
			f.mu.Lock()
			defer f.mu.Unlock()
			if !errors.Is(err, io.EOF) || line != "" {
				f.err = err
			}
			return
		}
		field, value, _ := strings.Cut(strings.TrimSuffix(line, "\n"), ":")
		value = strings.TrimPrefix(value, " ")
		f.mu.Lock()
		switch field {
		case "id":
			e.id = value
		case "event":
			e.name = value
		case "data":
			data += value
		case "retry":
			f.retry = value
		}
		if line == "\n" && e.id != "" {
			f.lastID = e.id
		}
		f.mu.Unlock()
		if line == "\n" {
			if data != "" {
				if err := json.Unmarshal([]byte(data), &e.data); err != nil {
					f.t.Errorf("got data %q: %v", data, err)
				}
				f.events <- e
			}
			e, data = event{}, ""
		}
	}
}

// next returns the next event.
func (f *follower) next() event {
	f.t.Helper()
	select {
	case e, ok := <-f.events:
		if !ok {
			f.t.Fatal("the stream ended")
		}
		return e
	case <-time.After(20 * time.Second):
		f.t.Fatal("no event came")
	}
	return event{}
}

// until returns the next event of a name, and passes over others.
func (f *follower) until(name string) event {
	f.t.Helper()
	for {
		if e := f.next(); e.name == name {
			return e
		}
	}
}

// ended waits for the end of the stream and returns what went wrong, nil where it ended cleanly.
func (f *follower) ended() error {
	f.t.Helper()
	deadline := time.After(20 * time.Second)
	for {
		select {
		case _, ok := <-f.events:
			if !ok {
				f.mu.Lock()
				defer f.mu.Unlock()
				return f.err
			}
		case <-deadline:
			f.t.Fatal("the stream didn't end")
		}
	}
}

// id returns the id with which a browser would come back.
func (f *follower) id() string {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.lastID
}

// firstEvents returns the beginning of a stream up to the end of its nth event. Behind a snapshot, then happens.
func firstEvents(body io.Reader, n int, then func()) io.Reader {
	lines := bufio.NewReader(body)
	var read strings.Builder
	for name := ""; n > 0; {
		line, err := lines.ReadString('\n')
		read.WriteString(line)
		if err != nil {
			break
		}
		if value, ok := strings.CutPrefix(line, "event: "); ok {
			name = value
		}
		if line == "\n" && name != "" {
			if name == "snapshot\n" && then != nil {
				then()
			}
			name = ""
			n--
		}
	}
	return strings.NewReader(read.String())
}

// stage is where the example of a stream is performed.
var stage *site

// rehearsal adjusts a service to a directory in which somebody is there already.
func rehearsal(cfg *api.Config) {
	stage = newSite(panicker{})
	stage.join("planning", "ada")
	telling(stage.Directory)(cfg)
}

// panicker is what rehearsal has for a test.
type panicker struct{ testing.TB }

func (panicker) Helper()           {}
func (panicker) Error(args ...any) { panic(args) }

// perform has all that can happen to a room happen, one thing after the other.
func perform() {
	const room = "[acme]stand%20up@muc.meet.jitsi"
	grace := person("grace")
	facts := occupancy.RoomFacts{CreatedAt: now, MeetingID: "m-1"}
	stage.tell(occupancy.Delta{Room: room, New: true, Facts: &facts})
	stage.join("[acme]stand%20up", "grace")
	grace.Flags = occupancy.FlagHandRaised
	stage.tell(occupancy.Delta{Room: room, Present: []occupancy.Occupant{grace}})
	facts.Subject, facts.Visitors, facts.Breakouts = "Plans", new(0), []occupancy.Breakout{{JID: "7d1f@breakout.meet.jitsi", Name: "Group 1"}}
	stage.tell(occupancy.Delta{Room: room, Facts: &facts})
	stage.leave("[acme]stand%20up", "grace")
	stage.tell(occupancy.Delta{Room: room, Gone: true})
}

// eventSchemas are the schemas of the events, by their names.
var eventSchemas = map[string]string{
	"room.started": "RoomEvent", "room.updated": "RoomEvent", "room.ended": "RoomEvent",
	"participant.joined": "RoomEvent", "participant.updated": "RoomEvent", "participant.left": "RoomEvent",
	"status": "StatusEvent", "snapshot": "SnapshotEvent", "reset": "ResetEvent",
}

// noteEvents checks the events of a stream against their schemas, and adds their fields to given.
func noteEvents(t *testing.T, a answer, given map[string]bool) {
	t.Helper()
	if a.header.Get("Content-Type") != "text/event-stream" {
		return
	}
	f := &follower{t: t, events: make(chan event, 100)}
	f.read(io.NopCloser(bytes.NewReader(a.body)))
	for e := range f.events {
		name := eventSchemas[e.name]
		if name == "" {
			t.Errorf("%s has no schema", e.name)
			continue
		}
		schema := contract(t).Components.Schemas[name]
		if err := schema.Value.VisitJSON(any(e.data), openapi3.EnableJSONSchema2020()); err != nil {
			t.Errorf("%s: %v", e.name, err)
		}
		noteFields(&openapi3.SchemaRef{Ref: "#/components/schemas/" + name, Value: schema.Value}, e.data, given)
	}
}

// site is a directory whose totals a test need not count.
type site struct {
	*occupancy.Directory
	t testing.TB

	// mu protects what follows.
	mu    sync.Mutex
	rooms map[string]map[string]bool // who is where
}

// newSite returns a directory of a main domain that is live, in which there is nobody, and of other domains without a status.
func newSite(t testing.TB, others ...jid.JID) *site {
	s := &site{Directory: occupancy.NewDirectory(append([]jid.JID{mainDomain}, others...)...), t: t, rooms: map[string]map[string]bool{}}
	s.MaxStaleness = 45 * time.Second
	s.connect(time.Now().Add(-time.Hour))
	s.learn()
	return s
}

// connect has the main domain be followed since then.
func (s *site) connect(since time.Time) {
	s.SetStatus(mainDomain, occupancy.Status{Connected: true, Since: since, Mode: occupancy.ModeModule})
}

// learn has it told from scratch that there is nobody.
func (s *site) learn() {
	s.rooms = map[string]map[string]bool{}
	s.Begin(mainDomain, occupancy.SystemAccounts{Recorders: []string{"recorder@hidden.meet.jitsi"}})
	s.tell()
}

// tell applies deltas of the main domain, all in one batch.
func (s *site) tell(deltas ...occupancy.Delta) {
	s.t.Helper()
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, d := range deltas {
		room := s.rooms[d.Room]
		if room == nil || d.New {
			room = map[string]bool{}
			s.rooms[d.Room] = room
		}
		for _, nick := range d.Left {
			delete(room, nick)
		}
		for _, o := range d.Present {
			room[o.ID] = true
		}
		if d.Gone {
			delete(s.rooms, d.Room)
		}
	}
	b := occupancy.Batch{Deltas: deltas, Synced: true, Rooms: len(s.rooms)}
	for _, r := range s.rooms {
		b.Occupants += len(r)
	}
	if err := s.Apply(mainDomain, b, time.Now()); err != nil {
		s.t.Error(err)
	}
}

// join has people come into a room, each in a batch of its own.
func (s *site) join(room string, nicks ...string) {
	s.t.Helper()
	for _, nick := range nicks {
		s.tell(occupancy.Delta{Room: room + "@muc.meet.jitsi", Present: []occupancy.Occupant{person(nick)}})
	}
}

func (s *site) leave(room string, nicks ...string) {
	s.t.Helper()
	s.tell(occupancy.Delta{Room: room + "@muc.meet.jitsi", Left: nicks})
}

// person is somebody with a name.
func person(nick string) occupancy.Occupant {
	return occupancy.Occupant{
		ID: nick, Name: "Name of " + nick, RealJID: "q" + nick + "@meet.jitsi/web", Role: "participant", Affiliation: "none", JoinedAt: now,
		UserID: "id-" + nick, UserName: "Full " + nick, AvatarURL: "https://example.com/" + nick + ".png",
	}
}

// telling adjusts where events come from.
func telling(d *occupancy.Directory) func(*api.Config) {
	return func(cfg *api.Config) { cfg.Directory = d }
}

// readResponse returns the answer that comes on conn, whose body is still to be read.
func readResponse(conn net.Conn) (*http.Response, error) {
	return http.ReadResponse(bufio.NewReader(conn), nil)
}
