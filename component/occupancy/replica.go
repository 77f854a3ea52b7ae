package occupancy

import (
	"fmt"
	"iter"
	"maps"
	"slices"
	"strings"
	"time"
	"unique"

	"mellium.im/xmpp/jid"
)

// replica is one copy of what a MUC domain holds.
type replica struct {
	rooms map[string]*replicaRoom

	// parents are, for lobby and breakout rooms, the rooms whose facts name them.
	parents map[string]string

	// occupants counts everybody, as told totals do: those of health checks as well.
	// shown, tally and sizes count the rooms that are shown, and who is in them.
	occupants int
	shown     int

	// visitorNode is whether visitors are occupants; it never changes.
	visitorNode bool

	// unseen is whether there may be rooms that aren't in rooms: a room that isn't there need not be missing.
	incomplete bool

	tally Tally
	sizes Sizes
}

func newReplica() *replica {
	return &replica{rooms: make(map[string]*replicaRoom), parents: make(map[string]string)}
}

// apply takes in one delta and notes what it changes.
// Records of served, which may be nil, are shared where they are equal.
func (c *replica) apply(delta *Delta, t Trust, served *replica, emit func(change)) {
	old := c.rooms[delta.Room]
	switch {
	case delta.Gone:
		c.replace(delta.Room, old, nil)
		diff(old, nil, emit)
	case delta.New || old == nil:
		fresh := newReplicaRoom(delta.Room, old)
		fresh.update(delta, t, served.room(delta.Room), func(change) {})
		c.replace(delta.Room, old, fresh)
		diff(old, fresh, emit)
	default:
		c.addToTotals(old, -1)
		if delta.Facts != nil {
			c.unlinkChildren(delta.Room, old)
		}
		old.update(delta, t, served.room(delta.Room), emit)
		if delta.Facts != nil {
			c.linkChildren(delta.Room, old)
		}
		c.addToTotals(old, +1)
	}
}

// replace has fresh take the place of old at an address. Either may be nil.
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

