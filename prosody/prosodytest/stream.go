package prosodytest

import (
	"bufio"
	"bytes"
	"context"
	"fmt"
	"io"
	"net"
	"sync"
	"time"
)

const (
	// writeTimeout bounds a write: a paused Prosody stops reading.
	writeTimeout = 10 * time.Second
	// maxElement bounds the size of a stanza. Prosody's own limit is far smaller.
	maxElement = 8 << 20
)

// stream is an XML stream over a socket. It reads whole elements, unchanged, and
// writes bytes as given.
// Writing is safe for concurrent use; reading is not.
type stream struct {
	conn net.Conn
	r    *bufio.Reader
	mu   sync.Mutex // held during a write
}

// dial connects to addr. Until done is called, the end of ctx closes the socket,
// which bounds a handshake with a server that does not answer.
func dial(ctx context.Context, network, addr string) (s *stream, done func() bool, err error) {
	conn, err := new(net.Dialer).DialContext(ctx, network, addr)
	if err != nil {
		return nil, nil, err
	}
	done = context.AfterFunc(ctx, func() { _ = conn.Close() })
	return &stream{conn: conn, r: bufio.NewReaderSize(conn, 32<<10)}, done, nil
}

func (s *stream) send(raw string) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if err := s.conn.SetWriteDeadline(time.Now().Add(writeTimeout)); err != nil {
		return err
	}
	_, err := io.WriteString(s.conn, raw)
	return err
}

// open sends a stream header and returns the server's.
func (s *stream) open(to, ns string) (Stanza, error) {
	err := s.send("<?xml version='1.0'?><stream:stream to='" + Escape(to) +
		"' version='1.0' xmlns='" + ns + "' xmlns:stream='http://etherx.jabber.org/streams'>")
	if err != nil {
		return Stanza{}, err
	}
	for {
		tag, _, err := s.tag(nil)
		if err != nil {
			return Stanza{}, err
		}
		if !bytes.HasPrefix(tag, []byte("<?")) {
			return parseStanza(string(tag)), nil
		}
	}
}

// next returns the next element of the stream.
// The end of the stream is io.EOF, with or without a closing tag; a stream error
// is a *StreamError.
func (s *stream) next() (Stanza, error) {
	var raw []byte
	for depth := 0; ; {
		var at int
		var err error
		if raw, at, err = s.tag(raw); err != nil {
			return Stanza{}, err
		}
		if depth == 0 {
			raw, at = raw[at:], 0 // white space between stanzas is a keepalive
		}
		switch tag := raw[at:]; {
		case bytes.HasPrefix(tag, []byte("</")):
			depth--
		case !bytes.HasSuffix(tag, []byte("/>")):
			depth++
		}
		switch {
		case depth < 0:
			return Stanza{}, io.EOF
		case depth > 0:
			continue
		}
		st := parseStanza(string(raw))
		if bytes.HasPrefix(raw, []byte("<stream:error")) {
			return st, &StreamError{Stanza: st}
		}
		return st, nil
	}
}

// tag appends to buf the text up to the next tag and the tag itself, which
// begins at index at. XMPP has no comments, CDATA or DTDs, so a tag ends at the
// first unquoted ">" (RFC 6120, 11.1).
func (s *stream) tag(buf []byte) (out []byte, at int, err error) {
	at = -1
	var quote byte
	for {
		c, err := s.r.ReadByte()
		if err != nil {
			return buf, at, err
		}
		if len(buf) >= maxElement {
			return buf, at, fmt.Errorf("element over %d bytes", maxElement)
		}
		buf = append(buf, c)
		switch {
		case at < 0:
			if c == '<' {
				at = len(buf) - 1
			}
		case quote != 0:
			if c == quote {
				quote = 0
			}
		case c == '\'' || c == '"':
			quote = c
		case c == '>':
			return buf, at, nil
		}
	}
}
