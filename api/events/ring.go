package events

import (
	"sync"
	"time"

	"ppch/api/view"
)

// The bounds of the ring. A client that comes back within them has missed nothing.
const (
	maxFrames = 8192
	maxBytes  = 16 << 20

	// maxAge is how long names of people who have left stay in memory.
	maxAge = 15 * time.Minute
)

// frame is one event, encoded once for all streams.
type frame struct {
	pos uint64    // its position in the ring
	seq uint64    // its number in the Directory, 0 for events of the hub itself
	at  time.Time // when it was added

	// room is a bare JID, empty for an event of a whole domain, and domain is empty for an event of all domains.
	// main is the main room of a breakout room, or empty.
	room, domain, main string

	// shard is the one that it comes from, empty for an event of all shards, and visitors whether that is a visitor node.
	shard    string
	visitors bool

	// reset is the reason of a reset, or empty.
	reset view.ResetReason

	// named is for keys that may read names, counted for all others.
	named, counted []byte
}

// size returns how many bytes the ring counts for f.
func (f *frame) size() int { return len(f.named) + len(f.counted) }

// ring holds the last frames for all streams. Only the hub adds to it; reading is safe for concurrent use.
type ring struct {
	// mu protects what follows. It is never held while anything is sent.
	mu     sync.RWMutex
	frames [maxFrames]*frame
	head   uint64 // the position of the last frame, 0 before the first
	size   uint64 // how many frames up to head there are
	bytes  int
	since  time.Time // when the ring began, or the last dropped frame was added
}

// add appends f, whose position is the next one.
func (r *ring) add(f *frame) {
	r.mu.Lock()
	defer r.mu.Unlock()
	for r.size > 0 && (r.size == maxFrames || r.bytes+f.size() > maxBytes) {
		r.drop()
	}
	r.head = f.pos
	r.size++
	r.bytes += f.size()
	r.frames[r.head%maxFrames] = f
}

// expire drops the frames that were added before then.
func (r *ring) expire(then time.Time) {
	r.mu.Lock()
	defer r.mu.Unlock()
	for r.size > 0 && r.frames[r.tail()%maxFrames].at.Before(then) {
		r.drop()
	}
}

// tail returns the position of the first frame. The caller holds mu.
func (r *ring) tail() uint64 { return r.head - r.size + 1 }

// drop removes the first frame. The caller holds mu.
func (r *ring) drop() {
	at := r.tail() % maxFrames
	r.bytes -= r.frames[at].size()
	r.since = r.frames[at].at
	r.frames[at] = nil
	r.size--
}

// last returns the position of the last frame.
func (r *ring) last() uint64 {
	r.mu.RLock()
	defer r.mu.RUnlock()
	return r.head
}

// holds reports whether all frames after pos are in the ring.
func (r *ring) holds(pos uint64) bool {
	r.mu.RLock()
	defer r.mu.RUnlock()
	return r.whole(pos)
}

// whole is holds for a caller that holds mu.
func (r *ring) whole(pos uint64) bool { return pos <= r.head && pos+1 >= r.tail() }

// after appends to frames those behind pos that match, until frames is full.
// It returns the position that it reached, and false if some frames after pos are gone.
func (r *ring) after(pos uint64, match func(*frame) bool, frames []*frame) (found []*frame, upTo uint64, whole bool) {
	r.mu.RLock()
	defer r.mu.RUnlock()
	if !r.whole(pos) {
		return frames, pos, false
	}
	for ; pos < r.head && len(frames) < cap(frames); pos++ {
		if f := r.frames[(pos+1)%maxFrames]; match(f) {
			frames = append(frames, f)
		}
	}
	return frames, pos, true
}
