package webhook

import (
	"context"
	"crypto/tls"
	"net"
	"net/http"
	"net/url"
	"time"

	"ppch/component/occupancy"
)

// Types are the types that endpoints select from.
var Types = types

// Sign signs a delivery.
func Sign(h http.Header, f Format, id string, now time.Time, body []byte, secrets ...string) error {
	s, err := newSigner(f, secrets...)
	if err != nil {
		return err
	}
	return s.sign(h, id, now, body)
}

// Attempt is the outcome of one attempt.
type Attempt struct {
	Status           int
	Problem, Excerpt string
	RetryAfter       time.Duration
	Gone             bool
}

// Post sends a message once.
func Post(ctx context.Context, reach Reach, config *tls.Config, resolver *net.Resolver, to *url.URL, m Message) Attempt {
	c := newClient(reach, "test", config, resolver)
	defer c.close()
	r := c.post(ctx, to, http.Header{}, m)
	return Attempt{r.status, r.problem, r.excerpt, r.retryAfter, r.gone}
}

// Check returns why deliveries may not reach an address, given as host:port.
func (r Reach) Check(address string) error { return r.control()("tcp", address, nil) }

// Check returns the mistakes in s.
func (s Settings) Check(names *occupancy.NameResolver) error {
	_, err := s.parse(names)
	return err
}

// Hasten makes an Outbox retry after the given waits, and disable endpoints after a time.
func (c Config) Hasten(disableAfter time.Duration, maxRows int, schedule ...time.Duration) Config {
	c.schedule, c.disableAfter, c.maxRows, c.probeEvery = schedule, disableAfter, maxRows, 10*time.Millisecond
	return c
}

// Queue is what waits for one endpoint.
type Queue struct {
	q   *queue
	due time.Time // of lanes in the file
}

// NewQueue returns a Queue of which everything is in the file.
func NewQueue() Queue {
	q := newQueue(time.Second)
	q.more = true
	return Queue{q: q}
}

// DueAt makes lanes in the file due at a time.
func (q Queue) DueAt(at time.Time) Queue {
	q.due = at
	return q
}

// Push adds a message that was just stored to a lane.
func (q Queue) Push(lane, number int64) {
	q.q.push(lane, item{number: number, message: &stored{}})
}

// ReadLanes reads the lanes that are in the file; meanwhile is called after it has read them.
func (q Queue) ReadLanes(lanes []int64, meanwhile func()) {
	r := q.q.beginRead()
	due := map[int64]time.Time{}
	for _, lane := range lanes {
		due[lane] = q.due
	}
	meanwhile()
	q.q.addLanes(due, false, r)
}

// ReadLane serves the next lane and reads its messages from the file; meanwhile is called after it has read them.
// It returns the messages that the lane then has, and whether the file has more.
func (q Queue) ReadLane(numbers []int64, meanwhile func()) (all []int64, more bool) {
	l, _ := q.q.next(time.Now())
	if l == nil {
		return nil, false
	}
	r := q.q.beginLane(l)
	var items []item
	for _, n := range numbers {
		items = append(items, item{number: n, message: &stored{}})
	}
	meanwhile()
	q.q.refill(l, items, 0, false, r)
	for _, it := range l.items {
		all = append(all, it.number)
	}
	return all, l.more
}

// Messages returns the messages of a lane in memory.
func (q Queue) Messages(lane int64) (all []int64) {
	for _, it := range q.q.lanes[lane].items {
		all = append(all, it.number)
	}
	return all
}

// Recover makes all that waits ready.
func (q Queue) Recover() { q.q.retryNow(time.Now()) }

// Due reports whether a lane may be served now.
func (q Queue) Due() bool {
	l, _ := q.q.next(time.Now())
	return l != nil
}

// WantsLanes reports whether lanes have to be read from the file.
func (q Queue) WantsLanes() bool { return q.q.wantsLanes() }

// Sweep deletes what isn't needed any more, and measures what waits.
func (o *Outbox) Sweep(ctx context.Context) error {
	defer o.measure(ctx)
	return o.sweepAll(ctx)
}
