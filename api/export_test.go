package api

import (
	"bytes"
	"context"
	"iter"
	"log/slog"
	"net"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"sync/atomic"
	"time"

	"github.com/gorilla/mux"
	"golang.org/x/sync/errgroup"

	"ppch/api/keys"
)

// HTTP returns the server beneath s, for tests that can't wait as long as its timeouts.
// It may be changed only before Run.
func (s *Server) HTTP() *http.Server { return s.http }

// Impatient makes s drain for no longer than d, and may be called only before Run.
func (s *Server) Impatient(d time.Duration) { s.drainFor = d }

// RenewEvery has s look at its certificate so often, and may be called only before Run.
func (s *Server) RenewEvery(d time.Duration) { s.renewEvery = d }

// CloseListener makes s unable to serve.
func (s *Server) CloseListener() error { return s.listener.Close() }

// Router returns the router beneath all wrapping.
func (s *Server) Router() *mux.Router { return s.router }

// Wrap returns next inside of what every request goes through.
func (s *Server) Wrap(next http.Handler) http.Handler { return s.wrap(next) }

// CountWrites counts what is sent, by system calls, and may be called only before Run.
func (s *Server) CountWrites() *atomic.Int64 {
	var writes atomic.Int64
	connContext := s.http.ConnContext
	s.http.ConnContext = func(ctx context.Context, c net.Conn) context.Context {
		own := clientConnOf(c)
		own.gather.to = countingConn{own.duplex, &writes}
		return connContext(ctx, c)
	}
	return &writes
}

type countingConn struct {
	net.Conn
	writes *atomic.Int64
}

func (c countingConn) Write(p []byte) (int, error) {
	c.writes.Add(1)
	return c.Conn.Write(p)
}

// WriteBytes answers with a body.
func WriteBytes(w http.ResponseWriter, body []byte) error {
	return writeBytes(w, http.StatusOK, mediaJSON, body)
}

// Tight makes the kernel hold little of what s sends. It may be called only before Run.
func (s *Server) Tight() {
	connContext := s.http.ConnContext
	s.http.ConnContext = func(ctx context.Context, c net.Conn) context.Context {
		ctx = connContext(ctx, c)
		_ = clientConnOf(c).duplex.(*net.TCPConn).SetWriteBuffer(4096)
		return ctx
	}
}

// RunHub runs the directory and what sends its events, without serving anything.
func (s *Server) RunHub(ctx context.Context) error {
	g, ctx := errgroup.WithContext(ctx)
	g.Go(func() error { return s.directory.Run(ctx) })
	g.Go(func() error { return s.hub.Run(ctx) })
	return g.Wait()
}

// LookBack has the history look as if it were that time, and no more by itself. It may be called only before Run.
func (s *Server) LookBack(at time.Time) {
	s.history.every = time.Hour
	s.history.look(at)
}

// RunHistory runs what keeps the history, without serving anything.
func (s *Server) RunHistory(ctx context.Context) error { return s.history.Run(ctx) }

// TellStatus puts a status into the ring, as the hub does when there is another one.
// Like TakeEvents it is for tests that run no hub, since that leaves no time between the two.
func (s *Server) TellStatus() {
	view := s.hub.statusesIn("")[0]
	s.hub.add(&frame{domain: view.Domain}, "status", view)
	s.hub.topics.wake(s.hub.due)
}

// TakeEvents puts the events that wait for the hub into the ring.
func (s *Server) TakeEvents() {
	for len(s.hub.sub.Events()) > 0 {
		e, ok := <-s.hub.sub.Events()
		s.hub.take(e, ok)
	}
	s.hub.topics.wake(s.hub.due)
}

// StreamStats is how many event streams there are, and what has become of them.
type StreamStats struct {
	Open         int64
	Refused, Cut uint64
	Resets       map[string]uint64 // by reason
	Position     uint64            // of the last event in the ring
}

// Streams returns how the event streams are doing.
func (s *Server) Streams() StreamStats {
	c := s.streams
	stats := StreamStats{Open: int64(c.open.Taken()), Refused: c.refused.Load(), Cut: c.cut.Load(), Resets: map[string]uint64{}, Position: s.hub.ring.last()}
	for i, reason := range resetReasons {
		stats.Resets[string(reason)] = c.resets[i].Load()
	}
	return stats
}

// Parts yields the parts of a snapshot of all rooms as a client gets them that has a key, each with how many rooms are encoded by then.
func (s *Server) Parts(key string) iter.Seq2[string, int] {
	n := &interest{grant: keys.Grant{Key: s.keys.Find(keys.SumOf(key))}}
	snap := s.hub.snapshot(n, 0)
	return func(yield func(string, int) bool) {
		from := snapshotPlace{}
		for number, last := 1, false; !last; number++ {
			var part [][]byte
			part, from, last = s.hub.part(snap, n, number, from)
			s.hub.chunks.mu.Lock()
			encoded := 0
			for _, c := range s.hub.chunks.values.Values() {
				encoded += len(c.value.pieces)
			}
			s.hub.chunks.mu.Unlock()
			if !yield(string(bytes.Join(part, nil)), encoded) {
				return
			}
		}
	}
}

