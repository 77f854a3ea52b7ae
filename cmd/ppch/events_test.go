package main

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/tmaxmax/go-sse"

	"ppch/prosody/prosodytest"
)

// happening is an event that a client read.
type happening struct {
	id, name string
	data     map[string]any
}

// String returns the event, the number of people and the person.
func (e happening) String() string {
	text := e.name
	if n, ok := e.data["participant_count"]; ok {
		text += fmt.Sprintf(" %v", n)
	}
	if o, ok := e.data["occupant"].(map[string]any); ok {
		text += fmt.Sprintf(" %s %s", o["kind"], o["name"])
	}
	return text
}

// stream is an open event stream.
type stream struct {
	t      *testing.T
	events chan happening
	leave  context.CancelFunc
}

// stream opens a stream. Headers alternate names and values.
func (s *service) stream(path string, headers ...string) *stream {
	s.t.Helper()
	ctx, leave := context.WithCancel(context.Background())
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, s.url+path, nil)
	if err != nil {
		s.t.Fatal(err)
	}
	req.Header.Set("X-API-Key", testKey)
	for i := 0; i < len(headers); i += 2 {
		req.Header.Set(headers[i], headers[i+1])
	}
	resp, err := (&http.Client{Transport: s.client.Transport}).Do(req)
	if err != nil {
		s.t.Fatal(err)
	}
	if resp.StatusCode != http.StatusOK {
		s.t.Fatalf("%s got %s", path, resp.Status)
	}
	st := &stream{t: s.t, events: make(chan happening, 1000), leave: leave}
	s.t.Cleanup(leave)
	go func() {
		defer close(st.events)
		defer resp.Body.Close()
		for e, err := range sse.Read(resp.Body, &sse.ReadConfig{MaxEventSize: 1 << 20}) {
			if err != nil {
				return
			}
			h := happening{id: e.LastEventID, name: e.Type}
			_ = json.Unmarshal([]byte(e.Data), &h.data)
			st.events <- h
		}
	}()
	return st
}

// next returns the next event.
func (st *stream) next() happening {
	st.t.Helper()
	select {
	case e, ok := <-st.events:
		if !ok {
			st.t.Fatal("the stream ended")
		}
		return e
	case <-time.After(30 * time.Second):
		st.t.Fatal("no event came")
	}
	return happening{}
}

// until skips events up to one with this name that ok accepts.
func (st *stream) until(name string, ok func(happening) bool) happening {
	st.t.Helper()
	for {
		if e := st.next(); e.name == name && ok(e) {
			return e
		}
	}
}

func live(e happening) bool   { return e.data["live"] == true }
func dead(e happening) bool   { return e.data["live"] == false }
func always(e happening) bool { return true }

// During a meeting on a real Prosody, a stream shows each change once, with the resulting count.
func TestEvents_Meeting(t *testing.T) {
	t.Parallel()
	ctx := t.Context()
	srv := prosodytest.New(t, prosodytest.Options{Module: true, HideRooms: true})
	s := runService(t, envFor(srv)).ready()
	room := s.stream("/api/rooms/Planning/events")
	all := s.stream("/api/events")
	room.until("status", live)
	all.until("status", live)

	cast := castOn(t, srv)
	planning := srv.Room("planning")
	focus := must(cast.Open(ctx, planning))(t)
	wants := func(want ...string) {
		t.Helper()
		for _, st := range []*stream{room, all} {
			for _, w := range want {
				got := st.next()
				for got.name == "status" {
					got = st.next() // of another domain
				}
				if got.String() != w || got.data["room_jid"] != planning || got.id == "" {
					t.Errorf("got %s %v want %s", got, got.data, w)
				}
			}
		}
	}
	wants("room.started 0", "participant.joined 0 focus ")
	ada := must(cast.User(ctx, planning, "Ada"))(t)
	wants("participant.joined 1 user Ada")
	must(cast.Recorder(ctx, planning))(t)
	wants("participant.joined 1 recorder ")
	check := func(err error) {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
	}
	check(ada.Update(ctx, prosodytest.DisplayName("Ada L.")))
	wants("participant.updated 1 user Ada L.")
	check(cast.Focus.Send(`<message type="groupchat" to="` + planning + `"><subject>Plans</subject></message>`))
	wants("room.updated 1")
	check(ada.Leave(ctx))
	wants("participant.left 0 user Ada L.")
	check(cast.Focus.Destroy(ctx, planning, ""))
	for _, st := range []*stream{room, all} {
		if got := st.until("room.ended", always); got.data["participant_count"] != 0.0 {
			t.Errorf("got %v", got)
		}
	}
	_ = focus
}

