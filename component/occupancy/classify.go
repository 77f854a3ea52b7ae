package occupancy

import (
	"slices"
	"strings"
)

// Trust is what a MUC domain's configuration says about the conference's own machinery.
// Where it says nothing, nobody but focus is taken for it.
type Trust struct {
	// Recorders and Transcribers are prefixes of real JIDs that only these can have.
	Recorders, Transcribers []string

	// Hidden are the domains whose occupants Jitsi's clients don't show.
	Hidden []string

	// Lobby is whether the domain's rooms are where people wait to be let in. A [Directory] knows by itself.
	Lobby bool
}

// Classify returns the kind of an occupant from its real JID, its nick, its role and its marks.
//
// The real JID comes first, since Prosody vouches for it; a client can write any marks.
// These only tell apart what an address has in common, so whoever forges them stays a person.
func Classify(o *Occupant, t Trust) Kind {
	gateway := o.Marks.Has(MarkJibri | MarkSIPJibri)
	switch {
	case o.ID == "focus" && localpart(o.RealJID) == "focus":
		return KindFocus
	case startsWithAny(o.RealJID, t.Recorders):
		if gateway {
			return KindSIPVideo
		}
		return KindRecorder
	case startsWithAny(o.RealJID, t.Transcribers):
		return KindTranscriber
	case slices.Contains(t.Hidden, host(o.RealJID)):
		switch {
		case gateway:
			return KindSIPVideo
		case o.Marks.Has(MarkTranscriber):
			return KindTranscriber
		}
		return KindHidden
	case t.Lobby && o.Affiliation == "owner":
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

func startsWithAny(address string, prefixes []string) bool {
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
