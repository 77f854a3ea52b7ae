package events

import (
	"sync"
	"time"

	"ppch/api/view"
)

// The bounds of the ring. A client that comes back within them has missed nothing: for 30 s at 270 changes a second of one shard,
// or at 2,000 a second of several.
const (
	maxFrames = 8192
	maxBytes  = 16 << 20

	// The bounds of the ring of several shards.
	mostFrames, mostBytes = 8 * maxFrames, 6 * maxBytes

	// maxAge is how long names of people who have left stay in memory.
	maxAge = 15 * time.Minute
)

// frame is one event, encoded once for all streams.
type frame struct {
	pos uint64    // its position in the ring
	seq uint64    // its number in the Directory, 0 for events of the hub itself
	at  time.Time // when it was added

	// id is that of the stream after the frame; local is whether it means nothing to other processes.
	id    string
	local bool

	// room is a bare JID, empty for an event of a whole domain, and domain is empty for an event of all domains.
	// main is the main room of a breakout room, or empty.
	room, domain, main string

	// shard is the one that it comes from, empty for an event of all shards, and visitors whether that is a visitor node.
	shard    string
	visitors bool

	// visitorsOf are the domains whose visitors are on the shard, for the status of a visitor node.
	visitorsOf []string

	// cause is the shard whose batch has caused it, and mark its place there; cause is empty for events of the hub itself.
	// A jump is one of the differences between two states, from and mark, with unknown changes between them.
	cause      string
	mark, from mark
	jump       bool
	silent     bool // a jump without differences, which no stream sends

	// reset is the reason of a reset, or empty.
	reset view.ResetReason

	// named is for keys that may read names, counted for all others.
	named, counted []byte
}

// size returns how many bytes the ring counts for f.
func (f *frame) size() int { return len(f.named) + len(f.counted) + len(f.id) }

// ring holds the last frames for all streams. Only the hub adds to it; reading is safe for concurrent use.
type ring struct {
	// mu protects what follows. It is never held while anything is sent.
	mu     sync.RWMutex
	frames []*frame
	head   uint64 // the position of the last frame, 0 before the first
	size   uint64 // how many frames up to head there are
	bytes  int
	since  time.Time // when the ring began, or the last dropped frame was added

	maxBytes int

	// id is that of the end, and seq the number of the last event in the Directory that it includes.
	id  string
	seq uint64

	history
}

// newRing returns an empty ring.
func newRing() *ring {
	r := &ring{frames: make([]*frame, maxFrames), maxBytes: maxBytes, since: time.Now()}
	r.reset(nil)
	return r
}

// grow makes room for the events of several shards.
func (r *ring) grow() {
	r.mu.Lock()
	defer r.mu.Unlock()
	if len(r.frames) == mostFrames {
		return
	}
	larger := make([]*frame, mostFrames)
	for pos := r.tail(); pos <= r.head; pos++ {
		larger[pos%mostFrames] = *r.slot(pos)
	}
	r.frames, r.maxBytes = larger, mostBytes
}

// slot returns where the frame at a position is. The caller holds mu.
func (r *ring) slot(pos uint64) **frame { return &r.frames[pos%uint64(len(r.frames))] }

// add appends f, whose position is the next one.
func (r *ring) add(f *frame) {
	r.mu.Lock()
	defer r.mu.Unlock()
	for r.size > 0 && (r.size == uint64(len(r.frames)) || r.bytes+f.size() > r.maxBytes) {
		r.drop()
	}
	r.head = f.pos
	r.size++
	r.bytes += f.size()
	*r.slot(r.head) = f
	r.id, r.seq = f.id, max(r.seq, f.seq)
	r.history.add(f)
}

// expire drops the frames that were added before then.
func (r *ring) expire(then time.Time) {
	r.mu.Lock()
	defer r.mu.Unlock()
	for r.size > 0 && (*r.slot(r.tail())).at.Before(then) {
		r.drop()
	}
}

// tail returns the position of the first frame. The caller holds mu.
func (r *ring) tail() uint64 { return r.head - r.size + 1 }

// drop removes the first frame. The caller holds mu.
func (r *ring) drop() {
	at := r.slot(r.tail())
	r.bytes -= (*at).size()
	r.since = (*at).at
	r.history.drop(*at)
	*at = nil
	r.size--
}

// last returns the position of the last frame.
func (r *ring) last() uint64 {
	r.mu.RLock()
	defer r.mu.RUnlock()
	return r.head
}

// end returns the position of the last frame, and the id of a stream that continues from there.
func (r *ring) end() (pos uint64, id string) {
	r.mu.RLock()
	defer r.mu.RUnlock()
	return r.head, r.id
}

// holds reports whether all frames after pos are in the ring.
func (r *ring) holds(pos uint64) bool {
	r.mu.RLock()
	defer r.mu.RUnlock()
	return r.whole(pos)
}

// whole is holds for a caller that holds mu.
func (r *ring) whole(pos uint64) bool { return pos <= r.head && pos+1 >= r.tail() }

// reached is how far a reader has come.
type reached struct {
	pos, seq uint64
	id       string // from which a stream continues there
}

// after appends to frames those behind pos that match, until frames is full.
// It returns what it reached, and false if some frames after pos are gone.
func (r *ring) after(pos uint64, match func(*frame) bool, frames []*frame) (found []*frame, upTo reached, all bool) {
	r.mu.RLock()
	defer r.mu.RUnlock()
	if !r.whole(pos) {
		return frames, reached{pos: pos}, false
	}
	for ; pos < r.head && len(frames) < cap(frames); pos++ {
		if f := *r.slot(pos + 1); match(f) {
			frames = append(frames, f)
		}
	}
	upTo = reached{pos, r.seq, r.id}
	if pos < r.head {
		upTo.id, upTo.seq = "", 0
		if pos >= r.tail() {
			f := *r.slot(pos)
			upTo.id, upTo.seq = f.id, f.seq
		}
	}
	return frames, upTo, true
}
