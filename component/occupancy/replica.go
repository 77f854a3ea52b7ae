package occupancy

import (
	"fmt"
	"iter"
	"maps"
	"slices"
	"strings"
	"time"

	"mellium.im/xmpp/jid"
)

// replica is a copy of the rooms of a MUC domain.
type replica struct {
	rooms map[string]*replicaRoom

	// parents maps lobby and breakout rooms to the rooms whose facts name them.
	parents map[string]string

	// occupants counts all occupants, including those of health checks, as the totals in batches do.
	// shown, counts and sizes leave health checks out.
	occupants int
	shown     int

	// visitorNode is whether visitors are occupants. It never changes.
	visitorNode bool

	// incomplete is whether Prosody may have rooms that aren't in rooms.
	incomplete bool

	hasher *hasher
	counts Counts
	sizes  Sizes
}

func newReplica(h *hasher) *replica {
	return &replica{hasher: h, rooms: make(map[string]*replicaRoom), parents: make(map[string]string)}
}

// apply applies one delta and emits the changes.
// It shares equal records with current, which may be nil.
func (c *replica) apply(delta *Delta, t SystemAccounts, current *replica, emit func(change)) {
	old := c.rooms[delta.Room]
	switch {
	case delta.Gone:
		c.replace(delta.Room, old, nil)
		diff(old, nil, delta, emit)
	case delta.New || old == nil:
		address := strings.Clone(delta.Room) // the batch is one text, which must not stay in memory for one room
		fresh := newReplicaRoom(address, old, len(delta.Present), c.hasher)
		fresh.update(delta, t, current.room(address), func(change) {})
		c.replace(address, old, fresh)
		diff(old, fresh, nil, emit)
	default:
		c.addToTotals(old, -1)
		if delta.Facts != nil {
			c.unlinkChildren(delta.Room, old)
		}
		old.update(delta, t, current.room(delta.Room), emit)
		if delta.Facts != nil {
			c.linkChildren(delta.Room, old)
		}
		c.addToTotals(old, +1)
	}
}

// replace replaces old by fresh at an address. Either may be nil.
func (c *replica) replace(address string, old, fresh *replicaRoom) {
	if old != nil {
		c.addToTotals(old, -1)
		c.unlinkChildren(address, old)
	}
	if fresh == nil {
		delete(c.rooms, address)
	} else {
		c.rooms[address] = fresh
		c.addToTotals(fresh, +1)
		c.linkChildren(address, fresh)
	}
}

// addToTotals adds a room to the totals, multiplied by sign.
func (c *replica) addToTotals(r *replicaRoom, sign int32) {
	c.occupants += int(sign) * len(r.occupants)
	if !r.hidden {
		c.shown += int(sign)
		c.counts.addAll(r.counts, sign)
		c.sizes.add(r.counts.People(), sign)
	}
}

func (c *replica) linkChildren(address string, r *replicaRoom) {
	for child := range r.children() {
		c.parents[child] = address
	}
}

func (c *replica) unlinkChildren(address string, r *replicaRoom) {
	for child := range r.children() {
		if c.parents[child] == address {
			delete(c.parents, child)
		}
	}
}

// checkTotals compares the totals of c with those in the batch.
func (c *replica) checkTotals(b Batch) error {
	if len(c.rooms) != b.Rooms || c.occupants != b.Occupants {
		return fmt.Errorf("%w: Prosody reports %d rooms with %d occupants, the replica has %d with %d",
			ErrTotals, b.Rooms, b.Occupants, len(c.rooms), c.occupants)
	}
	return nil
}

// room returns the room at an address, or nil. A nil replica has no rooms.
func (c *replica) room(address string) *replicaRoom {
	if c == nil {
		return nil
	}
	return c.rooms[address]
}

// replicaRoom is a room in a replica.
type replicaRoom struct {
	jid         jid.JID
	visitors    int32 // in group.visitors
	hidden      bool  // one of Jicofo's health checks: in the totals of batches, but never shown
	facts       RoomFacts
	focusDomain string             // the domain of Jicofo's account, empty until Jicofo joins, kept after it leaves
	occupants   map[string]*Record // by nick; records never change, so replicas share them
	counts      Counts
	version     uint64 // the number of the last event
	hasher      *hasher
	hashes      hashes
}

