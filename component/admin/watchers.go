package admin

import (
	"strings"
	"sync"

	"mellium.im/xmpp/jid"

	"ppch/component/occupancy"
)

// Bounds of watching, and of the lines in one message.
const (
	maxWatchers = 100
	maxWatched  = 50 // rooms of one watcher
	maxLines    = 20
)

// watcher is a client of an admin that gets joins and leaves.
type watcher struct {
	to    jid.JID // full
	rooms map[string]bool

	// present is whether it sent directed presence on this stream: then Prosody sends its unavailable presence.
	present bool

	lines []string // to send
	more  int      // how many lines did not fit
}

// watches reports whether the watcher watches a room.
func (w *watcher) watches(room string) bool { return w.rooms[allRooms] || w.rooms[room] }

// watchers holds all watchers. It is safe for concurrent use.
type watchers struct {
	// changed signals that a watcher was added.
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

// watch makes a client watch a room, or allRooms. It reports whether that is news.
func (w *watchers) watch(to jid.JID, room string, present bool) (news bool, err error) {
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

// unwatch makes a client stop watching a room, or everything if room is empty. It reports whether it watched that.
func (w *watchers) unwatch(to jid.JID, room string) bool {
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

// add adds a line for the watchers of a room, or for all watchers if room is empty.
func (w *watchers) add(room, line string) {
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

// notice is a message to one client.
type notice struct {
	to   jid.JID
	text string
}

// collect returns the messages to send, and removes their lines.
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

// unconfirmed returns the clients that can go offline unnoticed.
func (w *watchers) unconfirmed() (all []jid.JID) {
	w.mu.Lock()
	defer w.mu.Unlock()
	for _, one := range w.all {
		if !one.present {
			all = append(all, one.to)
		}
	}
	return all
}

// resetPresence marks all clients as not present: Prosody reports presence only to the stream that got it.
func (w *watchers) resetPresence() {
	w.mu.Lock()
	defer w.mu.Unlock()
	for _, one := range w.all {
		one.present = false
	}
}

// line describes a join or leave, and is empty for any other event.
// Jicofo is left out: it joins and leaves with every room.
func (h *Handler) line(e occupancy.Event) string {
	did := map[occupancy.EventKind]string{occupancy.EventJoined: "joined", occupancy.EventLeft: "left"}[e.Kind]
	if did == "" || e.Occupant.Kind == occupancy.KindFocus {
		return ""
	}
	who := occupantName(&e.Occupant)
	if e.Occupant.Kind != occupancy.KindUser {
		who += " (" + kindOf(&e.Occupant) + ")"
	}
	return who + " " + did + " " + h.roomName(e.Room.String()) + " — " + people(e.Counts.People())
}
