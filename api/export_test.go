package api

import (
	"context"
	"log/slog"
	"net"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"sync/atomic"
	"time"

	"github.com/gorilla/mux"
	"github.com/prometheus/client_golang/prometheus"
	"golang.org/x/sync/errgroup"

	"ppch/api/keys"
)

// HTTP returns the http.Server of s, for tests that shorten its timeouts. Change it only before Run.
func (s *Server) HTTP() *http.Server { return s.http }

// Impatient limits draining to d. Call it only before Run.
func (s *Server) Impatient(d time.Duration) { s.drainFor = d }

// RenewEvery sets how often s checks its certificate. Call it only before Run.
func (s *Server) RenewEvery(d time.Duration) { s.renewEvery = d }

// CloseListener makes s fail to serve.
func (s *Server) CloseListener() error { return s.listener.Close() }

// Router returns the router without middleware.
func (s *Server) Router() *mux.Router { return s.router }

// Wrap returns next inside of the middleware.
func (s *Server) Wrap(next http.Handler) http.Handler {
	return s.wrap(func(w *response, r *http.Request) { next.ServeHTTP(w, r) })
}

// WrapStream returns a stream inside of the middleware.
func (s *Server) WrapStream(stream func(http.ResponseWriter, *http.Request) error) http.Handler {
	return s.wrap(func(w *response, _ *http.Request) {
		startStream(w, func(r *http.Request) error { return stream(w, r) })
	})
}

// CountWrites counts the write system calls. Call it only before Run.
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
	return writeBytes(w.(*response), http.StatusOK, mediaJSON, body)
}

// Tight gives connections small send buffers in the kernel. Call it only before Run.
func (s *Server) Tight() {
	connContext := s.http.ConnContext
	s.http.ConnContext = func(ctx context.Context, c net.Conn) context.Context {
		ctx = connContext(ctx, c)
		_ = clientConnOf(c).duplex.(*net.TCPConn).SetWriteBuffer(4096)
		return ctx
	}
}

// RunHub runs only the hub.
func (s *Server) RunHub(ctx context.Context) error {
	g, ctx := errgroup.WithContext(ctx)
	g.Go(func() error { return s.cfg.Directory.Run(ctx) })
	g.Go(func() error { return s.hub.Run(ctx) })
	return g.Wait()
}

// LookBack takes a sample of the history as if it were that time, and stops its own samples. Call it only before Run.
func (s *Server) LookBack(at time.Time) {
	s.lastHour.every = time.Hour
	s.lastHour.sample(at)
}

// RunHistory runs only the history.
func (s *Server) RunHistory(ctx context.Context) error { return s.lastHour.Run(ctx) }

// StreamStats are the numbers of open, refused and closed event streams.
type StreamStats struct {
	Open, Refused, Cut int
	Resets             map[string]int // by reason
}

// Streams returns the numbers of event streams from the metrics.
func (s *Server) Streams() StreamStats {
	registry := prometheus.NewPedanticRegistry()
	registry.MustRegister(s.hub.Metrics()...)
	families, err := registry.Gather()
	if err != nil {
		panic(err)
	}
	stats := StreamStats{Resets: map[string]int{}}
	for _, f := range families {
		for _, m := range f.GetMetric() {
			n := int(m.GetGauge().GetValue() + m.GetCounter().GetValue())
			switch f.GetName() {
			case "event_streams":
				stats.Open = n
			case "event_streams_refused_total":
				stats.Refused = n
			case "event_streams_cut_total":
				stats.Cut = n
			case "event_resets_total":
				stats.Resets[m.GetLabel()[0].GetValue()] = n
			}
		}
	}
	return stats
}

// MaxUnreadOfKey is the maximum number of unread bytes per key.
const MaxUnreadOfKey = maxUnreadOfKey

// LeaveUnread takes all bytes that responses to a key may take.
func (s *Server) LeaveUnread(key string) {
	for s.unread.take(keys.SumOf(key), smallAnswer) == nil {
	}
}

// Unread returns the unread bytes of all responses.
func (s *Server) Unread() int { return s.unread.taken() }

// TypeBase begins the type of every problem.
const TypeBase = typeBase

// Scopes returns the scope that each route requires, by path; "" for none.
func (s *Server) Scopes() map[string]string {
	needed := map[string]string{}
	for _, route := range s.routes() {
		needed[route.path] = ""
		if route.needs != public && route.needs != keys.ScopeShare { // whose token is in the path
			needed[route.path] = route.needs.String()
		}
	}
	return needed
}

// Encoded returns how many documents and badges of share links were encoded.
func (s *Server) Encoded() uint64 { return s.links.encoded.Load() }

// Origin returns what counts as one address.
func Origin(remote string) string { return origin(remote).String() }

// Authorizer returns a function that authorizes one request. It is not safe for concurrent use.
func (s *Server) Authorizer(key string) func() error {
	r := httptest.NewRequest(http.MethodGet, "/", nil)
	r.Header.Set("X-Api-Key", key)
	w := &response{ResponseWriter: httptest.NewRecorder()}
	return func() error {
		defer s.endRequest(w)
		return s.authorize(w, r, keys.ScopeCount)
	}
}

// Requests returns the number of requests with keys in progress.
func (s *Server) Requests() int { return s.requests.Taken() }

// OpenStream takes a place for a stream of a key, forever.
func (s *Server) OpenStream(key string) {
	if err := s.hub.Enter(s.cfg.Keys.Find(keys.SumOf(key))); err != nil {
		panic(err)
	}
}

// Gate limits connections.
type Gate struct{ *gate }

// NewGate returns a gate for that many connections.
func NewGate(most int, trusted ...netip.Prefix) Gate {
	log := slog.New(slog.DiscardHandler)
	return Gate{newGate(most, trusted, log, newSampler(log))}
}

// Bounds returns the maximum number of connections without a key, in total and per address.
func (g Gate) Bounds() (strangers, ofAddress int) { return g.maxUnknown, g.maxOfAddress }

// GateConn is a connection at a gate.
type GateConn struct {
	net.Conn // nil
	c        *clientConn
	gate     *gate
	remote   netip.AddrPort
	Closed   bool
}

// Arrive opens a connection from an address, and reports whether the gate admits it.
func (g Gate) Arrive(remote string) (conn *GateConn, in bool) {
	conn = &GateConn{gate: g.gate, remote: netip.MustParseAddrPort(remote)}
	conn.c = newClientConn(conn)
	return conn, g.admit(conn.c)
}

// RemoteAddr returns the client's address.
func (c *GateConn) RemoteAddr() net.Addr { return net.TCPAddrFromAddrPort(c.remote) }

// Close notes that it was closed.
func (c *GateConn) Close() error { c.Closed = true; return nil }

// CloseWrite does nothing.
func (c *GateConn) CloseWrite() error { return nil }

// Turn has a request begin or end, or the connection.
func (c *GateConn) Turn(to http.ConnState) { c.gate.connState(c.c, to) }

// SendsKey has a valid key be sent.
func (c *GateConn) SendsKey() { c.gate.markKnown(c.c) }

// Count returns how many connections there are.
func (g Gate) Count() int { return g.count() }

// Connections returns the number of open connections.
func (s *Server) Connections() int { return s.gate.count() }

// WaitForPositions sets how long requests wait for positions. It may be called only before Run.
func (s *Server) WaitForPositions(d time.Duration) { s.positionWait = d }

// Cell returns text for a cell of a spreadsheet.
func Cell(text string) string { return cell(text) }
