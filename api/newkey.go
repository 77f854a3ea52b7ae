package api

import (
	"crypto/rand"
	"encoding/hex"
	"errors"
	"fmt"
	"strings"
	"time"

	"ppch/component/occupancy"
)

// KeyRequest is what a new key is to be good for.
type KeyRequest struct {
	Name    string
	Scopes  []string
	Rooms   []string // as people write rooms, see README; none is every room
	Expires string   // the last day, or the moment; "" is never
}

// NewKey returns a new key and the line for the file of keys that makes it count, which has only the key's sum.
// The key has 130 random bits, behind letters by which programs that look for leaked secrets can tell what it is.
func NewKey(req KeyRequest, names *occupancy.Names) (text, line string, err error) {
	text = "ppch_" + rand.Text()
	sum := sumOf(text)
	fields := []string{"name=" + req.Name, "sha256=" + hex.EncodeToString(sum[:]), "scope=" + strings.Join(req.Scopes, ",")}
	if len(req.Rooms) > 0 {
		var rooms []string
		for _, written := range req.Rooms {
			p, err := parseRoomPattern(written, names)
			if err != nil {
				return "", "", fmt.Errorf("room: %w", err)
			}
			rooms = append(rooms, p.write(names))
		}
		fields = append(fields, "room="+strings.Join(rooms, ","))
	}
	if req.Expires != "" {
		fields = append(fields, "expires="+req.Expires)
	}
	line = strings.Join(fields, " ")
	k, err := parseKey(line, names)
	if err != nil {
		return "", "", err
	}
	if k.name == ownKey {
		return "", "", errors.New("name: the key that is set without a file is called so")
	}
	if !k.expires.IsZero() && k.expires.Before(time.Now()) {
		return "", "", errors.New("expires: that has passed")
	}
	return text, line, nil
}
