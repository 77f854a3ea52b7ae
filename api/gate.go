package api

import (
	"cmp"
	"log/slog"
	"net"
	"net/http"
	"net/netip"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/prometheus/client_golang/prometheus"
)

// The default limits on open connections without a valid key so far, in total and per address. A low MaxConnections lowers them.
const (
	defaultMaxUnknown   = 1000
	defaultMaxOfAddress = defaultMaxUnknown / 4
)

// gate limits the number of open connections. Each takes a file descriptor, and without a free one the service can't accept a client.
// Unknown connections, on which the client has not sent a valid key yet, have lower limits.
//
// At a limit, a new connection replaces another one: the one that has been idle longest, or else the unknown one
// with the longest request. It is safe for concurrent use.
type gate struct {
	maxConns, maxUnknown, maxOfAddress int

	// trusted are the networks of proxies. Many clients share their addresses, so these have no limit of their own.
	trusted []netip.Prefix

	log      *slog.Logger
	refusals *sampler
	cut      atomic.Uint64 // connections that were closed to make room, or refused

	// mu protects what follows.
	mu             sync.Mutex
	known, unknown map[*clientConn]struct{}
	from           map[netip.Prefix]int // number of unknown connections by address
}

func newGate(most int, trusted []netip.Prefix, log *slog.Logger, refusals *sampler) *gate {
	strangers := max(1, min(defaultMaxUnknown, most/2))
	return &gate{
		maxConns:     most,
		maxUnknown:   strangers,
		maxOfAddress: max(1, min(defaultMaxOfAddress, strangers/4)),
		trusted:      trusted,
		log:          log,
		refusals:     refusals,
		known:        map[*clientConn]struct{}{},
		unknown:      map[*clientConn]struct{}{},
		from:         map[netip.Prefix]int{},
	}
}

// admit accepts a connection, and closes others if there are too many. It returns false if none can be closed.
func (g *gate) admit(c *clientConn) bool {
	in, closed := g.enter(c)
	for _, other := range closed {
		g.note(other, "connection-closed", "too many connections, closed one to make room")
	}
	if !in {
		g.note(c, "connection-refused", "too many connections, all in use, refused one")
	}
	return in
}

// note counts a closed or refused connection, and logs a sample of them.
func (g *gate) note(c *clientConn, reason, message string) {
	g.cut.Add(1)
	if remote := c.RemoteAddr().String(); g.refusals.allows(remote, reason) {
		g.log.Info(message, "remote", remote)
	}
}

// enter is admit without logging. It returns the connections that it closed.
func (g *gate) enter(c *clientConn) (in bool, closed []*clientConn) {
	g.mu.Lock()
	defer g.mu.Unlock()
	c.from = g.bounded(c.RemoteAddr())
	c.setBusy(false)
	ofAddress := func(other *clientConn) bool { return other.from == c.from }
	anyOne := func(*clientConn) bool { return true }
	room := func(full bool, may func(*clientConn) bool, sets ...map[*clientConn]struct{}) bool {
		if !full {
			return true
		}
		others := g.makeRoom(may, sets...)
		closed = append(closed, others...)
		return len(others) > 0
	}
	if !room(c.from.IsValid() && g.from[c.from] >= g.maxOfAddress, ofAddress, g.unknown) ||
		!room(len(g.unknown) >= g.maxUnknown, anyOne, g.unknown) ||
		!room(len(g.unknown)+len(g.known) >= g.maxConns, anyOne, g.unknown, g.known) {
		return false, closed
	}
	g.unknown[c] = struct{}{}
	g.from[c.from]++
	return true, closed
}

// bounded returns the address whose limit applies to a connection, or an invalid one if there is no such limit.
func (g *gate) bounded(remote net.Addr) netip.Prefix {
	addr := addressIn(remote.String())
	if addr.IsLoopback() || slices.ContainsFunc(g.trusted, func(p netip.Prefix) bool { return p.Contains(addr) }) {
		return netip.Prefix{}
	}
	return origin(remote.String())
}

// makeRoom closes one connection, or several of many, and returns them. The caller holds mu.
//
// It closes idle connections before busy ones, and the oldest first. A new connection is idle until its first request has arrived.
// It never closes a busy connection with a key: each key's share limits their number.
// Of many connections it closes a sixty-fourth at once, so that an attacker can't make it sort all of them for each new connection.
func (g *gate) makeRoom(may func(*clientConn) bool, sets ...map[*clientConn]struct{}) (closed []*clientConn) {
	type candidate struct {
		rank int64
		c    *clientConn
	}
	var all []candidate
	for _, set := range sets {
		for c := range set {
			if state := c.state.Load(); (state&stateBusy == 0 || !c.hasKey.Load()) && may(c) {
				all = append(all, candidate{state&stateBusy<<62 | state>>1, c})
			}
		}
	}
	slices.SortFunc(all, func(a, b candidate) int { return cmp.Compare(a.rank, b.rank) })
	for i, one := range all {
		if i > 0 && (i >= len(all)/64 || one.rank>>62 != 0) {
			break
		}
		g.remove(one.c)
		_ = one.c.Close() // an error would change nothing
		closed = append(closed, one.c)
	}
	return closed
}

// markKnown notes that a client sent a valid key on a connection. c may be nil.
func (g *gate) markKnown(c *clientConn) {
	if c == nil || c.hasKey.Load() {
		return
	}
	g.mu.Lock()
	defer g.mu.Unlock()
	if _, there := g.unknown[c]; there {
		g.remove(c)
		g.known[c] = struct{}{}
		c.hasKey.Store(true)
	}
}

// forget removes a closed connection.
func (g *gate) forget(c *clientConn) {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.remove(c)
}

// remove is forget for a caller that holds mu.
func (g *gate) remove(c *clientConn) {
	if _, there := g.unknown[c]; there {
		if g.from[c.from]--; g.from[c.from] == 0 {
			delete(g.from, c.from)
		}
	}
	delete(g.unknown, c)
	delete(g.known, c)
}

// count returns the number of open connections.
func (g *gate) count() int {
	g.mu.Lock()
	defer g.mu.Unlock()
	return len(g.known) + len(g.unknown)
}

// connState is the ConnState hook of the http.Server.
func (g *gate) connState(conn net.Conn, to http.ConnState) {
	c := clientConnOf(conn)
	switch {
	case c == nil:
	case to == http.StateClosed:
		g.forget(c)
	default:
		c.setBusy(to == http.StateActive || to == http.StateHijacked) // by a stream, which forgets it
	}
}

// metrics returns the collectors of connections.
func (g *gate) metrics() []prometheus.Collector {
	return []prometheus.Collector{
		prometheus.NewGaugeFunc(prometheus.GaugeOpts{Name: "http_connections", Help: "Open client connections."}, func() float64 { return float64(g.count()) }),
		prometheus.NewCounterFunc(prometheus.CounterOpts{Name: "http_connections_cut_total", Help: "Client connections closed or refused because too many were open."}, func() float64 { return float64(g.cut.Load()) }),
	}
}

// stateBusy is the bit of a connection's state for a request under way.
const stateBusy = 1

// setBusy notes that a request has begun or ended.
func (c *clientConn) setBusy(active bool) {
	state := time.Now().UnixNano() << 1
	if active {
		state |= stateBusy
	}
	c.state.Store(state)
}
