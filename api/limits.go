package api

import (
	"fmt"
	"net/http"
	"net/netip"
	"time"

	lru "github.com/hashicorp/golang-lru/v2"
	"golang.org/x/time/rate"
)

// How often an address may send keys that there aren't.
// Somebody who has mistyped one gets along with that, and a guesser gets nowhere.
const (
	guessesAtOnce = 10
	guessEvery    = 6 * time.Second

	// maxGuessers bounds how many addresses are remembered; those of whom nothing was heard for longest are forgotten.
	maxGuessers = 4096
)

// guessers remembers, for each address, how many wrong keys it may still send. It is safe for concurrent use.
//
// The address is that of the connection: X-Forwarded-For says whatever its sender likes.
// Behind a reverse proxy all clients share one, which is why keys that can't be guessed are never held off with it.
type guessers struct {
	limiters *lru.Cache[netip.Prefix, *rate.Limiter]
}

func newGuessers() (*guessers, error) {
	limiters, err := lru.New[netip.Prefix, *rate.Limiter](maxGuessers)
	return &guessers{limiters}, err
}

// of returns the limiter of the address that sent r.
func (g *guessers) of(r *http.Request) *rate.Limiter {
	whence := origin(r.RemoteAddr)
	if limiter, ok := g.limiters.Get(whence); ok {
		return limiter
	}
	limiter := rate.NewLimiter(rate.Every(guessEvery), guessesAtOnce)
	if other, ok, _ := g.limiters.PeekOrAdd(whence, limiter); ok {
		return other
	}
	return limiter
}

// origin returns what counts as one address: an IPv4 address, or an IPv6 network of 64 bits, which each host has to itself.
func origin(remote string) netip.Prefix {
	addr := addressIn(remote)
	bits := 64
	if addr.Is4() {
		bits = 32
	}
	p, _ := addr.Prefix(bits) // an address that isn't valid has a prefix that isn't either
	return p
}

// addressIn returns the address in host:port, which isn't valid if there is none.
func addressIn(remote string) netip.Addr {
	addr, _ := netip.ParseAddrPort(remote)
	return addr.Addr().Unmap().WithZone("")
}

// held reports whether the address that sent r has sent too many wrong keys.
func (g *guessers) held(r *http.Request) bool {
	limiter, ok := g.limiters.Get(origin(r.RemoteAddr))
	return ok && limiter.Tokens() < 1
}

// limited returns the problem of whoever has to wait for the limiter.
func limited(limiter *rate.Limiter, policy, detail string) *problem {
	missing := 1 - limiter.Tokens()
	wait := max(time.Second, time.Duration(missing/float64(limiter.Limit())*float64(time.Second)))
	p := &problem{kind: kindRateLimited, detail: detail, header: http.Header{}, retryAfter: wait}
	tellLimit(p.header, limiter, policy, 0, wait)
	return p
}

// warnLimit tells a client in the header that most of what the limiter lets pass at once has been used up.
// As long as there is plenty, nothing is told and nothing spent on it, which §6.1 of the draft has in mind.
func warnLimit(h http.Header, limiter *rate.Limiter, policy string, now time.Time) {
	left := max(0, limiter.TokensAt(now))
	if most := float64(limiter.Burst()); left < most/2 {
		untilAll := time.Duration((most - left) / float64(limiter.Limit()) * float64(time.Second))
		tellLimit(h, limiter, policy, int(left), untilAll)
	}
}

// tellLimit sets the two fields of draft-ietf-httpapi-ratelimit-headers-10: how many requests the limiter lets pass
// in how many seconds, how many of them are left, and when there will be more.
//
// The three fields of drafts up to 06, RateLimit-Limit, -Remaining and -Reset, can't name what they limit,
// and clients disagree on whether the last one is a time or a number of seconds.
// What every client understands is Retry-After.
func tellLimit(h http.Header, limiter *rate.Limiter, policy string, left int, wait time.Duration) {
	window := float64(limiter.Burst()) / float64(limiter.Limit())
	h.Set("RateLimit-Policy", fmt.Sprintf(`"%s";q=%d;w=%.0f`, policy, limiter.Burst(), window))
	h.Set("RateLimit", fmt.Sprintf(`"%s";r=%d;t=%d`, policy, left, seconds(wait)))
}
