package occupancy

import (
	"time"

	"mellium.im/xmpp/jid"
)

// EventKind is the kind of a change.
type EventKind string

// The kinds of events.
const (
	EventRoomStarted EventKind = "room-started"
	EventRoomUpdated EventKind = "room-updated" // its facts, such as subject and lobby
	EventRoomEnded   EventKind = "room-ended"   // after its last occupant's EventLeft
	EventJoined      EventKind = "joined"
	EventUpdated     EventKind = "updated" // an occupant's record
	EventLeft        EventKind = "left"

	// EventReset means that the replica of a domain was loaded or discarded, without events for its rooms.
	// Room is the domain's JID.
	EventReset EventKind = "reset"

	// EventStatus means that the status of a domain changed, or a problem of its reads or events. Room is the domain's JID.
	// It follows the events that caused it and has no Seq because it changes no room.
	EventStatus EventKind = "status"

	// EventConfirmed means that the replica of a domain was confirmed: it follows the events of each batch, also of a batch without any.
	// Room is the domain's JID, At the AsOf of the domain. It has no Seq because it changes no room.
	// Only subscriptions of [Directory.SubscribeBatches] receive it.
	EventConfirmed EventKind = "confirmed"
)

// Event is one change. Events arrive in the order in which the Directory applied them.
type Event struct {
	// Seq numbers the events of a Directory, like the Version of a [Room].
	Seq  uint64
	Kind EventKind
	Room jid.JID

	// Shard is the shard that this comes from. Counts and Facts are of the room there, even if others have a room of the same address.
	Shard string

	// Origin is the place of this event in the history of its shard; for one that ends a batch or resets a domain, that of the whole batch.
	Origin Origin

	Type   RoomType
	Tenant string // as in Room

	// Parent is the room to which a breakout or lobby room belongs, or zero. Its [Room] also shows this one.
	Parent jid.JID

	// Occupant is the occupant after the change, or before leaving; zero for events of a room.
	Occupant Occupant

	// Reason is why the occupant left, for EventLeft; empty if unknown, as after a resync.
	// Alternate is the address of the room that was named instead of a destroyed one, for its EventLeft and EventRoomEnded, or empty.
	Reason    LeaveReason
	Alternate string

	// Counts counts the occupants of the room after the change.
	Counts Counts

	// MeetingParticipants is the number of people in the main room of the meeting and its breakout rooms after the change. It is nil if unknown,
	// as for a change that a program finds by comparing snapshots. MainCounts, for a lobby room, counts the occupants of the main room; nil if unknown.
	MeetingParticipants *int
	MainCounts          *Counts

	// Facts are the room's facts after EventRoomStarted and EventRoomUpdated; nil for other kinds.
	// All subscribers share them: don't modify.
	Facts *RoomFacts

	// WatchedVisitors, with Facts, is the number of visitors on the watched visitor nodes as these last reported it, even if one of them is unknown now.
	// It is nil if none is watched, or if it isn't clear whose visitors they have.
	WatchedVisitors *int

	// Domain is the domain after EventStatus; nil for other kinds. Don't modify it.
	Domain *Domain

	// At is when Prosody reported it.
	At time.Time

	// Since is the AsOf of the domain before the batch that EventConfirmed ends.
	// Resynced is whether that batch completed a snapshot: the changes in it happened some time after Since,
	// and occupants who joined and left meanwhile aren't among them. Other kinds leave both empty.
	Since    time.Time
	Resynced bool
}

