package api

import (
	"net/http"
	"strings"
	"time"

	"ppch/api/keys"
)

// authorize returns nil if r has an API key, in X-API-Key or as a bearer token, with the needed scope.
// It stores the key's grant in the response.
//
// A key in the query string is ignored, because URLs end up in logs and histories.
// A wrong key is a 403 instead of the 401 of RFC 6750 §3.1, because existing clients rely on the difference.
func (s *Server) authorize(w *response, r *http.Request, needed keys.Scope) error {
	var k *keys.Key
	var err error
	if needed == keys.ScopeEvents && r.Method != http.MethodPost { // a ticket can't create another
		k, w.ticketEnds, err = s.identifyStream(r)
	} else {
		k, err = s.identify(r)
	}
	if err != nil {
		return err
	}
	w.grant = keys.Grant{Key: k}
	now := time.Now()
	if err := k.Valid(now); err != nil {
		return err
	}
	s.gate.markKnown(sharedConnOf(r))
	if s.requests.Enter(k, s.cfg.Keys.Count(), 0) != nil {
		return &problem{kind: kindTooManyRequests, detail: "Too many requests are in progress, of this API key or in total: wait for their responses, then retry.", retryAfter: time.Second}
	}
	w.request = k
	low, err := k.Use(now)
	if err != nil {
		return err
	}
	if low != nil {
		setRateLimit(w.Header(), *low)
	}
	return w.grant.Need(needed)
}

// endRequest gives back the place that authorize took for a request, if any.
func (s *Server) endRequest(w *response) {
	if w.request != nil {
		s.requests.Leave(w.request)
		w.request = nil
	}
}

// identify returns the key in r.
//
// It limits wrong keys by the address of the connection, because a client can send any X-Forwarded-For.
func (s *Server) identify(r *http.Request) (*keys.Key, error) {
	text := apiKey(r)
	switch {
	case text == "" && !s.allowsHost(r):
		return nil, hostProblem(r)
	case text == "":
		return nil, &problem{
			kind:   kindMissingKey,
			detail: "Send the API key in the header X-API-Key, or as Authorization: Bearer.",
			// RFC 9110 §11.6.1 requires a scheme; there is none for X-API-Key.
			header: http.Header{"Www-Authenticate": {`Bearer realm="ppch"`}},
		}
	}
	return s.cfg.Keys.Identify(text, origin(r.RemoteAddr))
}

// apiKey returns the key in r, or "".
// X-API-Key has priority, because Authorization may be meant for a proxy.
func apiKey(r *http.Request) string {
	if key := r.Header.Get("X-Api-Key"); key != "" {
		return key
	}
	scheme, token, _ := strings.Cut(r.Header.Get("Authorization"), " ")
	if strings.EqualFold(scheme, "Bearer") {
		return strings.TrimSpace(token)
	}
	return ""
}

// identifyStream is identify for event streams, which also accept a ticket. It also returns when the ticket expires, zero without one.
func (s *Server) identifyStream(r *http.Request) (k *keys.Key, ends time.Time, err error) {
	text := r.URL.Query().Get("ticket")
	if apiKey(r) != "" || text == "" {
		k, err = s.identify(r)
		return k, time.Time{}, err
	}
	if t, ok := s.tickets.Open(text, time.Now()); ok {
		if k := s.cfg.Keys.Find(t.Key); k != nil {
			return k, t.Expires, nil
		}
		if err := s.cfg.Keys.Unknown(); err != nil {
			return nil, time.Time{}, err
		}
	}
	return nil, time.Time{}, &problem{kind: kindWrongTicket, detail: "This ticket is invalid or has expired: get a new one from POST /api/events/ticket."}
}
