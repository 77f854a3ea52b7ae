package occupancy

import (
	"slices"
	"strings"
)

// Trust is what proves that an occupant belongs to the conference's own machinery: a MUC domain's configuration, and focus.
// Without either, Jicofo alone is recognised.
type Trust struct {
	// Recorders and Transcribers are prefixes of real JIDs that only these can have.
	Recorders, Transcribers []string

	// Hidden are the domains whose occupants Jitsi's clients don't show.
	Hidden []string

	// Jicofo is the bare JID of the focus. Where it is empty, the focus is the occupant with the nick and the login "focus".
	Jicofo string

	// Focus is the domain of the focus that leads the room, or empty: guests have no account there. A [Directory] knows by itself.
	Focus string

	// VisitorNode is whether the domain is one for visitors, who are occupants there.
	VisitorNode bool

	// Type is what the domain's rooms are for, or empty where its name alone shows it.
	Type RoomType
}

// Classify returns the kind of an occupant from its real JID, its nick, its role and its marks.
//
// The real JID comes first, since Prosody vouches for it; a client can write any marks.
// These count on the domains alone where only machinery logs in, so a guest who forges them stays a person.
func Classify(o *Occupant, t Trust) Kind {
	domain := host(o.RealJID)
	hidden := slices.Contains(t.Hidden, domain)
	machine, marked := claimedKind(o.Marks)
	switch {
	case t.isFocus(o):
		return KindFocus
	case hasAnyPrefix(o.RealJID, t.Recorders):
		if machine == KindSIPVideo {
			return machine
		}
		return KindRecorder
	case hasAnyPrefix(o.RealJID, t.Transcribers):
		return KindTranscriber
	case marked && domain != "" && (hidden || domain == t.Focus):
		return machine
	case hidden:
		return KindHidden
	case t.Type == RoomLobby && o.Affiliation == "owner":
		// A moderator of the meeting, whose client sits in the lobby to see who waits (lib-jitsi-meet, Lobby.js).
		// mod_muc_lobby_rooms gives everybody the affiliation there that they have in the meeting.
		return KindHidden
	case o.Role == "visitor":
		return KindVisitor
	case o.Marks.Has(MarkInitiator), o.Marks.Has(MarkJigasi):
		return KindSIP
	}
	return KindUser
}

// claimedKind returns what an occupant claims to be, and false if it claims nothing.
// Jigasi marks itself as such when it transcribes, too, so Jicofo asks for the transcriber first (JitsiMeetConferenceImpl, getDebugState).
func claimedKind(m Marks) (Kind, bool) {
	switch {
	case m.Has(MarkTranscriber):
		return KindTranscriber, true
	case m.Has(MarkJibri | MarkSIPJibri):
		return KindSIPVideo, true
	case m.Has(MarkJibri):
		return KindRecorder, true
	}
	return "", false
}

// isFocus reports whether an occupant is Jicofo, whose nick is the name of its account.
func (t Trust) isFocus(o *Occupant) bool {
	bare, _, _ := strings.Cut(o.RealJID, "/")
	return t.Jicofo != "" && bare == t.Jicofo || o.ID == "focus" && localpart(o.RealJID) == "focus"
}

func hasAnyPrefix(address string, prefixes []string) bool {
	return slices.ContainsFunc(prefixes, func(p string) bool { return p != "" && strings.HasPrefix(address, p) })
}

// localpart and host take addresses apart as Prosody wrote them: those that jid.Parse refuses are in rooms as well.
func localpart(address string) string {
	bare, _, _ := strings.Cut(address, "/")
	local, _, ok := strings.Cut(bare, "@")
	if !ok {
		return ""
	}
	return local
}

func host(address string) string {
	bare, _, _ := strings.Cut(address, "/")
	return bare[strings.IndexByte(bare, '@')+1:]
}
