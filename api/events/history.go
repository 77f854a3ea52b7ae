package events

import (
	"maps"
	"slices"
	"time"

	"ppch/api/view"
)

// history is where the frames of a ring are in the histories of their shards. The mu of the ring protects it.
type history struct {
	// now is the place of each shard at the end, floor that before the first frame, and newest the last frame of each.
	now, floor marks
	newest     map[string]*frame

	// keys are the last keys of each shard, the present one last.
	keys map[string][]uint64
}

// maxKeys is how many epochs of a shard are remembered.
const maxKeys = 8

// reset forgets everything: what happened before these places is unknown.
func (h *history) reset(places marks) {
	h.now, h.floor, h.newest, h.keys = make(marks), make(marks), make(map[string]*frame), make(map[string][]uint64)
	for shard, m := range places {
		h.floor[shard] = m
		h.reach(shard, m)
	}
}

// reach makes m the place of a shard at the end.
func (h *history) reach(shard string, m mark) {
	h.now[shard] = m
	known := slices.DeleteFunc(h.keys[shard], func(k uint64) bool { return k == m.key })
	if known = append(known, m.key); len(known) > maxKeys {
		known = known[1:]
	}
	h.keys[shard] = known
}

// add notes a frame at the end.
func (h *history) add(f *frame) {
	if f.cause == "" {
		return
	}
	if _, ok := h.floor[f.cause]; !ok {
		h.floor[f.cause] = f.from // a new shard
	}
	h.newest[f.cause] = f
	h.reach(f.cause, f.mark)
}

// drop notes that a frame is gone. Who doesn't know it has missed something.
func (h *history) drop(f *frame) {
	if f.cause == "" {
		return
	}
	h.floor[f.cause] = f.mark
	if h.newest[f.cause] == f {
		delete(h.newest, f.cause)
	}
}

// begin makes the history begin at these places, which include the events of the Directory up to seq.
// Every stream that has begun before has missed something.
func (r *ring) begin(seq uint64, places marks) {
	r.mu.Lock()
	defer r.mu.Unlock()
	for r.size > 0 {
		r.drop()
	}
	if r.id != "" {
		r.head++
	}
	r.since = time.Now()
	r.reset(places)
	r.seq, r.id = seq, places.id()
}

// place returns the place of a shard at the end.
func (r *ring) place(shard string) mark {
	r.mu.RLock()
	defer r.mu.RUnlock()
	return r.now[shard]
}

// reach makes m the place of a shard at the end, without a frame.
func (r *ring) reach(shard string, m mark) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if _, ok := r.floor[shard]; !ok {
		r.floor[shard] = m
	}
	r.history.reach(shard, m)
	r.id = r.now.id()
}

// forget forgets a shard.
func (r *ring) forget(shard string) {
	r.mu.Lock()
	defer r.mu.Unlock()
	delete(r.now, shard)
	delete(r.floor, shard)
	delete(r.newest, shard)
	delete(r.keys, shard)
}

// idAfter returns the id at the end once f is added.
func (r *ring) idAfter(f *frame) string {
	r.mu.RLock()
	defer r.mu.RUnlock()
	if f.cause == "" || r.now[f.cause] == f.mark {
		return r.now.id()
	}
	after := maps.Clone(r.now)
	after[f.cause] = f.mark
	return after.id()
}

// reentry is how a stream continues after the id of another process.
type reentry struct {
	pos uint64 // from where on it sends frames

	// until is the position from which on the client knows the same as the ring, and known the last frame of each shard that it knows.
	// Between pos and until it skips frames that it knows. places are those of the client's id.
	until  uint64
	known  map[string]uint64
	places marks

	// reset is why it can't continue, or empty; early is whether the ring hasn't reached the id yet.
	reset view.ResetReason
	early bool
}

// search is the search for the last frame of a shard that a client knows.
type search struct {
	place mark
	known uint64 // its position, 0 if it is no longer in the ring
	first uint64 // that of the first frame that the client doesn't know, 0 if there is none
}

// reenter finds where a stream continues that was at these places, of the shards that it includes.
// If ordered, the frames of all shards must be in the same order as where the id comes from: some depend on those of other shards.
func (r *ring) reenter(places map[uint64]mark, includes func(shard string) bool, ordered bool) reentry {
	r.mu.RLock()
	defer r.mu.RUnlock()
	searches := make(map[string]*search)
	open := 0 // searches
	to := reentry{places: make(marks), known: make(map[string]uint64)}
	for shard, now := range r.now {
		if !includes(shard) {
			continue
		}
		s := &search{}
		found := slices.ContainsFunc(r.keys[shard], func(key uint64) (ok bool) {
			s.place, ok = places[key]
			return ok
		})
		newest := r.newest[shard]
		switch {
		case !found:
			return reentry{reset: view.ResetUnknown}
		case s.place.key == now.key && !now.covers(s.place):
			return reentry{early: true}
		case newest != nil && s.place.covers(newest.mark):
			s.known = newest.pos
		case newest == nil && !s.place.covers(r.floor[shard]):
			return reentry{reset: view.ResetExpired}
		case newest != nil:
			open++
		}
		searches[shard], to.places[shard] = s, s.place
	}
	for pos := r.head; open > 0 && pos >= r.tail() && pos > 0; pos-- {
		f := *r.slot(pos)
		s := searches[f.cause]
		switch {
		case s == nil || s.known > 0:
		case s.place.covers(f.mark):
			s.known = pos
			open--
		case f.jump && !f.from.covers(s.place) && (f.mark.key == s.place.key || f.from.key == s.place.key):
			return reentry{reset: view.ResetExpired} // the client is between the two
		default:
			s.first = pos
		}
	}
	to.pos = r.head
	for shard, s := range searches {
		if s.known == 0 && s.first > 0 && !s.place.covers(r.floor[shard]) {
			return reentry{reset: view.ResetExpired}
		}
		if s.first > 0 {
			to.pos = min(to.pos, s.first-1)
		}
		to.until = max(to.until, s.known)
		to.known[shard] = s.known
	}
	if to.until > to.pos && ordered {
		return reentry{reset: view.ResetExpired}
	}
	return to
}
