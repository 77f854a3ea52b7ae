// Package componenttest has a scripted XEP-0114 server, for tests of behaviour that a real Prosody doesn't show on demand,
// or only after minutes: silence at the handshake, broken streams, half an hour of refusals.
// It also has hostile stanzas, as clients send them and as Prosody forwards them.
//
// The server works over net.Pipe, so inside a testing/synctest bubble its time is virtual.
// It doesn't replace tests with a real Prosody: see package prosodytest.
package componenttest

import (
	"bufio"
	"context"
	"crypto/sha1" // #nosec G505 -- XEP-0114 knows no other hash
	"encoding/xml"
	"fmt"
	"io"
	"net"
	"strings"
	"sync"
)

// Script plays the server's part of one connection. The connection is closed when it returns.
// Its error states a fault of the component; Server.Wait returns it.
type Script func(c *Conn) error

// Server runs one Script for each connection, and the last Script for all further ones.
type Server struct {
	secret  string
	scripts []Script

	running sync.WaitGroup

	// mu protects what follows.
	mu    sync.Mutex
	dials int
	err   error
}

// New returns a Server whose first connection runs the first script, and so on.
func New(secret string, scripts ...Script) *Server {
	return &Server{secret: secret, scripts: scripts}
}

// Dial opens a connection to the server. Its signature is that of net.Dialer.DialContext.
func (s *Server) Dial(context.Context, string, string) (net.Conn, error) {
	ours, theirs := net.Pipe()
	s.mu.Lock()
	script := s.scripts[min(s.dials, len(s.scripts)-1)]
	s.dials++
	s.mu.Unlock()
	s.running.Go(func() {
		defer ours.Close()
		c := &Conn{net: ours, secret: s.secret, d: xml.NewDecoder(bufio.NewReader(ours)), running: &s.running}
		if err := script(c); err != nil {
			s.mu.Lock()
			defer s.mu.Unlock()
			if s.err == nil {
				s.err = err
			}
		}
	})
	return theirs, nil
}

// Dials returns the number of connections so far.
func (s *Server) Dials() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.dials
}

// Wait waits for all scripts to end and returns the first error of one.
func (s *Server) Wait() error {
	s.running.Wait()
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.err
}

// Conn is the server's end of one connection.
type Conn struct {
	net    net.Conn
	secret string
	d      *xml.Decoder

	running *sync.WaitGroup
}

// Stanza is a stanza from the component.
type Stanza struct {
	XMLName xml.Name
	From    string `xml:"from,attr"`
	To      string `xml:"to,attr"`
	ID      string `xml:"id,attr"`
	Type    string `xml:"type,attr"`
	Inner   string `xml:",innerxml"`
}

const header = `<?xml version='1.0'?><stream:stream xmlns:stream='http://etherx.jabber.org/streams' xmlns='jabber:component:accept' id='%s' from='%s'>`

// Open reads the component's stream header and answers it.
func (c *Conn) Open(id string) (domain string, err error) {
	start, err := c.next()
	if err != nil {
		return "", err
	}
	if start.Name.Local != "stream" {
		return "", fmt.Errorf("componenttest: stream begins with <%s>", start.Name.Local)
	}
	for _, a := range start.Attr {
		if a.Name.Local == "to" {
			domain = a.Value
		}
	}
	return domain, c.Send(header, id, domain)
}

// Handshake opens the stream and checks the secret.
func (c *Conn) Handshake() error {
	const id = "stream-1"
	if _, err := c.Open(id); err != nil {
		return err
	}
	start, err := c.next()
	if err != nil {
		return err
	}
	var got string
	if err := c.d.DecodeElement(&got, &start); err != nil {
		return fmt.Errorf("componenttest: handshake: %w", err)
	}
	if want := fmt.Sprintf("%x", sha1.Sum([]byte(id+c.secret))); got != want { // #nosec G401 -- as above
		return fmt.Errorf("componenttest: handshake got %s want %s", got, want)
	}
	return c.Send("<handshake/>")
}

// Send writes XML.
func (c *Conn) Send(format string, args ...any) error {
	_, err := fmt.Fprintf(c.net, format, args...)
	return err
}

// Fail ends the stream with a stream error (RFC 6120 §4.9.3), written as Prosody writes it.
// The script should return then.
func (c *Conn) Fail(condition string) error {
	// A pipe has no buffer for what the component is just writing, unlike TCP.
	c.running.Go(func() { _ = c.Drain() })
	return c.Send("<stream:error><%s xmlns='urn:ietf:params:xml:ns:xmpp-streams'/></stream:error></stream:stream>", condition)
}

// Receive reads the next stanza. It is as strict as Prosody 13:
// a stanza without from or to is an error, and so is one without an id.
func (c *Conn) Receive() (Stanza, error) {
	start, err := c.next()
	if err != nil {
		return Stanza{}, err
	}
	var s Stanza
	if err := c.d.DecodeElement(&s, &start); err != nil {
		return Stanza{}, err
	}
	if s.From == "" || s.To == "" || s.ID == "" {
		return Stanza{}, fmt.Errorf("componenttest: stanza without from, to or id: %+v", s)
	}
	return s, nil
}

// Serve answers the component's questions until the stream ends.
// It returns stanzas from the component to itself, as Prosody does, and passes the others to reply,
// which returns the payload of a result, or of an error if it begins with <error.
func (c *Conn) Serve(reply func(Stanza) string) error {
	for {
		s, err := c.Receive()
		if err != nil {
			// The component closed the connection, or the test ended; faults of the component are other errors.
			if strings.HasPrefix(err.Error(), "componenttest:") {
				return err
			}
			return nil
		}
		switch {
		case s.To == s.From:
			err = c.Send("<%s type='%s' id='%s' from='%s' to='%s'>%s</%[1]s>", s.XMLName.Local, s.Type, s.ID, s.From, s.To, s.Inner)
		case s.Type == "get", s.Type == "set":
			inner, typ := reply(s), "result"
			if strings.HasPrefix(inner, "<error") {
				typ = "error"
			}
			err = c.Send("<iq type='%s' id='%s' from='%s' to='%s'>%s</iq>", typ, s.ID, s.To, s.From, inner)
		default:
			reply(s)
		}
		if err != nil {
			return nil
		}
	}
}

// Drain discards input until the connection ends, like a peer that never answers.
func (c *Conn) Drain() error {
	_, err := io.Copy(io.Discard, c.net)
	return err
}

// next reads the next start element; the end of the connection is an io error.
func (c *Conn) next() (xml.StartElement, error) {
	for {
		tok, err := c.d.Token()
		if err != nil {
			return xml.StartElement{}, err
		}
		switch tok := tok.(type) {
		case xml.StartElement:
			return tok, nil
		case xml.EndElement:
			return xml.StartElement{}, io.EOF
		}
	}
}
