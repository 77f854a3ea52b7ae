package api

import (
	"bytes"
	"fmt"
	"maps"
	"time"

	"ppch/api/view"
	"ppch/component/occupancy"
)

// The bounds of snapshots.
const (
	// snapshotFor is how long a snapshot serves all who ask for the same: thousands come at once after a restart.
	snapshotFor = time.Second

	// maxPiece is from which size on a room's occupants are sent in pieces, maxPart how much of that goes into one event.
	// What is larger by itself, such as one occupant, is sent alone.
	maxPiece = 16 << 10
	maxPart  = 64 << 10

	// maxSnapshots is how many bytes of encoded snapshots are cached. Subscribers that read equally fast share them.
	maxSnapshots = 16 << 20
)

// roomSnapshot is who is in which room at one moment, for all who ask for the same.
// It holds what the Directory shares anyhow, and is encoded as it is read: to encode 10,000 rooms takes about a second,
// for which nobody should wait to be sent the first, and 100,000 people take more memory than slow readers should hold.
type roomSnapshot struct {
	number uint64 // one for each

	// pos is where the ring stood before, seq the number of the last event that this includes:
	// who reads on behind pos and passes over events up to seq misses nothing, and gets nothing twice.
	pos, seq uint64

	at      time.Time
	domains []snapshotDomainView
	rooms   *occupancy.Snapshot
}

// snapshotPlace is where in a snapshot a reader has come to.
type snapshotPlace struct{ room, occupant int }

// snapshotChunk is some rooms of a snapshot, encoded. It never changes.
type snapshotChunk struct {
	pieces []piece
	next   snapshotPlace
	last   bool
}

// snapshotKey is what there is one chunk of.
type snapshotKey struct {
	snapshot uint64
	from     snapshotPlace
}

// piece is a room of a snapshot, or some of the occupants of a large one.
type piece struct {
	room           string
	named, counted []byte // counted is nil in all pieces of a room but its first
}

// bytes returns p as a subscriber may read it, nil if there is nothing in it for that.
func (p piece) bytes(n *interest) []byte {
	switch {
	case !n.grant.AllowsAddress(p.room):
		return nil
	case n.grant.HasNames():
		return p.named
	}
	return p.counted
}

// snapshotView is the beginning of a snapshot event; the rooms follow as the last field.
type snapshotView struct {
	Event   string               `json:"event"`
	Time    string               `json:"time"`
	Part    int                  `json:"part"`
	Last    bool                 `json:"last"`
	Domains []snapshotDomainView `json:"domains"`
}

// snapshotDomainView is how well a domain is known: of one that isn't, no rooms are told.
type snapshotDomainView struct {
	Domain string  `json:"domain"`
	Known  bool    `json:"known"`
	AsOf   *string `json:"as_of"`
}

// snapshotRoomView is the beginning of a room, or of one piece of it; its occupants follow.
type snapshotRoomView struct {
	RoomJID          string                 `json:"room_jid"`
	RoomName         string                 `json:"room_name"`
	ParentRoomJID    *string                `json:"parent_room_jid"`
	ParticipantCount int                    `json:"participant_count"`
	Counts           map[occupancy.Kind]int `json:"counts"`
	Facts            eventFactsView         `json:"facts"`
}

// snapshot returns what n follows as it is now, or was a moment ago, but not before the position after.
func (h *hub) snapshot(n *interest, after uint64) *roomSnapshot {
	if made := h.madeSnapshot(n.room, after); made != nil {
		return made
	}
	making := &h.makingRoom
	if n.room == "" {
		making = &h.makingAll // which takes longer
	}
	making.Lock()
	defer making.Unlock()
	if made := h.madeSnapshot(n.room, after); made != nil {
		return made
	}
	snap := &roomSnapshot{number: h.snapshots.Add(1), pos: h.ring.last(), at: time.Now(), domains: []snapshotDomainView{}}
	if n.room == "" {
		snap.rooms = h.directory.Snapshot()
	} else {
		snap.rooms = h.directory.SnapshotOf(n.jid)
	}
	snap.seq = snap.rooms.Seq
	for _, d := range snap.rooms.Domains() {
		snap.domains = append(snap.domains, snapshotDomainView{d.JID.String(), d.Known, view.Stamp(d.AsOf)})
	}
	h.mu.Lock()
	defer h.mu.Unlock()
	h.made[n.room] = snap
	return snap
}

