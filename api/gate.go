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

// How many connections there may be at a time on which no valid key was sent yet, in all and from one address.
// With few connections in all there may be fewer.
const (
	maxStrangers = 1000
	maxOfAddress = maxStrangers / 4
)

// gate bounds how many connections there are. Each takes a file descriptor, and without one the service can't answer anybody.
// Connections on which no valid key was sent yet, those of strangers, have bounds of their own.
//
// A connection beyond a bound is let in if another can be closed for it: at first one on which no request is under way,
// and of these the one that has been idle for longest. It is safe for concurrent use.
type gate struct {
	most, strangers, ofAddress int

	// trusted are the networks of proxies: many clients share their addresses, which therefore have no bound of their own.
	trusted []netip.Prefix

	log      *slog.Logger
	refusals *sampler
	cut      atomic.Uint64 // connections that were closed for others, or not let in

	// mu protects what follows.
	mu             sync.Mutex
	known, unknown map[*refusalConn]struct{}
	from           map[netip.Prefix]int // how many are unknown, by address
}

func newGate(most int, trusted []netip.Prefix, log *slog.Logger, refusals *sampler) *gate {
	strangers := max(1, min(maxStrangers, most/2))
	return &gate{
		most:      most,
		strangers: strangers,
		ofAddress: max(1, min(maxOfAddress, strangers/4)),
		trusted:   trusted,
		log:       log,
		refusals:  refusals,
		known:     map[*refusalConn]struct{}{},
		unknown:   map[*refusalConn]struct{}{},
		from:      map[netip.Prefix]int{},
	}
}

// admit lets a connection in, and closes another one if there are too many. It returns false if none can be closed.
func (g *gate) admit(c *refusalConn) bool {
	in, closed := g.enter(c)
	for _, other := range closed {
		g.note(other, "connection-closed", "connection closed to make room: there are too many")
	}
	if !in {
		g.note(c, "connection-refused", "connection refused: there are too many, and all are in use")
	}
	return in
}

// note counts a connection that was closed for others, or not let in, and logs a sample of these.
func (g *gate) note(c *refusalConn, reason, message string) {
	g.cut.Add(1)
	if remote := c.RemoteAddr().String(); g.refusals.takes(remote, reason) {
		g.log.Info(message, "remote", remote)
	}
}

// enter is admit without a word of it. It returns what was closed.
func (g *gate) enter(c *refusalConn) (in bool, closed []*refusalConn) {
	g.mu.Lock()
	defer g.mu.Unlock()
	c.from = g.bounded(c.RemoteAddr())
	c.turn(false)
	ofAddress := func(other *refusalConn) bool { return other.from == c.from }
	anyOne := func(*refusalConn) bool { return true }
	room := func(full bool, may func(*refusalConn) bool, sets ...map[*refusalConn]struct{}) bool {
		if !full {
			return true
		}
		others := g.makeRoom(may, sets...)
		closed = append(closed, others...)
		return len(others) > 0
	}
	if !room(c.from.IsValid() && g.from[c.from] >= g.ofAddress, ofAddress, g.unknown) ||
		!room(len(g.unknown) >= g.strangers, anyOne, g.unknown) ||
		!room(len(g.unknown)+len(g.known) >= g.most, anyOne, g.unknown, g.known) {
		return false, closed
	}
	g.unknown[c] = struct{}{}
	g.from[c.from]++
	return true, closed
}

// bounded returns the address that counts for a connection, or one that isn't valid where none does.
func (g *gate) bounded(remote net.Addr) netip.Prefix {
	addr := addressIn(remote.String())
	if addr.IsLoopback() || slices.ContainsFunc(g.trusted, func(p netip.Prefix) bool { return p.Contains(addr) }) {
		return netip.Prefix{}
	}
	return origin(remote.String())
}

// makeRoom closes some of those connections that may be closed, and returns them: none if there are none. The caller holds mu.
//
// Idle ones come before busy ones, and then whichever has been so for longest: a new one is idle until its first request is there.
// A busy connection with a key isn't closed: how many of them each key has is bounded otherwise.
// Of many it closes several, lest they are all looked at for each connection that comes.
func (g *gate) makeRoom(may func(*refusalConn) bool, sets ...map[*refusalConn]struct{}) (closed []*refusalConn) {
	type candidate struct {
		rank int64
		c    *refusalConn
	}
	var all []candidate
	for _, set := range sets {
		for c := range set {
			if state := c.state.Load(); (state&stateBusy == 0 || !c.knows.Load()) && may(c) {
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
		_ = one.c.socket.Close() // what it could complain of is gone anyway
		closed = append(closed, one.c)
	}
	return closed
}

// know notes that a valid key was sent on a connection, which is nil if it isn't one of ours.
func (g *gate) know(c *refusalConn) {
	if c == nil || c.knows.Load() {
		return
	}
	g.mu.Lock()
	defer g.mu.Unlock()
	if _, there := g.unknown[c]; there {
		g.remove(c)
		g.known[c] = struct{}{}
		c.knows.Store(true)
	}
}

// forget notes that a connection is closed.
func (g *gate) forget(c *refusalConn) {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.remove(c)
}

// remove takes a connection out. The caller holds mu.
func (g *gate) remove(c *refusalConn) {
	if _, there := g.unknown[c]; there {
		if g.from[c.from]--; g.from[c.from] == 0 {
			delete(g.from, c.from)
		}
	}
	delete(g.unknown, c)
	delete(g.known, c)
}

// count returns how many connections there are.
func (g *gate) count() int {
	g.mu.Lock()
	defer g.mu.Unlock()
	return len(g.known) + len(g.unknown)
}

// turned is an http.Server's ConnState.
func (g *gate) turned(conn net.Conn, to http.ConnState) {
	c, ok := conn.(*refusalConn)
	switch {
	case !ok:
	case to == http.StateClosed:
		g.forget(c)
	default:
		c.turn(to == http.StateActive)
	}
}

// metrics returns what there is to measure of connections.
func (g *gate) metrics() []prometheus.Collector {
	return []prometheus.Collector{
		prometheus.NewGaugeFunc(prometheus.GaugeOpts{Name: "http_connections", Help: "Connections of clients that are open."}, func() float64 { return float64(g.count()) }),
		prometheus.NewCounterFunc(prometheus.CounterOpts{Name: "http_connections_cut_total", Help: "Connections that were closed to make room, or not let in, since there were too many."}, func() float64 { return float64(g.cut.Load()) }),
	}
}

// stateBusy is the bit of a connection's state that says whether a request is under way.
const stateBusy = 1

// turn notes that a request is under way, or none any more.
func (c *refusalConn) turn(active bool) {
	state := time.Now().UnixNano() << 1
	if active {
		state |= stateBusy
	}
	c.state.Store(state)
}