// emit numbers, counts and publishes a change of a domain. The caller holds mu.
func (d *Directory) emit(m *mucDomain, c change, at time.Time) {
	if c.room.hidden {
		return
	}
	m.joinsAndLeaves.count(c)
	m.shard.note(c)
	origin := m.shard.numbering.next()
	d.lastEvent++
	c.room.version = d.lastEvent
	switch c.kind {
	case EventRoomStarted, EventRoomUpdated, EventRoomEnded:
		d.roomSetVersion++
		m.group.settle(m, c.room.jid.String(), c.kind != EventRoomEnded)
	}
	if m.changed != nil {
		visitors := c.counts.Of(KindVisitor)
		switch c.kind {
		case EventRoomStarted:
			c.room.visitors = 0 // it may have the number of an earlier room
		case EventRoomEnded:
			visitors = 0
		}
		d.countVisitors(m, c.room, visitors)
	}
	if len(d.subs) == 0 {
		return
	}
	e := Event{Seq: d.lastEvent, Kind: c.kind, Room: c.room.jid, Shard: m.shard.name, Origin: origin, Type: m.typ, Tenant: tenantOf(c.room.jid.Localpart()), Reason: c.reason, Alternate: c.alternate, Counts: c.counts, At: at}
	if m.typ != RoomMain {
		e.Parent = parentJID(d.parentAddress(m, e.Room.String()))
	}
	e.MeetingParticipants, e.MainCounts = d.meetingNumbers(m, e.Parent, c)
	switch o := c.occupant; {
	case o == nil:
	case !o.moved():
		e.Occupant = o.Occupant()
	default:
		e.Occupant = d.withinMeeting(m, e.Room.String(), o).Occupant()
	}
	if c.kind == EventRoomStarted || c.kind == EventRoomUpdated {
		facts := c.room.facts.clone()
		facts.Visitors = m.replica.visitors(facts, c.counts)
		if m.shard.kind == ShardVisitors || m.group.watchesVisitors() {
			facts.Visitors, e.WatchedVisitors = d.visitorsOf(m, c.room, time.Now()), m.watchedVisitors(c.room)
		}
		e.Facts = &facts
	}
	d.publish(&e)
}

// confirm publishes the end of a batch. The caller holds mu.
func (d *Directory) confirm(m *mucDomain, since time.Time, resynced bool) {
	d.publishVisitors(m, m.asOf)
	m.shard.endBatch(m, false)
	d.publish(&Event{Kind: EventConfirmed, Room: m.jid, Shard: m.shard.name, Origin: m.shard.numbering.last, Type: m.typ, At: m.asOf, Since: since, Resynced: resynced})
}

// publish sends an event to all subscriptions that match it. It never blocks. The caller holds mu.
func (d *Directory) publish(e *Event) {
	for s := range d.subs {
		if !s.matches(e) {
			continue
		}
		select {
		case s.events <- *e:
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

	// rooms and domains are what it matches; both nil for everything.
	rooms   map[string]bool
	domains map[string]bool

	batches bool // whether it includes EventConfirmed

	missed bool // protected by the mu of the Directory
}

// Subscribe returns a stream of future events of the given rooms, or of all rooms if none is given.
// For the state before, read after subscribing and skip events up to the Version of what you read,
// or up to the next EventReset if the read failed.
//
// The stream buffers up to buffer events, at least one. One more event ends it: see [Subscription.Missed].
// The caller closes it.
func (d *Directory) Subscribe(buffer int, rooms ...jid.JID) *Subscription {
	return d.subscribe(buffer, false, rooms)
}

// SubscribeBatches returns a stream of all future events as Subscribe does, in which an EventConfirmed ends each batch.
func (d *Directory) SubscribeBatches(buffer int) *Subscription {
	return d.subscribe(buffer, true, nil)
}

func (d *Directory) subscribe(buffer int, batches bool, rooms []jid.JID) *Subscription {
	s := &Subscription{directory: d, events: make(chan Event, max(buffer, 1)), batches: batches}
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

// matches reports whether the subscription includes e.
func (s *Subscription) matches(e *Event) bool {
	switch {
	case e.Kind == EventConfirmed:
		return s.batches
	case s.rooms == nil:
		return true
	case e.Kind == EventReset, e.Kind == EventStatus:
		return s.domains[e.Room.Domainpart()]
	}
	return s.rooms[e.Room.String()]
}

// Events returns the stream. It ends after Close, and when its buffer overflows.
func (s *Subscription) Events() <-chan Event { return s.events }

// Missed reports whether the stream ended because its reader was too slow.
// Events still in the stream are valid; read later changes from the [Directory].
func (s *Subscription) Missed() bool {
	s.directory.mu.RLock()
	defer s.directory.mu.RUnlock()
	return s.missed
}

// Close ends the stream. Closing it twice does no harm.
func (s *Subscription) Close() {
	s.directory.mu.Lock()
	defer s.directory.mu.Unlock()
	s.directory.endSubscription(s)
}

// endSubscription closes a subscription unless it has already ended. The caller holds mu.
func (d *Directory) endSubscription(s *Subscription) {
	if _, ok := d.subs[s]; ok {
		delete(d.subs, s)
		close(s.events)
	}
}

// Dropped returns how many subscriptions ended because their readers were too slow.
func (d *Directory) Dropped() uint64 {
	d.mu.RLock()
	defer d.mu.RUnlock()
	return d.dropped
}
