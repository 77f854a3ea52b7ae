package occupancy

import (
	"slices"
	"strings"

	"mellium.im/xmpp/jid"
)

// WithMeetURLs returns a copy of n that knows the meetings' URLs: the room of "planning" on a domain
// is at URL + "/planning". The keys are MUC domains, the values http or https URLs without a trailing slash.
// It ignores domains that n doesn't watch.
func (n *NameResolver) WithMeetURLs(urls map[string]string) *NameResolver {
	domains := slices.Clone(n.domains())
	for i, d := range domains {
		domains[i].meet = urls[d.name]
	}
	with := &NameResolver{}
	with.list.Store(&domains)
	return with
}

// Settings returns a text that differs where rooms are shown in another way: with another main domain, or other URLs of meetings.
func (n *NameResolver) Settings() string {
	var all strings.Builder
	for i, d := range n.domains() {
		if i == 0 || d.meet != "" {
			all.WriteString(d.name + " " + d.meet + "\n")
		}
	}
	return all.String()
}

// Display returns a room's name for people, decoded as far as possible: "stand up", or "acme/stand up" for a tenant's room.
// [NameResolver.Room] reads it as the same room.
func (n *NameResolver) Display(room jid.JID) string {
	name := n.Name(room)
	if isPlain(name) {
		return name
	}
	if strings.HasPrefix(name, "[") && !strings.Contains(name, "@") {
		if tenant, rest, err := cutTenant(name); err == nil {
			text := Readable(tenant + "/" + rest)
			if same, err := n.Room(text); err == nil && same.Equal(room) {
				return text
			}
		}
	}
	return Readable(name)
}

// MeetingURL returns the URL at which people join a room's meeting, or "" if it is unknown.
// The meeting of a breakout or lobby room is that of its parent, which is zero for a main room.
// [NameResolver.Room] reads the URL as the main room.
func (n *NameResolver) MeetingURL(room, parent jid.JID) string {
	if !parent.Equal(jid.JID{}) {
		room = parent
	}
	for _, d := range n.domains() {
		if d.meet == "" || d.name != room.Domainpart() {
			continue
		}
		local := room.Localpart()
		if isPlain(local) {
			return d.meet + "/" + local
		}
		if strings.HasPrefix(local, "[") {
			tenant, rest, err := cutTenant(local)
			if err != nil {
				return ""
			}
			local = tenant + "/" + rest
		}
		// A room that no link leads to, such as one with upper-case hex digits, has no URL.
		link := d.meet + "/" + browserEncode(local)
		if same, err := n.Room(link); err != nil || !same.Equal(room) {
			return ""
		}
		return link
	}
	return ""
}

// cutMeetURL returns what follows a meeting's URL, and its domain, if written begins with such a URL, or with one without its scheme.
func (n *NameResolver) cutMeetURL(written string) (link, domain string, ok bool) {
	for _, d := range n.domains() {
		if d.meet == "" {
			continue
		}
		_, address, _ := strings.Cut(d.meet, "://")
		for _, base := range []string{d.meet, address} {
			// Scheme and host are case-insensitive. A path before the room's name hardly ever differs by case alone.
			// Without a dot or port, host/room may be a tenant's room.
			if strings.ContainsAny(base, ".:") && len(written) > len(base) && written[len(base)] == '/' && strings.EqualFold(written[:len(base)], base) {
				return written[len(base):], d.name, true
			}
		}
	}
	return "", "", false
}

// refuseURL returns the error for a web address that is no meeting's.
func (n *NameResolver) refuseURL() error {
	var known []string
	for _, d := range n.domains() {
		if d.meet != "" {
			known = append(known, d.meet+"/")
		}
	}
	if len(known) == 0 {
		return refuse("set PPCH_MEET_URL to use meeting links, or write only the part after the host")
	}
	return refuse("a meeting link begins with %s (PPCH_MEET_URL)", strings.Join(known, " or "))
}

// isURL reports whether text is a web address.
func isURL(text string) bool {
	scheme, _, ok := strings.Cut(text, "://")
	return ok && (strings.EqualFold(scheme, "https") || strings.EqualFold(scheme, "http"))
}

// isPlain reports whether a localpart is the same typed, in a link and on the server.
func isPlain(name string) bool {
	for i := range len(name) {
		switch c := name[i]; {
		case 'a' <= c && c <= 'z', '0' <= c && c <= '9', c == '-', c == '_':
		default:
			return false
		}
	}
	return name != ""
}
