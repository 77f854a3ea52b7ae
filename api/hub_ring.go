package api

import (
	"sync"
	"time"

	"mellium.im/xmpp/jid"

	"ppch/api/keys"
)

// What the ring may hold. A subscriber who comes back within these bounds has missed nothing.
const (
	maxFrames = 8192
	maxBytes  = 16 << 20

	// maxAge is how long names of people who have left stay in memory.
	maxAge = 15 * time.Minute
)

// frame is one event, encoded once for all who get it.
type frame struct {
	pos uint64    // its position in the ring
	seq uint64    // the Directory's number for it, 0 for what the hub itself tells
	at  time.Time // when it was put into the ring

	// room is the bare JID of the room that it tells of, empty for what concerns a whole domain,
	// and domain the name of that, empty for all domains.
	room, domain string

	// reset is why no events lead on from what was told before, or empty where they do.
	reset resetReason

	// named is for those who may know names, counted for all others.
	named, counted []byte
}

// size returns how many bytes the ring counts for f.
func (f *frame) size() int { return len(f.named) + len(f.counted) }

// ring holds the last frames for all subscribers. Only its owner adds to it, everybody may read.
type ring struct {
	// mu protects what follows; it is held for the time of one look, never while anything is sent.
	mu     sync.RWMutex
	frames [maxFrames]*frame
	head   uint64 // the position of the last frame, 0 before the first
	held   uint64 // how many frames up to head there are
	bytes  int
}

// add puts f, whose position is the next one, behind all others.
func (r *ring) add(f *frame) {
	r.mu.Lock()
	defer r.mu.Unlock()
	for r.held > 0 && (r.held == maxFrames || r.bytes+f.size() > maxBytes) {
		r.drop()
	}
	r.head = f.pos
	r.held++
	r.bytes += f.size()
	r.frames[r.head%maxFrames] = f
}

// expire drops what was put in before then.
func (r *ring) expire(then time.Time) {
	r.mu.Lock()
	defer r.mu.Unlock()
	for r.held > 0 && r.frames[r.tail()%maxFrames].at.Before(then) {
		r.drop()
	}
}

// tail returns the position of the first frame that is held. The caller holds mu.
func (r *ring) tail() uint64 { return r.head - r.held + 1 }

// drop forgets the first frame. The caller holds mu.
func (r *ring) drop() {
	at := r.tail() % maxFrames
	r.bytes -= r.frames[at].size()
	r.frames[at] = nil
	r.held--
}

// last returns the position of the last frame.
func (r *ring) last() uint64 {
	r.mu.RLock()
	defer r.mu.RUnlock()
	return r.head
}

// holds reports whether all that came after pos is there.
func (r *ring) holds(pos uint64) bool {
	r.mu.RLock()
	defer r.mu.RUnlock()
	return r.whole(pos)
}

// whole is holds for whoever holds mu.
func (r *ring) whole(pos uint64) bool { return pos <= r.head && pos+1 >= r.tail() }

// after appends to frames those behind pos that concern st, until frames is full.
// It returns up to which position it has looked, and false if not all that came after pos is there.
func (r *ring) after(pos uint64, st *stream, frames []*frame) (found []*frame, upTo uint64, whole bool) {
	r.mu.RLock()
	defer r.mu.RUnlock()
	if !r.whole(pos) {
		return frames, pos, false
	}
	for ; pos < r.head && len(frames) < cap(frames); pos++ {
		if f := r.frames[(pos+1)%maxFrames]; st.concerns(f) {
			frames = append(frames, f)
		}
	}
	return frames, pos, true
}

// interest is what a subscriber follows, and what it may know of that.
type interest struct {
	jid    jid.JID // zero for all rooms
	room   string  // the same as text; empty for all rooms
	domain string  // that of room
	grant  keys.Grant
}

// wants reports whether a frame is of what is followed.
func (n *interest) wants(f *frame) bool {
	if f.room == "" {
		return n.room == "" || f.domain == "" || f.domain == n.domain
	}
	return (n.room == "" || n.room == f.room) && n.grant.AllowsAddress(f.room)
}

// bytes returns f as it may be read.
func (n *interest) bytes(f *frame) []byte {
	if n.grant.HasNames() {
		return f.named
	}
	return f.counted
}
