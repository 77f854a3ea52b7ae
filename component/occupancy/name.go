package occupancy

import (
	"fmt"
	"strings"
	"unicode"
	"unicode/utf8"

	"golang.org/x/text/unicode/norm"
	"mellium.im/xmpp/jid"
)

// unpairedBracket is the reason for refusing what looks like [tenant]room but isn't.
const unpairedBracket = "a bracket has no partner; a tenant's room is [tenant]room"

// NameError says why what a caller wrote can't be the name of a room.
type NameError struct {
	// Reason is for the caller: words without a prefix, and without the name, which may be hostile.
	Reason string

	// err is ErrNotWatched where that is the reason, or nil.
	err error
}

func (e *NameError) Error() string { return "occupancy: not a room: " + e.Reason }

// Unwrap returns ErrNotWatched for a JID on a domain that isn't watched, otherwise nil.
func (e *NameError) Unwrap() error { return e.err }

func refuse(format string, args ...any) error {
	return &NameError{Reason: fmt.Sprintf(format, args...)}
}

// Names turns what a caller wrote into the JID of the room that Jitsi's own client would enter.
// It is immutable and safe for concurrent use.
type Names struct{ domains []domainPattern }

// domainPattern is a watched MUC domain.
type domainPattern struct {
	name string

	// A client addresses a tenant's room at before + tenant + after, and Jitsi's
	// mod_muc_domain_mapper maps that to name; both are empty where that can't be.
	prefix, suffix string
}

// NewNames returns the Names for the watched MUC domains, main one first.
// Without any domain every name is refused.
func NewNames(domains ...jid.JID) *Names {
	n := &Names{}
	for i, j := range domains {
		d := domainPattern{name: j.Domainpart()}
		if d.name == "" {
			continue
		}
		if prefix, base, ok := strings.Cut(d.name, "."); ok && roomType(i, d.name) == RoomMain {
			d.prefix, d.suffix = prefix+".", "."+base
		}
		n.domains = append(n.domains, d)
	}
	return n
}

// Room returns the bare JID of the room that is written as
//
//   - what follows the host in a link, typed or encoded: "My Room", "my%20room", "tenant/room", "room?jwt=…",
//   - a tenant's room as Prosody has it: "[tenant]room",
//   - the JID of a room on a watched domain: "room@muc.meet.jitsi", "[tenant]room@muc.meet.jitsi",
//   - a JID as a tenant's client knows it: "room@muc.tenant.meet.jitsi",
//   - a link on a given domain: "/My Room@muc.meet.jitsi", "tenant/My Room@muc.meet.jitsi".
//
// A JID is the address itself: the JID of every room that Prosody has is read as that room.
// The last form can't be a JID, because no JID has a / before its @.
//
// The error is always a [*NameError]: what can't be read is refused, never guessed at.
func (n *Names) Room(written string) (jid.JID, error) {
	local, domain, err := n.parse(written)
	if err != nil {
		return jid.JID{}, err
	}
	// RFC 7622 §3.3.
	if len(local) > 1023 {
		return jid.JID{}, refuse("a room name can't be longer than 1023 bytes; this one has %d when it is percent-encoded", len(local))
	}
	if strings.Contains(local, "'") {
		// The client deletes an apostrophe only where it isn't encoded.
		return jid.JID{}, refuse("XMPP has no address for a name with an apostrophe")
	}
	// PRECIS refuses some of the rooms that Prosody's stringprep lets pass, such as [täst]room.
	return jid.NewUnsafe(local, domain, "").JID, nil
}

// Name returns the shortest writing that [Names.Room] reads as room: its localpart on the main domain, or else its JID.
func (n *Names) Name(room jid.JID) string {
	if len(n.domains) > 0 && room.Domainpart() == n.domains[0].name {
		if same, err := n.Room(room.Localpart()); err == nil && same.Equal(room) {
			return room.Localpart()
		}
	}
	return room.String()
}

