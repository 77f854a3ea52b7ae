package occupancy

import "slices"

// kinds are all kinds, in the order in which a Tally holds their numbers.
var kinds = [...]Kind{
	KindUser, KindSIP, KindSIPVideo, KindFocus, KindRecorder, KindTranscriber, KindHidden, KindVisitor,
}

// Kinds returns all kinds, in an order that never changes.
func Kinds() []Kind { return slices.Clone(kinds[:]) }

// Tally is how many occupants there are of each kind.
// It is a value: a copy is owned by whoever has it, and two of them can be compared.
type Tally [len(kinds)]int32

// Of returns the number of occupants of kind k.
func (t Tally) Of(k Kind) int {
	i := slices.Index(kinds[:], k)
	if i < 0 {
		return 0
	}
	return int(t[i])
}

// People returns the number of those who count as participants.
func (t Tally) People() int {
	return t.sum(Kind.Person)
}

// All returns the number of occupants, machinery and visitors included.
func (t Tally) All() int {
	return t.sum(func(Kind) bool { return true })
}

// Map returns the numbers by kind, without the kinds that aren't there.
func (t Tally) Map() map[Kind]int {
	m := make(map[Kind]int)
	for i, n := range t {
		if n != 0 {
			m[kinds[i]] = int(n)
		}
	}
	return m
}

func (t Tally) sum(counts func(Kind) bool) int {
	n := 0
	for i, k := range kinds {
		if counts(k) {
			n += int(t[i])
		}
	}
	return n
}

// add counts n occupants of kind k more.
func (t *Tally) add(k Kind, n int32) {
	if i := slices.Index(kinds[:], k); i >= 0 {
		t[i] += n
	}
}

// addAll counts the occupants of other, sign times.
func (t *Tally) addAll(other Tally, sign int32) {
	for i, n := range other {
		t[i] += sign * n
	}
}
