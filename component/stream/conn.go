package stream

import (
	"errors"
	"net"
	"sync/atomic"
	"syscall"
	"time"
)

// conn is the socket for the XMPP session.
//
// It is deliberately not a net.Conn.
// mellium sets and clears deadlines on a net.Conn when a context ends (session.go setDeadline), which would clear ours.
// So the session gets only Read and Write, and conn sets every deadline.
type conn struct {
	net net.Conn

	// raw is the socket, or nil if net isn't one.
	raw syscall.RawConn

	// writeTimeout bounds one Write.
	// A peer that stops reading must not hold the session's lock for longer.
	writeTimeout time.Duration

	// closing is the Unix time in nanoseconds after which reads and writes fail, or 0.
	closing atomic.Int64

	// pending counts the bytes read since the last token left the XML decoder.
	pending  atomic.Int64
	maxToken int64

	neutral neutralizer

	failed atomic.Pointer[error]
}

// errTokenTooLarge ends a session whose peer sends an endless XML token, such as a run of text.
// Prosody's own limits (c2s_stanza_size_limit 256 KiB, s2s and component 512 KiB) prevent that:
// escaping the quotes of a whole stanza makes it at most six times as long.
var errTokenTooLarge = errors.New("stream: XML token too large")

func newConn(c net.Conn, writeTimeout time.Duration) *conn {
	wrapped := &conn{net: c, writeTimeout: writeTimeout, maxToken: 16 << 20}
	if socket, ok := c.(syscall.Conn); ok {
		wrapped.raw, _ = socket.SyscallConn()
	}
	return wrapped
}

// Read implements io.Reader for the XML decoder.
//
// Prosody leaves Nagle's algorithm on (net/server_epoll.lua, nagle): the kernel holds back a write while an earlier one isn't acknowledged,
// up to 40 ms if our kernel delays the acknowledgement to send it with data (RFC 9293 §3.8.6.3).
// Most batches get no answer, so changes would arrive late.
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

// progress notes that a token left the decoder, so that only a single token, not a long stanza, can be too large.
func (c *conn) progress() { c.pending.Store(0) }

// Write implements io.Writer for the session.
//
// A failed or partial write leaves half a stanza on the stream, in which the next one would be nested.
// So Write closes the socket, which ends the session, but returns no error:
// when mellium receives a stream error, it closes the stream before it returns that error, and would return a failed write instead.
// Pending questions get the error from the end of the session.
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

// writeError returns the error of the first failed write, or nil.
func (c *conn) writeError() error {
	if err := c.failed.Load(); err != nil {
		return *err
	}
	return nil
}

// shortenDeadline makes reads and writes fail after d, running ones included.
func (c *conn) shortenDeadline(d time.Duration) {
	at := time.Now().Add(d)
	c.closing.Store(at.UnixNano())
	_ = c.net.SetDeadline(at)
}

// Close closes the socket.
func (c *conn) Close() error { return c.net.Close() }

// neutralizer renames the stream namespace on elements inside stanzas.
//
// mellium's stream reader (internal/stream/reader.go) treats any element of that namespace, at any depth, as a stream error,
// a restart or the end of the stream, before any handler. So every guest could end the session with
// <iq type='get' …><end xmlns='http://etherx.jabber.org/streams'/></iq>.
// Prosody writes its own stream elements with the prefix of its stream header (<stream:error>),
// and routed elements with an xmlns attribute in single quotes (util/stanza.lua _dostring). Character data can't contain that text,
// since quotes are escaped there. So changing the last letter of the namespace in exactly that form is safe.
type neutralizer struct {
	// matched is how many bytes of streamNS the input so far ends with.
	matched int
}

const streamNS = " xmlns='http://etherx.jabber.org/streams"

// apply changes p in place. A match may span calls.
func (n *neutralizer) apply(p []byte) {
	for i, b := range p {
		switch b {
		case streamNS[n.matched]:
			n.matched++
		case streamNS[0]:
			// The pattern has only one blank, so there is no shorter match to try.
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
