package cluster

import (
	"context"
	"fmt"
	"log/slog"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/nats-io/nats.go"
	"golang.org/x/sync/errgroup"

	"ppch/component/occupancy"
)

// publicationBuffer is how many batches may wait before the collector falls behind and nodes resync.
const publicationBuffer = 4096

// CollectorConfig configures a Collector. All fields are required but Version, Answer and Log.
type CollectorConfig struct {
	Conn *Conn

	// Shard is the shard that this program follows on Prosody.
	Shard *occupancy.Shard

	// Name is the name of the collector, by default that of its component. Two collectors of a shard have different ones.
	Name string

	// Version is the version of the program.
	Version string

	// Answer answers a question about recorded meetings; nil answers none. Several goroutines call it.
	Answer func(ctx context.Context, question []byte) ([]byte, error)

	Log *slog.Logger
}

// Collector publishes a shard for other nodes.
type Collector struct {
	cfg     CollectorConfig
	conn    *Conn
	log     *slog.Logger
	started time.Time // by the monotonic clock

	published atomic.Uint64 // batches
	lost      atomic.Uint64 // batches that were too large to publish
	pages     atomic.Uint64 // of snapshots
	answers   atomic.Uint64 // to questions about recorded meetings

	snapshots snapshots
	once      nonces // of questions that may be answered only once

	// mu protects what follows.
	mu   sync.Mutex
	twin time.Time // when another collector of the same name was last heard
}

// NewCollector returns a Collector.
func NewCollector(cfg CollectorConfig) (*Collector, error) {
	for _, name := range []string{cfg.Shard.Name(), token(cfg.Name)} {
		if err := CheckToken(name); err != nil {
			return nil, fmt.Errorf("cluster: collector %s of shard %s: %w", cfg.Name, cfg.Shard.Name(), err)
		}
	}
	if cfg.Log == nil {
		cfg.Log = slog.New(slog.DiscardHandler)
	}
	return &Collector{cfg: cfg, conn: cfg.Conn, log: cfg.Log.With("shard", cfg.Shard.Name(), "collector", cfg.Name), started: time.Now()}, nil
}

// Run publishes until ctx ends, then reports its end to the nodes and returns nil. It waits for NATS as long as that takes.
func (c *Collector) Run(ctx context.Context) error {
	epoch := c.cfg.Shard.States().Origin.Epoch
	requests, err := c.conn.nats.Subscribe(c.subject("snapshot."+epoch), c.answer)
	if err != nil {
		return fmt.Errorf("cluster: collector: %w", err)
	}
	defer func() { _ = requests.Unsubscribe() }()
	twins, err := c.conn.nats.Subscribe(c.subject(string(kindState)), func(m *nats.Msg) { c.hear(m.Data, epoch) })
	if err != nil {
		return fmt.Errorf("cluster: collector: %w", err)
	}
	defer func() { _ = twins.Unsubscribe() }()
	questions := make(chan *nats.Msg, maxQuestions)
	if c.cfg.Answer != nil {
		asked, err := c.conn.nats.ChanSubscribe(c.subject("history"), questions)
		if err != nil {
			return fmt.Errorf("cluster: collector: %w", err)
		}
		defer func() { _ = asked.Unsubscribe() }()
	}
	g, ctx := errgroup.WithContext(ctx)
	for range answerers {
		g.Go(func() error { return c.answerQuestions(ctx, questions, epoch) })
	}
	g.Go(func() error {
		for c.publish(ctx) {
			c.log.Warn("fell behind with publishing, so nodes resync")
		}
		return nil
	})
	return g.Wait()
}

// publish publishes until ctx ends, then returns false, or until it has missed a batch.
func (c *Collector) publish(ctx context.Context) (missed bool) {
	publications := c.cfg.Shard.Publications(publicationBuffer)
	defer publications.Close()
	last := publications.Start
	tick := time.NewTicker(c.conn.cfg.Heartbeat)
	defer tick.Stop()
	if !c.settle(ctx, publications, &last, tick.C) {
		return false
	}
	c.beat(last, false)
	for {
		select {
		case <-ctx.Done():
			c.beat(last, true)
			return false
		case p, ok := <-publications.All():
			switch {
			case !ok && ctx.Err() == nil:
				return true
			case !ok:
				c.beat(last, true)
				return false
			case p.Seq == 0:
				c.beat(last, false)
			default:
				last.Seq = p.Seq
				c.send(last, p)
			}
		case <-tick.C:
			c.beat(last, false)
		}
	}
}

// settle waits until the shard is no longer loading, at most until a tick, and returns false if ctx has ended. Nodes that know the
// shard from before a restart keep that meanwhile: the first heartbeat of a new epoch replaces it, by nothing if nothing is loaded.
func (c *Collector) settle(ctx context.Context, publications *occupancy.Publications, last *occupancy.Origin, tick <-chan time.Time) bool {
	for c.loading() {
		select {
		case <-ctx.Done():
			return false
		case <-tick:
			return true
		case p, ok := <-publications.All():
			if !ok {
				return ctx.Err() == nil
			}
			last.Seq = max(last.Seq, p.Seq)
		}
	}
	return true
}

