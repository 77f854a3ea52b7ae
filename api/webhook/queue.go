package webhook

import (
	"container/heap"
	"slices"
	"sync"
	"time"
)

// Limits of a queue in memory. Further messages stay in the file and are read later.
const (
	laneItems = 16   // messages of one lane
	upLanes   = 4096 // lanes of an endpoint
	downLanes = 64   // lanes of an endpoint that is down
)

// Concurrency of one endpoint, and when it counts as down.
const (
	upAttempts   = 8
	downAttempts = 1
	downAfter    = 3 // attempts that failed since the last success

	// While an endpoint is down it is probed: first after probeEvery, then less and less often, at least every maxProbeEvery.
	probeEvery    = 5 * time.Second
	maxProbeEvery = 5 * time.Minute
)

// queue has the waiting messages of one endpoint in lanes. Each meeting has a lane, whose messages are sent one after the other.
// A failing lane waits without holding up others. It is safe for concurrent use.
type queue struct {
	probeEvery time.Duration // while it is down

	wake chan struct{} // has a value after a change that its runner may have to act upon

	// mu protects what follows.
	mu      sync.Mutex
	lanes   map[int64]*lane
	ready   []*lane // in order
	waiting laneHeap
	more    bool // the file has lanes that aren't in memory
	left    int  // how often something was stored that stays in the file only
	flying  int  // attempts under way
	filling bool // older messages are becoming ready in the file: what is stored meanwhile follows them from there

	rows          int // that wait in the file, those that are held included
	bytes         int64
	failedThrough int64 // messages up to this one have failed because too many waited

	// unwritten are the lanes with outcomes that aren't in the file yet.
	unwritten map[int64]outcomes

	succeeded  bool          // since the start or since it was down
	failures   int           // attempts that failed since the last success
	recovered  time.Time     // when it worked again: what was tried before is due
	probeAfter time.Time     // while it is down
	probeWait  time.Duration // after the next failed probe
	holdUntil  time.Time     // the receiver asked for a pause
	stopped    bool          // nothing is sent: it is disabled, or its key doesn't exist
}

// outcomes are the outcomes of a lane that aren't in the file yet: how many, and the last message that has one.
type outcomes struct {
	count int
	last  int64
}

// lane is the messages of one meeting that wait for one endpoint.
type lane struct {
	key   int64
	items []item // the first one is next
	more  bool   // the file has further ones
	left  int    // how often something was stored that stays in the file only
	stale bool   // its messages may be held by now, so they are read again

	// readAfter and readThrough bound the messages of the last read: those in between were added by it.
	readAfter, readThrough int64

	recovered time.Time // as in queue, when its messages were read
	attempts  int       // of the first one
	due       time.Time
	probe     bool // it isn't due, and shows whether the endpoint works again
}

// item is one message that waits. message is nil if it has to be read first.
type item struct {
	number  int64
	size    int
	message *stored
}

// stored is a message as the file has it. Endpoints share it.
type stored struct {
	event string
	Message
}

func newQueue(probeEvery time.Duration) *queue {
	return &queue{probeEvery: probeEvery, wake: make(chan struct{}, 1), lanes: map[int64]*lane{}, unwritten: map[int64]outcomes{}}
}

func (q *queue) signal() {
	select {
	case q.wake <- struct{}{}:
	default:
	}
}

// down reports whether the endpoint rejects every event. The caller holds mu.
func (q *queue) down() bool { return q.failures >= downAfter }

// limit returns how many attempts may be under way. The caller holds mu.
func (q *queue) limit() int {
	if q.down() || !q.succeeded {
		return downAttempts
	}
	return upAttempts
}

// push adds messages that were just stored.
func (q *queue) push(key int64, items ...item) {
	q.mu.Lock()
	defer q.mu.Unlock()
	for _, it := range items {
		q.rows++
		q.bytes += int64(it.size)
	}
	q.signal()
	l := q.lanes[key]
	switch {
	case q.filling:
		return // fill makes them found
	case l == nil && (q.more || len(q.lanes) >= q.capacity()):
		q.more = true
		q.left++
		return
	case l == nil:
		l = q.add(key)
		q.ready = append(q.ready, l)
	case l.more || len(l.items)+len(items) > laneItems:
		l.more = true
		l.left++
		return
	}
	for _, it := range items {
		if it.number <= l.readAfter || it.number > l.readThrough { // else it was read between its commit and now
			l.items = append(l.items, it)
		}
	}
}

