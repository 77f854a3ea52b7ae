package api

import (
	"context"
	"net/http"
	"time"

	"mellium.im/xmpp/jid"

	"ppch/api/keys"
)

const (
	// maxWait is the longest wait of a client. Many proxies give up after 60 s.
	maxWait = 55 * time.Second

	// askAgain is how often Prosody is asked about a room whose change a client awaits, without the Lua module and its events.
	askAgain = 2 * time.Second
)

// waitParameter returns how long the client wants to wait for a change.
func waitParameter(q *query) time.Duration {
	text := q.text("wait")
	if text == "" {
		return 0
	}
	d, err := time.ParseDuration(text)
	if err != nil || d < 0 || d > maxWait {
		q.fail("wait: %q is not a duration up to %s, such as 30s", shorten(text), maxWait)
		return 0
	}
	return d
}

// awaitChange returns the summary of a room once it differs from the one that the client has, or after the wait.
// It updates the grant in w, because the key may change meanwhile.
// A waiting request counts as an event stream, because it occupies a connection too; at their limit it returns an error.
func (s *Server) awaitChange(w *response, r *http.Request, room jid.JID, g glance, as variant, wait time.Duration) (glance, error) {
	if wait == 0 || !newValidators(s.etags.room(g.RoomSummary, as), g.AsOf).matches(r) {
		return g, nil
	}
	began := time.Now()
	if err := s.hub.Enter(w.grant.Key); err != nil {
		return g, err
	}
	defer s.hub.Leave(w.grant.Key)
	s.endRequest(w)
	defer func() { w.waited = time.Since(began) }()
	// The response then has as much time as any other.
	if err := http.NewResponseController(w).SetWriteDeadline(time.Now().Add(wait + writeTimeout)); err != nil {
		return g, err
	}
	ctx, cancel := context.WithTimeout(r.Context(), wait)
	defer cancel()
	topic := s.hub.Follow(room.String())
	defer topic.Release()
	for over := false; ; {
		news, replaced := topic.Next(), s.cfg.Keys.Replaced()
		if err := s.renew(w, room); err != nil {
			return g, err
		}
		now, err := s.glanceAt(r.Context(), room)
		if err != nil || over || as.fingerprint(now.Fingerprint, now.AnonymousFingerprint) != as.fingerprint(g.Fingerprint, g.AnonymousFingerprint) {
			return now, err
		}
		var again, expired <-chan time.Time
		if now.asked != nil {
			again = time.After(askAgain)
		}
		if ends := w.grant.Key.Expires(); !ends.IsZero() {
			expired = time.After(time.Until(ends))
		}
		select {
		case <-news:
		case <-replaced:
		case <-expired:
		case <-again:
		case <-s.hub.Done():
			return now, nil
		case <-ctx.Done():
			if err := r.Context().Err(); err != nil {
				return now, err
			}
			over = true
		}
	}
}

// renew updates the grant in w, and returns an error unless it still includes a room.
func (s *Server) renew(w *response, room jid.JID) (err error) {
	if w.grant, err = s.cfg.Keys.Renew(w.grant, time.Now()); err != nil {
		return err
	}
	if !w.grant.Allows(room) {
		return keys.ErrRoomNotAllowed
	}
	return w.grant.Need(keys.ScopeCount)
}
