package keys

import (
	"crypto/sha256"
	"errors"
	"fmt"
	"time"

	"golang.org/x/time/rate"
)

// Sum is the SHA-256 of a key. The service stores nothing else of a key.
type Sum [sha256.Size]byte

// SumOf returns the sum of a key as a client sends it.
func SumOf(text string) Sum {
	var b [64]byte // so that a key of usual length isn't copied to the heap
	return sha256.Sum256(append(b[:0], text...))
}

// Key is one API key. It never changes, except for its rate limiter, and is safe for concurrent use.
type Key struct {
	name    string
	sum     Sum
	scopes  Scope
	rooms   []roomPattern // nil: every room
	expires time.Time     // zero: never
	streams int           // 0: no limit but the key's share

	// guessable is whether the key is short enough to be found by guessing.
	guessable bool

	// limiter limits how often the key is used; nil means no limit.
	limiter *rate.Limiter
}

// Name returns the name of the key for the log.
func (k *Key) Name() string { return k.name }

// Sum returns the sum of the key.
func (k *Key) Sum() Sum { return k.sum }

// Expires returns when the key expires, or the zero time.
func (k *Key) Expires() time.Time { return k.expires }

// MaxStreams returns how many event streams and waiting requests may be open at a time. 0 means no limit but the key's share.
func (k *Key) MaxStreams() int { return k.streams }

// Valid returns an [*ExpiredError] if the key has expired.
func (k *Key) Valid(now time.Time) error {
	if k.expires.IsZero() || now.Before(k.expires) {
		return nil
	}
	return &ExpiredError{At: k.expires}
}

// Use counts a request. It returns a [*RateLimitError] if the key has used up its quota.
// If less than half of the quota is left, it returns the rest, otherwise nil.
func (k *Key) Use(now time.Time) (*Quota, error) {
	if k.limiter == nil {
		return nil, nil
	}
	if !k.limiter.AllowN(now, 1) {
		return nil, exceeded(k.limiter, PolicyKey)
	}
	return lowQuota(k.limiter, PolicyKey, now), nil
}

// ErrWrongKey is the error of an unknown or removed key.
var ErrWrongKey = errors.New("keys: not an API key of this service")

// ErrRoomNotAllowed is the error of a room that a key doesn't include. It is returned before the room is looked up,
// so that it doesn't reveal whether the room exists.
var ErrRoomNotAllowed = errors.New("keys: the API key is limited to other rooms")

// ExpiredError is the error of a key that has expired.
type ExpiredError struct{ At time.Time }

func (e *ExpiredError) Error() string {
	return "keys: the API key expired at " + e.At.UTC().Format(time.RFC3339)
}

// ScopeError is the error of a key that lacks a scope.
type ScopeError struct{ Missing Scope }

func (e *ScopeError) Error() string {
	return fmt.Sprintf("keys: the API key lacks the scope %q", e.Missing)
}
