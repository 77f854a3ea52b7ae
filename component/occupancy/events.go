package occupancy

import (
	"time"

	"mellium.im/xmpp/jid"
)

// EventKind is what has happened.
type EventKind string

// The kinds of events.
const (
	EventRoomStarted EventKind = "room-started"
	EventRoomUpdated EventKind = "room-updated" // its facts: subject, lobby and so on
	EventRoomEnded   EventKind = "room-ended"   // after everybody in it has left
	EventJoined      EventKind = "joined"
	EventUpdated     EventKind = "updated" // an occupant's record
	EventLeft        EventKind = "left"

	// EventReset says that a domain, whose JID stands in Room, is known for the first time or not at all any more:
	// no other events lead there.
	EventReset EventKind = "reset"

	// EventStatus says that a domain, whose JID stands in Room, can be read, asked or followed otherwise than before.
	// It comes behind the events that made it so, and has no Seq: it changes no room.
	EventStatus EventKind = "status"
)

// Event is one change, in the order in which the Directory took it in.
type Event struct {
	// Seq numbers the events of a Directory. Compare it with the Version of a [Room].
	Seq  uint64
	Kind EventKind
	Room jid.JID

	Type   RoomType
	Tenant string // as in Room

	// Parent is the room to which a breakout or lobby room belongs, or zero: that tells of Room too.
	Parent jid.JID

	// Occupant is as it is now, or was last; zero for events of a room.
	Occupant Occupant

	// Tally is who is in the room after this.
	Tally Tally

	// Facts are what is true of the room now, with EventRoomStarted and EventRoomUpdated; nil with all others.
	// Whoever else gets the event has the same, so they must not be changed.
	Facts *RoomFacts

	// Domain is how the domain is now, with EventStatus; nil with all others. It must not be changed either.
	Domain *Domain

	// At is when Prosody told it.
	At time.Time
}

// emit numbers a change of a domain, counts it and tells it. The caller holds mu.
func (d *Directory) emit(m *mucDomain, c change, at time.Time) {
	if c.room.hidden {
		return
	}
	m.joinsAndLeaves.count(c)
	d.lastEvent++
	c.room.version = d.lastEvent
	if !c.namesOnly {
		c.room.numbersVersion = d.lastEvent
	}
	switch c.kind {
	case EventRoomStarted, EventRoomUpdated, EventRoomEnded:
		d.roomSetVersion++
	}
	if len(d.subs) == 0 {
		return
	}
	e := Event{Seq: d.lastEvent, Kind: c.kind, Room: c.room.jid, Type: m.typ, Tenant: tenantOf(c.room.jid.Localpart()), Tally: c.tally, At: at}
	if m := d.domain(e.Room.Domainpart()); m != nil {
		e.Parent = parentJID(d.parentAddress(m, e.Room.String()))
	}
	if c.occupant != nil {
		e.Occupant = *c.occupant
	}
	if c.kind == EventRoomStarted || c.kind == EventRoomUpdated {
		facts := c.room.facts.clone()
		facts.Visitors = m.replica.visitors(facts, c.tally)
		e.Facts = &facts
	}
	d.publish(e)
}

// publish gives an event to all who want it. It never blocks. The caller holds mu.
func (d *Directory) publish(e Event) {
	for s := range d.subs {
		if !s.matches(e) {
			continue
		}
		select {
		case s.events <- e:
		default:
			s.missed = true
			d.dropped++
			d.endSubscription(s)
		}
	}
}

// Subscription is a stream of events. It is safe for concurrent use.
type Subscription struct {
	directory *Directory
	events    chan Event

	// rooms and domains are what it is about; both nil for everything.
	rooms   map[string]bool
	domains map[string]bool

	missed bool // protected by the mu of the Directory
}

// Subscribe returns a stream of the events of rooms, or of all rooms if none is given, that happen from now on.
// To know what was before, read it after subscribing, and pass over events up to the Version of what was read,
// or up to the next EventReset where nothing is known.
//
// The stream holds up to buffer events, at least one. If one more comes, it is ended: see [Subscription.Missed].
// Whoever subscribes closes it.
func (d *Directory) Subscribe(buffer int, rooms ...jid.JID) *Subscription {
	s := &Subscription{directory: d, events: make(chan Event, max(buffer, 1))}
	if len(rooms) > 0 {
		s.rooms, s.domains = make(map[string]bool), make(map[string]bool)
		for _, r := range rooms {
			s.rooms[r.Bare().String()] = true
			s.domains[r.Domainpart()] = true
		}
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	d.subs[s] = struct{}{}
	return s
}

// matches reports whether e is of what the subscription is about.
func (s *Subscription) matches(e Event) bool {
	switch {
	case s.rooms == nil:
		return true
	case e.Kind == EventReset, e.Kind == EventStatus:
		return s.domains[e.Room.Domainpart()]
	}
	return s.rooms[e.Room.String()]
}

// Events returns the stream. It ends after Close, and when an event found no room in it.
func (s *Subscription) Events() <-chan Event { return s.events }

// Missed reports whether the stream has ended because its reader was too slow.
// What is still in the stream is as true as ever, what came after has to be read from the [Directory].
func (s *Subscription) Missed() bool {
	s.directory.mu.RLock()
	defer s.directory.mu.RUnlock()
	return s.missed
}

// Close ends the stream. To close it twice does no harm.
func (s *Subscription) Close() {
	s.directory.mu.Lock()
	defer s.directory.mu.Unlock()
	s.directory.endSubscription(s)
}

// endSubscription closes a subscription that hasn't ended before. The caller holds mu.
func (d *Directory) endSubscription(s *Subscription) {
	if _, ok := d.subs[s]; ok {
		delete(d.subs, s)
		close(s.events)
	}
}

// Dropped returns how many subscriptions were ended because their readers were too slow.
func (d *Directory) Dropped() uint64 {
	d.mu.RLock()
	defer d.mu.RUnlock()
	return d.dropped
}
