package api

import (
	"bytes"
	"encoding/json"
	"sync"
	"sync/atomic"
	"time"

	"ppch/component/occupancy"
)

// The bounds of snapshots.
const (
	// snapshotFor is how long one snapshot of all rooms serves whoever asks: thousands come at once after a restart.
	snapshotFor = time.Second

	// maxPiece is from which size on a room's occupants are told in pieces, maxPart how much of that goes into one event.
	// What is larger by itself, such as one occupant, is told alone.
	maxPiece = 16 << 10
	maxPart  = 64 << 10
)

// roomSnapshot is who is in which room, encoded for all who ask, as far as one of them has come:
// to encode 10,000 rooms takes about a second, for which nobody should wait to be told the first.
type roomSnapshot struct {
	// pos is where the ring stood before, seq the number of the last event that this includes:
	// who reads on behind pos and passes over events up to seq misses nothing, and gets nothing twice.
	pos, seq uint64

	at      time.Time
	domains []snapshotDomainView

	// pieces are those that are encoded.
	pieces atomic.Pointer[[]piece]

	// mu is held by whoever encodes more, and protects what follows.
	mu    sync.Mutex
	told  *occupancy.Snapshot
	rooms int // of told that are encoded
}

// piece is a room of a snapshot, or some of the occupants of a large one.
type piece struct {
	room           string
	named, counted []byte // counted is nil in all pieces of a room but its first
}

// bytes returns p as a subscriber may read it, nil if there is nothing in it for that.
func (p piece) bytes(n *interest) []byte {
	switch {
	case !n.grant.seesAddress(p.room):
		return nil
	case n.grant.names():
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

// snapshotRoomView is a room of a snapshot, or one piece of it.
type snapshotRoomView struct {
	RoomJID          string                 `json:"room_jid"`
	RoomName         string                 `json:"room_name"`
	ParentRoomJID    *string                `json:"parent_room_jid"`
	ParticipantCount int                    `json:"participant_count"`
	Counts           map[occupancy.Kind]int `json:"counts"`
	Facts            eventFactsView         `json:"facts"`
	Occupants        []json.RawMessage      `json:"occupants"`
	Continues        bool                   `json:"continues"`
}

// snapshot returns what n follows as it is now, or was a moment ago, but not before the position after.
func (h *hub) snapshot(n *interest, after uint64) *roomSnapshot {
	if n.room != "" {
		pos := h.ring.last()
		return newRoomSnapshot(pos, h.directory.SnapshotOf(n.jid))
	}
	h.making.Lock()
	defer h.making.Unlock()
	if made := h.made.Load(); made != nil && made.pos >= after && time.Since(made.at) < snapshotFor && h.ring.holds(made.pos) {
		return made
	}
	pos := h.ring.last()
	made := newRoomSnapshot(pos, h.directory.Snapshot())
	h.made.Store(made)
	return made
}

func newRoomSnapshot(pos uint64, told *occupancy.Snapshot) *roomSnapshot {
	snap := &roomSnapshot{pos: pos, seq: told.Seq, at: time.Now(), domains: []snapshotDomainView{}, told: told}
	for _, d := range told.Domains() {
		snap.domains = append(snap.domains, snapshotDomainView{d.JID.String(), d.Known, stamp(d.AsOf)})
	}
	snap.pieces.Store(&[]piece{})
	return snap
}

// piecesFrom returns pieces of a snapshot from an index on, none if there are no more. It encodes the next ones if nobody has.
func (h *hub) piecesFrom(snap *roomSnapshot, index int) []piece {
	if made := *snap.pieces.Load(); index < len(made) {
		return made[index:]
	}
	snap.mu.Lock()
	defer snap.mu.Unlock()
	made := *snap.pieces.Load()
	size := 0
	for r := range snap.told.Rooms(snap.rooms) {
		if size > maxPart && index < len(made) {
			break
		}
		for _, p := range h.pieces(r) {
			made = append(made, p)
			size += len(p.named)
		}
		snap.rooms++
	}
	snap.pieces.Store(&made)
	return made[index:]
}

// pieces returns a room in pieces of about maxPiece.
func (h *hub) pieces(r occupancy.RoomSnapshot) []piece {
	view := snapshotRoomView{
		RoomJID:          r.JID.String(),
		RoomName:         h.names.Name(r.JID),
		ParentRoomJID:    orNull(r.Parent.String()),
		ParticipantCount: r.Tally.People(),
		Counts:           r.Tally.Map(),
		Facts:            newEventFactsView(r.Type, r.Tenant, r.Facts, false),
	}
	pieces := []piece{{room: view.RoomJID, counted: marshal(view)}}
	view.Facts = newEventFactsView(r.Type, r.Tenant, r.Facts, true)
	view.Occupants = []json.RawMessage{}
	size := 0
	for _, o := range r.Occupants {
		told := marshal(newOccupantView(o, occupancy.SourceModule))
		if size += len(told); size > maxPiece && len(view.Occupants) > 0 {
			view.Continues = true
			pieces[len(pieces)-1].named = marshal(view)
			pieces = append(pieces, piece{room: view.RoomJID})
			view.Occupants, view.Continues, size = view.Occupants[:0], false, len(told)
		}
		view.Occupants = append(view.Occupants, told)
	}
	pieces[len(pieces)-1].named = marshal(view)
	return pieces
}

// part returns the next part of a snapshot as n may read it, in pieces that are to be sent one after the other.
// Next is where the part after it begins; the last one bears the id, from which a client may resume.
func (h *hub) part(snap *roomSnapshot, n *interest, number, from int) (part [][]byte, next int, last bool) {
	var comma []byte
	part = append(part, nil) // for the head
	size := 0
	next, last = from, true
fill:
	for pieces := h.piecesFrom(snap, next); len(pieces) > 0; pieces = h.piecesFrom(snap, next) {
		for _, p := range pieces {
			if told := p.bytes(n); told != nil {
				if size += len(told); size > maxPart && comma != nil {
					last = false
					break fill
				}
				part = append(part, comma, told)
				comma = []byte(",")
			}
			next++
		}
	}
	view := snapshotView{"snapshot", snap.at.UTC().Format(timestamp), number, last, snap.domains}
	id := ""
	if last {
		id = h.idBeyond(snap.pos, snap.seq)
	}
	head, _ := bytes.CutSuffix(encode(id, "snapshot", view), []byte("}\n\n"))
	part[0] = append(head, `,"rooms":[`...)
	return append(part, []byte("]}\n\n")), next, last
}
