package events

import (
	"bytes"
	"encoding/json"
	"slices"
	"time"

	"mellium.im/xmpp/jid"

	"ppch/api/keys"
)

// Recent returns the last events of a room, or of all rooms if it is zero, on a shard, or on all if that is empty, as far as the ring has them: at most limit,
// the oldest first, each as the data of a stream's event. None is missing since the time that it also returns.
func (h *Hub) Recent(room jid.JID, shard string, grant keys.Grant, limit int) (since time.Time, events []json.RawMessage) {
	n := h.newFilter(room, shard, grant, false)
	frames, since := h.ring.recent(n.match, limit)
	events = make([]json.RawMessage, 0, len(frames))
	for _, f := range frames {
		events = append(events, data(n.bytes(f)))
	}
	return since, events
}

// recent returns the last frames that match, at most limit, the oldest first, and since when no frame that matches is missing.
func (r *ring) recent(match func(*frame) bool, limit int) (frames []*frame, since time.Time) {
	r.mu.RLock()
	defer r.mu.RUnlock()
	since = r.since
	for i := range r.size {
		f := *r.slot(r.head - i)
		if !match(f) {
			continue
		}
		if len(frames) == limit {
			since = frames[limit-1].at
			break
		}
		frames = append(frames, f)
	}
	slices.Reverse(frames)
	return frames, since
}

// data returns the JSON of an encoded event.
func data(event []byte) json.RawMessage {
	_, doc, _ := bytes.Cut(event, []byte("\ndata: "))
	return bytes.TrimSuffix(doc, []byte("\n\n"))
}
