package api

import "sync"

// shares are places, such as those for event streams, of which no key can take so many that others find none.
//
// Half of them is divided equally among the keys, and each key's part is kept for it. The other half goes to whichever key asks first.
// It is safe for concurrent use.
type shares struct {
	places int

	// mu protects what follows.
	mu     sync.Mutex
	held   map[keySum]int
	total  int
	keys   int // for which own and beyond were counted
	own    int // places that are kept for each key
	beyond int // places that keys hold beyond their own
}

func newShares(places int) *shares { return &shares{places: places, held: make(map[keySum]int)} }

// denial is why there is no place for a key.
type denial int

const (
	granted  denial = iota
	allTaken        // by all keys together
	ownTaken        // by the key itself
)

// enter takes a place for k, which is one of a number of keys, and is not to hold more than most, unless that is 0.
// What it has granted is given back by leave.
func (s *shares) enter(k *key, keys, most int) denial {
	s.mu.Lock()
	defer s.mu.Unlock()
	if keys != s.keys {
		s.divide(keys)
	}
	n := s.held[k.sum]
	switch {
	case s.total >= s.places:
		return allTaken
	case most > 0 && n >= most, n >= s.own && s.beyond >= s.places-s.keys*s.own:
		return ownTaken
	}
	if n >= s.own {
		s.beyond++
	}
	s.held[k.sum] = n + 1
	s.total++
	return granted
}

// leave gives back a place of the key with that sum.
func (s *shares) leave(sum keySum) {
	s.mu.Lock()
	defer s.mu.Unlock()
	n := s.held[sum] - 1
	if n >= s.own {
		s.beyond--
	}
	s.total--
	if s.held[sum] = n; n == 0 {
		delete(s.held, sum)
	}
}

// taken returns how many places are held.
func (s *shares) taken() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.total
}

// divide divides the places among a number of keys. The caller holds mu.
func (s *shares) divide(keys int) {
	s.keys = keys
	s.own = max(s.places/(2*keys), min(1, s.places/keys), 0)
	s.beyond = 0
	for _, n := range s.held {
		s.beyond += max(0, n-s.own)
	}
}