// newReplicaRoom returns a room without occupants, with room for some, that succeeds old, which may be nil.
func newReplicaRoom(address string, old *replicaRoom, occupants int, h *hasher) *replicaRoom {
	r := &replicaRoom{jid: unsafeJID(address), hasher: h, occupants: make(map[string]*Record, occupants)}
	r.hidden = HealthCheck(r.jid)
	r.hashes.address = h.address(address)
	if old != nil {
		r.facts, r.focusDomain, r.version, r.visitors = old.facts, old.focusDomain, old.version, old.visitors
		r.hashes.facts, r.hashes.anonymousFacts = old.hashes.facts, old.hashes.anonymousFacts
	}
	return r
}

// unsafeJID returns the JID for an address from Prosody, which PRECIS may reject.
func unsafeJID(address string) jid.JID {
	local, domain, ok := strings.Cut(address, "@")
	if !ok {
		local, domain = "", address
	}
	return jid.NewUnsafe(local, domain, "").JID
}

// children yields the addresses of the rooms that belong to r.
func (r *replicaRoom) children() iter.Seq[string] {
	return func(yield func(string) bool) {
		if r.facts.Lobby != "" && !yield(r.facts.Lobby) {
			return
		}
		for _, b := range r.facts.Breakouts {
			if !yield(b.JID) {
				return
			}
		}
	}
}

// change is an Event without a number.
type change struct {
	kind     EventKind
	room     *replicaRoom
	occupant *Record // nil if the room itself changed
	counts   Counts  // afterwards

	// reason and alternate are as in Event.
	reason    LeaveReason
	alternate string
}

// update applies delta, apart from New and Gone, and emits the changes.
// It shares equal records with twin, the same room in another replica, or nil.
func (r *replicaRoom) update(delta *Delta, t SystemAccounts, twin *replicaRoom, emit func(change)) {
	if delta.Facts != nil {
		r.applyFacts(delta.Facts.own(), twin, emit)
	}
	for _, nick := range delta.Left {
		was := r.occupants[nick]
		r.replace(nick, was, nil)
		applyOccupant(r, &r.counts, was, nil, delta.reasonOf(nick), func(c change) {
			c.alternate = delta.Alternate
			emit(c)
		})
	}
	if focus := r.nextFocusDomain(delta, t, twin); focus != r.focusDomain {
		r.focusDomain = focus
		r.reclassify(t, emit)
	}
	t.Focus = r.focusDomain
	for i := range delta.Present {
		o := delta.Present[i]
		o.JoinedAt, o.Stamp = o.JoinedAt.Truncate(time.Millisecond).UTC(), o.Stamp.Truncate(time.Millisecond).UTC() // as in the record
		t.setKind(&o)
		if isBlank(o.Name) {
			o.Name = ""
		}
		was := r.occupants[o.ID]
		is := was
		if is == nil && twin != nil {
			is = twin.occupants[o.ID]
		}
		if is != nil {
			known := is.Occupant()
			if o.JoinedAt = stableTime(o.JoinedAt, o.Stamp, known.JoinedAt, known.Stamp); o != known {
				is = nil
			}
		}
		if is == nil {
			is = NewRecord(o)
			is.hash = r.hasher.record(is)
		}
		r.replace(is.ID(), was, is)
		applyOccupant(r, &r.counts, was, is, "", emit)
	}
}

// replace replaces the record of a nick. Either is nil if there is none.
func (r *replicaRoom) replace(nick string, was, is *Record) {
	if was != nil {
		r.hashes.occupants -= was.hash
	}
	if is == nil {
		delete(r.occupants, nick)
		return
	}
	r.occupants[nick] = is
	r.hashes.occupants += is.hash
}

// nextFocusDomain returns the domain of Jicofo's account after a delta.
// Jicofo owns every room, unlike a person who takes its name. On Jitsi's main domain, where guests have accounts too, it proves nothing.
func (r *replicaRoom) nextFocusDomain(delta *Delta, t SystemAccounts, twin *replicaRoom) string {
	for i := range delta.Present {
		if o := &delta.Present[i]; t.isFocus(o) && o.Affiliation == "owner" {
			domain := host(o.RealJID)
			if _, main, _ := strings.Cut(r.jid.Domainpart(), "."); domain == main {
				return ""
			}
			return domain
		}
	}
	if r.focusDomain == "" && twin != nil {
		return twin.focusDomain
	}
	return r.focusDomain
}

// reclassify emits the occupants whose kind changes with Jicofo's domain.
func (r *replicaRoom) reclassify(t SystemAccounts, emit func(change)) {
	t.Focus = r.focusDomain
	for _, nick := range slices.Sorted(maps.Keys(r.occupants)) {
		was := r.occupants[nick]
		o := was.Occupant()
		t.setKind(&o)
		is := NewRecord(o)
		is.hash = r.hasher.record(is)
		r.replace(nick, was, is)
		applyOccupant(r, &r.counts, was, is, "", emit)
	}
}