// parse returns the localpart and the watched domain of the room that is written so.
func (n *Names) parse(written string) (local, domain string, err error) {
	switch {
	case len(n.domains) == 0:
		return "", "", refuse("no MUC domain is watched")
	case !utf8.ValidString(written):
		return "", "", refuse("a room name has to be UTF-8")
	case strings.ContainsFunc(written, isControl):
		return "", "", refuse("a room name can't hold control characters")
	}
	node, host, at := strings.Cut(written, "@")
	if !at {
		local, err = linkNode(written)
		return local, n.domains[0].name, err
	}
	host, _, full := strings.Cut(host, "/")
	group, domain, ok := n.match(host)
	switch {
	case !ok && strings.ContainsAny(node, "?#"):
		// The @ is in the query or fragment of a link.
		local, err = linkNode(written)
		return local, n.domains[0].name, err
	case !ok:
		return "", "", &NameError{
			Reason: "the domain behind the first @ isn't watched; watched are: " + strings.Join(n.domainNames(), ", "), err: ErrNotWatched,
		}
	case full:
		return "", "", refuse("a room's JID has no resource: nothing can stand behind the domain")
	case strings.Contains(node, "/"):
		local, err = linkNode(node)
	default:
		local, err = jidNode(node)
	}
	if err != nil || group == "" {
		return local, domain, err
	}
	if strings.HasPrefix(local, "[") {
		return "", "", refuse("a room has one tenant, either in front of it or in the domain")
	}
	group, err = tenantLabel(group)
	return group + local, domain, err
}

// watched returns the names of the watched domains.
func (n *Names) domainNames() (names []string) {
	for _, d := range n.domains {
		names = append(names, d.name)
	}
	return names
}

// link returns the localpart for what follows the host in a link.
// The steps and their order are those of a browser, and then of parseURIString in jitsi-meet's react/features/base/util/uri.ts.
func linkNode(written string) (string, error) {
	l, err := cutLink(written)
	if err != nil {
		return "", err
	}
	name, err := roomNode(stripDeleted(l.name))
	if err != nil || !l.hasTenant {
		return name, err
	}
	group, err := linkTenant(l.tenant)
	return group + name, err
}

// linkPath is the part of a link that names a room, as a browser hands it to the client.
type linkPath struct {
	tenant, name string
	hasTenant    bool
}

