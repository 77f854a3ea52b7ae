package occupancy

import (
	"hash/maphash"
	"strings"
	"time"

	"mellium.im/xmpp/jid"
)

// Glance is the little of a room that it takes to sort it, to pass over it, or to see that it hasn't changed.
type Glance struct {
	// Address is the bare JID of the room as Prosody knows it.
	Address      string
	Type         RoomType
	Tenant       string
	Exists       bool
	Participants int

	// AsOf is when this was last known to be true.
	AsOf time.Time

	// State and Numbers are those of the [Room].
	State, Numbers State
}

// JID returns the JID of the room.
func (g Glance) JID() jid.JID { return address(g.Address) }

// State stands for everything that a [Room] tells but its AsOf: two readings of a room with the same State are the same.
// It means nothing to another process.
type State uint64

// seed makes states of one process differ from those of every other.
var seed = maphash.MakeSeed()

// StateOf returns the State of a room that no directory tells of.
func StateOf(r Room) State {
	return State(maphash.Comparable(seed, struct {
		exists bool
		people int
		source Source
	}{r.Exists, r.Participants, r.Source}))
}

// Glance returns r in short.
func (r Room) Glance() Glance {
	return Glance{
		Address: r.JID.String(), Type: r.Type, Tenant: r.Tenant, Exists: r.Exists, Participants: r.Participants, AsOf: r.AsOf,
		State: r.State, Numbers: r.Numbers,
	}
}

// Glance returns what [Directory.Room] would, at a fraction of its cost.
func (d *Directory) Glance(room jid.JID) (Glance, error) {
	if room.Resourcepart() != "" {
		room = room.Bare()
	}
	at := room.String()
	d.mu.RLock()
	defer d.mu.RUnlock()
	w := d.domain(room.Domainpart())
	if w == nil {
		return Glance{}, ErrNotWatched
	}
	r := w.served.room(at)
	now := time.Now()
	if err := d.unreadable(w, r, now); err != nil {
		return Glance{}, err
	}
	if r == nil || r.hidden {
		return Glance{Address: at, Type: w.typ, AsOf: w.asOf, State: stateAt(0), Numbers: stateAt(0)}, nil
	}
	g := d.glance(w, at, r)
	g.State, g.Numbers = d.states(w, at, r, now)
	return g, nil
}

// glance returns a Glance that lacks its states. The caller holds mu.
func (d *Directory) glance(w *watched, at string, r *liveRoom) Glance {
	return Glance{
		Address: at, Type: w.typ, Tenant: tenantOf(at), Exists: true, Participants: r.tally.People(), AsOf: w.asOf,
	}
}

// stateAt is the State of a room that tells of no other, 0 being the version of one that doesn't exist.
func stateAt(version uint64) State {
	return State(maphash.Comparable(seed, version))
}

// states returns the State of a room, and its Numbers. The caller holds mu.
// What a room tells of others changes without any event of its own, so their numbers are part of both.
func (d *Directory) states(w *watched, at string, r *liveRoom, now time.Time) (state, numbers State) {
	var others State
	if parent := d.parent(w, at); parent != "" {
		others = State(maphash.String(seed, parent))
	}
	for other := range d.related(w, r, now) {
		others = State(maphash.Comparable(seed, struct {
			State
			known, exists bool
			people        int
		}{others, other.Known, other.Exists, other.Participants}))
	}
	return others + 31*stateAt(r.version), others + 31*stateAt(r.counted)
}

// find returns the room at an address if it is shown, and its domain. The caller holds mu.
func (d *Directory) find(at string) (*watched, *liveRoom) {
	_, domain, _ := strings.Cut(at, "@")
	w := d.domain(domain)
	if w == nil {
		return nil, nil
	}
	r := w.served.room(at)
	if r == nil || r.hidden {
		return nil, nil
	}
	return w, r
}
