package occupancy

import (
	"cmp"
	"iter"
	"slices"
	"strings"
	"sync"
	"time"

	"mellium.im/xmpp/jid"
)

// Snapshot is the state of a Directory at one moment.
// It never changes and is safe for concurrent use.
type Snapshot struct {
	// Seq is the Seq of the last [Event] that this includes.
	Seq uint64

	// Origins are those of the last batch of each shard that this includes.
	Origins map[string]Origin

	domains []DomainSnapshot
	rooms   []*pinnedRoom // ordered by address, those of one address by the names of their shards
}

// DomainSnapshot is a watched MUC domain in a Snapshot.
type DomainSnapshot struct {
	JID   jid.JID
	Shard string
	Known bool      // whether all its rooms are known
	AsOf  time.Time // zero without a replica
}

// RoomSnapshot is a room in a Snapshot. All readers share Occupants, which never change.
type RoomSnapshot struct {
	JID       jid.JID
	Shard     string
	Type      RoomType
	Tenant    string  // as in Room
	Parent    jid.JID // as in Room
	Facts     RoomFacts
	Counts    Counts
	Occupants []*Record // ordered by nick

	WatchedVisitors *int // as in Event
}

// pinnedRoom is a room that shares its parts with the Directory, which never changes them in place.
type pinnedRoom struct {
	address, parent string
	shard           *Shard
	jid             jid.JID
	typ             RoomType
	facts           RoomFacts
	counts          Counts
	watchedVisitors *int
	sortOnce        sync.Once
	occupants       []*Record
}

// Snapshot returns all rooms at present, including those of replicas that are too old for reads:
// the events that follow build on them, and the status of the domain shows that it isn't live.
// It sorts occupants only when they are read, to hold the lock briefly.
func (d *Directory) Snapshot() *Snapshot {
	d.mu.RLock()
	s := d.pinRooms(d.domains)
	d.mu.RUnlock()
	s.sort()
	return s
}

// Snapshot is like [Directory.Snapshot] for the rooms of this shard.
func (s *Shard) Snapshot() *Snapshot {
	s.directory.mu.RLock()
	pinned := s.directory.pinRooms(s.domains)
	s.directory.mu.RUnlock()
	pinned.sort()
	return pinned
}

func (s *Snapshot) sort() {
	slices.SortFunc(s.rooms, func(a, b *pinnedRoom) int {
		return cmp.Or(strings.Compare(a.address, b.address), strings.Compare(a.shard.name, b.shard.name))
	})
}

// pinRooms captures the rooms of domains. The caller holds mu.
func (d *Directory) pinRooms(domains []*mucDomain) *Snapshot {
	s := &Snapshot{Seq: d.lastEvent, Origins: d.origins()}
	for _, m := range domains {
		s.domains = append(s.domains, DomainSnapshot{JID: unsafeJID(m.name), Shard: m.shard.name, Known: m.replica != nil && !m.replica.incomplete, AsOf: m.asOf})
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

// SnapshotOf returns one room on each shard that has it, if any does, and its domain on all shards.
func (d *Directory) SnapshotOf(room jid.JID) *Snapshot {
	d.mu.RLock()
	defer d.mu.RUnlock()
	s := &Snapshot{Seq: d.lastEvent, Origins: d.origins()}
	g := d.group(room.Domainpart())
	if g == nil {
		return s
	}
	address := room.Bare().String()
	for _, m := range g.members {
		r := m.replica.room(address)
		s.domains = append(s.domains, DomainSnapshot{
			JID: unsafeJID(m.name), Shard: m.shard.name, Known: m.replica != nil && (r != nil || !m.replica.incomplete), AsOf: m.asOf,
		})
		if r != nil && !r.hidden {
			s.rooms = append(s.rooms, d.pinRoom(m, address, r))
		}
	}
	s.sort()
	return s
}

// pinRoom captures a room at present. The caller holds mu.
func (d *Directory) pinRoom(m *mucDomain, address string, r *replicaRoom) *pinnedRoom {
	p := &pinnedRoom{address: address, shard: m.shard, parent: d.parentAddress(m, address), jid: r.jid, typ: m.typ, facts: r.facts, counts: r.counts}
	p.facts.Visitors = m.replica.visitors(r.facts, r.counts)
	if m.shard.kind == ShardVisitors || m.group.watchesVisitors() {
		p.facts.Visitors, p.watchedVisitors = d.visitorsOf(m, r, time.Now()), m.watchedVisitors(r)
	}
	p.occupants = make([]*Record, 0, len(r.occupants))
	for _, o := range r.occupants {
		p.occupants = append(p.occupants, o)
	}
	return p
}

// Domains returns the domains in s, the main one first.
func (s *Snapshot) Domains() []DomainSnapshot { return slices.Clone(s.domains) }

// Rooms yields the rooms ordered by address, without the first after of them.
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
		slices.SortFunc(p.occupants, func(a, b *Record) int { return strings.Compare(a.ID(), b.ID()) })
	})
	return RoomSnapshot{
		JID: p.jid, Shard: p.shard.name, Type: p.typ, Tenant: tenantOf(p.jid.Localpart()), Parent: parentJID(p.parent), Facts: p.facts.clone(), Counts: p.counts,
		Occupants: p.occupants, WatchedVisitors: p.watchedVisitors,
	}
}
