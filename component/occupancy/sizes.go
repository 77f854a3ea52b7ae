package occupancy

import (
	"iter"
	"slices"
)

// sizeBounds are the sizes up to which rooms are told apart, finest where most meetings are.
var sizeBounds = [...]int{0, 1, 2, 3, 4, 5, 10, 20, 50, 100, 200, 500}

// Sizes is how many rooms there are of which size, which is the number of people in a room.
// It is kept as rooms change, since to walk through all of them would hold up the changes. Like a Tally it is a value.
type Sizes [len(sizeBounds) + 1]int32

// AtMost yields sizes in growing order, and to each how many rooms are at most that large.
func (s Sizes) AtMost() iter.Seq2[int, int] {
	return func(yield func(int, int) bool) {
		n := 0
		for i, bound := range sizeBounds {
			n += int(s[i])
			if !yield(bound, n) {
				return
			}
		}
	}
}

// add counts n rooms of a size more.
func (s *Sizes) add(people int, n int32) {
	i, _ := slices.BinarySearch(sizeBounds[:], people)
	s[i] += n
}
