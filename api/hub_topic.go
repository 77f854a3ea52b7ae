package api

import "sync"

// topics wake those who wait for news of one room, or of any.
type topics struct {
	// mu protects what follows, the topics' fields included.
	mu    sync.Mutex
	rooms map[string]*topic // by bare JID; empty for all rooms
}

// topic is a room that somebody waits for. It lives as long as it is followed, so that asking for rooms costs no memory.
type topic struct {
	owner     *topics
	room      string
	followers int
	woken     chan struct{}
}

func newTopics() *topics { return &topics{rooms: make(map[string]*topic)} }

// follow returns the topic of the room with that bare JID, or of all rooms. The caller releases it.
func (t *topics) follow(room string) *topic {
	t.mu.Lock()
	defer t.mu.Unlock()
	tp := t.rooms[room]
	if tp == nil {
		tp = &topic{owner: t, room: room, woken: make(chan struct{})}
		t.rooms[room] = tp
	}
	tp.followers++
	return tp
}

// next returns a channel that is closed when something happens after this call.
// So ask for it first, look then, and wait last.
func (tp *topic) next() <-chan struct{} {
	tp.owner.mu.Lock()
	defer tp.owner.mu.Unlock()
	return tp.woken
}

// release says that the caller follows no longer.
func (tp *topic) release() {
	tp.owner.mu.Lock()
	defer tp.owner.mu.Unlock()
	if tp.followers--; tp.followers == 0 {
		delete(tp.owner.rooms, tp.room)
	}
}

// wake wakes the followers of rooms, and those of all rooms, and returns how many those are; "" wakes everybody.
func (t *topics) wake(rooms map[string]struct{}) (woken int) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if _, all := rooms[""]; all {
		for _, tp := range t.rooms {
			woken += tp.wake()
		}
		return woken
	}
	for room := range rooms {
		woken += t.rooms[room].wake()
	}
	return woken + t.rooms[""].wake()
}

// wake wakes the followers of a topic, which is nil where nobody follows, and returns how many they are. The caller holds mu.
func (tp *topic) wake() int {
	if tp == nil {
		return 0
	}
	close(tp.woken)
	tp.woken = make(chan struct{})
	return tp.followers
}
