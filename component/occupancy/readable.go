package occupancy

import (
	"strings"
	"unicode"
	"unicode/utf8"
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
	want, err := meaning(node, domain)
	if err != nil {
		return name
	}
	for _, text := range writings(node, domain) {
		if got, err := meaning(text, domain); err == nil && got == want {
			return text + domain
		}
	}
	return name
}

// meaning returns the localpart of the room that is written as node before domain, which is empty or begins with an @.
func meaning(node, domain string) (string, error) {
	if domain != "" && !strings.Contains(node, "/") {
		return nodeOf(node)
	}
	return link(node)
}

// writings returns how node may be written, best first. Whether all of them mean the same is to be seen.
func writings(node, domain string) []string {
	before, name := "", node
	if group, rest, grouped := strings.Cut(node, "/"); grouped {
		before, name = plain(group, "")+"/", rest
	}
	if strings.HasPrefix(node, "[") {
		group, rest, err := cutTenant(node)
		if err != nil {
			return nil
		}
		before, name = "["+plain(group, "")+"]", rest
		if domain != "" {
			before = plain(group, "") + "/"
		}
	}
	if before == "" && domain != "" {
		before = "/" // else it would be a JID
	}
	return []string{before + plain(name, ""), before + plain(name, "%")}
}

// plain decodes part of a link but for the characters that would mean something else then, those in keep, and those that can't be seen.
func plain(part, keep string) string {
	text := decode(part)
	var b strings.Builder
	last := ' '
	for i, r := range text {
		size := utf8.RuneLen(r)
		next, _ := utf8.DecodeRuneInString(text[i+size:])
		if i+size == len(text) {
			next = ' '
		}
		if strings.ContainsRune(`:?#[]@!$&'()*+,;=/\`+keep, r) || !seen(r, last, next) {
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

// seen reports whether people see r, which stands between two others: a space where there is one only, and inside of a name,
// and what joins the parts of an emoji or letters where there are such.
func seen(r, last, next rune) bool {
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
