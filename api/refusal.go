package api

import (
	"bytes"
	"crypto/rand"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"maps"
	"net"
	"net/http"
	"net/netip"
	"strconv"
	"sync/atomic"
)

// refusalHeader is what net/http writes between the status line and the text of a refusal:
// see (*conn).serve in net/http/server.go.
const refusalHeader = "\r\nContent-Type: text/plain; charset=utf-8\r\nConnection: close\r\n\r\n"

// refusalListener makes problem documents of net/http's own refusals.
//
// What net/http can't parse, such as a bad percent-escape or a header without end, it refuses in plain text,
// written straight to the connection before there is a request that a handler could see.
// Should its text ever change, it passes as it is, and a test fails.
//
// With TLS these have to be seen before they are encrypted, so that TLS is spoken here, and net/http is not shown a *tls.Conn.
// To it the connection is a plain one on which a client may begin with HTTP/2 (RFC 9113 §3.3) or HTTP/1, which is just what
// the two agreed on by ALPN. The handshake happens as net/http reads the first byte, within readHeaderTimeout.
type refusalListener struct {
	net.Listener
	server *Server
	tls    *tls.Config // nil for none
}

// Accept waits for the next connection that is let in.
func (l refusalListener) Accept() (net.Conn, error) {
	for {
		conn, err := l.Listener.Accept()
		tcp, ok := conn.(*net.TCPConn)
		if !ok {
			return conn, err
		}
		c := newRefusalConn(tcp, l.server)
		if l.tls != nil {
			c = newRefusalConn(tls.Server(tcp, l.tls), l.server)
		}
		c.socket = tcp
		if l.server.gate.admit(c) {
			return c, nil
		}
		_ = tcp.Close() // what it could complain of is gone anyway
	}
}

// duplex is a connection whose sending side can be closed: net/http does only that after a refusal, so that it arrives.
type duplex interface {
	net.Conn
	CloseWrite() error
}

// refusalConn is a connection of a refusalListener.
type refusalConn struct {
	duplex
	server *Server
	gather gatherer

	// What the gate knows of it.
	socket io.Closer    // beneath TLS, which would wait for the client at closing
	from   netip.Prefix // the address by which it is bounded
	state  atomic.Int64 // since when it is busy or idle, and which, see turn
	knows  atomic.Bool  // whether a valid key was sent on it
}

func newRefusalConn(c duplex, s *Server) *refusalConn {
	return &refusalConn{duplex: c, server: s, gather: gatherer{to: c}}
}

// Write writes p, or a problem document if p is a refusal, which net/http writes in one call.
func (c *refusalConn) Write(p []byte) (int, error) {
	status, ok := refusal(p)
	if !ok {
		return c.gather.Write(p)
	}
	to, problem, err := c.refused(status)
	if err != nil {
		if remote := c.RemoteAddr().String(); c.server.refusals.takes(remote, "tls-handshake") {
			c.server.log.Info("TLS handshake failed", "remote", remote, "err", err)
		}
		return 0, err
	}
	requestID := rand.Text()
	c.server.traffic.refuse(status)
	if remote := c.RemoteAddr().String(); c.server.refusals.takes(remote, problem.kind.code) {
		c.server.log.Info("request refused", "request_id", requestID, "status", status, "remote", remote)
	}
	message, err := problem.message(requestID)
	if err != nil {
		return 0, err
	}
	if _, err := to.Write(message); err != nil {
		return 0, err
	}
	return len(p), nil // what net/http gave, as io.Writer wants it
}

// refused returns the problem of a refusal, and where to write it.
// What net/http takes for a request that it can't read may be a handshake that failed, which is returned as an error
// unless the client spoke HTTP instead of TLS: then it is told so in its own words.
func (c *refusalConn) refused(status int) (to net.Conn, p *problem, err error) {
	if encrypted, ok := c.duplex.(*tls.Conn); ok {
		var plain tls.RecordHeaderError
		switch err := encrypted.Handshake(); { // has happened: this is how it ended
		case errors.As(err, &plain) && plain.Conn != nil:
			return plain.Conn, &problem{kind: kindMalformed, detail: "This port speaks HTTPS: ask again with https://."}, nil
		case err != nil:
			return nil, nil, err
		}
	}
	return c.duplex, refusalProblem(status), nil
}

// refusal returns the status of the refusal p, if p is one.
func refusal(p []byte) (status int, ok bool) {
	p, isHTTP := bytes.CutPrefix(p, []byte("HTTP/1.1 "))
	if !isHTTP {
		return 0, false
	}
	line, rest, _ := bytes.Cut(p, []byte("\r\n"))
	if len(line) < 3 || !bytes.HasPrefix(rest, []byte(refusalHeader[len("\r\n"):])) {
		return 0, false
	}
	status, err := strconv.Atoi(string(line[:3]))
	return status, err == nil
}

// refusalProblem returns the problem for a request that net/http refuses with status.
func refusalProblem(status int) *problem {
	if status == http.StatusRequestHeaderFieldsTooLarge {
		return &problem{kind: kindHeaderTooLarge, detail: "The request's header is too large."}
	}
	return &problem{kind: kindMalformed, status: status, detail: "The request is not well-formed HTTP; " +
		"most often a % in the path isn't followed by two hexadecimal digits."}
}

// message returns p as a whole HTTP message that ends its connection.
func (p *problem) message(requestID string) ([]byte, error) {
	view := p.view(requestID)
	body := marshal(view)
	header := http.Header{
		"Connection":     {"close"},
		"Content-Length": {strconv.Itoa(len(body))},
		"Content-Type":   {"application/problem+json"},
		"X-Request-Id":   {requestID},
	}
	maps.Copy(header, security)
	var b bytes.Buffer
	fmt.Fprintf(&b, "HTTP/1.1 %d %s\r\n", view.Status, http.StatusText(view.Status))
	if err := header.Write(&b); err != nil {
		return nil, fmt.Errorf("api: write header: %w", err)
	}
	b.WriteString("\r\n")
	b.Write(body)
	return b.Bytes(), nil
}
