package api

import (
	"net/http"
	"strings"
	"time"
)

// The policies by which requests are limited, as the RateLimit fields call them.
const (
	policyKey     = "key"
	policyGuesses = "wrong-keys"
)

// authorize returns nil if r carries an API key, in X-API-Key or as a bearer token, that may be used for what is needed.
// The exchange then has its grant.
//
// A key in the query string is ignored, because URLs end up in logs and histories.
// A wrong key is a 403, where RFC 6750 §3.1 would have a 401, since that is what existing clients tell apart.
func (s *Server) authorize(w http.ResponseWriter, r *http.Request, needed scope) error {
	x := exchangeOf(w)
	var k *key
	var err error
	if needed == scopeEvents && r.Method != http.MethodPost { // a ticket makes no other
		k, x.ticketEnds, err = s.identifyStream(r)
	} else {
		k, err = s.identify(r)
	}
	if err != nil {
		return err
	}
	x.grant = grant{k}
	now := time.Now()
	if err := k.expired(now); err != nil {
		return err
	}
	s.gate.know(sharedConnOf(r))
	if s.requests.enter(k, s.keys.count(), 0) != granted {
		return &problem{kind: kindTooManyRequests, detail: "Too many requests are under way: wait for their answers, and ask again then.", retryAfter: time.Second}
	}
	x.request = k
	if k.limiter != nil {
		if !k.limiter.AllowN(now, 1) {
			return limited(k.limiter, policyKey, "This API key is used too often; RateLimit-Policy says how often it may be.")
		}
		warnLimit(w.Header(), k.limiter, policyKey, now)
	}
	return x.grant.need(needed)
}

// endRequest gives back the place that authorize has taken for a request, if it has.
func (s *Server) endRequest(x *exchange) {
	if x.request != nil {
		s.requests.leave(x.request.sum)
		x.request = nil
	}
}

// identify returns the key that r carries.
//
// An address that has sent too many wrong ones has to wait before it may try another.
// A key that nobody can guess passes even so: else one client with an old key would lock out all that share its address,
// as they do behind a reverse proxy.
func (s *Server) identify(r *http.Request) (*key, error) {
	const tooMany = "Too many wrong API keys came from this address."
	text := apiKey(r)
	switch {
	case text == "" && !s.allowsHost(r):
		return nil, hostProblem(r)
	case text == "":
		return nil, &problem{
			kind:   kindMissingKey,
			detail: "Send the API key in the header X-API-Key, or as Authorization: Bearer.",
			// X-API-Key is no scheme that could be named here, RFC 9110 §11.6.1 wants one that can.
			header: http.Header{"Www-Authenticate": {`Bearer realm="ppch"`}},
		}
	}
	k := s.keys.find(sumOf(text))
	switch {
	case k == nil:
		if limiter := s.guessers.of(r); !limiter.Allow() {
			return nil, limited(limiter, policyGuesses, tooMany)
		}
		return nil, errWrongKey
	case k.guessable && s.guessers.held(r):
		return nil, limited(s.guessers.of(r), policyGuesses, tooMany)
	}
	return k, nil
}

// apiKey returns the key that r carries, or "".
// X-API-Key wins, because Authorization may be meant for a proxy on the way.
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