// ForgetSnapshot has the next snapshot of all rooms be another one.
func (s *Server) ForgetSnapshot() { s.hub.forgetSnapshots(time.Now().Add(snapshotFor)) }

// Follow follows what happens in the room with that bare JID, or in all rooms, as a handler that waits for it does.
func (s *Server) Follow(room string) (next func() <-chan struct{}, release func()) {
	topic := s.hub.topics.follow(room)
	return topic.next, topic.release
}

// Followed returns how many rooms are followed.
func (s *Server) Followed() int {
	s.hub.topics.mu.Lock()
	defer s.hub.topics.mu.Unlock()
	return len(s.hub.topics.rooms)
}

// What a ring and a snapshot may hold.
const (
	MaxFrames      = maxFrames
	MaxBytes       = maxBytes
	MaxPart        = maxPart
	MaxPiece       = maxPiece
	MaxUnreadOfKey = maxUnreadOfKey
)

// LeaveUnread takes all the bytes that answers to a key may take.
func (s *Server) LeaveUnread(key string) {
	for s.unread.take(keys.SumOf(key), smallAnswer) == nil {
	}
}

// Unread returns how many bytes of answers wait for their readers.
func (s *Server) Unread() int { return s.unread.taken() }

// TypeBase begins the type of every problem.
const TypeBase = typeBase

// Scopes returns the word for what each route needs, "" for nothing, by its path.
func (s *Server) Scopes() map[string]string {
	needed := map[string]string{}
	for _, route := range s.routes() {
		needed[route.path] = ""
		if route.needs != public {
			needed[route.path] = route.needs.String()
		}
	}
	return needed
}

// Origin returns what counts as one address.
func Origin(remote string) string { return origin(remote).String() }

// Authorizer returns what is done about the key of a request each time; it is not safe for concurrent use.
func (s *Server) Authorizer(key string) func() error {
	r := httptest.NewRequest(http.MethodGet, "/", nil)
	r.Header.Set("X-Api-Key", key)
	w := &exchange{ResponseWriter: httptest.NewRecorder()}
	return func() error {
		defer s.endRequest(w)
		return s.authorize(w, r, keys.ScopeCount)
	}
}

// NewObserve returns what counts each request.
func NewObserve() func(route, method string, status int, took time.Duration) {
	return newTraffic().observe
}

// Requests returns how many requests with keys are under way.
func (s *Server) Requests() int { return s.requests.Taken() }

// OpenStream takes the place of a stream for a key, for ever.
func (s *Server) OpenStream(key string) {
	if err := s.streams.enter(s.keys.Find(keys.SumOf(key)), s.keys.Count()); err != nil {
		panic(err)
	}
}

// Gate bounds how many connections there are.
type Gate struct{ *gate }

// NewGate returns a gate for that many.
func NewGate(most int, trusted ...netip.Prefix) Gate {
	log := slog.New(slog.DiscardHandler)
	return Gate{newGate(most, trusted, log, newSampler(log))}
}

// Bounds returns how many connections without a key there may be, in all and from one address.
func (g Gate) Bounds() (strangers, ofAddress int) { return g.strangers, g.ofAddress }

// GateConn is a connection that came to a gate.
type GateConn struct {
	net.Conn // nil
	c        *clientConn
	gate     *gate
	remote   netip.AddrPort
	Closed   bool
}

// Arrive has a connection from an address come to the gate, and reports whether it was let in.
func (g Gate) Arrive(remote string) (conn *GateConn, in bool) {
	conn = &GateConn{gate: g.gate, remote: netip.MustParseAddrPort(remote)}
	conn.c = newClientConn(conn)
	return conn, g.admit(conn.c)
}

// RemoteAddr returns where it is from.
func (c *GateConn) RemoteAddr() net.Addr { return net.TCPAddrFromAddrPort(c.remote) }

// Close notes that it was closed.
func (c *GateConn) Close() error { c.Closed = true; return nil }

// CloseWrite does nothing.
func (c *GateConn) CloseWrite() error { return nil }

// Turn has a request begin or end, or the connection.
func (c *GateConn) Turn(to http.ConnState) { c.gate.turned(c.c, to) }

// SendsKey has a valid key be sent.
func (c *GateConn) SendsKey() { c.gate.know(c.c) }

// Count returns how many connections there are.
func (g Gate) Count() int { return g.count() }

// Connections returns how many connections there are.
func (s *Server) Connections() int { return s.gate.count() }
