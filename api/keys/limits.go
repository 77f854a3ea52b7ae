package keys

import (
	"fmt"
	"net/netip"
	"time"

	lru "github.com/hashicorp/golang-lru/v2"
	"golang.org/x/time/rate"
)

// The policies of rate limits.
const (
	PolicyKey       = "key"        // how often a key is used
	PolicyWrongKeys = "wrong-keys" // how often an address sends a wrong key
)

// How often an address may send a wrong key: enough for typing mistakes, too rarely for guessing.
const (
	guessesAtOnce = 10
	guessEvery    = 6 * time.Second

	// maxGuessers is the maximum number of addresses to remember; the least recently used is dropped first.
	maxGuessers = 4096
)

// Quota is how much of a rate limit is left.
type Quota struct {
	Policy string

	// Limit is how many requests are allowed in each Window.
	Limit  int
	Window time.Duration

	// Left is how many of them are left, and Reset when there will be more.
	Left  int
	Reset time.Duration
}

// RateLimitError is the error of a client that must wait for Reset.
type RateLimitError struct{ Quota }

func (e *RateLimitError) Error() string {
	return fmt.Sprintf("keys: rate limit %s of %d requests in %s exceeded: retry in %s", e.Policy, e.Limit, e.Window, e.Reset)
}

func quotaOf(limiter *rate.Limiter, policy string, left int, reset time.Duration) Quota {
	window := float64(limiter.Burst()) / float64(limiter.Limit())
	return Quota{Policy: policy, Limit: limiter.Burst(), Window: time.Duration(window * float64(time.Second)), Left: left, Reset: reset}
}

// exceeded returns the error of a client that must wait for the limiter.
func exceeded(limiter *rate.Limiter, policy string) error {
	missing := 1 - limiter.Tokens()
	wait := max(time.Second, time.Duration(missing/float64(limiter.Limit())*float64(time.Second)))
	return &RateLimitError{quotaOf(limiter, policy, 0, wait)}
}

// lowQuota returns the rest of a limit, or nil if at least half is left.
func lowQuota(limiter *rate.Limiter, policy string, now time.Time) *Quota {
	left := max(0, limiter.TokensAt(now))
	most := float64(limiter.Burst())
	if left >= most/2 {
		return nil
	}
	q := quotaOf(limiter, policy, int(left), time.Duration((most-left)/float64(limiter.Limit())*float64(time.Second)))
	return &q
}

// wrongKeyLimiter limits the wrong keys of each address. It is safe for concurrent use.
//
// The address must be that of the connection, because a client can send any X-Forwarded-For.
// Behind a reverse proxy all clients share one address, so it never blocks a key that is too long to be guessed.
type wrongKeyLimiter struct {
	limiters *lru.Cache[netip.Prefix, *rate.Limiter]
}

func newWrongKeyLimiter() (*wrongKeyLimiter, error) {
	limiters, err := lru.New[netip.Prefix, *rate.Limiter](maxGuessers)
	return &wrongKeyLimiter{limiters}, err
}

// of returns the limiter of an address.
func (g *wrongKeyLimiter) of(from netip.Prefix) *rate.Limiter {
	if limiter, ok := g.limiters.Get(from); ok {
		return limiter
	}
	limiter := rate.NewLimiter(rate.Every(guessEvery), guessesAtOnce)
	if other, ok, _ := g.limiters.PeekOrAdd(from, limiter); ok {
		return other
	}
	return limiter
}

// blocked reports whether an address has sent too many wrong keys.
func (g *wrongKeyLimiter) blocked(from netip.Prefix) bool {
	limiter, ok := g.limiters.Get(from)
	return ok && limiter.Tokens() < 1
}
