package occupancy

import (
	"slices"
	"strings"
)

// Marks are what an occupant's own client says of it: a set of bits.
// Anybody can write them, so they never make an occupant of another kind than its address allows; see [Classify].
type Marks uint16

// The marks. The kinds of Jitsi's machinery come first, then what people see of each other.
const (
	MarkJigasi Marks = 1 << iota
	MarkTranscriber
	MarkJibri
	MarkInitiator // Jigasi's, for a call
	MarkSIPJibri
	MarkHandRaised
	MarkAudioMuted
	MarkAudioOn
	MarkVideoMuted
	MarkVideoOn
	MarkScreenOff
	MarkScreenOn
)

// markWords are the words for the marks in the protocol, in the order of the bits.
var markWords = []string{
	"jigasi", "transcriber", "jibri", "initiator", "sip-jibri",
	"hand", "audio-muted", "audio-on", "video-muted", "video-on", "screen-off", "screen-on",
}

// ParseMarks returns the marks for words separated by blanks. Words that it doesn't know mean nothing.
func ParseMarks(words string) Marks {
	var m Marks
	for w := range strings.SplitSeq(words, " ") {
		if i := slices.Index(markWords, w); i >= 0 {
			m |= 1 << i
		}
	}
	return m
}

// String returns the words for m, separated by blanks: what ParseMarks reads.
func (m Marks) String() string {
	var words []string
	for i, w := range markWords {
		if m.Has(1 << i) {
			words = append(words, w)
		}
	}
	return strings.Join(words, " ")
}

// Has reports whether all the marks of all are among m.
func (m Marks) Has(all Marks) bool { return m&all == all }

// HandRaised reports whether the occupant has raised its hand.
func (m Marks) HandRaised() bool { return m.Has(MarkHandRaised) }

// Audio tells whether the occupant can be heard.
func (m Marks) Audio() Sending { return m.sending(MarkAudioMuted, MarkAudioOn) }

// Video tells whether the occupant's camera can be seen.
func (m Marks) Video() Sending { return m.sending(MarkVideoMuted, MarkVideoOn) }

// Screen tells whether the occupant shares a screen.
func (m Marks) Screen() Sending { return m.sending(MarkScreenOff, MarkScreenOn) }

func (m Marks) sending(muted, on Marks) Sending {
	switch {
	case m.Has(muted):
		return SendingMuted
	case m.Has(on):
		return SendingOn
	}
	return SendingUnknown
}

// Sending is whether an occupant sends audio, its camera, or a screen.
type Sending string

// What is known of an occupant's audio, camera or screen.
const (
	SendingUnknown Sending = ""
	SendingMuted   Sending = "muted"
	SendingOn      Sending = "on"
)
