package keys

import (
	"errors"
	"strings"

	"ppch/component/occupancy"
)

// roomPattern stands for one room, or for all whose localpart begins alike.
//
// It isn't a pattern of package path, for which [tenant]* would be any room that begins with a t, an e, an n or an a.
type roomPattern struct {
	local, domain string
	prefix        bool
}

// matches reports whether the room with that address is one of those that p stands for.
func (p roomPattern) matches(local, domain string) bool {
	return domain == p.domain && (local == p.local || p.prefix && strings.HasPrefix(local, p.local))
}

// end stands for what follows the part of a room's name that is given.
// It is a letter that can't be part of a percent-escape, and that normalization leaves alone after any other.
const end = "x"

// parseRoomPattern reads a room as people write it, maybe with a * at the end of its name, for any continuation:
// Planning, stand-up*, acme/*, [acme]*, *@breakout.meet.jitsi. Without a domain it is the main one.
// It is read as requests are, so that a key is good for a room by whichever name that is asked for.
func parseRoomPattern(written string, names *occupancy.NameResolver) (roomPattern, error) {
	name, rest, prefix := strings.Cut(written, "*")
	switch {
	case prefix && (strings.Contains(name, "@") || rest != "" && rest[0] != '@' || strings.Contains(rest, "*")):
		return roomPattern{}, errors.New("a * can only stand at the end of a room's name, as in stand-up* or acme/*")
	case strings.ContainsAny(written, "?#"):
		return roomPattern{}, errors.New("no room has a ? or a # in its name: only a * stands for others")
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
		return roomPattern{}, errors.New("a comma separates rooms, so the JID of a room can't have one here")
	}
	if prefix {
		local = strings.TrimSuffix(local, end)
	}
	return roomPattern{local: local, domain: j.Domainpart(), prefix: prefix}, nil
}

// write returns p so that it is one word in a file of keys and is read as p again: the room's own address,
// without its domain if that says nothing.
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
	// A JID can hold no %2a for a *, so this is a link on the domain.
	group, name, _ := strings.Cut("/"+local, "/")
	if strings.HasPrefix(local, "[") {
		group, name, _ = strings.Cut(local[1:], "]")
	}
	return group + "/" + linked.Replace(name) + star + "@" + p.domain
}

// linked encodes what Jitsi's client deletes from a link, of what it leaves as it is in a room's address.
var linked = strings.NewReplacer("*", "%2a", "!", "%21", "(", "%28", ")", "%29")
