package occupancy

import (
	"fmt"
	"strings"

	"mellium.im/xmpp/jid"
)

// Remark returns what people should know about how [Names.Room] read a name as room, or an empty string:
// that the client deletes part of a link as it is typed, which the encoded link keeps for another room;
// or, where there is no such room, that Jitsi gives no room a JID like this one.
func (n *Names) Remark(written string, room jid.JID, exists bool) string {
	node, host, at := strings.Cut(written, "@")
	if at {
		if _, _, watched := n.domain(host); !watched {
			node, at = written, false
		}
	}
	switch {
	case !at, strings.Contains(node, "/"):
		return linkRemark(node)
	case !exists:
		return jidRemark(room)
	}
	return ""
}

// linkRemark is about what follows the host in a link.
func linkRemark(written string) string {
	l, err := cutLink(written)
	if err != nil || !strings.ContainsAny(l.name, deleted) {
		return ""
	}
	gone, kept := "", strings.Builder{}
	for _, r := range l.name {
		if !strings.ContainsRune(deleted, r) {
			kept.WriteRune(r)
			continue
		}
		fmt.Fprintf(&kept, "%%%02X", r)
		if !strings.ContainsRune(gone, r) {
			gone += string(r)
		}
	}
	read, err := room(strip(l.name))
	other, otherErr := room(kept.String())
	if err != nil || otherErr != nil || other == read || strings.Contains(other, "'") {
		return ""
	}
	return fmt.Sprintf("Jitsi deletes %s from a name that is typed: this is the room %s. The link %s leads to another room.", gone, read, kept.String())
}

// jidRemark is about a JID, which is taken as it is.
func jidRemark(at jid.JID) string {
	group, name := "", at.Localpart()
	if t := tenantOf(name); t != "" {
		group, name = name[:len(t)+2], name[len(t)+2:]
	}
	other, err := room(name)
	if err != nil || strings.ToLower(encode(decode(name))) == name || strings.Contains(other, "'") {
		return ""
	}
	return fmt.Sprintf("A JID is taken as it is, and Jitsi's clients make none like this one: their room of this name is %s@%s.", group+other, at.Domainpart())
}
