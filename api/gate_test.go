package api_test

import (
	"bufio"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/netip"
	"strings"
	"testing"
	"time"

	"ppch/api"
)

// arrivals are the connections at a gate.
type arrivals struct {
	t *testing.T
	api.Gate
}

// in opens a connection, which the gate must admit.
func (a arrivals) in(remote string) *api.GateConn {
	a.t.Helper()
	c, in := a.Arrive(remote)
	if !in {
		a.t.Fatalf("%s wasn't admitted, with %d connections", remote, a.Count())
	}
	time.Sleep(time.Microsecond) // so that their ages differ
	return c
}

// busy opens a connection with a request in progress.
func (a arrivals) busy(remote string, withKey bool) *api.GateConn {
	a.t.Helper()
	c := a.in(remote)
	c.Turn(http.StateActive)
	if withKey {
		c.SendsKey()
	}
	return c
}

// wantClosed checks which connections were closed.
func wantClosed(t *testing.T, what string, want bool, conns ...*api.GateConn) {
	t.Helper()
	for i, c := range conns {
		if c.Closed != want {
			t.Errorf("%s: number %d was closed: %t, want %t", what, i, c.Closed, want)
		}
	}
}

func TestGate_ClosesTheIdleFirst(t *testing.T) {
	a := arrivals{t, api.NewGate(6)}
	withKey := a.busy("192.0.2.1:1", true)
	withKey.Turn(http.StateIdle)
	stream := a.busy("192.0.2.1:2", true)
	first, second := a.in("192.0.2.2:1"), a.in("192.0.2.3:1")
	stranger := a.busy("192.0.2.4:1", false) // three unknown connections are the maximum
	wantClosed(t, "before there are too many", false, withKey, stream, first, second, stranger)

	third := a.in("192.0.2.5:1")
	wantClosed(t, "the stranger that was idle for longest", true, first)
	first.Turn(http.StateClosed) // the server notices it
	second.Turn(http.StateActive)
	second.Turn(http.StateIdle)
	fourth := a.in("192.0.2.6:1")
	wantClosed(t, "of the idle one that did nothing since", true, third)
	wantClosed(t, "of one that was used meanwhile", false, second)

	// A flood of unknown connections never closes one with a key.
	for i := range 20 {
		a.in(fmt.Sprintf("198.51.100.%d:1", i))
	}
	wantClosed(t, "the strangers", true, second, fourth)
	wantClosed(t, "with a key", false, withKey, stream)

	// Connections with a key may take all places. Then idle ones are closed, and busy unknown ones; never a busy one with a key.
	var busy []*api.GateConn
	for i := range 5 {
		busy = append(busy, a.busy(fmt.Sprintf("192.0.2.1:%d", 10+i), true))
	}
	wantClosed(t, "idle with a key", true, withKey)
	wantClosed(t, "a busy stranger, when nothing else is left", true, stranger)
	if _, in := a.Arrive("192.0.2.9:1"); in || a.Count() != 6 {
		t.Errorf("admitted another one: %t; got %d connections, want 6 busy ones", in, a.Count())
	}
	wantClosed(t, "busy with a key", false, append(busy, stream)...)
}

// Idle connections with a key are closed before a new connection without a request.
func TestGate_NewConnectionsOutliveIdleOnes(t *testing.T) {
	a := arrivals{t, api.NewGate(1000)}
	var idle []*api.GateConn
	for i := range 998 {
		c := a.busy(fmt.Sprintf("192.0.2.%d:%d", i/100, i+1), true)
		c.Turn(http.StateIdle)
		idle = append(idle, c)
	}
	for i := range 100 {
		c := a.in(fmt.Sprintf("198.51.100.1:%d", i+1))
		wantClosed(t, "a new one", false, c)
		c.Turn(http.StateActive)
		c.SendsKey()
	}
	closed := 0
	for i, c := range idle {
		if c.Closed {
			closed++
		} else if i < closed {
			t.Errorf("idle connection %d is open, but younger ones are closed", i)
		}
	}
	if closed < 98 || closed > 120 {
		t.Errorf("closed %d connections for 98 too many", closed)
	}
}

