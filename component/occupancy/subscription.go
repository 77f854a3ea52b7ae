package occupancy

import "mellium.im/xmpp/jid"

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

// wants reports whether e is of what the subscription is about.
func (s *Subscription) wants(e Event) bool {
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
	s.directory.end(s)
}

// end closes a subscription that hasn't ended before. The caller holds mu.
func (d *Directory) end(s *Subscription) {
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
