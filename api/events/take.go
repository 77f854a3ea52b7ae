package events

import (
	"strconv"
	"strings"
	"time"

	"mellium.im/xmpp/jid"

	"ppch/api/view"
	"ppch/component/occupancy"
)

// rebase begins the history of the ring with the present state of all shards.
func (h *Hub) rebase() {
	seq, origins := h.directory.Origins()
	h.skip, h.held, h.pending = seq, nil, nil
	h.ring.begin(seq, marksOf(origins))
}

// take adds an event to the ring. If ok is false, the hub itself was too slow: it resets all streams and subscribes again.
func (h *Hub) take(e occupancy.Event, ok bool) {
	switch {
	case !ok:
		h.sub.Close()
		h.sub = h.directory.SubscribeBatches(hubBuffer)
		h.rebase()
		h.due[""] = struct{}{}
		for _, d := range h.directory.Domains() {
			h.takeStatus(d)
		}
	case e.Kind == occupancy.EventStatus:
		h.takeHeld()
		h.takeStatus(*e.Domain)
	case e.Kind == occupancy.EventConfirmed:
		h.confirm(e)
	case e.Seq <= h.skip:
	case e.Kind == occupancy.EventReset:
		h.takeReset(e)
	case e.Origin.Epoch == "":
		h.takeHeld()
		h.pending = append(h.pending, e) // the end of the batch, which follows at once, says where it belongs
	default:
		h.takeHeld()
		h.held = &e // the end of the batch, which may follow at once, says whether this is the last
	}
}

// takeHeld adds the held event, which is not the last of its batch.
func (h *Hub) takeHeld() {
	if e := h.held; e != nil {
		h.held = nil
		h.takeRoom(*e, &frame{cause: e.Shard, mark: markOf(e.Shard, e.Origin, e.Origin.Index)})
	}
}

// confirm ends a batch.
func (h *Hub) confirm(e occupancy.Event) {
	to := markOf(e.Shard, e.Origin, whole)
	if last := h.held; last != nil && last.Shard == e.Shard {
		h.held = nil
		h.takeRoom(*last, &frame{cause: e.Shard, mark: to})
	}
	h.takeHeld()
	from := h.ring.place(e.Shard)
	if from.covers(to) {
		return // such as from before the ring began
	}
	jump := e.Resynced && (from.key != to.key || from.seq != to.seq) // without a number, the changes are differences to what was known here
	if len(h.pending) == 0 && jump {
		f := &frame{cause: e.Shard, mark: to, from: from, jump: true, silent: true}
		h.place(f)
		h.ring.add(f)
	}
	h.takePending(e.Shard, from, to, jump)
	h.ring.reach(e.Shard, to)
}

// takePending adds the pending events: those of a batch that are not numbered.
func (h *Hub) takePending(cause string, from, to mark, jump bool) {
	for i, e := range h.pending {
		f := &frame{cause: cause, mark: to, jump: jump, local: i < len(h.pending)-1}
		if jump {
			f.from = from
		}
		h.takeRoom(e, f)
	}
	h.pending = h.pending[:0]
}

// takeReset adds the reset of a domain.
func (h *Hub) takeReset(e occupancy.Event) {
	h.takeHeld()
	from, to := h.ring.place(e.Shard), markOf(e.Shard, e.Origin, whole)
	h.takePending(e.Shard, from, to, false)
	f := &frame{seq: e.Seq, domain: e.Room.Domainpart(), shard: e.Shard, visitors: h.isVisitors(e.Shard), reset: view.ResetLoaded}
	if e.At.IsZero() {
		f.reset = view.ResetUnloaded
	}
	if e.Origin.Epoch != "" {
		f.cause, f.mark, f.from, f.jump = e.Shard, to, from, true
	} else {
		f.reset = view.ResetRetired
		f.visitorsOf = h.retire(e.Shard, f.domain)
	}
	h.add(f, "reset", view.NewResetEvent(f.reset, f.shard, f.domain))
}

// takeRoom adds f, an event of a room.
func (h *Hub) takeRoom(e occupancy.Event, f *frame) {
	f.seq, f.room, f.domain, f.shard, f.visitors = e.Seq, e.Room.String(), e.Room.Domainpart(), e.Shard, h.isVisitors(e.Shard)
	if e.Type == occupancy.RoomBreakout {
		f.main = e.Parent.String()
	}
	named := view.NewRoomEvent(h.names, e, true)
	h.add(f, named.Event, named, view.NewRoomEvent(h.names, e, false))
	if !e.Parent.Equal(jid.JID{}) {
		h.due[e.Parent.String()] = struct{}{}
	}
	if e.Facts != nil {
		h.dueChildren(*e.Facts)
	}
}

// add encodes f as an event of that name, adds it to the ring, and notes which waiters to wake.
// The documents are that for keys that may read names, and that for all others if it differs.
func (h *Hub) add(f *frame, name string, docs ...any) {
	h.place(f)
	f.named = encode("", name, docs[0])
	f.counted = f.named
	if len(docs) > 1 {
		f.counted = encode("", name, docs[1])
	}
	h.ring.add(f)
	h.due[f.room] = struct{}{} // all of them for an event of a domain: rooms show rooms of other domains
}

// place gives f its position at the end of the ring, and its id.
func (h *Hub) place(f *frame) {
	f.at = time.Now()
	f.pos = h.ring.head + 1 // which only this goroutine writes
	if f.local {
		f.id = h.localID(f.pos)
		return
	}
	f.id = h.ring.idAfter(f)
}

// localID returns the id of a position that means nothing to other processes.
func (h *Hub) localID(pos uint64) string { return h.instance + "-" + strconv.FormatUint(pos, 10) }

// localPosition parses an id, which may be any text, and returns false if it isn't the id of a position of this hub.
func (h *Hub) localPosition(id string) (pos uint64, ok bool) {
	number, ok := strings.CutPrefix(id, h.instance+"-")
	if !ok {
		return 0, false
	}
	pos, err := strconv.ParseUint(number, 10, 64)
	return pos, err == nil && pos <= h.ring.last() && h.localID(pos) == id
}