// addToTotals adds what a room adds to the totals, sign times.
func (c *replica) addToTotals(r *replicaRoom, sign int32) {
	c.occupants += int(sign) * len(r.occupants)
	if !r.hidden {
		c.shown += int(sign)
		c.tally.addAll(r.tally, sign)
		c.sizes.add(r.tally.People(), sign)
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

// checkTotals compares the totals of c with those that were told.
func (c *replica) checkTotals(b Batch) error {
	if len(c.rooms) != b.Rooms || c.occupants != b.Occupants {
		return fmt.Errorf("%w: %d rooms and %d occupants were told, %d and %d are known",
			ErrTotals, b.Rooms, b.Occupants, len(c.rooms), c.occupants)
	}
	return nil
}

// room returns the room at an address, or nil. A nil replica has none.
func (c *replica) room(address string) *replicaRoom {
	if c == nil {
		return nil
	}
	return c.rooms[address]
}

// replicaRoom is a room in a copy of a domain.
type replicaRoom struct {
	jid            jid.JID
	hidden         bool // one of Jicofo's health checks: counted in told totals, shown nowhere
	facts          RoomFacts
	focusDomain    string               // the domain of Jicofo's account, empty until Jicofo was seen; it stays when Jicofo leaves
	occupants      map[string]*Occupant // by nick; what they point to never changes, so copies share it
	tally          Tally
	version        uint64 // the number of the last event
	numbersVersion uint64 // the number of the last event that changed more than names and what people do
}

// newReplicaRoom returns an empty room that follows old, which may be nil.
func newReplicaRoom(address string, old *replicaRoom) *replicaRoom {
	r := &replicaRoom{jid: unsafeJID(address), occupants: make(map[string]*Occupant)}
	r.hidden = HealthCheck(r.jid)
	if old != nil {
		r.facts, r.focusDomain, r.version, r.numbersVersion = old.facts, old.focusDomain, old.version, old.numbersVersion
	}
	return r
}

// unsafeJID returns the JID for an address of Prosody's, which PRECIS need not allow.
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

// change is an Event that has no number yet.
type change struct {
	kind     EventKind
	room     *replicaRoom
	occupant *Occupant // nil where the room itself has changed
	tally    Tally     // afterwards

	// uncounted is whether nothing has changed that is shown without names.
	namesOnly bool
}

// update takes in what delta says besides New and Gone, and notes what it changes.
// Records of twin, the same room in another copy or nil, are shared where they are equal.
func (r *replicaRoom) update(delta *Delta, t Trust, twin *replicaRoom, emit func(change)) {
	if delta.Facts != nil {
		r.applyFacts(delta.Facts.clone(), twin, emit)
	}
	for _, nick := range delta.Left {
		was := r.occupants[nick]
		delete(r.occupants, nick)
		applyOccupant(r, &r.tally, was, nil, emit)
	}
	if focus := r.nextFocusDomain(delta, t, twin); focus != r.focusDomain {
		r.focusDomain = focus
		r.reclassify(t, emit)
	}
	t.Focus = r.focusDomain
	for i := range delta.Present {
		o := delta.Present[i]
		o.JoinedAt, o.Stamp = o.JoinedAt.Round(0).UTC(), o.Stamp.Round(0).UTC() // so that equal times are the same
		o.Kind = Classify(&o, t)
		if isBlank(o.Name) {
			o.Name = ""
		}
		was := r.occupants[o.ID]
		is := was
		if is == nil && twin != nil {
			is = twin.occupants[o.ID]
		}
		if is != nil {
			o.JoinedAt = stableTime(o.JoinedAt, o.Stamp, is.JoinedAt, is.Stamp)
		}
		if is == nil || *is != o {
			is = intern(o)
		}
		r.occupants[is.ID] = is
		applyOccupant(r, &r.tally, was, is, emit)
	}
}

// nextFocusDomain returns the domain of Jicofo's account as it is known after a delta.
// Jicofo owns every room; a person who takes its name doesn't. On Jitsi's main domain Jicofo is among guests, and proves nothing.
func (r *replicaRoom) nextFocusDomain(delta *Delta, t Trust, twin *replicaRoom) string {
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

// reclassify notes the occupants whose kind changes now that Jicofo's domain is known, or is another one.
func (r *replicaRoom) reclassify(t Trust, emit func(change)) {
	t.Focus = r.focusDomain
	for _, nick := range slices.Sorted(maps.Keys(r.occupants)) {
		was := r.occupants[nick]
		is := *was
		if is.Kind = Classify(was, t); is.Kind != was.Kind {
			r.occupants[nick] = &is
			applyOccupant(r, &r.tally, was, &is, emit)
		}
	}
}

// diff notes what has happened to a room between two copies. Each is nil where there is no such room.
func diff(was, is *replicaRoom, emit func(change)) {
	var before, after map[string]*Occupant
	var tally Tally
	r := is
	if was != nil {
		before, tally = was.occupants, was.tally
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
		emit(change{kind: EventRoomStarted, room: r, tally: tally})
	case is != nil && !was.facts.equal(is.facts):
		emit(change{kind: EventRoomUpdated, room: r, tally: tally, namesOnly: was.facts.withoutNames().equal(is.facts.withoutNames())})
	}
	for _, nick := range changedNicks(before, after, func(is *Occupant) bool { return is == nil }) {
		applyOccupant(r, &tally, before[nick], nil, emit)
	}
	for _, nick := range changedNicks(after, before, func(*Occupant) bool { return true }) {
		applyOccupant(r, &tally, before[nick], after[nick], emit)
	}
	if is == nil {
		emit(change{kind: EventRoomEnded, room: r, tally: tally})
	}
}

// changedNicks returns, in order, the nicks of records that aren't the same in other, where what is there fits.
func changedNicks(records, other map[string]*Occupant, fits func(*Occupant) bool) (nicks []string) {
	for nick, o := range records {
		if there := other[nick]; there != o && fits(there) {
			nicks = append(nicks, nick)
		}
	}
	slices.Sort(nicks)
	return nicks
}

// applyOccupant counts and notes what has happened to one occupant. Each record is nil where there is none.
func applyOccupant(r *replicaRoom, tally *Tally, was, is *Occupant, emit func(change)) {
	if was == is || was != nil && is != nil && *was == *is {
		return
	}
	if was != nil && (is == nil || rejoined(was.stamp(), is.stamp())) {
		tally.add(was.Kind, -1)
		emit(change{kind: EventLeft, room: r, occupant: was, tally: *tally})
		was = nil
	}
	switch {
	case is == nil:
	case was == nil:
		tally.add(is.Kind, +1)
		emit(change{kind: EventJoined, room: r, occupant: is, tally: *tally})
	default:
		tally.add(was.Kind, -1)
		tally.add(is.Kind, +1)
		emit(change{kind: EventUpdated, room: r, occupant: is, tally: *tally, namesOnly: was.Kind == is.Kind})
	}
}

// applyFacts takes in the facts of a room.
func (r *replicaRoom) applyFacts(facts RoomFacts, twin *replicaRoom, emit func(change)) {
	was := r.facts
	facts.CreatedAt = stableTime(facts.CreatedAt, facts.Stamp, was.CreatedAt, was.Stamp)
	if twin != nil {
		facts.CreatedAt = stableTime(facts.CreatedAt, facts.Stamp, twin.facts.CreatedAt, twin.facts.Stamp)
	}
	if !was.equal(facts) {
		r.facts = facts
		emit(change{kind: EventRoomUpdated, room: r, tally: r.tally, namesOnly: was.withoutNames().equal(facts.withoutNames())})
	}
}

// stableTime returns a time by our clock, or the one that was shown before for the same time by Prosody's:
// how the two clocks stand to each other may have changed since, or be measured otherwise.
func stableTime(at, stamp, was, wasStamp time.Time) time.Time {
	if !stamp.IsZero() && stamp.Equal(wasStamp) {
		return was
	}
	return at
}

// rejoined reports whether an occupant who joined at these times has left and come back.
// A time that isn't known any more proves nothing: the module has been loaded anew.
func rejoined(was, is time.Time) bool {
	return !is.Equal(was) && !is.IsZero()
}

// intern returns a record that shares no memory with the text that o was read from.
// One allocation holds all its strings, besides those that most occupants have in common.
func intern(o Occupant) *Occupant {
	o.Role = unique.Make(o.Role).Value()
	o.Affiliation = unique.Make(o.Affiliation).Value()
	own := [...]*string{&o.ID, &o.Name, &o.RealJID, &o.UserID, &o.UserName, &o.UserGroup, &o.UserEmail, &o.AvatarURL}
	var b strings.Builder
	size := 0
	for _, s := range own {
		size += len(*s)
	}
	b.Grow(size)
	for _, s := range own {
		b.WriteString(*s)
	}
	all := b.String()
	for _, s := range own {
		*s, all = all[:len(*s)], all[len(*s):]
	}
	return &o
}
