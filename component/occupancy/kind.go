package occupancy

import "slices"

// Kind is the kind of an occupant: a person or one of Jitsi's services.
type Kind string

// The kinds of occupants in a Jitsi Meet room.
// Callers and room systems count as people because participants see and hear them; Jitsi's own services don't.
const (
	KindUser        Kind = "user"        // a person in a browser or app
	KindSIP         Kind = "sip"         // a telephone caller, through Jigasi
	KindSIPVideo    Kind = "sip_video"   // a video room system, through SIP-Jibri
	KindFocus       Kind = "focus"       // Jicofo, which is in every Jitsi room
	KindRecorder    Kind = "recorder"    // Jibri
	KindTranscriber Kind = "transcriber" // Jigasi as transcriber
	KindHidden      Kind = "hidden"      // anything else that Jitsi's clients don't show
	KindVisitor     Kind = "visitor"     // a visitor, counted separately
)

// Person reports whether an occupant of this kind counts as a participant.
func (k Kind) Person() bool {
	return k == KindUser || k == KindSIP || k == KindSIPVideo
}

// words are the words for one and for several occupants of a kind.
var words = map[Kind][2]string{
	KindUser: {"person", "people"}, KindSIP: {"caller", "callers"}, KindSIPVideo: {"room system", "room systems"}, KindFocus: {"focus", "focus"},
	KindRecorder: {"recorder", "recorders"}, KindTranscriber: {"transcriber", "transcribers"}, KindHidden: {"hidden", "hidden"}, KindVisitor: {"visitor", "visitors"},
}

// Word returns the word for n occupants of this kind, for people: 2 of [KindSIP] are callers. An unknown kind is its own word.
func (k Kind) Word(n int) string {
	w, ok := words[k]
	switch {
	case !ok:
		return string(k)
	case n == 1:
		return w[0]
	}
	return w[1]
}

// kinds are all kinds, in the order of a Counts.
var kinds = [...]Kind{
	KindUser, KindSIP, KindSIPVideo, KindFocus, KindRecorder, KindTranscriber, KindHidden, KindVisitor,
}

// Kinds returns all kinds, in an order that never changes.
func Kinds() []Kind { return slices.Clone(kinds[:]) }

// Counts is the number of occupants of each kind. It is a comparable value.
type Counts [len(kinds)]int32

// Of returns the number of occupants of kind k.
func (t Counts) Of(k Kind) int {
	i := slices.Index(kinds[:], k)
	if i < 0 {
		return 0
	}
	return int(t[i])
}

// People returns the number of participants.
func (t Counts) People() int {
	return t.sum(Kind.Person)
}

// All returns the number of occupants, services and visitors included.
func (t Counts) All() int {
	return t.sum(func(Kind) bool { return true })
}

// Map returns the numbers by kind, without zeros.
func (t Counts) Map() map[Kind]int {
	m := make(map[Kind]int)
	for i, n := range t {
		if n != 0 {
			m[kinds[i]] = int(n)
		}
	}
	return m
}

func (t Counts) sum(counts func(Kind) bool) int {
	n := 0
	for i, k := range kinds {
		if counts(k) {
			n += int(t[i])
		}
	}
	return n
}

// add adds n occupants of kind k.
func (t *Counts) add(k Kind, n int32) {
	if i := slices.Index(kinds[:], k); i >= 0 {
		t[i] += n
	}
}

// addAll adds other, multiplied by sign.
func (t *Counts) addAll(other Counts, sign int32) {
	for i, n := range other {
		t[i] += sign * n
	}
}
