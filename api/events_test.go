package api_test

import (
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"syscall"
	"testing"
	"time"

	"ppch/api"
	"ppch/api/apitest"
	"ppch/component/occupancy"
)

// deaf opens a stream whose client never reads, with the smallest buffer that the kernel allows.
func (s *service) deaf(target string) net.Conn {
	s.t.Helper()
	d := net.Dialer{Control: func(_, _ string, c syscall.RawConn) error {
		return c.Control(func(fd uintptr) { _ = syscall.SetsockoptInt(int(fd), syscall.SOL_SOCKET, syscall.SO_RCVBUF, 4096) })
	}}
	conn, err := d.Dial("tcp", s.Addr().String())
	if err != nil {
		s.t.Fatal(err)
	}
	s.t.Cleanup(func() { _ = conn.Close() })
	if _, err := io.WriteString(conn, "GET "+target+" HTTP/1.1\r\nHost: ppch\r\nX-API-Key: "+testKey+"\r\n\r\n"); err != nil {
		s.t.Fatal(err)
	}
	return conn
}

// tight runs s with small send buffers in the kernel, so that a client that doesn't read blocks writes soon.
func tight(s *service) *service {
	s.Tight()
	s.run()
	return s
}

// wide is an occupant with long texts.
func wide(nick string, turn int) occupancy.Occupant {
	o := apitest.Person(nick)
	o.Name = fmt.Sprintf("%d %s", turn, strings.Repeat("x", 1000))
	return o
}

func TestEvents_StreamsEndCleanlyAtStop(t *testing.T) {
	d := apitest.NewDirectory(t)
	s := tight(prepare(t, withDirectory(d.Directory)))
	var all []*apitest.Stream
	for range 20 {
		f := s.follow("/api/events")
		f.Until("status")
		all = append(all, f)
	}
	s.deaf("/api/events")
	s.holds(21)
	const turns = 100 // until the unread stream blocks
	for i := range turns {
		d.Change(occupancy.Delta{Room: "daily@muc.meet.jitsi", Present: []occupancy.Occupant{wide("ann", i)}})
	}
	for _, f := range all {
		for range turns - 1 {
			f.Until("participant.updated")
		}
	}
	if err := s.stop(); err != nil {
		t.Error(err)
	}
	for _, f := range all {
		if err := f.Ended(); err != nil {
			t.Errorf("a stream ended with %v", err)
		}
	}
	if strings.Contains(s.log.String(), "connections cut at stop") {
		t.Errorf("a stream delayed the stop: %s", s.log.String())
	}
}

func TestEvents_OutliveTheTimeoutsOfRequests(t *testing.T) {
	d := apitest.NewDirectory(t)
	s := prepare(t, withDirectory(d.Directory))
	s.HTTP().ReadTimeout, s.HTTP().WriteTimeout = time.Second, time.Second
	s.run()
	f := s.follow("/api/events")
	f.Until("status")
	time.Sleep(1500 * time.Millisecond)
	d.Join("daily", "ann")
	if got := f.Next(); got.Name != "room.started" {
		t.Errorf("got %v", got)
	}
}

func TestEvents_MaxStreams(t *testing.T) {
	d := apitest.NewDirectory(t)
	limit := withDirectory(d.Directory)
	s := start(t, limit, func(cfg *api.Config) { cfg.MaxStreams = 2 })
	one, two := s.follow("/api/events"), s.follow("/api/rooms/daily/events")
	one.Until("status")
	two.Until("status")
	got := s.get("/api/events")
	got.wantProblem(t, http.StatusServiceUnavailable, "too-many-streams")
	if got.header.Get("Retry-After") != "10" {
		t.Errorf("got Retry-After %q", got.header.Get("Retry-After"))
	}
	one.Leave()
	_ = one.Ended()
	s.holds(1)
	s.follow("/api/events").Until("status")
	if stats := s.Streams(); stats.Refused != 1 || stats.Open != 2 {
		t.Errorf("got %+v", stats)
	}
}

func TestEvents_SilentStreamsEndAtStop(t *testing.T) {
	d := apitest.NewDirectory(t)
	s := start(t, withDirectory(d.Directory))
	var all []*apitest.Stream
	for range 5 {
		f := s.follow("/api/rooms/daily/events")
		f.Until("status")
		all = append(all, f)
	}
	time.Sleep(100 * time.Millisecond)
	began := time.Now()
	if err := s.stop(); err != nil {
		t.Error(err)
	}
	if took := time.Since(began); took > 3*time.Second {
		t.Errorf("the stop took %s", took)
	}
	for _, f := range all {
		if err := f.Ended(); err != nil {
			t.Errorf("a stream ended with %v", err)
		}
	}
}

func TestEvents_NoNamesWithoutTheScope(t *testing.T) {
	d := apitest.NewDirectory(t)
	d.Join("daily", "ann")
	d.Change(occupancy.Delta{Room: "daily@muc.meet.jitsi", Facts: &occupancy.RoomFacts{Subject: "Old plans", Breakouts: []occupancy.Breakout{{JID: "0c2e@breakout.meet.jitsi", Name: "Group 0"}}}})
	s := start(t, withDirectory(d.Directory), withKeys("scope=events,count"))
	got := string(s.do(ask{target: "/api/events?snapshot=true", events: 7, then: func() {
		stage = d
		playMeeting()
	}}).body)
	for _, private := range []string{"ann", "ame of", "grace", "ull ", "lans", "Group", "avatar", "\"name\":\""} {
		if strings.Contains(got, private) {
			t.Errorf("got %q in %s", private, got)
		}
	}
	for _, wanted := range []string{`"participant_count":1`, "participant.joined", "room.updated", `"occupants":null`, `"counts":{"user":1}`} {
		if !strings.Contains(got, wanted) {
			t.Errorf("got no %q in %s", wanted, got)
		}
	}
}

func TestEvents_OnlyRoomsOfTheKey(t *testing.T) {
	d := apitest.NewDirectory(t)
	d.Join("daily", "ann")
	d.Join("secret", "bob")
	s := start(t, withDirectory(d.Directory), withKeys("scope=all room=daily"))
	f := s.follow("/api/events?snapshot=true")
	snapshot := f.Until("snapshot")
	if rooms := snapshot.Data["rooms"].([]any); len(rooms) != 1 || rooms[0].(map[string]any)["room_jid"] != "daily@muc.meet.jitsi" {
		t.Errorf("got %v", rooms)
	}
	d.Join("secret", "cyd")
	d.Join("daily", "dan")
	if got := f.Next(); got.Text("room_jid") != "daily@muc.meet.jitsi" {
		t.Errorf("got %v", got)
	}
	s.get("/api/rooms/secret/events").wantProblem(t, http.StatusForbidden, "room-not-allowed")
}
