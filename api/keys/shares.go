package keys

import (
	"errors"
	"sync"
)

// Shares distributes a number of places, such as those for event streams, so that no key can take them all.
//
// Half of the places is divided equally among the keys and reserved for them. The other half goes to whichever key comes first.
// It is safe for concurrent use.
type Shares struct {
	places int

	// mu protects what follows.
	mu     sync.Mutex
	held   map[Sum]int
	total  int
	keys   int // the number of keys at the last divide
	own    int // places reserved for each key
	beyond int // places that keys hold in addition to their own
}

// NewShares returns Shares of that many places.
func NewShares(places int) *Shares { return &Shares{places: places, held: make(map[Sum]int)} }

// The errors of Enter.
var (
	ErrAllTaken   = errors.New("keys: all places are taken")
	ErrShareTaken = errors.New("keys: the key has taken its share of the places")
)

// Enter takes a place for k. keys is the number of keys, and most the maximum for k; 0 means no limit.
// Without a free place it returns [ErrAllTaken] or [ErrShareTaken], otherwise the caller must call Leave.
func (s *Shares) Enter(k *Key, keys, most int) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if keys != s.keys {
		s.divide(keys)
	}
	n := s.held[k.sum]
	switch {
	case s.total >= s.places:
		return ErrAllTaken
	case most > 0 && n >= most, n >= s.own && s.beyond >= s.places-s.keys*s.own:
		return ErrShareTaken
	}
	if n >= s.own {
		s.beyond++
	}
	s.held[k.sum] = n + 1
	s.total++
	return nil
}

// Leave gives back a place of k.
func (s *Shares) Leave(k *Key) {
	s.mu.Lock()
	defer s.mu.Unlock()
	n := s.held[k.sum] - 1
	if n >= s.own {
		s.beyond--
	}
	s.total--
	if s.held[k.sum] = n; n == 0 {
		delete(s.held, k.sum)
	}
}

// Taken returns how many places are held.
func (s *Shares) Taken() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.total
}

// divide divides the places among a number of keys. The caller holds mu.
func (s *Shares) divide(keys int) {
	s.keys = keys
	s.own = max(s.places/(2*keys), min(1, s.places/keys), 0)
	s.beyond = 0
	for _, n := range s.held {
		s.beyond += max(0, n-s.own)
	}
}