// madeSnapshot returns the last snapshot of a room, or of all, if it still serves, or nil.
func (h *hub) madeSnapshot(room string, after uint64) *roomSnapshot {
	h.mu.Lock()
	defer h.mu.Unlock()
	made := h.made[room]
	if made == nil || made.pos < after || time.Since(made.at) >= snapshotFor || !h.ring.holds(made.pos) {
		return nil
	}
	return made
}

// forgetSnapshots forgets those that serve nobody else any more.
func (h *hub) forgetSnapshots(now time.Time) {
	h.mu.Lock()
	defer h.mu.Unlock()
	maps.DeleteFunc(h.made, func(_ string, s *roomSnapshot) bool { return now.Sub(s.at) >= snapshotFor })
}

// chunk returns the rooms of a snapshot that follow a place. It encodes them if nobody has, or that was a while ago.
func (h *hub) chunk(snap *roomSnapshot, from snapshotPlace) *snapshotChunk {
	key := snapshotKey{snap.number, from}
	if c, ok := h.chunks.get(key); ok {
		return c
	}
	c, size := h.encodeChunk(snap, from)
	h.chunks.add(key, c, size)
	return c
}

func (h *hub) encodeChunk(snap *roomSnapshot, at snapshotPlace) (c *snapshotChunk, size int) {
	c = &snapshotChunk{}
	for r := range snap.rooms.Rooms(at.room) {
		for more := true; more; {
			if size > maxPart {
				c.next = at
				return c, size
			}
			p, next := h.piece(r, at.occupant)
			c.pieces = append(c.pieces, p)
			size += len(p.named) + len(p.counted)
			at.occupant, more = next, next < len(r.Occupants)
		}
		at = snapshotPlace{room: at.room + 1}
	}
	c.last = true
	return c, size
}

// piece returns a room with about maxPiece of its occupants, and the index of the next of them.
func (h *hub) piece(r occupancy.RoomSnapshot, from int) (p piece, next int) {
	doc := snapshotRoomView{
		RoomJID:          r.JID.String(),
		RoomName:         h.names.Name(r.JID),
		ParentRoomJID:    view.OrNull(r.Parent.String()),
		ParticipantCount: r.Counts.People(),
		Counts:           r.Counts.Map(),
		Facts:            newEventFactsView(r.Type, r.Tenant, r.Facts, true),
	}
	p.room = doc.RoomJID
	w := newJSONWriter()
	w.open(doc)
	w.text(`,"occupants":[`)
	for next = from; next < len(r.Occupants) && (next == from || w.Len() < maxPiece); next++ {
		w.comma(next > from)
		w.value(newOccupantView(*r.Occupants[next], occupancy.SourceModule))
	}
	fmt.Fprintf(w, `],"continues":%t}`, next < len(r.Occupants))
	p.named = w.Bytes()
	if from == 0 {
		doc.Facts = newEventFactsView(r.Type, r.Tenant, r.Facts, false)
		w := newJSONWriter()
		w.open(doc)
		w.text(`,"occupants":null,"continues":false}`)
		p.counted = w.Bytes()
	}
	return p, next
}

// part returns the next part of a snapshot as n may read it, in slices that are to be sent one after the other.
// Next is where the part after it begins; the last one bears the id, from which a client may resume.
func (h *hub) part(snap *roomSnapshot, n *interest, number int, from snapshotPlace) (part [][]byte, next snapshotPlace, last bool) {
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
	doc := snapshotView{"snapshot", snap.at.UTC().Format(view.Timestamp), number, last, snap.domains}
	id := ""
	if last {
		id = h.idBeyond(snap.pos, snap.seq)
	}
	head, _ := bytes.CutSuffix(encode(id, "snapshot", doc), []byte("}\n\n"))
	part[0] = append(head, `,"rooms":[`...)
	return append(part, []byte("]}\n\n")), next, last
}