// capacity is how many lanes may be in memory. The caller holds mu.
func (q *queue) capacity() int {
	if q.down() {
		return downLanes
	}
	return upLanes
}

// add adds a lane. The caller holds mu.
func (q *queue) add(key int64) *lane {
	l := &lane{key: key}
	q.lanes[key] = l
	return l
}

// next returns the lane to serve now and puts it into service. Without one it returns nil and when to try again; zero means after a signal.
func (q *queue) next(now time.Time) (*lane, time.Time) {
	q.mu.Lock()
	defer q.mu.Unlock()
	switch {
	case q.stopped || q.flying >= q.limit():
		return nil, time.Time{}
	case now.Before(q.holdUntil):
		return nil, q.holdUntil
	case q.down() && now.Before(q.probeAfter):
		return nil, q.probeAfter
	}
	for len(q.waiting) > 0 && !q.waiting[0].due.After(now) {
		q.ready = append(q.ready, heap.Pop(&q.waiting).(*lane))
	}
	var l *lane
	switch {
	case len(q.ready) > 0:
		l = q.ready[0]
		q.ready[0] = nil
		q.ready = q.ready[1:]
		l.probe = false
	case len(q.waiting) == 0:
		return nil, time.Time{}
	case !q.down():
		return nil, q.waiting[0].due
	default:
		l = heap.Pop(&q.waiting).(*lane)
		l.probe = true
	}
	q.flying++
	return l, time.Time{}
}

// first returns the first message of a lane in service, without those that have failed because too many waited.
func (q *queue) first(l *lane) (it item, attempts int, ok bool) {
	q.mu.Lock()
	defer q.mu.Unlock()
	for len(l.items) > 0 && l.items[0].number <= q.failedThrough {
		l.items, l.attempts = l.items[1:], 0
	}
	if len(l.items) == 0 {
		return item{}, 0, false
	}
	return l.items[0], l.attempts, true
}

// reading is a read of the file as it began.
type reading struct {
	after     int64     // only messages after this one: what is before was sent already, or has failed
	recovered time.Time // since when the endpoint works: what was tried before is due
	lanes     int       // how many may be added
	left      int       // as in queue or lane
}

// beginLane begins to read the messages of a lane in service.
func (q *queue) beginLane(l *lane) reading {
	q.mu.Lock()
	defer q.mu.Unlock()
	l.refresh()
	return reading{after: max(q.failedThrough, q.unwritten[l.key].last), recovered: q.recovered, left: l.left}
}

// refill adds messages of a lane in service that were read from the file, and whether it has more.
// What was stored since the read began stays in the file, or follows them.
func (q *queue) refill(l *lane, items []item, attempts int, more bool, r reading) {
	q.mu.Lock()
	defer q.mu.Unlock()
	last := r.after
	if len(items) > 0 {
		last = items[len(items)-1].number
	}
	later := slices.DeleteFunc(l.items, func(it item) bool { return it.number <= last })
	l.more = more || l.left != r.left
	switch {
	case q.filling:
		l.more = true
	case !l.more:
		items = append(items, later...)
	case len(later) > 0:
		l.left++ // they are read next
	}
	l.items, l.attempts, l.recovered = items, attempts, r.recovered
	l.readAfter, l.readThrough = r.after, last
	l.refresh()
}

// wantsLanes reports whether lanes have to be read from the file.
func (q *queue) wantsLanes() bool {
	q.mu.Lock()
	defer q.mu.Unlock()
	return q.more && !q.stopped && len(q.lanes) <= q.capacity()/2
}

