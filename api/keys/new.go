package keys

import (
	"crypto/rand"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"

	"ppch/component/occupancy"
)

// Request is the name and the rights of a new key.
type Request struct {
	Name    string
	Scopes  []string
	Rooms   []string // names or patterns, see README; empty for all rooms
	Streams int      // maximum of open streams and waiting requests; 0 means no limit but the key's share
	Expires string   // the last day, or a time; "" for never
}

// New returns a new key and its line for the file of keys, which contains only the key's sum.
// The key has 130 random bits, after a prefix by which scanners for leaked secrets can recognize it.
func New(req Request, names *occupancy.NameResolver) (text, line string, err error) {
	if slices.Contains(req.Scopes, "share") {
		return "", "", errors.New("scope: share is for share links: use ppch key share")
	}
	return newKey("ppch_", req, names)
}

// newKey is New for keys that begin with a prefix.
func newKey(prefix string, req Request, names *occupancy.NameResolver) (text, line string, err error) {
	text = prefix + rand.Text()
	k := &Key{sum: SumOf(text)}
	fields := [][2]string{{"name", req.Name}, {"scope", strings.Join(req.Scopes, ",")}}
	if req.Streams != 0 {
		fields = append(fields, [2]string{"streams", strconv.Itoa(req.Streams)})
	}
	if req.Expires != "" {
		fields = append(fields, [2]string{"expires", req.Expires})
	}
	for _, f := range fields {
		if err := k.set(f[0], f[1], names); err != nil {
			return "", "", fmt.Errorf("%s: %w", f[0], err)
		}
	}
	for _, written := range req.Rooms {
		p, err := parseRoomPattern(written, names)
		if err != nil {
			return "", "", fmt.Errorf("room: %w", err)
		}
		k.rooms = append(k.rooms, p)
	}
	switch {
	case k.name == ownKey:
		return "", "", errors.New("name: " + ownKey + " is reserved for the key that is set without a file")
	case !k.expires.IsZero() && k.expires.Before(time.Now()):
		return "", "", errors.New("expires: " + req.Expires + " is in the past")
	}
	return text, k.line(names), nil
}
