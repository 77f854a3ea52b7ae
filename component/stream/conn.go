package stream

import (
	"errors"
	"net"
	"sync/atomic"
	"syscall"
	"time"
)

// conn is the socket as the XMPP session may use it.
//
// It is deliberately not a net.Conn.
// mellium sets and clears deadlines on a net.Conn whenever some context ends (session.go setDeadline),
// which would wipe out ours, so the session is given Read and Write alone and every deadline is set here.
type conn struct {
	net net.Conn

	// raw is the socket itself, or nil if net is none.
	raw syscall.RawConn

	// writeTimeout bounds one Write.
	// A peer that stops reading must not hold the session's lock for longer.
	writeTimeout time.Duration

	// closing is the Unix time in nanoseconds after which nothing more is read or written, or 0.
	closing atomic.Int64

	// pending counts the bytes read since the last token left the XML decoder.
	pending  atomic.Int64
	maxToken int64

	neutral neutralizer

	failed atomic.Pointer[error]
}

// errTokenTooLarge ends a session whose peer sends one XML token, such as a run of text, without end.
// Prosody's own limits (c2s_stanza_size_limit 256 KiB, s2s and component 512 KiB) keep it from ever happening:
// a whole stanza at the limit grows to at most six times that when its quotes are escaped.
var errTokenTooLarge = errors.New("stream: an XML token is too large")

func newConn(c net.Conn, writeTimeout time.Duration) *conn {
	wrapped := &conn{net: c, writeTimeout: writeTimeout, maxToken: 16 << 20}
	if socket, ok := c.(syscall.Conn); ok {
		wrapped.raw, _ = socket.SyscallConn()
	}
	return wrapped
}

// Read implements io.Reader for the XML decoder.
//
// Prosody leaves Nagle's algorithm on (net/server_epoll.lua, nagle): while anything it wrote isn't acknowledged
// the kernel keeps back what it writes next, up to 40 ms if the acknowledgement waits for an answer to ride on (RFC 9293 §3.8.6.3).
// Most batches get no answer, so what happened would be known late.
func (c *conn) Read(p []byte) (int, error) {
	if c.pending.Load() > c.maxToken {
		return 0, errTokenTooLarge
	}
	n, err := c.net.Read(p)
	if c.raw != nil {
		quickAck(c.raw)
	}
	c.pending.Add(int64(n))
	c.neutral.apply(p[:n])
	return n, err
}

// progress tells that a token left the decoder, so that only a single token, and not a long stanza, can be too large.
func (c *conn) progress() { c.pending.Store(0) }

// Write implements io.Writer for the session.
//
// A failed or partial write leaves half a stanza on the stream, which the next one would be nested in,
// so the socket is closed, and with it the session ends.
// The writer isn't told: mellium, about to return the stream error that it was sent, says goodbye first
// and would return the failure of that instead. Whoever waits for an answer learns it from the session's end.
func (c *conn) Write(p []byte) (int, error) {
	deadline := time.Now().Add(c.writeTimeout)
	if at := c.closing.Load(); at != 0 && deadline.UnixNano() > at {
		deadline = time.Unix(0, at)
	}
	err := c.net.SetWriteDeadline(deadline)
	if err == nil {
		_, err = c.net.Write(p)
	}
	if err != nil {
		c.failed.CompareAndSwap(nil, &err)
		_ = c.net.Close()
	}
	return len(p), nil
}

// writeError returns why the first failed write did, or nil.
func (c *conn) writeError() error {
	if err := c.failed.Load(); err != nil {
		return *err
	}
	return nil
}

// hurry lets the stream end within d: reads and writes fail after that, those under way included.
func (c *conn) hurry(d time.Duration) {
	at := time.Now().Add(d)
	c.closing.Store(at.UnixNano())
	_ = c.net.SetDeadline(at)
}

// Close closes the socket.
func (c *conn) Close() error { return c.net.Close() }

// neutralizer renames the stream namespace where a guest put it on an element inside a stanza.
//
// mellium's stream reader (internal/stream/reader.go) takes any element of that namespace, at any depth, for a stream error,
// a restart or the end of the stream, below every handler: with
// <iq type='get' …><end xmlns='http://etherx.jabber.org/streams'/></iq> anybody could end the session.
// Prosody writes its own stream elements with the prefix of its stream header (<stream:error>),
// and everything routed with an xmlns attribute in single quotes (util/stanza.lua _dostring), whose text form can't occur
// in character data since quotes are escaped there. So the last letter of the namespace is changed in exactly that form.
type neutralizer struct {
	// matched is how many bytes of streamNS the input up to now ends with.
	matched int
}

const streamNS = " xmlns='http://etherx.jabber.org/streams"

// apply changes p in place; what it has seen of a match is kept for the next call.
func (n *neutralizer) apply(p []byte) {
	for i, b := range p {
		switch b {
		case streamNS[n.matched]:
			n.matched++
		case streamNS[0]:
			// The blank occurs only once in the pattern, so no other shorter match has to be tried.
			n.matched = 1
		default:
			n.matched = 0
		}
		if n.matched == len(streamNS) {
			p[i] = 'S'
			n.matched = 0
		}
	}
}