func TestGate_BoundsEachAddress(t *testing.T) {
	for name, c := range map[string]struct {
		remote  string // a format for the number
		bounded bool
	}{
		"IPv4":                        {"192.0.2.1:%d", true},
		"IPv6, all of a /64":          {"[2001:db8::%x]:1", true},
		"IPv4 as IPv6":                {"[::ffff:192.0.2.1]:%d", true},
		"loopback":                    {"127.0.0.1:%d", false},
		"loopback by IPv6":            {"[::1]:%d", false},
		"a proxy":                     {"10.1.2.3:%d", false},
		"a proxy by IPv6":             {"[fd00::%x]:1", false},
		"outside the proxy's network": {"10.2.0.1:%d", true},
		"a proxy, IPv4 as IPv6":       {"[::ffff:10.1.2.3]:%d", false},
		"next to the single proxy":    {"10.9.9.8:%d", true},
		"the single proxy":            {"10.9.9.9:%d", false},
	} {
		a := arrivals{t, api.NewGate(1000, netip.MustParsePrefix("10.1.0.0/16"), netip.MustParsePrefix("fd00::/64"), netip.MustParsePrefix("10.9.9.9/32"))}
		strangers, ofAddress := a.Bounds()
		for i := range strangers {
			a.in(fmt.Sprintf(c.remote, i+1))
		}
		want := strangers
		if c.bounded {
			want = ofAddress
		}
		if got := a.Count(); got != want {
			t.Errorf("%s: got %d connections, want %d", name, got, want)
		}
		other := a.in("203.0.113.1:1")
		a.in(fmt.Sprintf(c.remote, strangers+1))
		wantClosed(t, name+": another address", false, other)
	}
}

// A connection that its client closes makes room for another.
func TestGate_ForgetsWhatIsClosed(t *testing.T) {
	a := arrivals{t, api.NewGate(1000)}
	_, ofAddress := a.Bounds()
	for i := range 5 * ofAddress {
		c := a.busy(fmt.Sprintf("192.0.2.1:%d", i+1), i%2 == 0)
		if _, in := a.Arrive("192.0.2.1:9999"); !in {
			t.Fatalf("after %d the address is full", i)
		}
		c.Turn(http.StateClosed)
		c.Turn(http.StateClosed)
		c.SendsKey()
	}
	if got := a.Count(); got > ofAddress {
		t.Errorf("got %d connections", got)
	}
}

// With any number of idle connections, the next client gets a response.
func TestGate_IdleConnectionsLeaveRoom(t *testing.T) {
	s := start(t, func(cfg *api.Config) { cfg.MaxConnections = 20 })
	var idle []net.Conn
	for i := range 100 {
		conn := s.dial()
		idle = append(idle, conn)
		if i%2 == 0 {
			continue // it never sends anything
		}
		must(io.WriteString(conn, "GET /livez HTTP/1.1\r\nHost: ppch\r\n\r\n"))(t)
		if resp, err := http.ReadResponse(bufio.NewReader(conn), nil); err != nil || resp.StatusCode != http.StatusOK {
			t.Fatalf("connection %d got %v, %v", i, resp, err)
		}
	}
	if got := s.Connections(); got > 10 {
		t.Errorf("got %d unknown connections, want 10", got)
	}
	if log := s.log.String(); strings.Count(log, "too many connections, closed one") != 10 || !strings.Contains(log, "127.0.0.1:") {
		t.Errorf("got the log %s, want a sample of the closed connections", log)
	}
	if got := s.get("/api/rooms/daily/participants"); got.status != http.StatusOK {
		t.Errorf("got %d %s", got.status, got.body)
	}
	if _, err := idle[0].Read(make([]byte, 1)); err == nil {
		t.Error("the first idle connection is still open")
	}
	s.client.CloseIdleConnections()
	for _, conn := range idle {
		_ = conn.Close()
	}
	reaches(t, "connections after all were closed", 0, s.Connections)
}