// cutLink takes a link apart as a browser does (WHATWG URL §4.4), and [tenant]room, which is no link.
func cutLink(written string) (l linkPath, err error) {
	if end := strings.IndexAny(written, "?#"); end >= 0 {
		written = written[:end]
	} else {
		written = strings.TrimRight(written, " ")
	}
	written = strings.TrimPrefix(strings.ReplaceAll(written, `\`, "/"), "/")
	if l.tenant, l.name, l.hasTenant = strings.Cut(written, "/"); strings.HasPrefix(written, "[") {
		if l.tenant, l.name, err = cutTenant(written); err != nil {
			return linkPath{}, err
		}
		l.hasTenant = true
	}
	switch {
	case strings.Count(written, "[") != strings.Count(written, "]"):
		return linkPath{}, refuse(unpairedBracket)
	case !l.hasTenant:
		l.tenant, l.name = "", written
	case strings.Contains(l.name, "/"):
		// nginx and the domain mapper know of one level only, see [Names.domain].
		return linkPath{}, refuse("a room has one tenant at most, as in tenant/room; of a whole link, write what follows the host")
	}
	for _, part := range []string{l.tenant, l.name} {
		if d := decodeURIComponent(part); d == "." || d == ".." {
			// WHATWG URL §4.1, dot-segments.
			return linkPath{}, refuse("no room is called %s: browsers take that out of an address", d)
		}
	}
	l.tenant, l.name = browserEncode(l.tenant), browserEncode(l.name)
	return l, nil
}

// jidNode returns the localpart for that of a JID as it was written.
//
// It stays as it is but for the case of ASCII, which Prosody never keeps: two rooms can differ in anything else.
// What no JID can hold (RFC 3920 §A.5) is only text, which is encoded as the client would encode it;
// nothing is deleted from it, for the client does that to links only.
func jidNode(node string) (string, error) {
	if node != "" && !strings.ContainsAny(node, `"&':<>`) && !strings.ContainsFunc(node, unicode.IsSpace) {
		return lowerASCII(node), nil
	}
	if !strings.HasPrefix(node, "[") {
		return roomNode(node)
	}
	group, name, err := cutTenant(node)
	if err != nil {
		return "", err
	}
	if group, err = tenantLabel(group); err != nil {
		return "", err
	}
	name, err = roomNode(name)
	return group + name, err
}

// match returns the watched domain that host means, and the tenant if host is a client's address of one.
func (n *Names) match(host string) (group, domain string, ok bool) {
	host = strings.ToLower(strings.TrimSuffix(host, "."))
	// This fails for a tenant with an underscore, which Jitsi allows and IDNA doesn't.
	if j, err := jid.New("", host, ""); err == nil {
		host = j.Domainpart()
	}
	for _, d := range n.domains {
		if d.name == host {
			return "", host, true
		}
	}
	for _, d := range n.domains {
		group, before := strings.CutPrefix(host, d.prefix)
		group, after := strings.CutSuffix(group, d.suffix)
		// One label, as target_subdomain_pattern in jitsi-meet's resources/prosody-plugins/util.lib.lua has it.
		if d.prefix != "" && before && after && group != "" && !strings.Contains(group, ".") {
			return group, d.name, true
		}
	}
	return "", "", false
}

// cutTenant takes [tenant]room apart.
func cutTenant(s string) (group, name string, err error) {
	group, name, ok := strings.Cut(s[1:], "]")
	if !ok || strings.ContainsAny(group, "[/") {
		return "", "", refuse(unpairedBracket)
	}
	return group, name, nil
}

// linkTenant returns the bracketed tenant that stands before a room: on the web it is what nginx has decoded of a link.
func linkTenant(part string) (string, error) {
	name := decodeURIComponent(part)
	if strings.Contains(part, "%") && name == part {
		return "", refuse("a tenant can't hold a %% that encodes nothing: a web server refuses such a link")
	}
	return tenantLabel(name)
}

// tenantLabel returns the bracketed tenant for one that isn't encoded. The client makes it a label of a host name, each dot an underscore
// (docker-jitsi-meet's web/rootfs/defaults/meet.conf and system-config.js), which Prosody prepares as one.
// Nothing is encoded: täst/room is [täst]room on the server.
func tenantLabel(name string) (string, error) {
	if err := checkName(name, "a tenant"); err != nil {
		return "", err
	}
	if name = nameprep(toLowerCase(strings.ReplaceAll(name, ".", "_"))); name == "" {
		return "", refuse("a tenant can't be empty")
	}
	if i := strings.IndexFunc(name, forbiddenInTenant); i >= 0 {
		c, _ := utf8.DecodeRuneInString(name[i:])
		return "", refuse("a tenant is part of a host name: it can't hold %q", c)
	}
	return "[" + name + "]", nil
}

// forbiddenInTenant reports whether r can't be in a tenant: Prosody, or nginx before it, refuses such an address.
func forbiddenInTenant(r rune) bool {
	return strings.ContainsRune(`"&':<>@/.[]`, r) || unicode.IsSpace(r)
}

// roomNode returns the localpart for a room, tenant aside: getBackendSafeRoomName in uri.ts.
func roomNode(part string) (string, error) {
	name := decodeURIComponent(part)
	if err := checkName(name, "a room name"); err != nil {
		return "", err
	}
	return encodeURIComponent(toLowerCase(norm.NFKC.String(name))), nil
}

// checkName returns why nothing can be called name, which is decoded, and which the error calls what.
func checkName(name, what string) error {
	if name == "" {
		return refuse("%s can't be empty", what)
	}
	if strings.ContainsFunc(name, isControl) {
		return refuse("%s can't hold control characters", what)
	}
	// NFKC of x/text puts a U+034F behind each 30th combining mark (UAX #15 §13); JavaScript's doesn't.
	if strings.Count(norm.NFKC.String(name), "\u034f") != strings.Count(name, "\u034f") {
		return refuse("%s can't have more than 30 combining marks in a row", what)
	}
	return nil
}

// isControl reports whether r is one of C0, DEL and C1, or else no Char of XML 1.0 §2.2.
func isControl(r rune) bool { return unicode.IsControl(r) || r == 0xFFFE || r == 0xFFFF }
