package occupancy

import (
	"fmt"
	"slices"
	"strings"
	"unicode"
	"unicode/utf8"

	"golang.org/x/text/unicode/norm"
	"mellium.im/xmpp/jid"
)

// unpaired is the reason for refusing what looks like [tenant]room but isn't.
const unpaired = "a bracket has no partner; a tenant's room is [tenant]room"

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
type Names struct {
	domains []string

	// A client addresses a tenant's room at before + tenant + after, and Jitsi's
	// mod_muc_domain_mapper maps that to the main domain; both are empty where that can't be.
	before, after string
}

// NewNames returns the Names for the watched MUC domains, main one first.
// Without any domain every name is refused.
func NewNames(domains ...jid.JID) *Names {
	n := &Names{}
	for _, d := range domains {
		if part := d.Domainpart(); part != "" {
			n.domains = append(n.domains, part)
		}
	}
	if len(n.domains) > 0 {
		if prefix, base, ok := strings.Cut(n.domains[0], "."); ok {
			n.before, n.after = prefix+".", "."+base
		}
	}
	return n
}

// Room returns the bare JID of the room that is written as
//
//   - a name as typed, or as it stands in a URL: "My Room", "my%20room",
//   - a tenant's room: "tenant/room" or "[tenant]room",
//   - a JID on a watched domain: "room@muc.meet.jitsi", "[tenant]room@muc.meet.jitsi",
//   - a JID as a tenant's client knows it: "room@muc.tenant.meet.jitsi".
//
// The JID that Room returns, written out, is read as itself.
// The error is always a [*NameError]: what can't be read is refused, never guessed at.
func (n *Names) Room(written string) (jid.JID, error) {
	if len(n.domains) == 0 {
		return jid.JID{}, refuse("no MUC domain is watched")
	}
	if !utf8.ValidString(written) {
		return jid.JID{}, refuse("a room name has to be UTF-8")
	}
	if strings.ContainsFunc(written, control) {
		return jid.JID{}, refuse("a room name can't hold control characters")
	}
	local, domain, err := "", n.domains[0], error(nil)
	if node, host, ok := strings.Cut(written, "@"); ok {
		local, domain, err = n.address(node, host)
	} else {
		local, err = typed(written)
	}
	if err != nil {
		return jid.JID{}, err
	}
	// RFC 7622 §3.3.
	if len(local) > 1023 {
		return jid.JID{}, refuse("a room name can't be longer than 1023 bytes; this one has %d when it is percent-encoded", len(local))
	}
	j, err := jid.New(local, domain, "")
	if err != nil {
		// %27: the client deletes an apostrophe only where it isn't encoded.
		return jid.JID{}, refuse("XMPP has no address for this name: %v", err)
	}
	if j.Localpart() != local {
		return jid.JID{}, refuse("XMPP has another address for this name")
	}
	return j, nil
}

// Name returns the shortest writing that [Names.Room] reads as room: its localpart on the main domain, or else its JID.
func (n *Names) Name(room jid.JID) string {
	if len(n.domains) > 0 && room.Domainpart() == n.domains[0] {
		if same, err := n.Room(room.Localpart()); err == nil && same.Equal(room) {
			return room.Localpart()
		}
	}
	return room.String()
}

// typed returns the localpart for a name, or for what stands behind the host in an address bar.
// The steps and their order are those of parseURIString in jitsi-meet's react/features/base/util/uri.ts,
// but that white space stays, as it does in a link: browsers encode it before the client sees it.
func typed(written string) (string, error) {
	if end := strings.IndexAny(written, "?#"); end >= 0 {
		written = written[:end]
	}
	written = strings.TrimPrefix(written, "/")
	group, name, grouped := strings.Cut(written, "/")
	if strings.HasPrefix(written, "[") {
		var err error
		if group, name, err = cutTenant(written); err != nil {
			return "", err
		}
		grouped = true
	}
	switch {
	case strings.Count(written, "[") != strings.Count(written, "]"):
		return "", refuse(unpaired)
	case !grouped:
		group, name = "", written
	case strings.Contains(name, "/"):
		// nginx and the domain mapper know of one level only, see [Names.domain].
		return "", refuse("a room has one tenant at most, as in tenant/room")
	}

	var err error
	if grouped {
		if group, err = strip(group); err == nil {
			group, err = tenant(group)
		}
		if err != nil {
			return "", err
		}
	}
	if name, err = strip(name); err == nil {
		name, err = room(name)
	}
	return group + name, err
}

