package occupancy

import (
	"slices"
	"strings"
	"time"
	"unicode"
)

// Occupant is one nick in a room: a person, or part of the conference's machinery.
type Occupant struct {
	// ID is the resource of the occupant JID, the MUC nick; Jitsi calls it the endpoint id.
	ID string

	// Name is the display name that the occupant chose, or empty: also where nothing of it could be seen.
	Name string

	Kind Kind

	// Role and Affiliation are as XEP-0045 §5 names them.
	Role        string
	Affiliation string

	// JoinedAt is by our clock, and zero where the source can't know it.
	JoinedAt time.Time

	// Stamp is JoinedAt as Prosody's own clock had it, which is the same for all who ask: it tells one stay from the next.
	// Where it is zero JoinedAt stands for it.
	Stamp time.Time

	// RealJID is the full JID behind the nick, for which Prosody vouches.
	// Like all that follows it is known from SourceModule only.
	RealJID string

	// These the server has from an authenticated user's token; empty for guests.
	UserID    string
	UserName  string
	UserGroup string
	UserEmail string

	// AvatarURL and Marks are what the client says, as Name is.
	AvatarURL string
	Marks     Marks
}

// stamp returns what tells this stay from others under the same nick.
func (o *Occupant) stamp() time.Time {
	if o.Stamp.IsZero() {
		return o.JoinedAt
	}
	return o.Stamp
}

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

// isBlank reports whether nothing of a display name can be seen. Jitsi's clients show such a name as none.
func isBlank(name string) bool {
	for _, r := range name {
		if !isInvisible(r) {
			return false
		}
	}
	return true
}

// invisible are the characters that Unicode has programs draw as nothing (UAX #44, Default_Ignorable_Code_Point),
// among them letters such as the Hangul filler.
var invisible = []*unicode.RangeTable{unicode.Cc, unicode.Cf, unicode.Z, unicode.Other_Default_Ignorable_Code_Point, unicode.Variation_Selector}

func isInvisible(r rune) bool {
	const brailleBlank = '\u2800'
	if r < 0x7f {
		return r <= ' '
	}
	return r == brailleBlank || unicode.In(r, invisible...) && !unicode.Is(unicode.Prepended_Concatenation_Mark, r)
}
