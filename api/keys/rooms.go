package keys

import (
	"fmt"
	"slices"
	"strings"

	"ppch/component/occupancy"
)

// RoomFilter selects rooms by patterns, as the rooms of a key do. The zero RoomFilter selects all.
type RoomFilter struct{ patterns []roomPattern }

// ParseRooms returns the filter for patterns as people write them: Planning, stand-up*, acme/*, *@breakout.meet.jitsi.
// No pattern selects all rooms.
func ParseRooms(patterns []string, names *occupancy.NameResolver) (RoomFilter, error) {
	var f RoomFilter
	for _, written := range patterns {
		p, err := parseRoomPattern(written, names)
		if err != nil {
			return RoomFilter{}, fmt.Errorf("rooms: %q: %w", written, err)
		}
		f.patterns = append(f.patterns, p)
	}
	return f, nil
}

// Includes reports whether f selects a room, given by its bare JID.
func (f RoomFilter) Includes(room string) bool {
	if f.patterns == nil {
		return true
	}
	local, domain, _ := strings.Cut(room, "@")
	return slices.ContainsFunc(f.patterns, func(p roomPattern) bool { return p.matches(local, domain) })
}

// AllowsAny reports whether the grant may include a room that f selects.
func (g Grant) AllowsAny(f RoomFilter) bool {
	if g.Key == nil {
		return false
	}
	return g.Key.rooms == nil || f.patterns == nil ||
		slices.ContainsFunc(f.patterns, func(p roomPattern) bool { return slices.ContainsFunc(g.Key.rooms, p.overlaps) })
}
