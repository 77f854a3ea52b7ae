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
	"ppch/component/occupancy"
)

// deaf opens a stream whose client never reads, and takes as little as the kernel allows.
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

// tight runs s with a kernel that holds little of what is sent, so that a client that doesn't read is felt soon.
func tight(s *service) *service {
	s.Tight()
	s.run()
	return s
}

// wide is somebody of whom much is told.
func wide(nick string, turn int) occupancy.Occupant {
	o := person(nick)
	o.Name = fmt.Sprintf("%d %s", turn, strings.Repeat("x", 1000))
	return o
}

// One client never reads, one is killed in the midst, and a hundred others get every event in order, exactly once.
func TestEvents_SlowReaderDoesNotBlockOthers(t *testing.T) {
	if testing.Short() {
		t.Skip("waits until the slow reader is cut off, 10 s")
	}
	d := newSite(t)
	s := tight(prepare(t, telling(d.Directory)))
	healthy := make([]*follower, 100)
	for i := range healthy {
		healthy[i] = s.follow("/api/events")
		healthy[i].until("status")
	}
	s.deaf("/api/events")
	killed := s.deaf("/api/events")
	s.holds(102)
	d.join("daily", "ann")
	const turns = 400
	for i := range turns {
		if i == turns/2 {
			if err := killed.(*net.TCPConn).SetLinger(0); err != nil { // a reset, as of a process that was killed
				t.Fatal(err)
			}
			_ = killed.Close()
		}
		d.tell(occupancy.Delta{Room: "daily@muc.meet.jitsi", Present: []occupancy.Occupant{wide("ann", i)}})
	}
	for i, f := range healthy {
		f.until("participant.joined")
		seen := map[string]bool{}
		for turn := range turns {
			e := f.next()
			name := e.data["occupant"].(map[string]any)["name"].(string)
			if e.name != "participant.updated" || !strings.HasPrefix(name, fmt.Sprintf("%d ", turn)) || seen[e.id] {
				t.Fatalf("client %d, turn %d: got %s %s %.10s, seen before: %t", i, turn, e.id, e.name, name, seen[e.id])
			}
			seen[e.id] = true
		}
	}
	s.holds(100)
	if got := s.Streams(); got.Open != 100 || got.Cut != 1 {
		t.Errorf("got %+v, want the one that doesn't read to be cut", got)
	}
}

// Who reads too slowly is told so, and then all there is.
func TestWhoLagsIsReset(t *testing.T) {
	d := newSite(t)
	s := tight(prepare(t, telling(d.Directory)))
	conn := s.deaf("/api/events?snapshot=true")
	s.holds(1)
	const turns = api.MaxFrames + 1000 // after what the kernel takes
	for i := range turns {
		d.tell(occupancy.Delta{Room: "daily@muc.meet.jitsi", Present: []occupancy.Occupant{wide("ann", i)}})
		for i%1000 == 0 && s.Streams().Position < uint64(i) {
			time.Sleep(time.Millisecond)
		}
	}
	resp, err := readResponse(conn)
	if err != nil {
		t.Fatal(err)
	}
	f := &follower{t: t, events: make(chan event, 1<<16)}
	go f.read(resp.Body)
	if got := f.until("reset"); got.text("reason") != "slow-consumer" {
		t.Errorf("got %v", got)
	}
	got := f.until("snapshot")
	room := got.data["rooms"].([]any)[0].(map[string]any)
	if name := room["occupants"].([]any)[0].(map[string]any)["name"].(string); !strings.HasPrefix(name, fmt.Sprintf("%d ", turns-1)) {
		t.Errorf("got %.10s, want the last", name)
	}
	if stats := s.Streams(); stats.Resets["slow-consumer"] != 1 {
		t.Errorf("got %+v", stats)
	}
	_ = conn.Close()
	_ = f.ended()
}

func TestStreamsEndCleanlyAtStop(t *testing.T) {
	d := newSite(t)
	s := tight(prepare(t, telling(d.Directory)))
	var all []*follower
	for range 20 {
		f := s.follow("/api/events")
		f.until("status")
		all = append(all, f)
	}
	s.deaf("/api/events")
	s.holds(21)
	const turns = 100 // until the one that doesn't read blocks
	for i := range turns {
		d.tell(occupancy.Delta{Room: "daily@muc.meet.jitsi", Present: []occupancy.Occupant{wide("ann", i)}})
	}
	for _, f := range all {
		for range turns - 1 {
			f.until("participant.updated")
		}
	}
	if err := s.stop(); err != nil {
		t.Error(err)
	}
	for _, f := range all {
		if err := f.ended(); err != nil {
			t.Errorf("a stream ended with %v", err)
		}
	}
	if strings.Contains(s.log.String(), "connections cut at stop") {
		t.Errorf("a stream held up the stop: %s", s.log.String())
	}
}

func TestAStreamOutlivesTheTimeoutsOfRequests(t *testing.T) {
	d := newSite(t)
	s := prepare(t, telling(d.Directory))
	s.HTTP().ReadTimeout, s.HTTP().WriteTimeout = time.Second, time.Second
	s.run()
	f := s.follow("/api/events")
	f.until("status")
	time.Sleep(1500 * time.Millisecond)
	d.join("daily", "ann")
	if got := f.next(); got.name != "room.started" {
		t.Errorf("got %v", got)
	}
}

func TestThereAreOnlySoManyStreams(t *testing.T) {
	d := newSite(t)
	limit := telling(d.Directory)
	s := start(t, limit, func(cfg *api.Config) { cfg.MaxStreams = 2 })
	one, two := s.follow("/api/events"), s.follow("/api/rooms/daily/events")
	one.until("status")
	two.until("status")
	got := s.get("/api/events")
	got.wantProblem(t, http.StatusServiceUnavailable, "too-many-streams")
	if got.header.Get("Retry-After") != "10" {
		t.Errorf("got Retry-After %q", got.header.Get("Retry-After"))
	}
	one.leave()
	_ = one.ended()
	s.holds(1)
	s.follow("/api/events").until("status")
	if stats := s.Streams(); stats.Refused != 1 || stats.Open != 2 {
		t.Errorf("got %+v", stats)
	}
}

func TestSilentStreamsEndAtStop(t *testing.T) {
	d := newSite(t)
	s := start(t, telling(d.Directory))
	var all []*follower
	for range 5 {
		f := s.follow("/api/rooms/daily/events")
		f.until("status")
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
		if err := f.ended(); err != nil {
			t.Errorf("a stream ended with %v", err)
		}
	}
}
