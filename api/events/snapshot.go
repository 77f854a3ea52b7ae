package events

import (
	"bytes"
	"fmt"
	"maps"
	"slices"
	"time"

	"ppch/api/view"
	"ppch/component/occupancy"
)

// The bounds of snapshots.
const (
	// snapshotFor is how long a snapshot is shared: after a restart thousands of clients come at once.
	snapshotFor = time.Second

	// maxPiece is the size above which a room is divided, and maxPart the approximate size of one event.
	// One occupant that is larger is sent whole.
	maxPiece = 16 << 10
	maxPart  = 64 << 10

	// maxSnapshots is how many bytes of encoded snapshots are cached. Streams that read equally fast share them.
	maxSnapshots = 16 << 20
)

// snapshot is the state of one room, or of all rooms, at one moment. Streams share it.
// It refers to data of the Directory, and is encoded as it is read: encoding 10,000 rooms takes about a second,
// which would delay the first room, and 100,000 people take more memory than slow readers should hold.
type snapshot struct {
	number uint64 // unique

	// pos is the ring's last position before the snapshot, and seq the number of the last event that it includes:
	// a stream that continues behind pos and skips events up to seq misses nothing, and sends nothing twice.
	pos, seq uint64
	id       string // of a stream that has sent it

	at      time.Time
	domains []view.SnapshotDomain

	// visitors are the shards whose rooms show rooms of other shards once more.
	visitors map[string]bool

	rooms *occupancy.Snapshot
}

// place is a stream's position in a snapshot.
type place struct{ room, occupant int }

// chunk is a sequence of encoded rooms of a snapshot. It never changes.
type chunk struct {
	pieces []piece
	next   place
	last   bool
}

// chunkKey identifies a chunk.
type chunkKey struct {
	snapshot uint64
	from     place
}

// piece is a room of a snapshot, or some of the occupants of a large one.
type piece struct {
	room, shard    string
	visitors       bool   // whether the shard is a visitor node
	named, counted []byte // counted is nil in all pieces of a room but its first
}

// bytes returns p as a stream may send it, nil for nothing.
func (p piece) bytes(n *filter) []byte {
	switch {
	case !n.grant.AllowsAddress(p.room) || !n.includes(p.shard, p.visitors):
		return nil
	case n.grant.HasNames():
		return p.named
	}
	return p.counted
}

// snapshot returns the state of the rooms of n, not older than snapshotFor and the position after.
func (h *Hub) snapshot(n *filter, after uint64) *snapshot {
	if made := h.madeSnapshot(n.room, after); made != nil {
		return made
	}
	making := &h.makingRoom
	if n.room == "" {
		making = &h.makingAll // takes longer
	}
	making.Lock()
	defer making.Unlock()
	if made := h.madeSnapshot(n.room, after); made != nil {
		return made
	}
	snap := &snapshot{number: h.snapshots.Add(1), pos: h.ring.last(), at: time.Now(), domains: []view.SnapshotDomain{}, visitors: make(map[string]bool)}
	if n.room == "" {
		snap.rooms = h.directory.Snapshot()
	} else {
		snap.rooms = h.directory.SnapshotOf(n.jid)
	}
	snap.seq, snap.id = snap.rooms.Seq, marksOf(snap.rooms.Origins).id()
	for _, d := range snap.rooms.Domains() {
		snap.visitors[d.Shard] = h.isVisitors(d.Shard)
		snap.domains = append(snap.domains, view.SnapshotDomain{Shard: d.Shard, Domain: d.JID.String(), Known: d.Known, AsOf: view.Stamp(d.AsOf)})
	}
	h.mu.Lock()
	defer h.mu.Unlock()
	h.made[n.room] = snap
	return snap
}

// madeSnapshot returns the last snapshot of a room, or of all, or nil if it is too old.
func (h *Hub) madeSnapshot(room string, after uint64) *snapshot {
	h.mu.Lock()
	defer h.mu.Unlock()
	made := h.made[room]
	if made == nil || made.pos < after || time.Since(made.at) >= snapshotFor || !h.ring.holds(made.pos) {
		return nil
	}
	return made
}

