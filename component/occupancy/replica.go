package occupancy

import "fmt"

// replica is one copy of what a MUC domain holds.
type replica struct {
	rooms map[string]*liveRoom

	// parents are, for lobby and breakout rooms, the rooms whose facts name them.
	parents map[string]string

	// occupants counts everybody, as told totals do: those of health checks as well.
	// shown, tally and sizes count the rooms that are shown, and who is in them.
	occupants int
	shown     int

	// visitorNode is whether visitors are occupants; it never changes.
	visitorNode bool

	// unseen is whether there may be rooms that aren't in rooms: a room that isn't there need not be missing.
	unseen bool

	tally Tally
	sizes Sizes
}

func newReplica() *replica {
	return &replica{rooms: make(map[string]*liveRoom), parents: make(map[string]string)}
}

// apply takes in one delta and notes what it changes.
// Records of served, which may be nil, are shared where they are equal.
func (c *replica) apply(delta *Delta, t Trust, served *replica, note func(change)) {
	old := c.rooms[delta.Room]
	switch {
	case delta.Gone:
		c.put(delta.Room, old, nil)
		diff(old, nil, note)
	case delta.New || old == nil:
		fresh := newLiveRoom(delta.Room, old)
		fresh.update(delta, t, served.room(delta.Room), func(change) {})
		c.put(delta.Room, old, fresh)
		diff(old, fresh, note)
	default:
		c.count(old, -1)
		if delta.Facts != nil {
			c.unlink(delta.Room, old)
		}
		old.update(delta, t, served.room(delta.Room), note)
		if delta.Facts != nil {
			c.link(delta.Room, old)
		}
		c.count(old, +1)
	}
}

// put has fresh take the place of old at an address. Either may be nil.
func (c *replica) put(at string, old, fresh *liveRoom) {
	if old != nil {
		c.count(old, -1)
		c.unlink(at, old)
	}
	if fresh == nil {
		delete(c.rooms, at)
	} else {
		c.rooms[at] = fresh
		c.count(fresh, +1)
		c.link(at, fresh)
	}
}

// count adds what a room adds to the totals, sign times.
func (c *replica) count(r *liveRoom, sign int32) {
	c.occupants += int(sign) * len(r.occupants)
	if !r.hidden {
		c.shown += int(sign)
		c.tally.addAll(r.tally, sign)
		c.sizes.add(r.tally.People(), sign)
	}
}

func (c *replica) link(at string, r *liveRoom) {
	for child := range r.children() {
		c.parents[child] = at
	}
}

func (c *replica) unlink(at string, r *liveRoom) {
	for child := range r.children() {
		if c.parents[child] == at {
			delete(c.parents, child)
		}
	}
}

// check compares the totals of c with those that were told.
func (c *replica) check(b Batch) error {
	if len(c.rooms) != b.Rooms || c.occupants != b.Occupants {
		return fmt.Errorf("%w: %d rooms and %d occupants were told, %d and %d are known",
			ErrTotals, b.Rooms, b.Occupants, len(c.rooms), c.occupants)
	}
	return nil
}

// room returns the room at an address, or nil. A nil replica has none.
func (c *replica) room(at string) *liveRoom {
	if c == nil {
		return nil
	}
	return c.rooms[at]
}
