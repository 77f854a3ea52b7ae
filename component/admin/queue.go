package admin

import (
	"context"
	"encoding/xml"
	"errors"

	"golang.org/x/sync/errgroup"
	"mellium.im/xmpp"
	"mellium.im/xmpp/jid"
)

// queueSize is how many stanzas of admins may wait to be answered.
const queueSize = 256

var errQueueFull = errors.New("admin: too many stanzas of admins")

// Stanza is a well-formed incoming stanza.
type Stanza interface {
	// Name returns iq, message or presence, and Attr an attribute.
	Name() string
	Attr(name string) string

	// Asks reports whether it requires an answer.
	Asks() bool

	// Decode decodes the payload.
	Decode(v any) error

	// Answer calls a handler and sends what it writes.
	Answer(context.Context, xmpp.Handler)
}

// Stream is a stream to Prosody.
type Stream interface {
	// Send sends a stanza. An error means that the stream has ended, or that the stanza is invalid.
	Send(context.Context, []xml.Token) error

	// Write sends stanzas in one go. An error means that the stream has ended.
	Write(stanzas ...xml.TokenReader) error

	// Reachable reports whether a client is online. An error means that this is unknown.
	Reachable(context.Context, jid.JID) (bool, error)
}

// Session serves the admins of one stream.
// The read loop must neither ask questions nor send, so stanzas wait in a queue for Run to answer them.
type Session struct {
	h        *Handler
	answer   xmpp.Handler // the Handler, except in tests
	accounts *accounts
	probe    hostProbe
	queue    chan Stanza
}

// NewSession returns the Session of a new stream, which has verified no account yet.
func (h *Handler) NewSession() *Session {
	return &Session{
		h: h, answer: h, accounts: newAccounts(h.Config.Accounts, h.Log),
		probe: hostProbe{own: h.Domain}, queue: make(chan Stanza, queueSize),
	}
}

// Observe takes the stanzas of admins, and those that a probe waits for. It is for the read loop and never blocks.
// It returns an error if the queue is full.
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
		s.h.refused.Add(1)
		return true, errQueueFull
	}
}

// Run verifies accounts, answers admins and reports joins and leaves to watchers, until ctx ends, then returns nil.
func (s *Session) Run(ctx context.Context, stream Stream) error {
	s.h.accounts.Store(s.accounts)
	g, ctx := errgroup.WithContext(ctx)
	g.Go(func() error { return s.work(ctx) })
	g.Go(func() error {
		return s.accounts.verify(ctx, func(ctx context.Context, d jid.JID) (bool, error) { return s.probe.isLocal(ctx, stream, d) })
	})
	g.Go(func() error { return s.h.notify(ctx, stream) })
	return g.Wait()
}

// work answers the stanzas in the queue until ctx ends, then returns nil.
func (s *Session) work(ctx context.Context) error {
	for {
		select {
		case <-ctx.Done():
			return nil
		case in := <-s.queue:
			in.Answer(ctx, s.answer)
		}
	}
}
