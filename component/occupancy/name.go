package occupancy

import (
	"fmt"
	"slices"
	"strings"
	"sync/atomic"
	"unicode"
	"unicode/utf8"

	"golang.org/x/text/unicode/norm"
	"mellium.im/xmpp/jid"
)

// unpairedBracket is the reason for rejecting what looks like [tenant]room but isn't.
const unpairedBracket = "a bracket has no partner; a tenant's room is [tenant]room"

// NameError is the error for text that can't be the name of a room.
type NameError struct {
	// Reason is for the caller. It has no prefix and doesn't contain the name, which may be hostile.
	Reason string

	// err is ErrNotWatched if that is the reason, else nil.
	err error
}

func (e *NameError) Error() string { return "occupancy: invalid room name: " + e.Reason }

// Unwrap returns ErrNotWatched for a JID on a domain that isn't watched, otherwise nil.
func (e *NameError) Unwrap() error { return e.err }

func refuse(format string, args ...any) error {
	return &NameError{Reason: fmt.Sprintf(format, args...)}
}

// NameResolver parses what people write into the JID of the room that Jitsi's own client would enter.
// It is safe for concurrent use.
type NameResolver struct {
	list atomic.Pointer[[]domainPattern] // never modified, replaced by Watch
}

// domains returns the watched MUC domains, the main one first. The caller must not modify them.
func (n *NameResolver) domains() []domainPattern {
	if list := n.list.Load(); list != nil {
		return *list
	}
	return nil
}

// domainPattern is a watched MUC domain and how clients of tenants address it.
type domainPattern struct {
	name string

	// A client addresses a tenant's room at prefix + tenant + suffix, and Jitsi's
	// mod_muc_domain_mapper maps that to name. Both are empty on domains without tenants.
	prefix, suffix string

	meet string // URL of its meetings, or empty; see [NameResolver.WithMeetURLs]
}

// NewNameResolver returns a NameResolver for the watched MUC domains, the main one first.
// Without any domain it rejects every name.
func NewNameResolver(domains ...jid.JID) *NameResolver {
	n := &NameResolver{}
	n.Watch(domains...)
	return n
}

// Watch adds MUC domains after those that n has, and ignores those that it has already. Calls of Watch must not overlap.
func (n *NameResolver) Watch(domains ...jid.JID) {
	all := slices.Clone(n.domains())
	for _, j := range domains {
		d := domainPattern{name: j.Domainpart()}
		if d.name == "" || slices.ContainsFunc(all, func(other domainPattern) bool { return other.name == d.name }) {
			continue
		}
		if prefix, base, ok := strings.Cut(d.name, "."); ok && roomType(len(all), d.name) == RoomMain {
			d.prefix, d.suffix = prefix+".", "."+base
		}
		all = append(all, d)
	}
	n.list.Store(&all)
}

// Room returns the bare JID of a room. It accepts
//
//   - the part of a link after the host, typed or encoded: "My Room", "my%20room", "tenant/room", "room?jwt=…",
//   - a meeting's link, also without https://: "https://meet.example.com/My%20Room", see [NameResolver.WithMeetURLs],
//   - a tenant's room as Prosody names it: "[tenant]room",
//   - the JID of a room on a watched domain: "room@muc.meet.jitsi", "[tenant]room@muc.meet.jitsi",
//   - a JID as a tenant's client addresses it: "room@muc.tenant.meet.jitsi",
//   - a link on a given domain: "/My Room@muc.meet.jitsi", "tenant/My Room@muc.meet.jitsi".
//
// A JID stands for itself, so the JID of each of Prosody's rooms is read as that room.
// The last form is unambiguous because no JID has a / before its @.
//
// The error is always a [*NameError]: Room never guesses.
func (n *NameResolver) Room(written string) (jid.JID, error) {
	local, domain, err := n.parse(written)
	if err != nil {
		return jid.JID{}, err
	}
	// RFC 7622 §3.3.
	if len(local) > 1023 {
		return jid.JID{}, refuse("a room name can't be longer than 1023 bytes; this one has %d when percent-encoded", len(local))
	}
	if strings.Contains(local, "'") {
		// The client deletes an apostrophe only if it isn't encoded.
		return jid.JID{}, refuse("XMPP has no address for a name with an apostrophe")
	}
	// PRECIS rejects some rooms that Prosody's stringprep accepts, such as [täst]room.
	return jid.NewUnsafe(local, domain, "").JID, nil
}

