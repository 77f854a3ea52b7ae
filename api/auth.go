package api

import (
	"crypto/sha256"
	"crypto/subtle"
	"net/http"
	"strings"
)

// authorize returns nil if r carries the API key, in X-API-Key or as a bearer token.
//
// A key in the query string is ignored, because URLs end up in logs and histories.
// A wrong key is a 403, where RFC 6750 §3.1 would have a 401, since that is what existing clients tell apart.
func (s *Server) authorize(r *http.Request) error {
	key := apiKey(r)
	if key == "" {
		return &problem{
			kind:   kindMissingKey,
			detail: "Send the API key in the header X-API-Key, or as Authorization: Bearer.",
			// X-API-Key is no scheme that could be named here, RFC 9110 §11.6.1 wants one that can.
			header: http.Header{"Www-Authenticate": {`Bearer realm="ppch"`}},
		}
	}
	// Sums are of equal length, so that not even the key's length shows in the time that this takes.
	sum := sha256.Sum256([]byte(key))
	if subtle.ConstantTimeCompare(sum[:], s.key[:]) != 1 {
		return &problem{kind: kindWrongKey, detail: "This is not the API key."}
	}
	return nil
}

// apiKey returns the key that r carries, or "".
// X-API-Key wins, because Authorization may be meant for a proxy on the way.
func apiKey(r *http.Request) string {
	if key := r.Header.Get("X-API-Key"); key != "" {
		return key
	}
	scheme, token, _ := strings.Cut(r.Header.Get("Authorization"), " ")
	if strings.EqualFold(scheme, "Bearer") {
		return strings.TrimSpace(token)
	}
	return ""
}