// During a restart of Prosody, the stream stays open, reports the outage at once, and then the changes.
func TestEvents_ProsodyDown(t *testing.T) {
	t.Parallel()
	ctx := t.Context()
	srv := prosodytest.New(t, prosodytest.Options{Module: true, HideRooms: true, ConflictResolve: "kick_old"})
	network := must(prosodytest.NewNetwork(srv.ComponentAddr()))(t)
	t.Cleanup(func() { _ = network.Close() })
	cast := castOn(t, srv)
	meeting(t, cast, srv.Room("planning"), "Ada")
	env := envFor(srv)
	env["PROSODY_URL"] = "xmpp://" + network.Addr()
	s := runService(t, env).ready()
	st := s.stream("/api/rooms/planning/events?snapshot=true")
	st.until("snapshot", func(e happening) bool { return strings.Contains(fmt.Sprint(e.data), "name:Ada") })
	st2 := s.stream("/api/events")
	st2.until("status", live)

	network.Break()
	if got := st2.until("status", dead); got.data["reason"] != "lost" || !strings.HasPrefix(got.data["status"].(string), "error: ") {
		t.Errorf("got %v", got.data)
	}
	must(cast.User(ctx, srv.Room("planning"), "Bob"))(t)
	joined := st2.until("participant.joined", func(e happening) bool { return strings.Contains(e.String(), "Bob") })
	if joined.data["participant_count"] != 2.0 {
		t.Errorf("got %v", joined)
	}
	st2.until("status", func(e happening) bool { return e.data["domain"] == srv.Domains.MUC && live(e) })

	// A restarted service has other ids.
	st2.leave()
	after := runService(t, envFor(srv)).ready()
	if got := after.stream("/api/events", "Last-Event-ID", joined.id).next(); got.name != "reset" || got.data["reason"] != "unknown-id" {
		t.Errorf("got %v want a reset", got)
	}
}

// Without the module there are no events: a stream says so.
func TestEvents_WithoutModule(t *testing.T) {
	t.Parallel()
	srv := prosodytest.New(t, prosodytest.Options{})
	s := runService(t, envFor(srv)).ready()
	got := s.stream("/api/events").until("status", func(e happening) bool { return dead(e) && e.data["reason"] != "connecting" })
	if got.data["reason"] != "module-missing" || !strings.Contains(got.data["status"].(string), "XMPP_MUC_MODULES=room_participants_api") {
		t.Errorf("got %v", got.data)
	}
}

// When the service stops, open streams end at once.
func TestStop_EndsStreams(t *testing.T) {
	t.Parallel()
	srv := prosodytest.New(t, prosodytest.Options{Module: true})
	s := runService(t, envFor(srv)).ready()
	var all []*stream
	for range 20 {
		st := s.stream("/api/events")
		st.until("status", always)
		all = append(all, st)
	}
	began := time.Now()
	if err := s.stop(); err != nil {
		t.Errorf("run got %v want nil", err)
	}
	if took := time.Since(began); took > 3*time.Second {
		t.Errorf("the stop took %s", took)
	}
	for _, st := range all {
		for range st.events {
		}
	}
	if strings.Contains(s.log.String(), "connections cut at stop") {
		t.Error("a stream held up the stop")
	}
}
