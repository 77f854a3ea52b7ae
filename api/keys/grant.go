package keys

import (
	"slices"
	"strings"

	"mellium.im/xmpp/jid"
)

// Scope is a set of rights of a key.
type Scope uint8

// The scopes.
const (
	ScopeCount        Scope = 1 << iota // numbers without names
	ScopeParticipants                   // names and everything else about people
	ScopeEvents                         // live changes
	ScopeMetrics                        // metrics and diagnostics of the service
	ScopeHistory                        // past meetings; names also need ScopeParticipants
	ScopeWebhooks                       // endpoints that receive events
	ScopeShare                          // the page of a share link, and nothing else
)

// scopeLive is the scope "all": everything about the present.
// It excludes history and webhooks, because they concern past meetings and other servers; a key must list them explicitly.
const scopeLive = ScopeCount | ScopeParticipants | ScopeEvents | ScopeMetrics

// scopeWords are the scopes as in a file of keys. participants includes count, because names can be counted.
var scopeWords = []struct {
	word  string
	means Scope
}{
	{"count", ScopeCount},
	{"participants", ScopeParticipants | ScopeCount},
	{"events", ScopeEvents},
	{"metrics", ScopeMetrics},
	{"history", ScopeHistory},
	{"webhooks", ScopeWebhooks},
	{"share", ScopeShare},
	{"all", scopeLive},
}

// ScopeNames returns the names of the scopes that a key can have. The scope of share links is none of them.
func ScopeNames() (names []string) {
	for _, s := range scopeWords {
		if s.means&ScopeShare == 0 {
			names = append(names, s.word)
		}
	}
	return names
}

// parseScope returns the scope for a word, or 0 for an unknown word.
func parseScope(word string) Scope {
	for _, s := range scopeWords {
		if s.word == word {
			return s.means
		}
	}
	return 0
}

// words returns the shortest list of words for s.
func (s Scope) words() (words []string) {
	var covered Scope
	for _, w := range slices.Backward(scopeWords) {
		if w.means&s == w.means && w.means&covered != w.means {
			words = append(words, w.word)
			covered |= w.means
		}
	}
	slices.Reverse(words)
	return words
}

// String returns the word for the smallest scope that includes s.
func (s Scope) String() string {
	for _, w := range scopeWords {
		if w.means&s == s {
			return w.word
		}
	}
	return ""
}

// Grant is what a request with a key may see. The zero Grant allows nothing.
//
// It is the state at the beginning of a request; a long response calls [Keyring.Renew] at intervals.
type Grant struct{ Key *Key }

// Has reports whether the grant includes all of the needed scopes.
func (g Grant) Has(needed Scope) bool { return g.Key != nil && g.Key.scopes&needed == needed }

// Need returns a [*ScopeError] if the grant lacks some of the needed scopes.
func (g Grant) Need(needed Scope) error {
	if g.Has(needed) {
		return nil
	}
	return &ScopeError{Missing: needed}
}

// HasNames reports whether responses may contain names and everything else about people.
func (g Grant) HasNames() bool { return g.Has(ScopeParticipants) }

// Limited reports whether the grant includes only some rooms.
func (g Grant) Limited() bool { return g.Key == nil || g.Key.rooms != nil }

// Allows reports whether the grant includes a room, given by its bare JID.
func (g Grant) Allows(room jid.JID) bool {
	return !g.Limited() || g.matches(room.Localpart(), room.Domainpart())
}

// AllowsAddress is Allows for a room whose JID is given as text.
func (g Grant) AllowsAddress(room string) bool {
	if !g.Limited() {
		return true
	}
	local, domain, _ := strings.Cut(room, "@")
	return g.matches(local, domain)
}

// EachRoom calls f with each pattern of the rooms that a limited grant includes: a room by its address, or with prefix
// all rooms whose localparts begin so.
func (g Grant) EachRoom(f func(local, domain string, prefix bool)) {
	if g.Key == nil {
		return
	}
	for _, p := range g.Key.rooms {
		f(p.local, p.domain, p.prefix)
	}
}

func (g Grant) matches(local, domain string) bool {
	return g.Key != nil && slices.ContainsFunc(g.Key.rooms, func(p roomPattern) bool { return p.matches(local, domain) })
}
