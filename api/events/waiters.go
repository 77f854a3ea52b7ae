package events

import (
	"sync"
)

// waiters wakes streams and requests that wait for changes of a room, or of any room.
type waiters struct {
	// mu protects what follows, and the fields of each Topic.
	mu    sync.Mutex
	rooms map[string]*Topic // by bare JID; empty for all rooms
}

// Topic is a room with waiters. It exists only while it is followed, so that requests for rooms cost no memory.
// It is safe for concurrent use.
type Topic struct {
	all       *waiters
	room      string
	followers int
	woken     chan struct{}
}

func newWaiters() *waiters { return &waiters{rooms: make(map[string]*Topic)} }

// follow returns the Topic of the room with that bare JID, or of all rooms. The caller releases it.
func (w *waiters) follow(room string) *Topic {
	w.mu.Lock()
	defer w.mu.Unlock()
	t := w.rooms[room]
	if t == nil {
		t = &Topic{all: w, room: room, woken: make(chan struct{})}
		w.rooms[room] = t
	}
	t.followers++
	return t
}

// Next returns a channel that is closed when something happens after this call.
// A caller gets it first, then reads the room, then waits.
func (t *Topic) Next() <-chan struct{} {
	t.all.mu.Lock()
	defer t.all.mu.Unlock()
	return t.woken
}

// Release must be called once the caller no longer follows the room.
func (t *Topic) Release() {
	t.all.mu.Lock()
	defer t.all.mu.Unlock()
	if t.followers--; t.followers == 0 {
		delete(t.all.rooms, t.room)
	}
}

// wake wakes the followers of rooms, and those of all rooms, and returns their number. The room "" stands for every room.
func (w *waiters) wake(rooms map[string]struct{}) (woken int) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if _, all := rooms[""]; all {
		for _, t := range w.rooms {
			woken += t.wake()
		}
		return woken
	}
	for room := range rooms {
		woken += w.rooms[room].wake()
	}
	return woken + w.rooms[""].wake()
}

// wake wakes the followers of a Topic, which is nil for a room without any, and returns their number. The caller holds mu.
func (t *Topic) wake() int {
	if t == nil {
		return 0
	}
	close(t.woken)
	t.woken = make(chan struct{})
	return t.followers
}
