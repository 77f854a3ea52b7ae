// Package events sends what happens in rooms as server-sent events.
//
// A [Hub] subscribes to the Directory, encodes each event once and keeps the latest in a ring. A [Stream] is a position in the ring:
// it sleeps on the [Topic] of its room, or of all rooms, writes what is new, and sleeps again. Other waiting requests use the same topics.
// A stream that asks for it begins with a snapshot, which is encoded while it is sent, and shared with streams that ask at the same time.
package events

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"sync"
	"sync/atomic"
	"time"

	"ppch/api/keys"
	"ppch/api/view"
	"ppch/component/occupancy"
)

// The hub's clock.
const (
	// hubBuffer is how many events may wait for the hub while the machine is busy.
	hubBuffer = 8192

	// wakeCost is about the processor time in which one stream wakes and writes one event.
	// The hub waits for as long as the streams it has woken take, and at least minPace: a storm of events
	// wakes thousands of streams a few times a second instead of once for each event, and a few streams at once.
	// The first event after a silence does not wait, and no event waits longer than maxPace.
	wakeCost = 20 * time.Microsecond
	minPace  = 2 * time.Millisecond
	maxPace  = 50 * time.Millisecond

	// tidyEvery is how often the hub drops old frames and snapshots.
	tidyEvery = time.Second
)

// Hub sends the events of a Directory to any number of streams. It is safe for concurrent use, but Run may be called only once.
//
// Every event is encoded once and added to one ring. A stream has no queue, but a position in the ring:
// it sleeps until something happens in a room that it follows, writes the frames after its position, and sleeps again.
// The position of a stream that is too slow drops out of the ring, and the stream sends a reset. No stream waits for another.
type Hub struct {
	directory *occupancy.Directory
	names     *occupancy.NameResolver
	keys      *keys.Keyring
	memory    Memory
	takeTurn  func() Turn

	// instance begins the ids of positions that mean nothing to other processes.
	instance string

	ring    *ring
	waiters *waiters
	sub     *occupancy.Subscription
	counts  counts

	// ctx ends when Run does, and with it every stream.
	ctx context.Context
	end context.CancelFunc

	// One of these is held while a snapshot of one room, or of all rooms, is created. Other streams then share it.
	makingRoom, makingAll sync.Mutex

	// mu protects made, the last snapshots by room. That of all rooms has the key "".
	mu   sync.Mutex
	made map[string]*snapshot

	snapshots atomic.Uint64 // how many there were
	chunks    *view.Cache[chunkKey, *chunk]

	// Only Run uses these: the rooms whose waiters to wake, whether to wait before that, and the last reported status of each domain.
	due      map[string]struct{}
	paced    bool
	statuses map[shardDomain]status

	// skip is the last event that the ring doesn't need. Held is the last numbered event of a batch that isn't over, or nil,
	// and pending are events of it without a number.
	skip    uint64
	held    *occupancy.Event
	pending []occupancy.Event
}

// Config is the configuration of a Hub.
type Config struct {
	Directory *occupancy.Directory
	Names     *occupancy.NameResolver
	Keys      *keys.Keyring

	// MaxStreams is the maximum number of streams and waiting requests.
	MaxStreams int

	// Memory limits the unread bytes of snapshots.
	Memory Memory

	// TakeTurn waits until another part of a snapshot may be encoded.
	TakeTurn func() Turn
}

// Memory limits the unread bytes of responses, per key and in total. It must be safe for concurrent use.
type Memory interface {
	// Wait takes bytes for a key, waits up to d or until done is closed for them, and reports whether it has taken them.
	Wait(key keys.Sum, bytes int, d time.Duration, done <-chan struct{}) bool

	// Give gives back bytes.
	Give(key keys.Sum, bytes int)
}

// Turn is the right to encode a part of a large answer.
type Turn interface {
	// Waits must be called before the holder may have to wait, such as for a reader.
	Waits()

	// Over ends the turn.
	Over()
}

// NewHub returns a Hub that misses nothing if Run begins later: events wait for it from now on.
func NewHub(cfg Config) *Hub {
	h := &Hub{
		directory: cfg.Directory,
		names:     cfg.Names,
		keys:      cfg.Keys,
		memory:    cfg.Memory,
		takeTurn:  cfg.TakeTurn,
		instance:  rand.Text()[:10],
		ring:      newRing(),
		waiters:   newWaiters(),
		sub:       cfg.Directory.SubscribeBatches(hubBuffer),
		counts:    counts{open: keys.NewShares(cfg.MaxStreams)},
		due:       make(map[string]struct{}),
		made:      make(map[string]*snapshot),
		chunks:    view.NewCache[chunkKey, *chunk](maxSnapshots),
		statuses:  make(map[shardDomain]status),
	}
	for _, d := range cfg.Directory.Domains() {
		h.statuses[shardDomain{d.Shard, d.JID.String()}] = statusOf(d)
	}
	h.rebase()
	h.ctx, h.end = context.WithCancel(context.Background())
	return h
}

// ErrTooManyStreams is the error of a stream for which there is no place.
// It wraps [keys.ErrShareTaken] if the key has as many as it may have, otherwise [keys.ErrAllTaken].
var ErrTooManyStreams = errors.New("events: too many streams")

// Enter takes a place for a stream or a waiting request of a key. Leave gives it back.
func (h *Hub) Enter(k *keys.Key) error {
	if err := h.counts.open.Enter(k, h.keys.Count(), k.MaxStreams()); err != nil {
		h.counts.refused.Add(1)
		return fmt.Errorf("%w: %w", ErrTooManyStreams, err)
	}
	return nil
}

// Leave gives back a place.
func (h *Hub) Leave(k *keys.Key) { h.counts.open.Leave(k) }

// Follow returns the Topic of the room with that bare JID, or of all rooms if it is empty. The caller releases it.
func (h *Hub) Follow(room string) *Topic { return h.waiters.follow(room) }

// Done returns a channel that is closed when Run returns.
func (h *Hub) Done() <-chan struct{} { return h.ctx.Done() }

// Run publishes events until ctx ends; then it ends all streams and returns nil.
func (h *Hub) Run(ctx context.Context) error {
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
			woken := h.waiters.wake(h.due)
			clear(h.due)
			h.paced = true
			next.Reset(min(max(minPace, time.Duration(woken)*wakeCost), maxPace))
		}
	}
}

// dueChildren schedules a wake-up of a room's lobby and breakout rooms, because these show their parent.
func (h *Hub) dueChildren(f occupancy.RoomFacts) {
	if f.Lobby != "" {
		h.due[f.Lobby] = struct{}{}
	}
	for _, b := range f.Breakouts {
		h.due[b.JID] = struct{}{}
	}
}

// tidy drops old frames and snapshots.
func (h *Hub) tidy(now time.Time) {
	h.takeHeld() // from a batch that wasn't applied to its end
	h.ring.expire(now.Add(-maxAge))
	if len(h.directory.Shards()) > 1 {
		h.ring.grow()
	}
	h.forgetSnapshots(now)
}