// address returns the localpart and the watched domain for a JID.
// Nothing is stripped from it: the client does that to URLs only.
func (n *Names) address(node, host string) (local, domain string, err error) {
	if strings.Contains(node, "/") {
		return "", "", refuse("a tenant's room is tenant/room or [tenant]room@domain, not both")
	}
	if strings.Contains(host, "/") {
		return "", "", refuse("a room's JID has no resource: nothing can stand behind the domain")
	}
	group, domain, ok := n.domain(host)
	if !ok {
		return "", "", &NameError{
			Reason: "the domain behind the first @ isn't watched; watched are: " + strings.Join(n.domains, ", "), err: ErrNotWatched,
		}
	}
	grouped := group != ""
	if strings.HasPrefix(node, "[") {
		if grouped {
			return "", "", refuse("a room has one tenant, either in brackets or in the domain")
		}
		if group, node, err = cutTenant(node); err != nil {
			return "", "", err
		}
		grouped = true
	}
	if grouped {
		if group, err = tenant(group); err != nil {
			return "", "", err
		}
	}
	// What already is a localpart of Jitsi's stays as it is. To normalize twice isn't always
	// the same as once: H and U+0331 don't compose, but h and U+0331 do.
	if node == "" || strings.ToLower(encode(decode(node))) != node {
		node, err = room(node)
	}
	return group + node, domain, err
}

// domain returns the watched domain that host means, and the tenant if host is a client's address of one.
func (n *Names) domain(host string) (group, domain string, ok bool) {
	host = strings.ToLower(strings.TrimSuffix(host, "."))
	// This fails for a tenant with an underscore, which Jitsi allows and IDNA doesn't.
	if j, err := jid.New("", host, ""); err == nil {
		host = j.Domainpart()
	}
	if slices.Contains(n.domains, host) {
		return "", host, true
	}
	group, before := strings.CutPrefix(host, n.before)
	group, after := strings.CutSuffix(group, n.after)
	// One label, as target_subdomain_pattern in jitsi-meet's resources/prosody-plugins/util.lib.lua has it.
	if n.before == "" || !before || !after || group == "" || strings.Contains(group, ".") {
		return "", "", false
	}
	return group, n.domains[0], true
}

// cutTenant takes [tenant]room apart.
func cutTenant(s string) (group, name string, err error) {
	group, name, ok := strings.Cut(s[1:], "]")
	if !ok || strings.ContainsAny(group, "[/") {
		return "", "", refuse(unpaired)
	}
	return group, name, nil
}

// tenant returns the bracketed tenant that stands before a room.
// The client makes it a label of a host name, each dot an underscore, and encodes nothing
// (docker-jitsi-meet's web/rootfs/defaults/system-config.js). So täst/room is [täst]room on the server,
// which jid.New refuses by its bidi rule; it is refused here first, in words.
func tenant(part string) (string, error) {
	name, err := clean(part, "a tenant")
	if err != nil {
		return "", err
	}
	name = strings.ReplaceAll(name, ".", "_")
	if strings.Trim(name, "abcdefghijklmnopqrstuvwxyz0123456789-_") != "" {
		return "", refuse("a tenant is part of a host name: it can only hold letters a-z, digits, - and _")
	}
	return "[" + name + "]", nil
}

// room returns the localpart for a room, tenant aside: getBackendSafeRoomName in uri.ts.
func room(part string) (string, error) {
	name, err := clean(part, "a room name")
	return encode(name), err
}

// clean decodes, normalizes and lower-cases part, which is what the error calls it.
func clean(part, what string) (string, error) {
	part = decode(part)
	if part == "" {
		return "", refuse("%s can't be empty", what)
	}
	if strings.ContainsFunc(part, control) {
		return "", refuse("%s can't hold control characters", what)
	}
	// NFKC of x/text puts a U+034F behind each 30th combining mark (UAX #15 §13); JavaScript's doesn't.
	normal := norm.NFKC.String(part)
	if strings.Count(normal, "\u034f") != strings.Count(part, "\u034f") {
		return "", refuse("%s can't have more than 30 combining marks in a row", what)
	}
	return lower(normal), nil
}

// control reports whether r is one of C0, DEL and C1, or else no Char of XML 1.0 §2.2.
func control(r rune) bool { return unicode.IsControl(r) || r == 0xFFFE || r == 0xFFFF }
