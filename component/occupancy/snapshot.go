package occupancy

import (
	"iter"
	"slices"
	"strings"
	"sync"
	"time"

	"mellium.im/xmpp/jid"
)

// Snapshot is all that a Directory knows at one moment.
// It never changes, and is safe for concurrent use.
type Snapshot struct {
	// Seq is that of the last [Event] which this includes.
	Seq uint64

	domains []DomainSnapshot
	rooms   []*pinnedRoom // in the order of their addresses
}

// DomainSnapshot is how well a watched MUC domain is known.
type DomainSnapshot struct {
	JID   jid.JID
	Known bool      // whether no room is missing
	AsOf  time.Time // zero where nothing is known
}

// RoomSnapshot is a room as it was. Occupants are shared by all readers, and never change.
type RoomSnapshot struct {
	JID       jid.JID
	Type      RoomType
	Tenant    string  // as in Room
	Parent    jid.JID // as in Room
	Facts     RoomFacts
	Tally     Tally
	Occupants []*Occupant // in the order of their nicks
}

// pinnedRoom is a room whose parts are those of the Directory, none of which is ever changed in place.
type pinnedRoom struct {
	address, parent string
	jid             jid.JID
	typ             RoomType
	facts           RoomFacts
	tally           Tally
	sortOnce        sync.Once
	occupants       []*Occupant
}

// Snapshot returns all rooms as they are now. Those of a replica that is too old for a read are among them:
// the events that follow build on them, and the status of the domain says that it isn't live.
// Sorting is left to its readers, so that nobody has to wait for that.
func (d *Directory) Snapshot() *Snapshot {
	s := d.pinRooms()
	slices.SortFunc(s.rooms, func(a, b *pinnedRoom) int { return strings.Compare(a.address, b.address) })
	return s
}

func (d *Directory) pinRooms() *Snapshot {
	d.mu.RLock()
	defer d.mu.RUnlock()
	s := &Snapshot{Seq: d.lastEvent}
	for _, m := range d.domains {
		s.domains = append(s.domains, DomainSnapshot{JID: unsafeJID(m.name), Known: m.replica != nil && !m.replica.incomplete, AsOf: m.asOf})
		if m.replica == nil {
			continue
		}
		s.rooms = slices.Grow(s.rooms, m.replica.shown)
		for address, r := range m.replica.rooms {
			if !r.hidden {
				s.rooms = append(s.rooms, d.pinRoom(m, address, r))
			}
		}
	}
	return s
}

// SnapshotOf returns what is known now of one room, which need not exist, and of its domain.
func (d *Directory) SnapshotOf(room jid.JID) *Snapshot {
	d.mu.RLock()
	defer d.mu.RUnlock()
	s := &Snapshot{Seq: d.lastEvent}
	m := d.domain(room.Domainpart())
	if m == nil {
		return s
	}
	address := room.Bare().String()
	r := m.replica.room(address)
	s.domains = []DomainSnapshot{{JID: unsafeJID(m.name), Known: m.replica != nil && (r != nil || !m.replica.incomplete), AsOf: m.asOf}}
	if r != nil && !r.hidden {
		s.rooms = []*pinnedRoom{d.pinRoom(m, address, r)}
	}
	return s
}

// pinRoom keeps a room as it is. The caller holds mu.
func (d *Directory) pinRoom(m *mucDomain, address string, r *replicaRoom) *pinnedRoom {
	p := &pinnedRoom{address: address, parent: d.parentAddress(m, address), jid: r.jid, typ: m.typ, facts: r.facts, tally: r.tally}
	p.facts.Visitors = m.replica.visitors(r.facts, r.tally)
	p.occupants = make([]*Occupant, 0, len(r.occupants))
	for _, o := range r.occupants {
		p.occupants = append(p.occupants, o)
	}
	return p
}

// Domains returns the domains that this tells of, main one first.
func (s *Snapshot) Domains() []DomainSnapshot { return slices.Clone(s.domains) }

// Rooms yields the rooms in the order of their addresses, but for so many at the beginning.
func (s *Snapshot) Rooms(after int) iter.Seq[RoomSnapshot] {
	return func(yield func(RoomSnapshot) bool) {
		for _, p := range s.rooms[min(after, len(s.rooms)):] {
			if !yield(p.snapshot()) {
				return
			}
		}
	}
}

func (p *pinnedRoom) snapshot() RoomSnapshot {
	p.sortOnce.Do(func() {
		slices.SortFunc(p.occupants, func(a, b *Occupant) int { return strings.Compare(a.ID, b.ID) })
	})
	return RoomSnapshot{
		JID: p.jid, Type: p.typ, Tenant: tenantOf(p.jid.Localpart()), Parent: parentJID(p.parent), Facts: p.facts.clone(), Tally: p.tally,
		Occupants: p.occupants,
	}
}