// Name returns the shortest text that [NameResolver.Room] reads as room: the localpart on the main domain, else the JID.
func (n *NameResolver) Name(room jid.JID) string {
	if domains := n.domains(); len(domains) > 0 && room.Domainpart() == domains[0].name {
		if isPlain(room.Localpart()) {
			return room.Localpart()
		}
		if same, err := n.Room(room.Localpart()); err == nil && same.Equal(room) {
			return room.Localpart()
		}
	}
	return room.String()
}

// parse returns the localpart and the watched domain of a room.
func (n *NameResolver) parse(written string) (local, domain string, err error) {
	domains := n.domains()
	switch {
	case len(domains) == 0:
		return "", "", refuse("no MUC domain is watched")
	case !utf8.ValidString(written):
		return "", "", refuse("a room name must be UTF-8")
	case strings.ContainsFunc(written, isControl):
		return "", "", refuse("a room name can't contain control characters")
	}
	if link, domain, ok := n.cutMeetURL(written); ok {
		local, err = linkNode(link)
		return local, domain, err
	}
	if isURL(written) {
		return "", "", n.refuseURL()
	}
	node, host, at := strings.Cut(written, "@")
	if !at {
		local, err = linkNode(written)
		return local, domains[0].name, err
	}
	host, _, full := strings.Cut(host, "/")
	group, domain, ok := n.match(host)
	switch {
	case !ok && strings.ContainsAny(node, "?#"):
		// The @ is in the query or fragment of a link.
		local, err = linkNode(written)
		return local, domains[0].name, err
	case !ok:
		return "", "", &NameError{
			Reason: "the domain after the first @ isn't watched; watched domains: " + strings.Join(n.domainNames(), ", "), err: ErrNotWatched,
		}
	case full:
		return "", "", refuse("a room's JID has no resource: remove the part after the domain")
	case strings.Contains(node, "/"):
		local, err = linkNode(node)
	default:
		local, err = jidNode(node)
	}
	if err != nil || group == "" {
		return local, domain, err
	}
	if strings.HasPrefix(local, "[") {
		return "", "", refuse("a room has one tenant, either before it or in the domain")
	}
	group, err = tenantLabel(group)
	return group + local, domain, err
}

// domainNames returns the names of the watched domains.
func (n *NameResolver) domainNames() (names []string) {
	for _, d := range n.domains() {
		names = append(names, d.name)
	}
	return names
}

// linkNode returns the localpart for the part of a link after the host.
// It takes the steps of a browser, then those of parseURIString in jitsi-meet's react/features/base/util/uri.ts.
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

// linkPath is the part of a link that names a room, as a browser passes it to the client.
type linkPath struct {
	tenant, name string
	hasTenant    bool
}

// cutLink splits a link as a browser does (WHATWG URL §4.4), and also [tenant]room, which isn't a link.
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
		// nginx and the domain mapper support one level only, see [NameResolver.match].
		return linkPath{}, refuse("a room has one tenant at most, as in tenant/room; from a full link, write only the part after the host")
	}
	for _, part := range []string{l.tenant, l.name} {
		if d := decodeURIComponent(part); d == "." || d == ".." {
			// WHATWG URL §4.1, dot-segments.
			return linkPath{}, refuse("a room can't be called %s: browsers remove it from an address", d)
		}
	}
	l.tenant, l.name = browserEncode(l.tenant), browserEncode(l.name)
	return l, nil
}

// jidNode returns the localpart of a room for the localpart of a JID as written.
//
// It lower-cases ASCII, as Prosody always does, and keeps the rest, because two rooms can differ in it.
// A localpart that no JID can have (RFC 3920 §A.5) is encoded as the client would encode it,
// but without deleting characters, which the client does for links only.
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

