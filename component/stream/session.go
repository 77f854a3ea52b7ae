package stream

import (
	"cmp"
	"context"
	"crypto/rand"
	"encoding/xml"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"time"

	"golang.org/x/sync/errgroup"
	"mellium.im/xmlstream"
	"mellium.im/xmpp"
	xcomponent "mellium.im/xmpp/component"
	"mellium.im/xmpp/jid"
	"mellium.im/xmpp/ping"
	"mellium.im/xmpp/stanza"
)

// The clock of a session.
const (
	handshakeTimeout = 10 * time.Second
	writeTimeout     = 10 * time.Second
	pingEvery        = 15 * time.Second // with pingTimeout: finds a half-open connection within 35 s
	pingTimeout      = 20 * time.Second
	goodbyeTimeout   = time.Second // to close the stream
)

// maxReply bounds one answer, in XML tokens: a list has three for each of up to 100,000 rooms.
const maxReply = 1 << 20

var pingStart = xml.StartElement{Name: xml.Name{Space: ping.NS, Local: "ping"}}

// ErrUnresponsive ends a session when Prosody, though connected, stops answering.
var ErrUnresponsive = errors.New("stream: Prosody did not answer a ping in time")

var (
	errStreamClosed = errors.New("stream: Prosody closed the stream")
	errReplyTooLong = errors.New("stream: answer too long")
)

// Config configures a Session. All fields but Observe and Answered are required.
type Config struct {
	// Domain is the component's own JID, and Secret the component_secret of XEP-0114 §3, which is never logged.
	Domain jid.JID
	Secret string

	Log *slog.Logger

	// Handler handles all stanzas but answers. It runs on the read loop: it must not block, nor send through the Session.
	Handler xmpp.Handler

	// Observe gets each well-formed stanza before Handler, on the read loop as well, and may take it: then it also answers.
	// An error refuses a question by resource-constraint.
	Observe func(*Stanza) (taken bool, err error)

	// Answered is called after each answer of Prosody to a question.
	Answered func()
}

// Session is one established component stream and the only user of *xmpp.Session.
// It has ended once Run returns; questions then fail, and pending ones with it, with the cause.
// All methods are safe for concurrent use.
type Session struct {
	cfg  Config
	conn *conn
	xmpp *xmpp.Session

	// ctx ends with the session; its cause is why.
	ctx context.Context
	end context.CancelCauseFunc
}

// Open opens a stream on a new connection, which it closes if that fails.
// It takes at most handshakeTimeout, and ends early with ctx.
func Open(ctx context.Context, c net.Conn, cfg Config) (*Session, error) {
	// mellium's own handling of ctx does not bound a handshake: a silent server would block us forever.
	stop := context.AfterFunc(ctx, func() { _ = c.Close() })
	defer stop()
	if err := c.SetDeadline(time.Now().Add(handshakeTimeout)); err != nil {
		return nil, errors.Join(err, c.Close())
	}
	wrapped := newConn(c, writeTimeout)
	x, err := xcomponent.NewSession(context.WithoutCancel(ctx), cfg.Domain, []byte(cfg.Secret), wrapped)
	if err == nil {
		err = c.SetDeadline(time.Time{})
	}
	if err != nil {
		_ = c.Close()
		return nil, fmt.Errorf("stream: handshake: %w", err)
	}
	s := &Session{cfg: cfg, conn: wrapped, xmpp: x}
	s.ctx, s.end = context.WithCancelCause(context.WithoutCancel(ctx))
	return s, nil
}

// Context returns a context that ends with the session; its cause is why.
func (s *Session) Context() context.Context { return s.ctx }

// Run serves the stream until it ends, and returns why, or until ctx ends, and returns nil.
// The work runs at the same time and must return when its context ends; its first error ends the stream.
func (s *Session) Run(ctx context.Context, work ...func(context.Context) error) error {
	g, gctx := errgroup.WithContext(ctx)
	g.Go(s.serve)
	g.Go(func() error { return s.stayAlive(gctx) })
	for _, w := range work {
		g.Go(func() error { return w(gctx) })
	}
	stop := context.AfterFunc(gctx, s.close)
	err := g.Wait()
	if stop() {
		s.close()
	}
	if ctx.Err() != nil {
		return nil
	}
	return err
}

