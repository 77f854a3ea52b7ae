package occupancy

import "slices"

// Kind tells what an occupant of a room is.
type Kind string

// The kinds that a room of Jitsi Meet holds.
// Who counts as a person follows from what people see in the meeting:
// callers and room systems are heard there, the conference's own machinery is not.
const (
	KindUser        Kind = "user"        // a person in a browser or app
	KindSIP         Kind = "sip"         // a telephone caller, through Jigasi
	KindSIPVideo    Kind = "sip_video"   // a video room system, through SIP-Jibri
	KindFocus       Kind = "focus"       // Jicofo, which is in every Jitsi room
	KindRecorder    Kind = "recorder"    // Jibri
	KindTranscriber Kind = "transcriber" // Jigasi as transcriber
	KindHidden      Kind = "hidden"      // anything else that Jitsi's clients don't show
	KindVisitor     Kind = "visitor"     // an onlooker, has a number of its own
)

// Person reports whether an occupant of this kind counts as a participant.
func (k Kind) Person() bool {
	return k == KindUser || k == KindSIP || k == KindSIPVideo
}

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
