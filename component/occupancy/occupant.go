package occupancy

import (
	"slices"
	"strings"
	"time"
	"unicode"
)

// Occupant is one nick in a room: a person or one of Jitsi's services.
type Occupant struct {
	// ID is the resource of the occupant JID, the MUC nick; Jitsi calls it the endpoint id.
	ID string

	// Name is the display name that the occupant chose; empty also if it is invisible.
	Name string

	Kind Kind

	// Rule is the name of the operator's rule that makes it hidden, or empty.
	Rule string

	// Role and Affiliation are as XEP-0045 §5 names them.
	Role        string
	Affiliation string

	// JoinedAt is by PPCH's clock, and zero if the source can't know it.
	JoinedAt time.Time

	// Stamp is JoinedAt by Prosody's clock. It is the same in every report, so it distinguishes one stay from the next.
	// If zero, JoinedAt is used instead.
	Stamp time.Time

	// RealJID is the full JID of the occupant, which Prosody guarantees.
	// This and the following fields come from SourceModule only.
	RealJID string

	// MovedFrom is the address of the room of the same meeting that the same connection has just left for this one, or for a promoted
	// visitor of its room on a watched visitor node; otherwise empty.
	MovedFrom string

	// Connection says whether the occupant's client can be reached.
	Connection Connection

	// These come from the token of an authenticated user; empty for guests.
	UserID    string
	UserName  string
	UserGroup string
	UserEmail string

	// AvatarURL and Flags come from the client, like Name.
	AvatarURL string
	Flags     PresenceFlags
}

// Connection is the state of the connection between an occupant's client and Prosody; empty if it is up, or unknown.
type Connection string

// The states of a connection that is not up.
const (
	ConnectionHibernating Connection = "hibernating" // lost, and may still be resumed (XEP-0198)
	ConnectionStale       Connection = "stale"       // ended, but Prosody still lists the occupant
)

// ParseConnection returns the state of that name, or an empty one for an unknown name.
func ParseConnection(name string) Connection {
	switch c := Connection(name); c {
	case ConnectionHibernating, ConnectionStale:
		return c
	}
	return ""
}

// PresenceFlags are flags that an occupant's own client sets in its presence.
// Any client can set them, so they never change the kind beyond what the real JID allows; see [Classify].
type PresenceFlags uint16

// The flags: first those of Jitsi's services, then those that people see of each other.
const (
	FlagJigasi PresenceFlags = 1 << iota
	FlagTranscriber
	FlagJibri
	FlagInitiator // Jigasi's, for a call
	FlagSIPJibri
	FlagHandRaised
	FlagAudioMuted
	FlagAudioOn
	FlagVideoMuted
	FlagVideoOn
	FlagScreenOff
	FlagScreenOn
)

// flagWords are the protocol's words for the flags, in the order of the bits.
var flagWords = []string{
	"jigasi", "transcriber", "jibri", "initiator", "sip-jibri",
	"hand", "audio-muted", "audio-on", "video-muted", "video-on", "screen-off", "screen-on",
}

// ParsePresenceFlags returns the flags for words separated by spaces. It ignores unknown words.
func ParsePresenceFlags(words string) PresenceFlags {
	var m PresenceFlags
	for w := range strings.SplitSeq(words, " ") {
		if i := slices.Index(flagWords, w); i >= 0 {
			m |= 1 << i
		}
	}
	return m
}

// String returns the words for m, separated by spaces, as ParsePresenceFlags reads them.
func (m PresenceFlags) String() string {
	var words []string
	for i, w := range flagWords {
		if m.Has(1 << i) {
			words = append(words, w)
		}
	}
	return strings.Join(words, " ")
}

// Has reports whether m contains all the given flags.
func (m PresenceFlags) Has(all PresenceFlags) bool { return m&all == all }

// HandRaised reports whether the occupant has raised its hand.
func (m PresenceFlags) HandRaised() bool { return m.Has(FlagHandRaised) }

// Audio reports whether the occupant sends audio.
func (m PresenceFlags) Audio() MediaState { return m.mediaState(FlagAudioMuted, FlagAudioOn) }

// Video reports whether the occupant sends its camera.
func (m PresenceFlags) Video() MediaState { return m.mediaState(FlagVideoMuted, FlagVideoOn) }

// Screen reports whether the occupant shares a screen.
func (m PresenceFlags) Screen() MediaState { return m.mediaState(FlagScreenOff, FlagScreenOn) }

func (m PresenceFlags) mediaState(muted, on PresenceFlags) MediaState {
	switch {
	case m.Has(muted):
		return MediaMuted
	case m.Has(on):
		return MediaOn
	}
	return MediaUnknown
}

// MediaState is the state of an occupant's audio, camera or screen.
type MediaState string

// The states of audio, camera and screen.
const (
	MediaUnknown MediaState = ""
	MediaMuted   MediaState = "muted"
	MediaOn      MediaState = "on"
)

// Is returns whether s is want, nil if s is unknown.
func (s MediaState) Is(want MediaState) *bool {
	if s == MediaUnknown {
		return nil
	}
	return new(s == want)
}

// isBlank reports whether a display name is entirely invisible. Jitsi's clients treat such a name as empty.
func isBlank(name string) bool {
	for _, r := range name {
		if !isInvisible(r) {
			return false
		}
	}
	return true
}

// invisible are the characters that programs draw as nothing (UAX #44, Default_Ignorable_Code_Point),
// including letters such as the Hangul filler.
var invisible = []*unicode.RangeTable{unicode.Cc, unicode.Cf, unicode.Z, unicode.Other_Default_Ignorable_Code_Point, unicode.Variation_Selector}

func isInvisible(r rune) bool {
	const brailleBlank = '\u2800'
	if r < 0x7f {
		return r <= ' '
	}
	return r == brailleBlank || unicode.In(r, invisible...) && !unicode.Is(unicode.Prepended_Concatenation_Mark, r)
}
