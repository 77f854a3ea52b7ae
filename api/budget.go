package api

import (
	"runtime"
	"sync"
	"sync/atomic"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"ppch/api/keys"
)

// The maximum number of unread bytes of responses, in total and per key.
// A client that stops reading leaves its response in memory until a deadline ends it.
const (
	maxUnread      = 64 << 20
	maxUnreadOfKey = 16 << 20

	// Responses larger than smallAnswer may take only three quarters of these, so that small ones still find room.
	smallAnswer = 32 << 10

	// unreadDelay is the Retry-After of a refusal: clients that read at all free memory within a moment.
	unreadDelay = time.Second
)

// The errors of take.
var (
	errUnreadOfKey = &problem{
		kind:       kindUnreadOfKey,
		detail:     "Unread responses to this API key fill its share of memory: read them first, and send fewer requests at once.",
		retryAfter: unreadDelay,
	}
	errUnread = &problem{
		kind:       kindUnread,
		detail:     "Unread responses to all clients fill the memory reserved for them: retry later.",
		retryAfter: unreadDelay,
	}
)

// budget limits the unread bytes of responses, per key and in total. It is safe for concurrent use.
type budget struct {
	refusedOfKey, refused atomic.Uint64

	// mu protects what follows.
	mu    sync.Mutex
	all   int
	keys  map[keys.Sum]int
	freed chan struct{} // closed when bytes are given back; nil if nothing waits
}

func newBudget() *budget { return &budget{keys: make(map[keys.Sum]int)} }

// take reserves bytes for a response to a key, or returns an error if too few are left. The caller gives them back with Give.
func (b *budget) take(key keys.Sum, bytes int) error {
	b.mu.Lock()
	defer b.mu.Unlock()
	p := b.tryTake(key, bytes)
	switch p {
	case nil:
		return nil
	case errUnreadOfKey:
		b.refusedOfKey.Add(1)
	default:
		b.refused.Add(1)
	}
	return p
}

// tryTake is take without counting refusals. The caller holds mu.
func (b *budget) tryTake(key keys.Sum, bytes int) *problem {
	ofKey, all := maxUnreadOfKey, maxUnread
	if bytes > smallAnswer {
		ofKey, all = ofKey/4*3, all/4*3
	}
	switch {
	case b.keys[key]+bytes > ofKey:
		return errUnreadOfKey
	case b.all+bytes > all:
		return errUnread
	}
	b.keys[key] += bytes
	b.all += bytes
	return nil
}

// Wait is take that waits for enough bytes, up to d or until done is closed. It reports whether it has taken them.
func (b *budget) Wait(key keys.Sum, bytes int, d time.Duration, done <-chan struct{}) bool {
	end := time.NewTimer(d)
	defer end.Stop()
	for {
		b.mu.Lock()
		p := b.tryTake(key, bytes)
		if p != nil && b.freed == nil {
			b.freed = make(chan struct{})
		}
		freed := b.freed
		b.mu.Unlock()
		if p == nil {
			return true
		}
		select {
		case <-freed:
		case <-end.C:
			return false
		case <-done:
			return false
		}
	}
}

// Give gives back bytes taken before.
func (b *budget) Give(key keys.Sum, bytes int) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.all -= bytes
	if b.keys[key] -= bytes; b.keys[key] == 0 {
		delete(b.keys, key)
	}
	if b.freed != nil {
		close(b.freed)
		b.freed = nil
	}
}

func (b *budget) taken() int {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.all
}

// metrics returns the metrics of unread responses.
func (b *budget) metrics() []prometheus.Collector {
	refused := func(reason string, count *atomic.Uint64) prometheus.Collector {
		return prometheus.NewCounterFunc(prometheus.CounterOpts{
			Name:        "answers_refused_total",
			Help:        "Answers refused because clients had too many bytes still to read, per key or in total.",
			ConstLabels: prometheus.Labels{"reason": reason},
		}, func() float64 { return float64(count.Load()) })
	}
	return []prometheus.Collector{
		prometheus.NewGaugeFunc(prometheus.GaugeOpts{
			Name: "answer_bytes_unread",
			Help: "Bytes of answers that clients have not read yet.",
		}, func() float64 { return float64(b.taken()) }),
		refused(kindUnreadOfKey.code, &b.refusedOfKey),
		refused(kindUnread.code, &b.refused),
	}
}

// maxWaiting is how long the holder of a turn may wait, for instance for a reader, before the turn ends: waiting takes no processor.
const maxWaiting = time.Millisecond

// turns limit large responses to half of the processors, so that one is always free for small ones.
// Each chunk of a large response is encoded and sent in a turn.
type turns chan struct{}

func newTurns() turns { return make(turns, max(1, runtime.GOMAXPROCS(0)/2)) }

// turn is a turn that was taken.
type turn struct {
	end  func() // may be called again
	late *time.Timer
}

// take waits for a turn. The caller ends it, and must not take another before.
func (t turns) take() *turn {
	t <- struct{}{}
	return &turn{end: sync.OnceFunc(func() { <-t })}
}

// Waits must be called before the holder may have to wait.
func (t *turn) Waits() { t.late = time.AfterFunc(maxWaiting, t.end) }

// Over ends the turn.
func (t *turn) Over() {
	if t.late != nil {
		t.late.Stop()
	}
	t.end()
}
