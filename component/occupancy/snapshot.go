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
	at, parent string
	jid        jid.JID
	typ        RoomType
	facts      RoomFacts
	tally      Tally
	sorting    sync.Once
	occupants  []*Occupant
}

// Snapshot returns all rooms as they are now. Those of a replica that is too old for a read are among them:
// the events that follow build on them, and the status of the domain says that it isn't live.
// Sorting is left to its readers, so that nobody has to wait for that.
func (d *Directory) Snapshot() *Snapshot {
	s := d.pinAll()
	slices.SortFunc(s.rooms, func(a, b *pinnedRoom) int { return strings.Compare(a.at, b.at) })
	return s
}

func (d *Directory) pinAll() *Snapshot {
	d.mu.RLock()
	defer d.mu.RUnlock()
	s := &Snapshot{Seq: d.seq}
	for _, w := range d.watched {
		s.domains = append(s.domains, DomainSnapshot{JID: address(w.name), Known: w.served != nil && !w.served.unseen, AsOf: w.asOf})
		if w.served == nil {
			continue
		}
		s.rooms = slices.Grow(s.rooms, w.served.shown)
		for at, r := range w.served.rooms {
			if !r.hidden {
				s.rooms = append(s.rooms, d.pin(w, at, r))
			}
		}
	}
	return s
}

// SnapshotOf returns what is known now of one room, which need not exist, and of its domain.
func (d *Directory) SnapshotOf(room jid.JID) *Snapshot {
	d.mu.RLock()
	defer d.mu.RUnlock()
	s := &Snapshot{Seq: d.seq}
	w := d.domain(room.Domainpart())
	if w == nil {
		return s
	}
	at := room.Bare().String()
	r := w.served.room(at)
	s.domains = []DomainSnapshot{{JID: address(w.name), Known: w.served != nil && (r != nil || !w.served.unseen), AsOf: w.asOf}}
	if r != nil && !r.hidden {
		s.rooms = []*pinnedRoom{d.pin(w, at, r)}
	}
	return s
}

// pin keeps a room as it is. The caller holds mu.
func (d *Directory) pin(w *watched, at string, r *liveRoom) *pinnedRoom {
	p := &pinnedRoom{at: at, parent: d.parent(w, at), jid: r.jid, typ: w.typ, facts: r.facts, tally: r.tally}
	p.facts.Visitors = w.served.visitors(r.facts, r.tally)
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
	p.sorting.Do(func() {
		slices.SortFunc(p.occupants, func(a, b *Occupant) int { return strings.Compare(a.ID, b.ID) })
	})
	return RoomSnapshot{
		JID: p.jid, Type: p.typ, Tenant: tenantOf(p.jid.Localpart()), Parent: parentJID(p.parent), Facts: p.facts.clone(), Tally: p.tally,
		Occupants: p.occupants,
	}
}
