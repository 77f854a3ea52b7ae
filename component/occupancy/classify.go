package occupancy

import (
	"slices"
	"strings"
)

// SystemAccounts is the configuration that identifies Jitsi's own services among the occupants of a MUC domain.
// The zero value recognises Jicofo alone.
type SystemAccounts struct {
	// Recorders and Transcribers are prefixes of real JIDs that only such services can have.
	Recorders, Transcribers []string

	// Hidden are the domains whose occupants Jitsi's clients don't show.
	Hidden []string

	// Jicofo is the bare JID of the focus. If empty, the focus is the occupant whose nick and account are both "focus".
	Jicofo string

	// Focus is the domain of the focus in the room, or empty; guests have no account there. A [Directory] sets it itself.
	Focus string

	// VisitorNode is whether the domain belongs to a visitor node, where visitors are occupants.
	VisitorNode bool

	// VisitorHost is the host of the visitors on a visitor shard, or empty: all others in its rooms are mirrors of participants elsewhere.
	// A [Directory] sets it itself.
	VisitorHost string

	// Classified is whether the records already have their kinds and rules, from a program that is connected to Prosody.
	Classified bool

	// Type is the type of the domain's rooms; empty derives it from the domain's name.
	Type RoomType

	// NotCounted are the operator's own rules. A [Directory] sets them itself.
	NotCounted []Rule
}

// Classify returns the kind of an occupant from its real JID, nick, role and flags.
//
// The real JID comes first because Prosody guarantees it, while a client can send any flags.
// Flags of services count only on domains where only services have accounts, so a guest who forges them is still a person.
func Classify(o *Occupant, t SystemAccounts) Kind {
	domain := host(o.RealJID)
	hidden := slices.Contains(t.Hidden, domain)
	machine, marked := claimedKind(o.Flags)
	switch {
	case t.isFocus(o):
		return KindFocus
	case t.VisitorHost != "" && domain == t.VisitorHost:
		return KindVisitor
	case t.VisitorHost != "":
		return KindHidden
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
		// A moderator's client joins the lobby to see the waiting people (lib-jitsi-meet, Lobby.js).
		// mod_muc_lobby_rooms copies affiliations from the meeting to the lobby.
		return KindHidden
	case o.Role == "visitor":
		return KindVisitor
	case o.Flags.Has(FlagInitiator), o.Flags.Has(FlagJigasi):
		return KindSIP
	}
	return KindUser
}

// setKind sets the kind of an occupant, and the rule if one makes it hidden.
func (t SystemAccounts) setKind(o *Occupant) {
	if t.Classified {
		return
	}
	o.Kind = Classify(o, t)
	if o.Rule = t.rule(o, o.Kind); o.Rule != "" {
		o.Kind = KindHidden
	}
}

// claimedKind returns the kind of service that an occupant claims to be, and false if it claims none.
// A transcribing Jigasi also sets FlagJigasi, so transcribers are checked first, as in Jicofo (JitsiMeetConferenceImpl, getDebugState).
func claimedKind(m PresenceFlags) (Kind, bool) {
	switch {
	case m.Has(FlagTranscriber):
		return KindTranscriber, true
	case m.Has(FlagJibri | FlagSIPJibri):
		return KindSIPVideo, true
	case m.Has(FlagJibri):
		return KindRecorder, true
	}
	return "", false
}

// isFocus reports whether an occupant is Jicofo, which uses its account's name as nick.
func (t SystemAccounts) isFocus(o *Occupant) bool {
	bare, _, _ := strings.Cut(o.RealJID, "/")
	return t.Jicofo != "" && bare == t.Jicofo || o.ID == "focus" && localpart(o.RealJID) == "focus"
}

func hasAnyPrefix(address string, prefixes []string) bool {
	return slices.ContainsFunc(prefixes, func(p string) bool { return p != "" && strings.HasPrefix(address, p) })
}

// localpart and host split addresses as Prosody wrote them, because rooms also contain addresses that jid.Parse rejects.
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
