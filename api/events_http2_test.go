package api_test

import (
	"context"
	"io"
	"net"
	"net/http"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"ppch/api/apitest"
	"ppch/component/occupancy"
)

// pipes is a listener with connections in memory, for tests in virtual time.
type pipes struct {
	conns chan net.Conn
	once  sync.Once
	over  chan struct{}
}

func (p *pipes) Accept() (net.Conn, error) {
	select {
	case c := <-p.conns:
		return c, nil
	case <-p.over:
		return nil, net.ErrClosed
	}
}

func (p *pipes) Close() error {
	p.once.Do(func() { close(p.over) })
	return nil
}

func (p *pipes) Addr() net.Addr { return &net.TCPAddr{} }

// dial returns the other end of a connection.
func (p *pipes) dial(context.Context, string, string) (net.Conn, error) {
	ours, theirs := net.Pipe()
	p.conns <- theirs
	return ours, nil
}

// deafConn is a connection whose client stops reading at some moment.
type deafConn struct {
	net.Conn
	deaf   <-chan struct{}
	closed context.Context
	close  context.CancelFunc
}

func (c deafConn) Read(p []byte) (int, error) {
	n, err := c.Conn.Read(p)
	select {
	case <-c.deaf:
		<-c.closed.Done()
		return 0, net.ErrClosed
	default:
		return n, err
	}
}

func (c deafConn) Close() error {
	c.close()
	return c.Conn.Close()
}

// overHTTP2 runs the hub and an HTTP/2 server in memory, and has s.follow use them, until the returned function is called.
func overHTTP2(t *testing.T, s *service) (stop func()) {
	t.Helper()
	http2 := new(http.Protocols)
	http2.SetUnencryptedHTTP2(true)
	return overPipes(t, s, http2)
}

// overPipes is overHTTP2 with other protocols.
func overPipes(t *testing.T, s *service, protocols *http.Protocols) (stop func()) {
	t.Helper()
	s.HTTP().Protocols = protocols
	listener := &pipes{conns: make(chan net.Conn), over: make(chan struct{})}
	ctx, end := context.WithCancel(t.Context())
	var running sync.WaitGroup
	running.Go(func() { _ = s.RunHub(ctx) })
	running.Go(func() { _ = s.HTTP().Serve(listener) })
	transport := &http.Transport{DialContext: listener.dial, Protocols: protocols}
	s.client.Transport = transport
	return func() {
		end()
		transport.CloseIdleConnections()
		_ = s.HTTP().Close()
		running.Wait()
		_ = s.CloseListener()
	}
}

// With HTTP/2, all streams of a browser share one connection: each ends alone, and all end at once when the service stops.
func TestHTTP2_Events(t *testing.T) {
	d := apitest.NewDirectory(t)
	p := newPair(t, "ppch", -time.Hour, time.Hour)
	s := startTLS(t, trusting(t, p), p.inFiles(t).encrypted, withDirectory(d.Directory))
	resp, err := s.client.Get(s.url("/livez"))
	if err != nil || resp.ProtoMajor != 2 {
		t.Fatalf("got %v, %v, want HTTP/2", resp, err)
	}
	resp.Body.Close()
	stays, leaves := s.follow("/api/events"), s.follow("/api/rooms/daily/events")
	stays.Until("status")
	leaves.Until("status")
	d.Join("daily", "ann")
	for _, f := range []*apitest.Stream{stays, leaves} {
		if got := f.Until("participant.joined"); got.Nick() != "ann" {
			t.Errorf("got %v", got)
		}
	}
	since := leaves.ID()
	leaves.Leave()
	for deadline := time.Now().Add(5 * time.Second); s.Streams().Open > 1; time.Sleep(time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatalf("got %+v after one has left", s.Streams())
		}
	}
	d.Join("daily", "bob")
	if got := s.follow("/api/rooms/daily/events", "Last-Event-ID", since).Until("participant.joined"); got.Nick() != "bob" {
		t.Errorf("got %v, want only the missed event", got)
	}
	began := time.Now()
	if err := s.stop(); err != nil {
		t.Error(err)
	}
	if err := stays.Ended(); err != nil {
		t.Errorf("the stream ended with %v", err)
	}
	if took := time.Since(began); took > 4*time.Second || strings.Contains(s.log.String(), "connections cut") {
		t.Errorf("the stop took %s; the log: %s", took, s.log)
	}
}

