package keys

import (
	"errors"
	"strings"

	"ppch/component/occupancy"
)

// roomPattern matches one room, or all rooms whose localpart has a prefix.
//
// It isn't a pattern of package path, where [tenant]* would match rooms that begin with t, e, n or a.
type roomPattern struct {
	local, domain string
	prefix        bool
}

// matches reports whether p matches the room with that address.
func (p roomPattern) matches(local, domain string) bool {
	return domain == p.domain && (local == p.local || p.prefix && strings.HasPrefix(local, p.local))
}

// overlaps reports whether p and other match a room in common.
func (p roomPattern) overlaps(other roomPattern) bool {
	return p.matches(other.local, other.domain) || other.matches(p.local, p.domain)
}

// end replaces the * while a pattern is resolved.
// It is a letter that can't be part of a percent-escape, and that normalization doesn't change or combine.
const end = "x"

// parseRoomPattern parses a room as people write it. A * at the end of its name matches any suffix:
// Planning, stand-up*, acme/*, [acme]*, *@breakout.meet.jitsi. The default domain is the main one.
// It resolves names like a request, so that a key includes a room under each of its names.
func parseRoomPattern(written string, names *occupancy.NameResolver) (roomPattern, error) {
	name, rest, prefix := strings.Cut(written, "*")
	switch {
	case prefix && (strings.Contains(name, "@") || rest != "" && rest[0] != '@' || strings.Contains(rest, "*")):
		return roomPattern{}, errors.New("a * is allowed only at the end of a room's name, as in stand-up* or acme/*")
	case strings.ContainsAny(written, "?#"):
		return roomPattern{}, errors.New("a room's name can't contain ? or #: use * at its end to match any suffix")
	case prefix:
		name += end + rest
	}
	j, err := names.Room(name)
	if err != nil {
		if refused := (*occupancy.NameError)(nil); errors.As(err, &refused) {
			err = errors.New(refused.Reason)
		}
		return roomPattern{}, err
	}
	local := j.Localpart()
	if strings.Contains(local, ",") {
		return roomPattern{}, errors.New("commas separate rooms, so a JID can't contain one here")
	}
	if prefix {
		local = strings.TrimSuffix(local, end)
	}
	return roomPattern{local: local, domain: j.Domainpart(), prefix: prefix}, nil
}

// write returns p as one word for a file of keys, which parseRoomPattern parses to p: the room's address,
// without its domain if possible.
func (p roomPattern) write(names *occupancy.NameResolver) string {
	local, star := p.local, ""
	if p.prefix {
		star = "*"
	}
	short := strings.ReplaceAll(local, "*", "%2a") + star
	if read, err := parseRoomPattern(short, names); err == nil && read == p {
		return short
	}
	if !strings.Contains(local, "*") {
		return local + star + "@" + p.domain
	}
	// A JID can't contain %2a for a *, so this is a link on the domain.
	group, name, _ := strings.Cut("/"+local, "/")
	if strings.HasPrefix(local, "[") {
		group, name, _ = strings.Cut(local[1:], "]")
	}
	return group + "/" + linked.Replace(name) + star + "@" + p.domain
}

// linked encodes characters of room addresses that Jitsi's client would delete from a link.
var linked = strings.NewReplacer("*", "%2a", "!", "%21", "(", "%28", ")", "%29")
