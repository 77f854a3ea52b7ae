package api

import (
	"context"
	"crypto/rand"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"mellium.im/xmpp/jid"

	"ppch/component/occupancy"
)

// The hub's clock.
const (
	// hubBuffer is how many events may wait for the hub while the machine is busy.
	hubBuffer = 8192

	// wakeCost is about what one subscriber takes of a processor to be woken, and to write one event.
	// The hub waits for as long as those it has woken take, and at least minPace, so that a storm of events
	// wakes thousands of subscribers some times a second instead of once for each event, and a few at once.
	// The first event after a silence waits for nothing, none longer than maxPace.
	wakeCost = 20 * time.Microsecond
	minPace  = 2 * time.Millisecond
	maxPace  = 50 * time.Millisecond

	// tidyEvery is how often the hub drops what is too old to be of use.
	tidyEvery = time.Second
)

// hub tells what happens to all who follow it, however many they are.
//
// Every event is encoded once and put into one ring. A subscriber has no queue, but a position in the ring:
// it sleeps until something happens in what it follows, writes what is behind its position, and sleeps again.
// Who is too slow finds its position gone from the ring, and is told so. Nobody waits for anybody.
type hub struct {
	directory *occupancy.Directory
	names     *occupancy.NameResolver

	// instance begins every id: positions of another process mean nothing here.
	instance string

	ring   *ring
	topics *topics
	sub    *occupancy.Subscription

	// over ends when Run does, and with it every stream.
	over context.Context
	end  context.CancelFunc

	// These are held by whatever makes a snapshot of one room, or of all, which others then share.
	makingRoom, makingAll sync.Mutex

	// mu protects made, which are the last snapshots, by room, that of all rooms by "".
	mu   sync.Mutex
	made map[string]*roomSnapshot

	snapshots atomic.Uint64 // how many there were
	chunks    *cache[snapshotKey, *snapshotChunk]

	// What only Run uses: the topics to wake, whether it is too early to, and the status of each domain as it was sent last.
	due      map[string]struct{}
	paced    bool
	statuses map[string]status
}

// newHub returns a hub that has missed nothing once Run begins: events wait for it from now on.
func newHub(directory *occupancy.Directory, names *occupancy.NameResolver) *hub {
	h := &hub{
		directory: directory,
		names:     names,
		instance:  rand.Text()[:10],
		ring:      &ring{},
		topics:    newTopics(),
		sub:       directory.Subscribe(hubBuffer),
		due:       make(map[string]struct{}),
		made:      make(map[string]*roomSnapshot),
		chunks:    newCache[snapshotKey, *snapshotChunk](maxSnapshots),
		statuses:  make(map[string]status),
	}
	h.setStatuses(directory.Domains())
	h.over, h.end = context.WithCancel(context.Background())
	return h
}

// Run takes in what happens until ctx ends; then it ends all streams and returns nil.
func (h *hub) Run(ctx context.Context) error {
	defer h.end()
	defer func() { h.sub.Close() }()
	tidy := time.NewTicker(tidyEvery)
	defer tidy.Stop()
	next := time.NewTimer(0)
	defer next.Stop()
	for {
		select {
		case <-ctx.Done():
			return nil
		case e, ok := <-h.sub.Events():
			h.take(e, ok)
		case now := <-tidy.C:
			h.tidy(now)
		case <-next.C:
			h.paced = false
		}
		if len(h.due) > 0 && !h.paced {
			woken := h.topics.wake(h.due)
			clear(h.due)
			h.paced = true
			next.Reset(min(max(minPace, time.Duration(woken)*wakeCost), maxPace))
		}
	}
}

// take puts an event into the ring, or starts over if the hub itself was too slow and there are no more.
func (h *hub) take(e occupancy.Event, ok bool) {
	switch {
	case !ok:
		h.sub.Close()
		h.sub = h.directory.Subscribe(hubBuffer)
		h.add(&frame{reset: resetSlow}, "reset", newResetView(resetSlow, ""))
		for _, d := range h.directory.Domains() {
			h.takeStatus(d)
		}
	case e.Kind == occupancy.EventReset:
		f := &frame{seq: e.Seq, domain: e.Room.Domainpart(), reset: resetLoaded}
		if e.At.IsZero() {
			f.reset = resetUnloaded
		}
		h.add(f, "reset", newResetView(f.reset, f.domain))
	case e.Kind == occupancy.EventStatus:
		h.takeStatus(*e.Domain)
	default:
		f := &frame{seq: e.Seq, room: e.Room.String(), domain: e.Room.Domainpart()}
		name := eventNames[e.Kind]
		h.add(f, name, newEventView(h.names, name, e, true), newEventView(h.names, name, e, false))
		if !e.Parent.Equal(jid.JID{}) {
			h.due[e.Parent.String()] = struct{}{}
		}
		if e.Facts != nil {
			h.dueChildren(*e.Facts)
		}
	}
}

// add encodes f as an event of that name, puts it into the ring, and notes who is to be woken.
// The views are what those see who may know names, and what all others see, if that is not the same.
func (h *hub) add(f *frame, name string, views ...any) {
	f.at = time.Now()
	f.pos = h.ring.head + 1 // which nobody else writes
	id := h.id(f.pos)
	f.named = encode(id, name, views[0])
	f.counted = f.named
	if len(views) > 1 {
		f.counted = encode(id, name, views[1])
	}
	h.ring.add(f)
	h.due[f.room] = struct{}{} // all of them, where it is about a domain: rooms show those of other domains
}

// id returns the id of the event at a position.
func (h *hub) id(pos uint64) string { return h.instance + "-" + strconv.FormatUint(pos, 10) }

// idBeyond returns the id of a position from which on events up to seq are to be passed over,
// for a snapshot may tell of some that are not in the ring yet.
func (h *hub) idBeyond(pos, seq uint64) string {
	if seq == 0 {
		return h.id(pos)
	}
	return h.id(pos) + "." + strconv.FormatUint(seq, 10)
}

// position returns what an id stands for, and false if it is no id of this hub's.
// What clients send back may be anything.
func (h *hub) position(id string) (pos, seq uint64, ok bool) {
	numbers, ok := strings.CutPrefix(id, h.instance+"-")
	if !ok {
		return 0, 0, false
	}
	number, beyond, _ := strings.Cut(numbers, ".")
	pos, err := strconv.ParseUint(number, 10, 64)
	if err != nil || pos > h.ring.last() {
		return 0, 0, false
	}
	if beyond != "" {
		if seq, err = strconv.ParseUint(beyond, 10, 64); err != nil {
			return 0, 0, false
		}
	}
	return pos, seq, h.idBeyond(pos, seq) == id
}

// dueChildren notes that the rooms that belong to another one are to be woken: they show which that is.
func (h *hub) dueChildren(f occupancy.RoomFacts) {
	if f.Lobby != "" {
		h.due[f.Lobby] = struct{}{}
	}
	for _, b := range f.Breakouts {
		h.due[b.JID] = struct{}{}
	}
}

// tidy drops what is too old to be of use.
func (h *hub) tidy(now time.Time) {
	h.ring.expire(now.Add(-maxAge))
	h.forgetSnapshots(now)
}