// match returns the watched domain for host, and the tenant if host is an address that tenants' clients use.
func (n *NameResolver) match(host string) (group, domain string, ok bool) {
	host = strings.ToLower(strings.TrimSuffix(host, "."))
	// This fails for a tenant with an underscore, which Jitsi allows but IDNA doesn't.
	if j, err := jid.New("", host, ""); err == nil {
		host = j.Domainpart()
	}
	for _, d := range n.domains() {
		if d.name == host {
			return "", host, true
		}
	}
	for _, d := range n.domains() {
		group, before := strings.CutPrefix(host, d.prefix)
		group, after := strings.CutSuffix(group, d.suffix)
		// One label, like target_subdomain_pattern in jitsi-meet's resources/prosody-plugins/util.lib.lua.
		if d.prefix != "" && before && after && group != "" && !strings.Contains(group, ".") {
			return group, d.name, true
		}
	}
	return "", "", false
}

// cutTenant splits [tenant]room.
func cutTenant(s string) (group, name string, err error) {
	group, name, ok := strings.Cut(s[1:], "]")
	if !ok || strings.ContainsAny(group, "[/") {
		return "", "", refuse(unpairedBracket)
	}
	return group, name, nil
}

// linkTenant returns the bracketed tenant for a tenant in a link, which nginx decodes on the web.
func linkTenant(part string) (string, error) {
	name := decodeURIComponent(part)
	if strings.Contains(part, "%") && name == part {
		return "", refuse("a tenant can't contain a %% that encodes nothing: web servers reject such a link")
	}
	return tenantLabel(name)
}

// tenantLabel returns the bracketed tenant for a decoded one. The client turns it into a label of a host name, dots into underscores
// (docker-jitsi-meet's web/rootfs/defaults/meet.conf and system-config.js), and Prosody applies nameprep to it.
// Nothing is percent-encoded: täst/room is [täst]room on the server.
func tenantLabel(name string) (string, error) {
	if err := checkName(name, "a tenant"); err != nil {
		return "", err
	}
	if name = nameprep(toLowerCase(strings.ReplaceAll(name, ".", "_"))); name == "" {
		return "", refuse("a tenant can't be empty")
	}
	if i := strings.IndexFunc(name, forbiddenInTenant); i >= 0 {
		c, _ := utf8.DecodeRuneInString(name[i:])
		return "", refuse("a tenant is part of a host name: it can't contain %q", c)
	}
	return "[" + name + "]", nil
}

// forbiddenInTenant reports whether nginx or Prosody rejects a tenant with r.
func forbiddenInTenant(r rune) bool {
	return strings.ContainsRune(`"&':<>@/.[]`, r) || unicode.IsSpace(r)
}

// roomNode returns the localpart of a room without its tenant, like getBackendSafeRoomName in uri.ts.
func roomNode(part string) (string, error) {
	name := decodeURIComponent(part)
	if err := checkName(name, "a room name"); err != nil {
		return "", err
	}
	return encodeURIComponent(toLowerCase(norm.NFKC.String(name))), nil
}

// checkName returns an error if name, which is decoded, can't be a name. The error calls it what.
func checkName(name, what string) error {
	if name == "" {
		return refuse("%s can't be empty", what)
	}
	if strings.ContainsFunc(name, isControl) {
		return refuse("%s can't contain control characters", what)
	}
	// NFKC of x/text inserts a U+034F after each 30th combining mark (UAX #15 §13); JavaScript's doesn't.
	if strings.Count(norm.NFKC.String(name), "\u034f") != strings.Count(name, "\u034f") {
		return refuse("%s can't have more than 30 combining marks in a row", what)
	}
	return nil
}

// isControl reports whether r is in C0, DEL or C1, or isn't a Char of XML 1.0 §2.2.
func isControl(r rune) bool { return unicode.IsControl(r) || r == 0xFFFE || r == 0xFFFF }
