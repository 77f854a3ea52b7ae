package api

import (
	"context"
	"net/http"
	"net/http/httptest"
	"time"

	"github.com/gorilla/mux"
	"golang.org/x/time/rate"

	"ppch/component/occupancy"
)

// HTTP returns the server beneath s, for tests that can't wait as long as its timeouts.
// It may be changed only before Run.
func (s *Server) HTTP() *http.Server { return s.http }

// Impatient makes s drain for no longer than d, and may be called only before Run.
func (s *Server) Impatient(d time.Duration) { s.drainFor = d }

// RenewEvery has s look at its certificate so often, and may be called only before Run.
func (s *Server) RenewEvery(d time.Duration) { s.renewEvery = d }

// CloseListener makes s unable to serve.
func (s *Server) CloseListener() error { return s.listener.Close() }

// Router returns the router beneath all wrapping.
func (s *Server) Router() *mux.Router { return s.router }

// Wrap returns next inside of what every request goes through.
func (s *Server) Wrap(next http.Handler) http.Handler { return s.wrap(next) }

// TypeBase begins the type of every problem.
const TypeBase = typeBase

// UseUp lets each key be used once a minute, beginning in a minute. It may be called only before any request.
func (k *Keyring) UseUp() {
	for _, key := range *k.keys.Load() {
		key.limiter = rate.NewLimiter(rate.Every(time.Minute), 1)
		key.limiter.Allow()
	}
}

// Scopes returns the word for what each route needs, "" for nothing, by its path.
func (s *Server) Scopes() map[string]string {
	needed := map[string]string{}
	for _, route := range s.routes() {
		needed[route.path] = ""
		if route.needs != public {
			needed[route.path] = route.needs.String()
		}
	}
	return needed
}

// Find reports whether keys has a key, as a request would find out.
func (k *Keyring) Find(text string) bool { return k.find(sumOf(text)) != nil }

// Origin returns what counts as one address.
func Origin(remote string) string { return origin(remote).String() }

// Guessers returns how many addresses s remembers.
func (s *Server) Guessers() int { return s.guessers.limiters.Len() }

// MaxGuessers is how many those may be.
const MaxGuessers = maxGuessers

// Rewrite returns the keys of a file, each as the line that means it.
func Rewrite(text string, names *occupancy.Names) (lines []string, err error) {
	keys, err := parseKeys(text, names)
	for _, key := range keys {
		lines = append(lines, key.line(names))
	}
	return lines, err
}

// Authorizer returns what is done about the key of a request each time; it is not safe for concurrent use.
func (s *Server) Authorizer(key string) func() error {
	r := httptest.NewRequest(http.MethodGet, "/", nil)
	r.Header.Set("X-Api-Key", key)
	r = r.WithContext(context.WithValue(r.Context(), exchangeKey{}, &exchange{}))
	w := httptest.NewRecorder()
	return func() error { return s.authorize(w, r, scopeCount) }
}

// NewObserve returns what counts each request.
func NewObserve() func(route, method string, status int, took time.Duration) {
	return newTraffic().observe
}