// loading reports whether the rooms of a domain will be known in a moment.
func (c *Collector) loading() bool {
	return slices.ContainsFunc(c.cfg.Shard.Domains(), func(d occupancy.Domain) bool {
		return d.Problem != nil && (d.Problem.Reason == occupancy.ReasonConnecting || d.Problem.Reason == occupancy.ReasonSyncing)
	})
}

func (c *Collector) subject(what string) string {
	return c.conn.subject(c.cfg.Shard.Name(), c.cfg.Name, what)
}

// message returns a message of this collector.
func (c *Collector) message(k kind, p occupancy.Origin) message {
	return message{
		Kind: k, Shard: c.cfg.Shard.Name(), Collector: c.cfg.Name, Epoch: p.Epoch, Seq: p.Seq,
		At: time.Since(c.started).Microseconds(), Time: time.Now().UnixMilli(),
	}
}

// send publishes a batch.
func (c *Collector) send(origin occupancy.Origin, p occupancy.Publication) {
	m := c.message(kindBatch, origin)
	m.Domain, m.Age = p.Domain.String(), age(p.AsOf)
	m.Synced, m.Rooms, m.Occupants, m.Unseen, m.Lost, m.Deltas = p.Synced, p.Rooms, p.Occupants, p.Unseen, p.Lost, p.Deltas
	body := m.encode()
	if len(body) > c.conn.maxBody() {
		// A snapshot comes in pages.
		c.lost.Add(1)
		m.Lost, m.Deltas = true, nil
		body = m.encode()
	}
	if err := c.conn.nats.Publish(c.subject(string(kindBatch)), c.conn.sealer.wrap(body)); err != nil {
		c.log.Debug("batch not published", "err", err) // nodes notice the gap
		return
	}
	c.published.Add(1)
}

// beat publishes the heartbeat: for the nodes that follow this collector in order with the batches, and for all that look for one.
// The shard may be ahead of last, the last batch that was published.
func (c *Collector) beat(last occupancy.Origin, end bool) {
	m := c.message(kindState, last)
	c.describe(&m, c.cfg.Shard.States())
	m.End = end
	for _, k := range []kind{kindBatch, kindState} {
		if err := c.conn.send(c.subject(string(k)), m); err != nil {
			c.log.Debug("heartbeat not published", "err", err)
		}
	}
}

// describe adds the state of the shard to m.
func (c *Collector) describe(m *message, state occupancy.ShardState) {
	m.Version, m.ShardKind, m.Heartbeat = c.cfg.Version, string(c.cfg.Shard.Kind()), c.conn.cfg.Heartbeat.Microseconds()
	for _, d := range state.Domains {
		s := domainState{
			JID: d.JID.String(), Type: string(d.Type), VisitorNode: d.VisitorNode,
			Known: d.Known, Connected: d.Status.Connected, Since: age(d.Status.Since), Mode: string(d.Status.Mode),
		}
		if d.Known {
			s.Age, s.Current = age(d.AsOf), !d.AsOf.Before(d.Status.Since)
		}
		if p := d.Status.Problem; p != nil {
			s.Reason, s.Remedy, s.Retry = string(p.Reason), p.Remedy, p.RetryAfter.Microseconds()
			if !d.Status.RetryAt.IsZero() {
				s.Retry = max(0, time.Until(d.Status.RetryAt)).Microseconds()
			}
		}
		m.Domains = append(m.Domains, s)
	}
}

// age returns how long ago a time was, in microseconds; 0 for no time.
func age(t time.Time) int64 {
	if t.IsZero() {
		return 0
	}
	return min(max(0, time.Since(t)), maxClock).Microseconds()
}

// hear notices another collector of the same name.
func (c *Collector) hear(data []byte, epoch string) {
	m, err := c.conn.open(data)
	if err != nil || m.Epoch == epoch || m.End {
		return
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	if time.Since(c.twin) > time.Minute {
		c.log.Error("another collector of this shard has the same name", "remedy", twinProblem(c.cfg.Shard.Name(), c.cfg.Name).Remedy)
	}
	c.twin = time.Now()
}

// twinProblem is that two collectors of a shard have one name.
func twinProblem(shard, collector string) *occupancy.UnavailableError {
	return occupancy.ProblemCollectorTwice.With(
		occupancy.Fact{Name: "shard", Value: shard}, occupancy.Fact{Name: "collector", Value: collector},
	).Err(nil)
}

// Problem returns why nodes may not hear this collector, or nil.
func (c *Collector) Problem() *occupancy.UnavailableError {
	if p := c.conn.problem(); p != nil {
		return p
	}
	return c.conflict()
}

// conflict returns that another collector with the same name was heard lately, or nil.
func (c *Collector) conflict() *occupancy.UnavailableError {
	c.mu.Lock()
	defer c.mu.Unlock()
	if !c.twin.IsZero() && time.Since(c.twin) < 3*c.conn.cfg.Heartbeat {
		return twinProblem(c.cfg.Shard.Name(), c.cfg.Name)
	}
	return nil
}