// On a shared connection, a write deadline must not end a silent stream.
func TestHTTP2_SilentStreamStays(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		d := apitest.NewDirectory(t)
		s := prepare(t, withDirectory(d.Directory))
		defer overHTTP2(t, s)()
		f := s.follow("/api/rooms/daily/events")
		f.Until("status")
		first := f.ID()
		time.Sleep(time.Minute)
		d.Join("other", "bob")
		time.Sleep(20 * time.Second)
		if got := f.ID(); got == first {
			t.Errorf("the id is still %s: no keep-alive arrived", got)
		}
		d.Join("daily", "ann")
		if got := f.Until("participant.joined"); got.Nick() != "ann" {
			t.Errorf("got %v", got)
		}
		since := f.ID()
		f.Leave()
		_ = f.Ended()
		synctest.Wait()
		if got := s.Streams(); got.Open != 0 || got.Cut != 0 {
			t.Errorf("got %+v after the client left", got)
		}
		d.Join("daily", "cyd")
		time.Sleep(time.Second)
		again := s.follow("/api/rooms/daily/events", "Last-Event-ID", since)
		if got := again.Until("participant.joined"); got.Nick() != "cyd" {
			t.Errorf("got %v, want only the missed event", got)
		}
		again.Leave()
		_ = again.Ended()
	})
}

// A stream that the client doesn't read is closed.
func TestHTTP2_ClosesUnreadStream(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		d := apitest.NewDirectory(t)
		s := prepare(t, withDirectory(d.Directory))
		defer overHTTP2(t, s)()
		req, err := http.NewRequestWithContext(t.Context(), http.MethodGet, s.url("/api/events"), nil)
		if err != nil {
			t.Fatal(err)
		}
		req.Header.Set("X-API-Key", testKey)
		resp, err := s.client.Transport.RoundTrip(req)
		if err != nil {
			t.Fatal(err)
		}
		defer resp.Body.Close()
		healthy := s.follow("/api/events")
		healthy.Until("status")
		for i := range 6000 { // more than Go's client buffers
			d.Change(occupancy.Delta{Room: "daily@muc.meet.jitsi", Present: []occupancy.Occupant{wide("ann", i)}})
			if i%100 == 0 {
				time.Sleep(100 * time.Millisecond)
			}
		}
		time.Sleep(time.Minute)
		if got := s.Streams(); got.Open != 1 || got.Cut != 1 {
			t.Errorf("got %+v, want the unread stream to be closed", got)
		}
		if _, err := io.Copy(io.Discard, resp.Body); err == nil {
			t.Error("the stream ended as if it were complete")
		}
		healthy.Leave()
		_ = healthy.Ended()
	})
}

// Streams on a connection that the client doesn't read are closed too.
func TestHTTP2_ClosesUnreadConnection(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		d := apitest.NewDirectory(t)
		s := prepare(t, withDirectory(d.Directory))
		defer overHTTP2(t, s)()
		deaf := make(chan struct{})
		transport := s.client.Transport.(*http.Transport)
		dial := transport.DialContext
		transport.DialContext = func(ctx context.Context, network, addr string) (net.Conn, error) {
			conn, err := dial(ctx, network, addr)
			closed, closing := context.WithCancel(context.Background())
			return deafConn{conn, deaf, closed, closing}, err
		}
		f := s.follow("/api/events")
		f.Until("status")
		close(deaf)
		d.Join("daily", "ann", "bob", "cyd")
		time.Sleep(time.Minute)
		if got := s.Streams(); got.Open != 0 {
			t.Errorf("got %+v, want the unread stream to be closed", got)
		}
		f.Leave()
		_ = f.Ended()
	})
}
