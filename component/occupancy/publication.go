package occupancy

import (
	"slices"
	"strings"
	"time"

	"mellium.im/xmpp/jid"
)

// Publication is one batch as a shard has applied it, for programs elsewhere that keep a replica of the shard.
type Publication struct {
	// Seq is the number of the batch. If there is another one, the next publication has the next number.
	// Zero means that there is no batch, only the status of a domain has changed; see [Shard.States].
	Seq    uint64
	Domain jid.JID
	AsOf   time.Time

	// Batch has a delta for each event, in their order. Its occupants have their kind, and its totals leave out Jicofo's health checks.
	// Without Synced, the replica was discarded.
	Batch

	// Lost is whether Deltas are missing: the replica was loaded or discarded as a whole.
	Lost bool
}

// Publications is a stream of what a shard applies. It is safe for concurrent use.
type Publications struct {
	// Start is the origin of the last batch before the stream.
	Start Origin

	shard  *Shard
	stream chan Publication
	missed bool // protected by the mu of the Directory
}

// Publications returns a stream of all future batches of the shard. [Shard.Pin] returns the state before.
// It buffers up to buffer of them; one more ends it. The caller closes it.
func (s *Shard) Publications(buffer int) *Publications {
	p := &Publications{shard: s, stream: make(chan Publication, max(buffer, 1))}
	s.directory.mu.Lock()
	defer s.directory.mu.Unlock()
	p.Start = s.numbering.last
	s.publications = append(s.publications, p)
	return p
}

// All returns the stream. It ends after Close, and when its buffer overflows.
func (p *Publications) All() <-chan Publication { return p.stream }

// Missed reports whether the stream ended because its reader was too slow.
func (p *Publications) Missed() bool {
	p.shard.directory.mu.RLock()
	defer p.shard.directory.mu.RUnlock()
	return p.missed
}

// Close ends the stream. Closing it twice does no harm.
func (p *Publications) Close() {
	p.shard.directory.mu.Lock()
	defer p.shard.directory.mu.Unlock()
	p.end()
}

// end closes the stream unless it has already ended. The caller holds mu.
func (p *Publications) end() {
	if i := slices.Index(p.shard.publications, p); i >= 0 {
		p.shard.publications = slices.Delete(slices.Clone(p.shard.publications), i, i+1)
		close(p.stream)
	}
}

// push publishes to all streams. It never blocks. The caller holds mu.
func (s *Shard) push(published Publication) {
	for _, p := range s.publications {
		select {
		case p.stream <- published:
		default:
			p.missed = true
			p.end()
		}
	}
}

// note keeps a change for the publication of its batch. The caller holds mu.
func (s *Shard) note(c change) {
	if len(s.publications) == 0 {
		return
	}
	d := Delta{Room: c.room.jid.String()}
	switch c.kind {
	case EventRoomStarted, EventRoomUpdated:
		d.New = c.kind == EventRoomStarted
		d.Facts = new(c.room.facts.clone())
	case EventRoomEnded:
		d.Gone, d.Alternate = true, c.alternate
	case EventLeft:
		d.Left, d.Reason, d.Alternate = []string{c.occupant.ID()}, c.reason, c.alternate
	default:
		d.Present = []Occupant{c.occupant.Occupant()}
	}
	s.deltas = append(s.deltas, d)
}

// endBatch ends the present batch and publishes it, with lost because its changes are not all that has changed. The caller holds mu.
func (s *Shard) endBatch(m *mucDomain, lost bool) {
	deltas := s.deltas
	s.deltas = nil
	s.numbering.end()
	if lost {
		deltas = nil
	}
	if len(s.publications) == 0 {
		return
	}
	s.push(Publication{Seq: s.numbering.last.Seq, Domain: m.jid, AsOf: m.asOf, Batch: m.replica.totals(deltas), Lost: lost})
}

// totals returns a batch of deltas with the totals of c, without health checks. A nil replica has none.
func (c *replica) totals(deltas []Delta) Batch {
	if c == nil {
		return Batch{}
	}
	return Batch{Deltas: deltas, Synced: true, Rooms: c.shown, Occupants: c.counts.All(), Unseen: c.incomplete}
}

// ShardState is the state of a shard at one moment. The caller owns it.
type ShardState struct {
	// Origin is that of the last batch; its Index means nothing.
	Origin  Origin
	Domains []DomainState
}

// DomainState is the state of one MUC domain of a shard.
type DomainState struct {
	JID  jid.JID
	Type RoomType

	// VisitorNode is whether Prosody said that it is a visitor node.
	VisitorNode bool

	// Known is whether there is a replica, AsOf when it was last confirmed.
	Known bool
	AsOf  time.Time

	// Status is as it was reported.
	Status Status
}

// States returns the state of the shard.
func (s *Shard) States() ShardState {
	s.directory.mu.RLock()
	defer s.directory.mu.RUnlock()
	return s.states()
}

func (s *Shard) states() ShardState {
	state := ShardState{Origin: s.numbering.last}
	for _, m := range s.domains {
		state.Domains = append(state.Domains, DomainState{
			JID: m.jid, Type: m.typ, VisitorNode: m.replica != nil && m.replica.visitorNode, Known: m.replica != nil, AsOf: m.asOf, Status: m.status,
		})
	}
	return state
}

// Pin is all that a shard knows at one moment. It never changes and is safe for concurrent use.
type Pin struct {
	ShardState
	domains []pinnedDomain
}

type pinnedDomain struct {
	totals Batch
	rooms  []*pinnedRoom // ordered by address
}

// Pin returns all that the shard knows at present. It includes the publications up to its Seq.
func (s *Shard) Pin() *Pin {
	d := s.directory
	d.mu.RLock()
	p := &Pin{ShardState: s.states()}
	for _, m := range s.domains {
		pinned := pinnedDomain{totals: m.replica.totals(nil)}
		if m.replica != nil {
			for address, r := range m.replica.rooms {
				if r.hidden {
					continue
				}
				room := d.pinRoom(m, address, r)
				room.facts = r.facts
				pinned.rooms = append(pinned.rooms, room)
			}
		}
		p.domains = append(p.domains, pinned)
	}
	d.mu.RUnlock()
	for _, pinned := range p.domains {
		slices.SortFunc(pinned.rooms, func(a, b *pinnedRoom) int { return strings.Compare(a.address, b.address) })
	}
	return p
}

// Totals returns an empty batch with the totals of the i-th domain.
func (p *Pin) Totals(i int) Batch { return p.domains[i].totals }

// Rooms returns the number of rooms of the i-th domain.
func (p *Pin) Rooms(i int) int { return len(p.domains[i].rooms) }

// Room returns the j-th room of the i-th domain. Its facts are as Prosody reported them.
func (p *Pin) Room(i, j int) RoomSnapshot { return p.domains[i].rooms[j].snapshot() }