// forgetSnapshots drops snapshots that are too old to be shared.
func (h *Hub) forgetSnapshots(now time.Time) {
	h.mu.Lock()
	defer h.mu.Unlock()
	maps.DeleteFunc(h.made, func(_ string, s *snapshot) bool { return now.Sub(s.at) >= snapshotFor })
}

// chunk returns the rooms of a snapshot that follow a place. It encodes them unless they are cached.
func (h *Hub) chunk(snap *snapshot, from place) *chunk {
	key := chunkKey{snap.number, from}
	if c, ok := h.chunks.Get(key); ok {
		return c
	}
	c, size := h.encodeChunk(snap, from)
	h.chunks.Add(key, c, size)
	return c
}

func (h *Hub) encodeChunk(snap *snapshot, at place) (c *chunk, size int) {
	c = &chunk{}
	for r := range snap.rooms.Rooms(at.room) {
		for more := true; more; {
			if size > maxPart {
				c.next = at
				return c, size
			}
			p, next := h.piece(snap, r, at.occupant)
			c.pieces = append(c.pieces, p)
			size += len(p.named) + len(p.counted)
			at.occupant, more = next, next < len(r.Occupants)
		}
		at = place{room: at.room + 1}
	}
	c.last = true
	return c, size
}

// piece returns a room with about maxPiece of its occupants, and the index of the next of them.
func (h *Hub) piece(snap *snapshot, r occupancy.RoomSnapshot, from int) (p piece, next int) {
	doc := view.NewSnapshotRoom(h.names, r, true)
	p.room, p.shard, p.visitors = doc.RoomJID, r.Shard, snap.visitors[r.Shard]
	w := view.NewWriter()
	w.Open(doc)
	w.Text(`,"occupants":[`)
	for next = from; next < len(r.Occupants) && (next == from || w.Len() < maxPiece); next++ {
		w.Comma(next > from)
		w.Value(view.NewOccupant(r.Occupants[next].Occupant(), occupancy.SourceModule))
	}
	fmt.Fprintf(w, `],"continues":%t}`, next < len(r.Occupants))
	p.named = w.Bytes()
	if from == 0 {
		w := view.NewWriter()
		w.Open(view.NewSnapshotRoom(h.names, r, false))
		w.Text(`,"occupants":null,"continues":false}`)
		p.counted = w.Bytes()
	}
	return p, next
}

// part returns the next part of a snapshot as n may read it, in slices that are sent one after the other, and where the part after it begins.
// The last part has the id from which a client may resume.
func (h *Hub) part(snap *snapshot, n *filter, number int, from place) (part [][]byte, next place, last bool) {
	part = append(part, nil) // for the head
	size := 0
	for next = from; !last; {
		c := h.chunk(snap, next)
		bytes := 0
		for _, p := range c.pieces {
			bytes += len(p.bytes(n))
		}
		if size > 0 && size+bytes > maxPart {
			break
		}
		for _, p := range c.pieces {
			if data := p.bytes(n); data != nil {
				if size > 0 {
					part = append(part, []byte(","))
				}
				part = append(part, data)
				size += len(data)
			}
		}
		next, last = c.next, c.last
	}
	doc := view.SnapshotEvent{Event: "snapshot", Time: view.FormatTime(snap.at), Part: number, Last: last, Domains: snap.domainsIn(n)}
	id := ""
	if last {
		id = snap.id
	}
	head, _ := bytes.CutSuffix(encode(id, "snapshot", doc), []byte("}\n\n"))
	part[0] = append(head, `,"rooms":[`...)
	return append(part, []byte("]}\n\n")), next, last
}

// domainsIn returns the domains of a snapshot that a stream follows.
func (s *snapshot) domainsIn(n *filter) []view.SnapshotDomain {
	return slices.DeleteFunc(slices.Clone(s.domains), func(d view.SnapshotDomain) bool { return !n.includes(d.Shard, s.visitors[d.Shard]) })
}
