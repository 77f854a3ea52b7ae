package occupancy

import (
	"fmt"
	"strings"
	"unicode"
	"unicode/utf8"

	"mellium.im/xmpp/jid"
)

// Readable returns a name from [NameResolver.Name] as people write it. It decodes as much as possible,
// as long as [NameResolver.Room] reads the result as the same room and all of it is visible.
// It returns names that a NameResolver rejects, and names without encoding, unchanged.
func Readable(name string) string {
	node, domain := name, ""
	if i := strings.IndexByte(name, '@'); i >= 0 {
		node, domain = name[:i], name[i:]
	}
	if domain != "" && !strings.Contains(node, "%") {
		return name
	}
	want, err := localpartOf(node, domain)
	if err != nil {
		return name
	}
	for _, text := range candidates(node, domain) {
		if got, err := localpartOf(text, domain); err == nil && got == want {
			return text + domain
		}
	}
	return name
}

// localpartOf returns the localpart of the room that is written as node before domain, which is empty or begins with an @.
func localpartOf(node, domain string) (string, error) {
	if domain != "" && !strings.Contains(node, "/") {
		return jidNode(node)
	}
	return linkNode(node)
}

// candidates returns ways to write node, best first. The caller checks that they mean the same room.
func candidates(node, domain string) []string {
	before, name := "", node
	if group, rest, grouped := strings.Cut(node, "/"); grouped {
		before, name = decodeVisible(group, "")+"/", rest
	}
	if strings.HasPrefix(node, "[") {
		group, rest, err := cutTenant(node)
		if err != nil {
			return nil
		}
		before, name = "["+decodeVisible(group, "")+"]", rest
		if domain != "" {
			before = decodeVisible(group, "") + "/"
		}
	}
	if before == "" && domain != "" {
		before = "/" // else it would be a JID
	}
	return []string{before + decodeVisible(name, ""), before + decodeVisible(name, "%")}
}

// decodeVisible decodes part of a link, except characters that would change its meaning, those in keep, and invisible ones.
func decodeVisible(part, keep string) string {
	text := decodeURIComponent(part)
	var b strings.Builder
	last := ' '
	for i, r := range text {
		size := utf8.RuneLen(r)
		next, _ := utf8.DecodeRuneInString(text[i+size:])
		if i+size == len(text) {
			next = ' '
		}
		if strings.ContainsRune(`:?#[]@!$&'()*+,;=/\`+keep, r) || !isVisible(r, last, next) {
			for _, c := range []byte(text[i : i+size]) {
				b.WriteString("%" + string("0123456789abcdef"[c>>4]) + string("0123456789abcdef"[c&15]))
			}
		} else {
			b.WriteRune(r)
		}
		last = r
	}
	return b.String()
}

// isVisible reports whether people see r between its neighbours. A single space inside a name is visible,
// and so is a joiner between letters or parts of an emoji.
func isVisible(r, last, next rune) bool {
	switch r {
	case ' ':
		return last != ' ' && next != ' '
	case '\u200c', '\u200d':
		return last > unicode.MaxASCII && next > unicode.MaxASCII
	case '\u115f', '\u1160', '\u2800', '\u3164', '\uffa0', utf8.RuneError:
		return false // drawn as a space, or stands for a broken character
	}
	return unicode.IsGraphic(r) && !unicode.IsSpace(r) && !unicode.Is(unicode.Zs, r)
}

// Tenant normalises a tenant to the form in [Room]: Täst and t%c3%a4st become täst.
// It returns text that can't be a tenant unchanged.
func Tenant(written string) string {
	group, err := linkTenant(written)
	if err != nil {
		return written
	}
	return group[1 : len(group)-1]
}

// Search returns a filter of room addresses for text. It finds rooms with text in their name, encoded or not,
// and the room whose shown name or JID is text. It ignores case. Empty text finds all rooms.
func (n *NameResolver) Search(text string) func(address string) bool {
	if text == "" {
		return func(string) bool { return true }
	}
	shown := ""
	if j, err := n.Room(text); err == nil {
		// C++ leads to the room c, but a search for C++ shouldn't find that.
		_, _, link := n.cutMeetURL(text)
		if name := n.Name(j); link || strings.Contains(text, "@") || strings.EqualFold(text, name) || strings.EqualFold(text, Readable(name)) || strings.EqualFold(text, n.Display(j)) {
			shown = j.String()
		}
	}
	written := strings.ToLower(text)
	decoded := strings.ToLower(decodeURIComponent(text))
	return func(address string) bool {
		if address == shown {
			return true
		}
		local, _, _ := strings.Cut(address, "@")
		name := strings.ToLower(decodeURIComponent(local))
		return strings.Contains(name, decoded) || strings.Contains(name, written) || strings.Contains(tenantPath(name), decoded)
	}
}

// tenantPath returns [tenant]room as written in a link, and any other name unchanged.
func tenantPath(name string) string {
	if t := tenantOf(name); t != "" {
		return t + "/" + name[len(t)+2:]
	}
	return name
}

// Remark returns a note about how [NameResolver.Room] read a name, or an empty string.
// It notes that the client deletes characters of a typed link, while the encoded link leads to another room,
// and, if the room doesn't exist, that Jitsi creates no room with such a JID.
func (n *NameResolver) Remark(written string, room jid.JID, exists bool) string {
	if link, _, ok := n.cutMeetURL(written); ok {
		return linkRemark(link)
	}
	node, host, at := strings.Cut(written, "@")
	if at {
		if _, _, watched := n.match(host); !watched {
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

// linkRemark returns the note for the part of a link after the host.
func linkRemark(written string) string {
	l, err := cutLink(written)
	if err != nil || !strings.ContainsAny(l.name, deletedChars) {
		return ""
	}
	gone, kept := "", strings.Builder{}
	for _, r := range l.name {
		if !strings.ContainsRune(deletedChars, r) {
			kept.WriteRune(r)
			continue
		}
		fmt.Fprintf(&kept, "%%%02X", r)
		if !strings.ContainsRune(gone, r) {
			gone += string(r)
		}
	}
	read, err := roomNode(stripDeleted(l.name))
	other, otherErr := roomNode(kept.String())
	if err != nil || otherErr != nil || other == read || strings.Contains(other, "'") {
		return ""
	}
	return fmt.Sprintf("Jitsi deletes %s from a typed name, so this is the room %s. The link %s leads to another room.", gone, read, kept.String())
}

// jidRemark returns the note for a JID, which a NameResolver takes unchanged.
func jidRemark(at jid.JID) string {
	group, name := "", at.Localpart()
	if t := tenantOf(name); t != "" {
		group, name = name[:len(t)+2], name[len(t)+2:]
	}
	other, err := roomNode(name)
	if err != nil || strings.ToLower(encodeURIComponent(decodeURIComponent(name))) == name || strings.Contains(other, "'") {
		return ""
	}
	return fmt.Sprintf("Jitsi's clients create no room with this JID: their room of this name is %s@%s.", group+other, at.Domainpart())
}
