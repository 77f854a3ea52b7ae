package events

import (
	"bytes"
	"iter"
	"time"

	"mellium.im/xmpp/jid"

	"ppch/api/keys"
	"ppch/api/view"
)

// The bounds of the ring and of the parts of a snapshot.
const (
	MaxFrames = maxFrames
	MaxPart   = maxPart
)

// AddStatus adds a status to the ring, as the hub does when the status changes.
// Like TakeEvents it is for tests that run no hub, since Run leaves no time between the two.
func (h *Hub) AddStatus() {
	status := h.statusesIn(&filter{})[0]
	h.add(&frame{domain: status.Domain, shard: status.Shard}, "status", status)
	h.waiters.wake(h.due)
}

// Instance begins the ids of positions that mean nothing to other hubs.
func (h *Hub) Instance() string { return h.instance }

// TakeEvents adds the events that wait for the hub to the ring.
func (h *Hub) TakeEvents() {
	for len(h.sub.Events()) > 0 {
		e, ok := <-h.sub.Events()
		h.take(e, ok)
	}
	h.waiters.wake(h.due)
}

// Stats counts streams.
type Stats struct {
	Open         int
	Refused, Cut uint64
	Resets       map[view.ResetReason]uint64
	Position     uint64 // of the last event in the ring
}

// Stats returns the numbers of streams.
func (h *Hub) Stats() Stats {
	c := &h.counts
	stats := Stats{Open: c.open.Taken(), Refused: c.refused.Load(), Cut: c.cut.Load(), Resets: map[view.ResetReason]uint64{}, Position: h.ring.last()}
	for i, reason := range view.ResetReasons {
		stats.Resets[reason] = c.resets[i].Load()
	}
	return stats
}

// Parts yields the parts of a snapshot of all rooms, each with the number of pieces that are encoded by then.
func (h *Hub) Parts(grant keys.Grant) iter.Seq2[string, int] {
	n := h.newFilter(jid.JID{}, "", grant, false)
	snap := h.snapshot(&n, 0)
	return func(yield func(string, int) bool) {
		from := place{}
		for number, last := 1, false; !last; number++ {
			var part [][]byte
			part, from, last = h.part(snap, &n, number, from)
			if !yield(string(bytes.Join(part, nil)), h.encoded(snap)) {
				return
			}
		}
	}
}

// encoded returns how many pieces of a snapshot are encoded, from its beginning on.
func (h *Hub) encoded(snap *snapshot) (pieces int) {
	from := place{}
	for {
		c, ok := h.chunks.Get(chunkKey{snap.number, from})
		if !ok {
			return pieces
		}
		pieces += len(c.pieces)
		if c.last {
			return pieces
		}
		from = c.next
	}
}

// ForgetSnapshots makes the next snapshot a new one.
func (h *Hub) ForgetSnapshots() { h.forgetSnapshots(time.Now().Add(snapshotFor)) }

// Followed returns how many rooms are followed.
func (h *Hub) Followed() int {
	h.waiters.mu.Lock()
	defer h.waiters.mu.Unlock()
	return len(h.waiters.rooms)
}
