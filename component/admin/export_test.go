package admin

import (
	"context"
	"log/slog"
	"sync/atomic"

	"mellium.im/xmpp"
	"mellium.im/xmpp/jid"
)

// NewVerified returns a Session whose admin has been verified, and its work.
func NewVerified(admin jid.JID, handler xmpp.Handler) (s *Session, work func(context.Context) error) {
	a := newAccounts([]jid.JID{admin}, slog.New(slog.DiscardHandler))
	a.verified[admin.Domain().String()] = true
	s = &Session{handler: handler, accounts: a, refused: new(atomic.Uint64), queue: make(chan Stanza, queueSize)}
	return s, s.work
}
