package main

import (
	"fmt"
	"net/http"
	"strings"
	"testing"
	"time"

	"ppch/api/apitest"
	"ppch/prosody/prosodytest"
)

// lineOf returns the event, the number of people and the person.
func lineOf(e apitest.Event) string {
	text := e.Name
	if n, ok := e.Data["participant_count"]; ok {
		text += fmt.Sprintf(" %v", n)
	}
	if o, ok := e.Data["occupant"].(map[string]any); ok {
		text += fmt.Sprintf(" %s %s", o["kind"], o["name"])
	}
	return text
}

// stream opens a stream. Headers alternate names and values.
func (s *service) stream(path string, headers ...string) *apitest.Stream {
	s.t.Helper()
	req := must(http.NewRequest(http.MethodGet, s.url+path, nil))(s.t)
	req.Header.Set("X-API-Key", testKey)
	for i := 0; i < len(headers); i += 2 {
		req.Header.Set(headers[i], headers[i+1])
	}
	return must(apitest.Open(s.t, s.client.Transport, req))(s.t)
}

func live(e apitest.Event) bool { return e.Data["live"] == true }
func dead(e apitest.Event) bool { return e.Data["live"] == false }

// During a meeting on a real Prosody, a stream shows each change once, with the resulting count.
func TestEvents_Meeting(t *testing.T) {
	t.Parallel()
	ctx := t.Context()
	srv := prosodytest.New(t, prosodytest.Options{Module: true, HideRooms: true})
	s := runService(t, envFor(srv)).ready()
	room := s.stream("/api/rooms/Planning/events")
	all := s.stream("/api/events")
	room.Until("status", live)
	all.Until("status", live)

	cast := castOn(t, srv)
	planning := srv.Room("planning")
	focus := must(cast.Open(ctx, planning))(t)
	wants := func(want ...string) {
		t.Helper()
		for _, st := range []*apitest.Stream{room, all} {
			for _, w := range want {
				got := st.Next()
				for got.Name == "status" {
					got = st.Next() // of another domain
				}
				if lineOf(got) != w || got.Data["room_jid"] != planning || got.ID == "" {
					t.Errorf("got %s %v want %s", got, got.Data, w)
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
		check(t, err)
	}
	check(ada.Update(ctx, prosodytest.DisplayName("Ada L.")))
	wants("participant.updated 1 user Ada L.")
	check(cast.Focus.Send(`<message type="groupchat" to="` + planning + `"><subject>Plans</subject></message>`))
	wants("room.updated 1")
	check(ada.Leave(ctx))
	wants("participant.left 0 user Ada L.")
	check(cast.Focus.Destroy(ctx, planning, ""))
	for _, st := range []*apitest.Stream{room, all} {
		if got := st.Until("room.ended"); got.Data["participant_count"] != 0.0 {
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
	st.Until("snapshot", func(e apitest.Event) bool { return strings.Contains(fmt.Sprint(e.Data), "name:Ada") })
	st2 := s.stream("/api/events")
	st2.Until("status", live)

	ofMUC := func(e apitest.Event) bool { return e.Data["domain"] == srv.Domains.MUC }
	network.Break()
	if got := st2.Until("status", dead, ofMUC); got.Data["reason"] != "lost" || !strings.HasPrefix(got.Data["status"].(string), "error: ") {
		t.Errorf("got %v", got.Data)
	}
	must(cast.User(ctx, srv.Room("planning"), "Bob"))(t)
	joined := st2.Until("participant.joined", func(e apitest.Event) bool { return strings.Contains(lineOf(e), "Bob") })
	if joined.Data["participant_count"] != 2.0 {
		t.Errorf("got %v", joined)
	}
	st2.Until("status", live, ofMUC)

	// A restarted service has other ids.
	st2.Leave()
	after := runService(t, envFor(srv)).ready()
	if got := after.stream("/api/events", "Last-Event-ID", joined.ID).Next(); got.Name != "reset" || got.Data["reason"] != "unknown-id" {
		t.Errorf("got %v want a reset", got)
	}
}

// Without the module there are no events: a stream says so.
func TestEvents_WithoutModule(t *testing.T) {
	t.Parallel()
	srv := prosodytest.New(t, prosodytest.Options{})
	s := runService(t, envFor(srv)).ready()
	got := s.stream("/api/events").Until("status", func(e apitest.Event) bool { return dead(e) && e.Data["reason"] != "connecting" })
	if got.Data["reason"] != "module-missing" || !strings.Contains(got.Data["status"].(string), "add room_participants_api to XMPP_MUC_MODULES") {
		t.Errorf("got %v", got.Data)
	}
}

// When the service stops, open streams end at once.
func TestStop_EndsStreams(t *testing.T) {
	t.Parallel()
	srv := prosodytest.New(t, prosodytest.Options{Module: true})
	s := runService(t, envFor(srv)).ready()
	var all []*apitest.Stream
	for range 20 {
		st := s.stream("/api/events")
		st.Until("status")
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
		for range st.Events {
		}
	}
	if strings.Contains(s.log.String(), "connections cut at stop") {
		t.Error("a stream held up the stop")
	}
}