// serve reads the stream until it ends. It always returns an error, so that the errgroup ends everything else.
func (s *Session) serve() error {
	defer s.conn.Close()
	err := s.xmpp.Serve(&guard{Config: s.cfg, own: s.cfg.Domain.String(), session: s})
	switch failed := s.conn.writeError(); {
	case err == nil && failed == nil:
		// mellium returns nil both for the end of the stream and for that of the connection.
		err = errStreamClosed
	case err == nil, errors.Is(err, net.ErrClosed):
		err = cmp.Or(failed, err)
	}
	s.end(err)
	return err
}

// close closes the stream, and the socket if that takes longer than goodbyeTimeout.
func (s *Session) close() {
	s.conn.shortenDeadline(goodbyeTimeout)
	if err := s.xmpp.Close(); err != nil {
		_ = s.conn.Close()
	}
}

// stayAlive pings our own address, which shows that Prosody still routes our stanzas.
// TCP alone takes many minutes to notice that a peer vanished.
func (s *Session) stayAlive(ctx context.Context) error {
	tick := time.NewTicker(pingEvery)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return nil
		case <-tick.C:
		}
		pingCtx, cancel := context.WithTimeout(ctx, pingTimeout)
		err := s.Ask(pingCtx, stanza.GetIQ, s.cfg.Domain, xmlstream.Wrap(nil, pingStart), nil)
		cancel()
		if err != nil && ctx.Err() == nil {
			s.end(ErrUnresponsive)
			return ErrUnresponsive
		}
	}
}

// Ask sends an IQ of type get or set and calls read to decode the payload of the answer.
// read must not block, since the read loop waits for it. An answer of type error is returned as a stanza.Error.
// With a nil read any answer is a success, even an error: it proves that Prosody is alive.
//
// ctx bounds the wait for the answer only; writing has its own bound.
func (s *Session) Ask(ctx context.Context, typ stanza.IQType, to jid.JID, payload xml.TokenReader, read func(*xml.Decoder) error) error {
	iq := stanza.IQ{
		// Jitsi's domain mapper keys a table by the bare stanza id, and mellium matches answers by id alone:
		// an id must be unique and unguessable.
		ID:   rand.Text(),
		Type: typ,
		To:   to,
		From: s.cfg.Domain, // without it, Prosody 13 ends the stream
	}
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	defer context.AfterFunc(s.ctx, func() { cancel(context.Cause(s.ctx)) })()

	answer, err := s.xmpp.SendIQElement(ctx, payload, iq)
	if err != nil {
		if ctx.Err() != nil {
			return context.Cause(ctx)
		}
		// The failure may have left half a stanza on the stream.
		s.end(err)
		_ = s.conn.Close()
		return err
	}
	if s.cfg.Answered != nil {
		s.cfg.Answered()
	}
	return s.decode(answer, read)
}

// decode reads one answer and closes it; the read loop waits until then.
func (s *Session) decode(answer xmlstream.TokenReadCloser, read func(*xml.Decoder) error) error {
	defer answer.Close()
	if read == nil {
		return nil
	}
	d := xml.NewTokenDecoder(&counted{r: answer, left: maxReply, progress: s.conn.progress})
	tok, err := d.Token()
	if err != nil {
		return fmt.Errorf("stream: answer: %w", err)
	}
	start, ok := tok.(xml.StartElement)
	if !ok {
		return fmt.Errorf("stream: answer begins with %T", tok)
	}
	if typ := attribute(start, "type"); typ == string(stanza.ErrorIQ) {
		condition, err := stanza.UnmarshalError(d)
		if err != nil {
			return fmt.Errorf("stream: error answer: %w", err)
		}
		return condition
	}
	return read(d)
}

// counted is a token reader that fails after too many tokens.
type counted struct {
	r        xml.TokenReader
	left     int
	progress func()
}

func (c *counted) Token() (xml.Token, error) {
	c.progress()
	if c.left--; c.left < 0 {
		return nil, errReplyTooLong
	}
	return c.r.Token()
}
