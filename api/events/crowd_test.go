package events_test

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"syscall"
	"testing"
	"time"

	"ppch/api/apitest"
	"ppch/api/events"
	"ppch/component/occupancy"
)

// deaf opens a stream whose client never reads, and takes as little as the kernel allows.
func (s *service) deaf(target string) net.Conn {
	s.t.Helper()
	dialer := net.Dialer{Control: func(_, _ string, c syscall.RawConn) error {
		return c.Control(func(fd uintptr) { _ = syscall.SetsockoptInt(int(fd), syscall.SOL_SOCKET, syscall.SO_RCVBUF, 4096) })
	}}
	conn, err := dialer.Dial("tcp", s.addr)
	if err != nil {
		s.t.Fatal(err)
	}
	s.t.Cleanup(func() { _ = conn.Close() })
	if _, err := io.WriteString(conn, "GET "+target+" HTTP/1.1\r\nHost: ppch\r\n\r\n"); err != nil {
		s.t.Fatal(err)
	}
	return conn
}

// serveTight serves with a kernel that buffers little, so that a client that doesn't read soon blocks its stream.
func (s *service) serveTight() {
	s.serve(func(ctx context.Context, c net.Conn) context.Context {
		_ = c.(*net.TCPConn).SetWriteBuffer(4096)
		return ctx
	})
}

// wide returns a person with a long name.
func wide(nick string, turn int) occupancy.Occupant {
	o := apitest.Person(nick)
	o.Name = fmt.Sprintf("%d %s", turn, strings.Repeat("x", 1000))
	return o
}

// One client never reads, one is killed in the midst, and a hundred others get every event in order, exactly once.
func TestStream_SlowReaderDoesNotBlockOthers(t *testing.T) {
	t.Parallel()
	if testing.Short() {
		t.Skip("waits until the slow reader is cut off, 10 s")
	}
	d := apitest.NewDirectory(t)
	s := newService(t, d.Directory)
	s.serveTight()
	healthy := make([]*apitest.Stream, 100)
	for i := range healthy {
		healthy[i] = s.follow("/")
		healthy[i].Until("status")
	}
	s.deaf("/")
	killed := s.deaf("/")
	s.holds(102)
	d.Join("daily", "ann")
	const turns = 400
	for i := range turns {
		if i == turns/2 {
			if err := killed.(*net.TCPConn).SetLinger(0); err != nil { // a reset, as of a process that was killed
				t.Fatal(err)
			}
			_ = killed.Close()
		}
		d.Change(occupancy.Delta{Room: "daily@muc.meet.jitsi", Present: []occupancy.Occupant{wide("ann", i)}})
	}
	for i, f := range healthy {
		f.Until("participant.joined")
		seen := map[string]bool{}
		for turn := range turns {
			e := f.Next()
			name := e.Data["occupant"].(map[string]any)["name"].(string)
			if e.Name != "participant.updated" || !strings.HasPrefix(name, fmt.Sprintf("%d ", turn)) || seen[e.ID] {
				t.Fatalf("client %d, turn %d: got %s %s %.10s, seen before: %t", i, turn, e.ID, e.Name, name, seen[e.ID])
			}
			seen[e.ID] = true
		}
	}
	s.holds(100)
	if got := s.Stats(); got.Open != 100 || got.Cut != 1 {
		t.Errorf("got %+v, want the one that doesn't read to be cut", got)
	}
}

// A stream that reads too slowly gets a reset, then a snapshot.
func TestStream_SlowReaderIsReset(t *testing.T) {
	d := apitest.NewDirectory(t)
	s := newService(t, d.Directory)
	s.serveTight()
	conn := s.deaf("/?snapshot=true")
	s.holds(1)
	const turns = events.MaxFrames + 1000 // after what the kernel takes
	for i := range turns {
		d.Change(occupancy.Delta{Room: "daily@muc.meet.jitsi", Present: []occupancy.Occupant{wide("ann", i)}})
		for i%1000 == 0 && s.Stats().Position < uint64(i) {
			time.Sleep(time.Millisecond)
		}
	}
	resp, err := http.ReadResponse(bufio.NewReader(conn), nil)
	if err != nil {
		t.Fatal(err)
	}
	f := apitest.Read(t, resp.Body)
	if got := f.Until("reset"); got.Text("reason") != "slow-consumer" {
		t.Errorf("got %v", got)
	}
	got := f.Until("snapshot")
	room := got.Data["rooms"].([]any)[0].(map[string]any)
	if name := room["occupants"].([]any)[0].(map[string]any)["name"].(string); !strings.HasPrefix(name, fmt.Sprintf("%d ", turns-1)) {
		t.Errorf("got %.10s, want the last", name)
	}
	if stats := s.Stats(); stats.Resets["slow-consumer"] != 1 {
		t.Errorf("got %+v", stats)
	}
	_ = conn.Close()
	_ = f.Ended()
}
