package admin

import (
	"context"
	"encoding/xml"
	"errors"
	"sync/atomic"

	"golang.org/x/sync/errgroup"
	"mellium.im/xmpp"
	"mellium.im/xmpp/jid"
)

// queueSize is how many stanzas of admins may wait to be answered.
const queueSize = 256

var errQueueFull = errors.New("admin: too many stanzas of admins")

// Stanza is a well-formed stanza that came over a stream.
type Stanza interface {
	// Name returns iq, message or presence, and Attr an attribute.
	Name() string
	Attr(name string) string

	// Asks reports whether it must be answered.
	Asks() bool

	// Decode decodes the payload.
	Decode(v any) error

	// Answer has a handler answer the stanza and sends what it wrote.
	Answer(context.Context, xmpp.Handler)
}

// Stream is a stream to Prosody.
type Stream interface {
	// Send sends a stanza. Its error means that the stream is over, or that the stanza was refused.
	Send(context.Context, []xml.Token) error

	// Write sends stanzas in one go. Its error means that the stream is over.
	Write(stanzas ...xml.TokenReader) error

	// Reachable asks a client whether it is there. An error means that this isn't known.
	Reachable(context.Context, jid.JID) (bool, error)
}

// Session serves the admins of one stream.
// The read loop must neither ask a question nor send, so what admins send waits in a queue for Run to answer it.
type Session struct {
	handler  xmpp.Handler
	notify   func(context.Context, Stream) error
	accounts *accounts
	refused  *atomic.Uint64
	probe    hostProbe
	queue    chan Stanza
}

// NewSession returns the Session of a new stream, which has verified no account yet. The earlier one must have ended.
func (h *Handler) NewSession() *Session {
	h.accounts.reset()
	return &Session{
		handler: h, notify: h.notify, accounts: h.accounts, refused: &h.refused,
		probe: hostProbe{own: h.Domain}, queue: make(chan Stanza, queueSize),
	}
}

// Observe takes the stanzas of admins, and those that a probe waits for. It is for the read loop and never blocks.
// It returns an error for a stanza that finds no room in the queue.
func (s *Session) Observe(in Stanza) (taken bool, err error) {
	if s.probe.sees(in) {
		return true, nil
	}
	if in.Name() == "iq" && !in.Asks() || !s.accounts.has(in.Attr("from")) {
		return false, nil
	}
	select {
	case s.queue <- in:
		return true, nil
	default:
		s.refused.Add(1)
		return true, errQueueFull
	}
}

// Run verifies accounts, answers admins and reports joins and leaves to those who watch, until ctx ends, which returns nil.
func (s *Session) Run(ctx context.Context, stream Stream) error {
	g, ctx := errgroup.WithContext(ctx)
	g.Go(func() error { return s.work(ctx) })
	g.Go(func() error {
		return s.accounts.verify(ctx, func(ctx context.Context, d jid.JID) (bool, error) { return s.probe.isLocal(ctx, stream, d) })
	})
	g.Go(func() error { return s.notify(ctx, stream) })
	return g.Wait()
}

// work answers what is in the queue until ctx ends, which returns nil.
func (s *Session) work(ctx context.Context) error {
	for {
		select {
		case <-ctx.Done():
			return nil
		case in := <-s.queue:
			in.Answer(ctx, s.handler)
		}
	}
}