// beginRead begins to read lanes.
func (q *queue) beginRead() reading {
	q.mu.Lock()
	defer q.mu.Unlock()
	return reading{after: q.failedThrough, recovered: q.recovered, lanes: max(1, q.capacity()-len(q.lanes)), left: q.left}
}

// addLanes adds lanes that were read from the file, each with when it is due, and whether there are more.
// What was stored since the read began stays in the file.
func (q *queue) addLanes(due map[int64]time.Time, more bool, r reading) {
	q.mu.Lock()
	defer q.mu.Unlock()
	q.more = more || q.left != r.left || q.filling
	for key, at := range due {
		if q.lanes[key] != nil {
			continue
		}
		if !r.recovered.Equal(q.recovered) {
			at = time.Time{} // it worked again while the file was read
		}
		l := q.add(key)
		l.more, l.due = true, at
		heap.Push(&q.waiting, l)
	}
}

// written notes that the outcome of a message is in the file. waited is whether the message waited there until then.
func (q *queue) written(key int64, size int, waited bool) {
	q.mu.Lock()
	defer q.mu.Unlock()
	if o := q.unwritten[key]; o.count > 1 {
		q.unwritten[key] = outcomes{o.count - 1, o.last}
	} else {
		delete(q.unwritten, key)
	}
	if waited {
		q.rows--
		q.bytes -= int64(size)
	}
}

// failThrough notes that the oldest messages, up to a number, have failed because too many waited.
func (q *queue) failThrough(number int64, rows int, bytes int64) {
	q.mu.Lock()
	defer q.mu.Unlock()
	q.failedThrough = max(q.failedThrough, number)
	q.rows -= rows
	q.bytes -= bytes
}

// size returns the number and size of waiting messages, and the last message that failed because too many waited.
func (q *queue) size() (rows int, bytes, failedThrough int64) {
	q.mu.Lock()
	defer q.mu.Unlock()
	return q.rows, q.bytes, q.failedThrough
}

// stop stops or resumes the queue.
func (q *queue) stop(stopped bool) {
	q.mu.Lock()
	defer q.mu.Unlock()
	q.stopped = stopped
}

// isDown reports whether the endpoint rejects every event.
func (q *queue) isDown() bool {
	q.mu.Lock()
	defer q.mu.Unlock()
	return q.down()
}

// trim forgets lanes of an endpoint that is down; they stay in the file. The caller holds mu.
func (q *queue) trim() {
	for len(q.lanes) > downLanes && len(q.ready) > 0 {
		last := q.ready[len(q.ready)-1]
		q.ready = q.ready[:len(q.ready)-1]
		delete(q.lanes, last.key)
		q.more = true
		q.left++
	}
	for len(q.lanes) > downLanes && len(q.waiting) > 0 {
		last := heap.Remove(&q.waiting, len(q.waiting)-1).(*lane)
		delete(q.lanes, last.key)
		q.more = true
		q.left++
	}
}

// pop removes the first message of a lane. The caller holds mu.
func (q *queue) pop(l *lane) {
	if len(l.items) > 0 {
		o := q.unwritten[l.key]
		q.unwritten[l.key] = outcomes{o.count + 1, l.items[0].number}
		l.items = l.items[1:]
	}
	l.attempts = 0
}

// end ends the service of a lane that has no messages.
func (q *queue) end(l *lane) {
	q.mu.Lock()
	defer q.mu.Unlock()
	q.goOn(l, time.Now())
}

// release ends the service of a lane. The caller holds mu.
func (q *queue) release() {
	q.flying--
	q.signal()
}

// laneHeap has the lane that is due first at the top.
type laneHeap []*lane

func (h laneHeap) Len() int           { return len(h) }
func (h laneHeap) Less(i, j int) bool { return h[i].due.Before(h[j].due) }
func (h laneHeap) Swap(i, j int)      { h[i], h[j] = h[j], h[i] }
func (h *laneHeap) Push(x any)        { *h = append(*h, x.(*lane)) }

func (h *laneHeap) Pop() any {
	old := *h
	l := old[len(old)-1]
	old[len(old)-1] = nil
	*h = old[:len(old)-1]
	return l
}
