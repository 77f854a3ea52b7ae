package api

import (
	"crypto/sha256"
	"fmt"
	"slices"
	"strings"
	"time"

	"golang.org/x/time/rate"
	"mellium.im/xmpp/jid"
)

// scope is a set of things that a key may be used for.
type scope uint8

const (
	scopeCount        scope = 1 << iota // numbers, without a name
	scopeParticipants                   // the names of people, and whatever else is told of each
	scopeEvents                         // changes as they happen
	scopeMetrics                        // what the service tells of itself, in numbers and otherwise

	// public is what a route needs that asks for no key.
	public scope = 0
)

// scopeWords are the scopes as people write them.
// Whoever may know names may know how many there are, so participants includes count.
var scopeWords = []struct {
	word  string
	means scope
}{
	{"count", scopeCount},
	{"participants", scopeParticipants | scopeCount},
	{"events", scopeEvents},
	{"metrics", scopeMetrics},
	{"all", scopeCount | scopeParticipants | scopeEvents | scopeMetrics},
}

// scopeOf returns the scope for a word, 0 if there is none.
func scopeOf(word string) scope {
	for _, s := range scopeWords {
		if s.word == word {
			return s.means
		}
	}
	return 0
}

// words returns the fewest words that mean s together.
func (s scope) words() (words []string) {
	var said scope
	for _, w := range slices.Backward(scopeWords) {
		if w.means&s == w.means && w.means&said != w.means {
			words = append(words, w.word)
			said |= w.means
		}
	}
	slices.Reverse(words)
	return words
}

// String returns the first word that has all of s: for what a route needs, the least that will do.
func (s scope) String() string {
	for _, w := range scopeWords {
		if w.means&s == s {
			return w.word
		}
	}
	return ""
}

// keySum is the SHA-256 of a key. Nothing else of a key is kept.
type keySum [sha256.Size]byte

// key is one API key. It never changes, but for its limiter.
type key struct {
	name    string // for the log
	sum     keySum
	scopes  scope
	rooms   []roomPattern // nil: every room
	expires time.Time     // zero: never
	streams int           // that may be open at a time, and requests that wait; 0: no limit but the key's share

	// guessable is whether the key is so short that somebody might hit on it.
	guessable bool

	// limiter bounds how often the key is used; nil doesn't.
	limiter *rate.Limiter
}

// expired returns an error if the key has expired.
func (k *key) expired(now time.Time) error {
	if k.expires.IsZero() || now.Before(k.expires) {
		return nil
	}
	return &problem{kind: kindKeyExpired, detail: fmt.Sprintf("This API key was good until %s; ask for a new one.", k.expires.UTC().Format(time.RFC3339))}
}

// grant is what a request may see, which its key decides. The zero grant, of a request without key, allows nothing.
//
// It is that of the beginning of a request: an answer that lasts has [Keyring.renew] look what has become of it.
type grant struct{ key *key }

// allows reports whether the grant has all of the scopes that are needed.
func (g grant) allows(needed scope) bool { return g.key != nil && g.key.scopes&needed == needed }

// need returns an error if the grant lacks some of the scopes that are needed.
func (g grant) need(needed scope) error {
	if g.allows(needed) {
		return nil
	}
	return &problem{kind: kindScopeMissing, detail: fmt.Sprintf("This API key lacks the scope %q.", needed)}
}

// names reports whether people's names may be told, and what else is known of each of them.
func (g grant) names() bool { return g.allows(scopeParticipants) }

// limited reports whether the grant is for some rooms only.
func (g grant) limited() bool { return g.key == nil || g.key.rooms != nil }

// sees reports whether anything may be told of a room, given by its bare JID.
func (g grant) sees(room jid.JID) bool {
	return !g.limited() || g.matches(room.Localpart(), room.Domainpart())
}

// seesAddress is sees for a room whose JID is given as text.
func (g grant) seesAddress(room string) bool {
	if !g.limited() {
		return true
	}
	local, domain, _ := strings.Cut(room, "@")
	return g.matches(local, domain)
}

func (g grant) matches(local, domain string) bool {
	return g.key != nil && slices.ContainsFunc(g.key.rooms, func(p roomPattern) bool { return p.matches(local, domain) })
}

// errWrongKey is the error of a key that isn't one of this service, or was withdrawn.
var errWrongKey = &problem{kind: kindWrongKey, detail: "This is not an API key of this service."}

// errRoomNotAllowed doesn't say whether there is such a room, and comes before that is looked up.
var errRoomNotAllowed = &problem{kind: kindRoomNotAllowed, detail: "This API key is limited to other rooms."}
