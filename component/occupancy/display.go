package occupancy

import (
	"fmt"
	"strings"
	"unicode"
	"unicode/utf8"

	"mellium.im/xmpp/jid"
)

// Readable returns a name of [Names.Name] as people write it: with as little percent-encoded as can be
// for [Names.Room] to read it as the same room, and for everything in it to be seen.
// A name that Names refuses, and what is not encoded in the first place, it returns as it is.
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

// candidates returns how node may be written, best first. Whether all of them mean the same is to be seen.
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

// decodeVisible decodes part of a link but for the characters that would mean something else then, those in keep, and those that can't be seen.
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

// isVisible reports whether people see r, which stands between two others: a space where there is one only, and inside of a name,
// and what joins the parts of an emoji or letters where there are such.
func isVisible(r, last, next rune) bool {
	switch r {
	case ' ':
		return last != ' ' && next != ' '
	case '\u200c', '\u200d':
		return last > unicode.MaxASCII && next > unicode.MaxASCII
	case '\u115f', '\u1160', '\u2800', '\u3164', '\uffa0', utf8.RuneError:
		return false // drawn as a space, or for what isn't there
	}
	return unicode.IsGraphic(r) && !unicode.IsSpace(r) && !unicode.Is(unicode.Zs, r)
}

// Tenant returns a tenant as [Room] has it, given how people write it: Täst and t%c3%a4st are täst.
// It returns text that can't be a tenant as it is.
func Tenant(written string) string {
	group, err := linkTenant(written)
	if err != nil {
		return written
	}
	return group[1 : len(group)-1]
}

// Search returns which rooms, by their addresses, a search for text finds: those with text in their name, encoded or not,
// and the one that is shown as text, or has it for a JID. Case doesn't matter. An empty text finds all.
func (n *Names) Search(text string) func(address string) bool {
	if text == "" {
		return func(string) bool { return true }
	}
	shown := ""
	if j, err := n.Room(text); err == nil {
		// C++ is the room c, but who looks for C++ isn't looking for that.
		if name := n.Name(j); strings.Contains(text, "@") || strings.EqualFold(text, name) || strings.EqualFold(text, Readable(name)) {
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

// tenantPath returns [tenant]room as it stands in a link, and any other name as it is.
func tenantPath(name string) string {
	if t := tenantOf(name); t != "" {
		return t + "/" + name[len(t)+2:]
	}
	return name
}

// Remark returns what people should know about how [Names.Room] read a name as room, or an empty string:
// that the client deletes part of a link as it is typed, which the encoded link keeps for another room;
// or, where there is no such room, that Jitsi gives no room a JID like this one.
func (n *Names) Remark(written string, room jid.JID, exists bool) string {
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

// linkRemark is about what follows the host in a link.
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
	return fmt.Sprintf("Jitsi deletes %s from a name that is typed: this is the room %s. The link %s leads to another room.", gone, read, kept.String())
}

// jidRemark is about a JID, which is taken as it is.
func jidRemark(at jid.JID) string {
	group, name := "", at.Localpart()
	if t := tenantOf(name); t != "" {
		group, name = name[:len(t)+2], name[len(t)+2:]
	}
	other, err := roomNode(name)
	if err != nil || strings.ToLower(encodeURIComponent(decodeURIComponent(name))) == name || strings.Contains(other, "'") {
		return ""
	}
	return fmt.Sprintf("A JID is taken as it is, and Jitsi's clients make none like this one: their room of this name is %s@%s.", group+other, at.Domainpart())
}
