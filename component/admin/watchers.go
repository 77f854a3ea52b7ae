package admin

import (
	"strings"
	"sync"

	"mellium.im/xmpp/jid"

	"ppch/component/occupancy"
)

// How much watching there may be at once, and how many lines one message holds.
const (
	maxWatchers = 100
	maxWatched  = 50 // rooms of one watcher
	maxLines    = 20
)

// watcher is a client of an admin's that wants to be told of joins and leaves.
type watcher struct {
	to    jid.JID // full
	rooms map[string]bool

	// present is whether it sent directed presence on the present stream: then Prosody tells when it is gone.
	present bool

	lines []string // to be sent
	more  int      // how many found no room in lines
}

// watches reports whether the watcher wants to know of a room.
func (w *watcher) watches(room string) bool { return w.rooms[everything] || w.rooms[room] }

// watchers are all of them. It is safe for concurrent use.
type watchers struct {
	// changed wakes whoever tells them, when there is somebody to be told for the first time.
	changed chan struct{}

	// mu protects what follows.
	mu  sync.Mutex
	all map[string]*watcher // by full JID
}

func newWatchers() *watchers {
	return &watchers{changed: make(chan struct{}, 1), all: make(map[string]*watcher)}
}

func (w *watchers) len() int {
	w.mu.Lock()
	defer w.mu.Unlock()
	return len(w.all)
}

// add has a client told of a room, or of everything. It reports whether that is news.
func (w *watchers) add(to jid.JID, room string, present bool) (news bool, err error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	one := w.all[to.String()]
	switch {
	case one == nil && len(w.all) >= maxWatchers:
		return false, errWatchers
	case one == nil:
		one = &watcher{to: to, rooms: make(map[string]bool)}
		w.all[to.String()] = one
	}
	one.present = one.present || present
	switch {
	case one.rooms[room]:
		return false, nil
	case len(one.rooms) >= maxWatched:
		return false, errWatched
	}
	one.rooms[room] = true
	select {
	case w.changed <- struct{}{}:
	default:
	}
	return true, nil
}

// remove has a client told no more of a room, or of anything if room is empty. It reports whether that is news.
func (w *watchers) remove(to jid.JID, room string) bool {
	w.mu.Lock()
	defer w.mu.Unlock()
	one := w.all[to.String()]
	if one == nil || room != "" && !one.rooms[room] {
		return false
	}
	delete(one.rooms, room)
	if room == "" || len(one.rooms) == 0 {
		delete(w.all, to.String())
	}
	return true
}

// note keeps a line for all who watch a room, or for all watchers if room is empty.
func (w *watchers) note(room, line string) {
	w.mu.Lock()
	defer w.mu.Unlock()
	for _, one := range w.all {
		switch {
		case room != "" && !one.watches(room):
		case len(one.lines) < maxLines:
			one.lines = append(one.lines, line)
		default:
			one.more++
		}
	}
}

// notice is what one client is to be told.
type notice struct {
	to   jid.JID
	text string
}

// collect returns what is to be told, and forgets it.
func (w *watchers) collect() (notices []notice) {
	w.mu.Lock()
	defer w.mu.Unlock()
	for _, one := range w.all {
		if len(one.lines) == 0 {
			continue
		}
		if one.more > 0 {
			one.lines = append(one.lines, "… and "+count(one.more, "other", "others"))
		}
		notices = append(notices, notice{one.to, strings.Join(one.lines, "\n")})
		one.lines, one.more = nil, 0
	}
	return notices
}

// doubtful returns the clients of which Prosody wouldn't tell that they are gone.
func (w *watchers) doubtful() (all []jid.JID) {
	w.mu.Lock()
	defer w.mu.Unlock()
	for _, one := range w.all {
		if !one.present {
			all = append(all, one.to)
		}
	}
	return all
}

// doubt forgets who is present: the stream on which Prosody would have told is over.
func (w *watchers) doubt() {
	w.mu.Lock()
	defer w.mu.Unlock()
	for _, one := range w.all {
		one.present = false
	}
}

// line tells a join or leave in words, and is empty for any other event.
// Jicofo is in every room and comes and goes with it, so that is no news.
func (h *Handler) line(e occupancy.Event) string {
	did := map[occupancy.EventKind]string{occupancy.EventJoined: "joined", occupancy.EventLeft: "left"}[e.Kind]
	if did == "" || e.Occupant.Kind == occupancy.KindFocus {
		return ""
	}
	who := occupantName(&e.Occupant)
	if e.Occupant.Kind != occupancy.KindUser {
		who += " (" + string(e.Occupant.Kind) + ")"
	}
	return who + " " + did + " " + h.roomName(e.Room.String()) + " — " + people(e.Tally.People())
}
