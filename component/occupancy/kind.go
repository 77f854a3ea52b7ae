package occupancy

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
