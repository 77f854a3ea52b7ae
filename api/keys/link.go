package keys

import (
	"crypto/rand"
	"slices"
	"strings"

	"mellium.im/xmpp/jid"

	"ppch/component/occupancy"
)

// linkPrefix begins every token, so that programs that look for leaked secrets can tell what it is.
const linkPrefix = "pps_"

// LinkRequest is what a new share link shows.
type LinkRequest struct {
	Name    string   // in the log; "" picks one
	Rooms   []string // as people write rooms; none is every room
	Names   bool     // whether it shows people's names
	Streams int      // that may be open at a time; 0 is no limit but its share of the places
	Expires string   // the last day, or the moment; "" is never
}

// NewLink returns the token of a new share link, and the line for the file of keys that makes it valid.
// The line contains only the token's sum.
//
// A share link is a capability: it lets anyone who has it see some rooms, cannot be used as an API key, and ends when its line goes.
func NewLink(req LinkRequest, names *occupancy.NameResolver) (token, line string, err error) {
	scopes := []string{"share"}
	if req.Names {
		scopes = append(scopes, "participants")
	}
	if req.Name == "" {
		req.Name = "share-" + strings.ToLower(rand.Text()[:6])
	}
	return newKey(linkPrefix, Request{Name: req.Name, Scopes: scopes, Rooms: req.Rooms, Streams: req.Streams, Expires: req.Expires}, names)
}

// IsLink reports whether the key is a share link.
func (k *Key) IsLink() bool { return k.scopes&ScopeShare != 0 }

// NamedRooms returns the rooms that the key names one by one, and whether it includes others too, by a pattern or because it has no limit.
func (k *Key) NamedRooms() (rooms []jid.JID, others bool) {
	for _, p := range k.rooms {
		if p.prefix {
			others = true
			continue
		}
		if j, err := jid.New(p.local, p.domain, ""); err == nil { // parseRoomPattern has made them of one
			rooms = append(rooms, j)
		}
	}
	return rooms, others || k.rooms == nil
}

// HasPattern reports whether the key includes rooms of a domain by a pattern.
func (k *Key) HasPattern(domain string) bool {
	return slices.ContainsFunc(k.rooms, func(p roomPattern) bool { return p.prefix && p.domain == domain })
}

// SameRooms reports whether two keys include the same rooms.
func (k *Key) SameRooms(other *Key) bool {
	return slices.Equal(k.rooms, other.rooms) && (k.rooms == nil) == (other.rooms == nil)
}
