package keys

import (
	"errors"
	"sync"
)

// Shares are places, such as those for event streams, of which no key can take so many that others find none.
//
// Half of them is divided equally among the keys, and each key's part is kept for it. The other half goes to the key that asks first.
// It is safe for concurrent use.
type Shares struct {
	places int

	// mu protects what follows.
	mu     sync.Mutex
	held   map[Sum]int
	total  int
	keys   int // for which own and beyond were counted
	own    int // places that are kept for each key
	beyond int // places that keys hold beyond their own
}

// NewShares returns a number of places that keys share.
func NewShares(places int) *Shares { return &Shares{places: places, held: make(map[Sum]int)} }

// Why there is no place for a key.
var (
	ErrAllTaken   = errors.New("keys: all places are taken")
	ErrShareTaken = errors.New("keys: the key has taken its share of the places")
)

// Enter takes a place for k, which is one of a number of keys and may hold at most that many places; 0 is no limit.
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