// diff emits the changes of a room between two replicas. Each is nil if there is no such room.
// gone is the delta that ended the room, or nil.
func diff(was, is *replicaRoom, gone *Delta, emit func(change)) {
	if was != nil && is != nil && !was.facts.Stamp.IsZero() && rejoined(was.facts.Stamp, is.facts.Stamp) {
		// It closed and opened again; the module sends no <gone/> for that.
		diff(was, nil, nil, emit)
		was = nil
	}
	var before, after map[string]*Record
	var counts Counts
	r := is
	if was != nil {
		before, counts = was.occupants, was.counts
	}
	switch {
	case is != nil:
		after = is.occupants
	case was == nil:
		return
	default:
		r = was
	}
	switch {
	case was == nil:
		emit(change{kind: EventRoomStarted, room: r, counts: counts})
	case is != nil && !was.facts.equal(is.facts):
		emit(change{kind: EventRoomUpdated, room: r, counts: counts})
	}
	for _, nick := range changedNicks(before, after, func(is *Record) bool { return is == nil }) {
		applyOccupant(r, &counts, before[nick], nil, gone.reasonOf(nick), func(c change) {
			if c.reason == LeaveRoomDestroyed {
				c.alternate = gone.Alternate
			}
			emit(c)
		})
	}
	for _, nick := range changedNicks(after, before, func(*Record) bool { return true }) {
		applyOccupant(r, &counts, before[nick], after[nick], "", emit)
	}
	if is == nil {
		ended := change{kind: EventRoomEnded, room: r, counts: counts}
		if gone != nil {
			ended.alternate = gone.Alternate
		}
		emit(ended)
	}
}

// changedNicks returns, in order, the nicks of records that differ from those in other and whose counterpart there fits.
func changedNicks(records, other map[string]*Record, fits func(*Record) bool) (nicks []string) {
	for nick, o := range records {
		if there := other[nick]; there != o && fits(there) {
			nicks = append(nicks, nick)
		}
	}
	slices.Sort(nicks)
	return nicks
}

// applyOccupant counts and emits the change of one occupant. Each record is nil if there is none; reason is why it left.
func applyOccupant(r *replicaRoom, counts *Counts, was, is *Record, reason LeaveReason, emit func(change)) {
	if was == is || was != nil && is != nil && *was == *is {
		return
	}
	if was != nil && (is == nil || rejoined(was.stay(), is.stay())) {
		counts.add(was.Kind(), -1)
		emit(change{kind: EventLeft, room: r, occupant: was, counts: *counts, reason: reason})
		was = nil
	}
	switch {
	case is == nil:
	case was == nil:
		counts.add(is.Kind(), +1)
		emit(change{kind: EventJoined, room: r, occupant: is, counts: *counts})
	default:
		counts.add(was.Kind(), -1)
		counts.add(is.Kind(), +1)
		emit(change{kind: EventUpdated, room: r, occupant: is, counts: *counts})
	}
}

// applyFacts applies the facts of a room.
func (r *replicaRoom) applyFacts(facts RoomFacts, twin *replicaRoom, emit func(change)) {
	was := r.facts
	facts.CreatedAt = stableTime(facts.CreatedAt, facts.Stamp, was.CreatedAt, was.Stamp)
	if twin != nil {
		facts.CreatedAt = stableTime(facts.CreatedAt, facts.Stamp, twin.facts.CreatedAt, twin.facts.Stamp)
	}
	if !was.equal(facts) {
		r.facts = facts
		r.hashes.facts, r.hashes.anonymousFacts = r.hasher.facts(facts), r.hasher.facts(facts.withoutNames())
		emit(change{kind: EventRoomUpdated, room: r, counts: r.counts})
	}
}

// stableTime returns at, a time by PPCH's clock, or the time shown before for the same stamp by Prosody's clock.
// It keeps times stable when the measured difference of the clocks changes.
func stableTime(at, stamp, was, wasStamp time.Time) time.Time {
	if !stamp.IsZero() && stamp.Equal(wasStamp) {
		return was
	}
	return at
}

// rejoined reports whether an occupant with these joining times has left and rejoined, or a room has closed and opened again.
// A missing time proves nothing: the module forgets times when it is reloaded.
func rejoined(was, is time.Time) bool {
	return !is.Equal(was) && !is.IsZero()
}
