package api

import (
	"encoding/json"
	"fmt"
	"sync"
	"time"

	"github.com/hashicorp/golang-lru/v2/simplelru"

	"ppch/component/occupancy"
)

// maxBodies is how many bytes of encoded rooms are kept. A room of 20 has about 8 kB.
const maxBodies = 32 << 20

// shape is which of a room's views an answer has.
type shape struct {
	place place
	names bool // whether they may be told
}

// state returns which of a room's two states an answer depends on.
func (s shape) state(all, numbers occupancy.State) occupancy.State {
	if s.names {
		return all
	}
	return numbers
}

type place uint8

const (
	inParticipants place = iota
	inList
	inExpandedList
	inDetail
)

// body is a view of a room as JSON. Nobody changes it once it is made.
type body struct {
	state occupancy.State
	name  []byte // the shortest name of the room, as JSON
	view  []byte
}

// append writes the whole object, with what isn't of the room itself, to b.
func (y *body) append(b, name []byte, asOf time.Time) []byte {
	b = append(b, `{"room_name":`...)
	b = append(b, name...)
	b = append(b, ',')
	b = append(b, y.view[1:len(y.view)-1]...)
	b = append(b, `,"as_of":"`...)
	b = append(b, timestampOf(asOf)...)
	return append(b, `"}`...)
}

// bodies keeps rooms as JSON, so that many readers of one that stays the same cost one encoding.
// It is safe for concurrent use.
type bodies struct {
	names *occupancy.Names

	// mu protects what follows.
	mu    sync.Mutex
	kept  *simplelru.LRU[bodyKey, *body]
	bytes int
}

type bodyKey struct {
	address string
	shape   shape
}

func newBodies(names *occupancy.Names) *bodies {
	b := &bodies{names: names}
	kept, err := simplelru.NewLRU(maxBodies/256, func(_ bodyKey, y *body) { b.bytes -= y.size() })
	if err != nil {
		panic(err) // only for a size that isn't positive
	}
	b.kept = kept
	return b
}

// size is about what a body takes in memory.
func (y *body) size() int { return len(y.view) + 256 }

// get returns the body of a room in that state, or nil.
func (b *bodies) get(address string, s shape, state occupancy.State) *body {
	b.mu.Lock()
	defer b.mu.Unlock()
	if y, ok := b.kept.Get(bodyKey{address, s}); ok && y.state == state {
		return y
	}
	return nil
}

// make encodes a room, and keeps that where it may be wanted again.
func (b *bodies) make(room occupancy.Room, s shape) (*body, error) {
	address := room.JID.String()
	name, err := json.Marshal(b.names.Name(room.JID))
	if err != nil {
		return nil, fmt.Errorf("api: marshal: %w", err)
	}
	view, err := json.Marshal(s.view(room))
	if err != nil {
		return nil, fmt.Errorf("api: marshal: %w", err)
	}
	y := &body{state: s.state(room.State, room.Numbers), name: name, view: view}
	if s.place == inDetail || !room.Exists {
		return y, nil // what tells durations is never the same again, and of rooms that don't exist there is no end
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	b.kept.Remove(bodyKey{address, s})
	b.kept.Add(bodyKey{address, s}, y)
	for b.bytes += y.size(); b.bytes > maxBodies; {
		b.kept.RemoveOldest()
	}
	return y, nil
}
