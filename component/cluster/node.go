package cluster

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"strconv"
	"sync"
	"sync/atomic"
	"time"

	"github.com/nats-io/nats.go"
	"golang.org/x/sync/errgroup"
	"mellium.im/xmpp/jid"

	"ppch/component/follow"
	"ppch/component/occupancy"
)

// Replica is where a node keeps the rooms of a shard. [occupancy.Shard] implements it.
type Replica interface {
	follow.Replica
	SetStatus(domain jid.JID, s occupancy.Status)
	Domain(domain jid.JID) (occupancy.Domain, error)
}

// NodeConfig configures a Node. All fields but Kind and Log are required.
type NodeConfig struct {
	Conn *Conn

	// Shard is the name of the shard, and Kind what it is for, if that is to be checked.
	Shard string
	Kind  occupancy.ShardKind

	// Domains are the MUC domains of Replica.
	Domains []jid.JID
	Replica Replica

	Log *slog.Logger
}

// Node follows the collectors of a shard and keeps a replica of it. It is safe for concurrent use.
type Node struct {
	cfg      NodeConfig
	conn     *Conn
	log      *slog.Logger
	follower *follow.Follower
	began    time.Time

	gaps     atomic.Uint64
	repeated atomic.Uint64 // batches that came again
	garbage  atomic.Uint64 // messages that make no sense
	switches atomic.Uint64 // from one collector to another
	delivery *errgroup.Group
	cancel   context.CancelFunc // of the present delivery; only Subscribe uses it

	// mu protects what follows.
	mu        sync.Mutex
	peers     map[string]*peer // by key
	news      chan struct{}    // a peer was heard of for the first time
	current   *peer            // whose batches are applied, or nil
	followed  string           // the key of the last current one, or empty
	inactive  time.Time        // since when current is nil
	since     map[string]time.Time
	problem   *occupancy.UnavailableError // that is in the replica's status, or nil for the status of the collector
	problemAt time.Time                   // since when
	theirs    int                         // the version of the last message of another version
	theirsAt  time.Time
	foreignAt time.Time // when a message that isn't sealed with our secret came last
	lastErr   error     // of the last attempt to subscribe
}

// NewNode returns a Node.
func NewNode(cfg NodeConfig) (*Node, error) {
	if err := CheckToken(cfg.Shard); err != nil {
		return nil, fmt.Errorf("cluster: shard: %w", err)
	}
	if cfg.Log == nil {
		cfg.Log = slog.New(slog.DiscardHandler)
	}
	n := &Node{
		cfg: cfg, conn: cfg.Conn, log: cfg.Log.With("shard", cfg.Shard),
		peers: make(map[string]*peer), news: make(chan struct{}, 1), since: make(map[string]time.Time),
	}
	n.follower = follow.New(cfg.Replica, nil)
	n.follower.MaxWait = n.conn.cfg.Heartbeat
	return n, nil
}

// Run follows until ctx ends, then returns nil. It reports problems to the replica and tries again.
func (n *Node) Run(ctx context.Context) error {
	g, ctx := errgroup.WithContext(ctx)
	n.mu.Lock()
	n.began, n.inactive, n.delivery = time.Now(), time.Now(), g
	n.mu.Unlock()
	n.watch()
	heartbeats, err := n.conn.nats.Subscribe(n.conn.subject(n.cfg.Shard, "*", string(kindState)), n.hear)
	if err != nil {
		return fmt.Errorf("cluster: node: %w", err)
	}
	defer func() { _ = heartbeats.Unsubscribe() }()
	g.Go(func() error { return n.follower.Follow(ctx, n, n.log) })
	g.Go(func() error {
		tick := time.NewTicker(n.conn.cfg.Heartbeat / 4)
		defer tick.Stop()
		for {
			select {
			case <-ctx.Done():
				return nil
			case <-tick.C:
				n.watch()
			}
		}
	})
	return g.Wait()
}

// Subscribe implements [follow.Carrier]: it chooses a collector, and loads its snapshot.
func (n *Node) Subscribe(ctx context.Context, begin func(follow.Subscription)) error {
	n.stop()
	p, err := n.choose(ctx)
	if err != nil {
		return err
	}
	err = n.subscribe(ctx, p, begin)
	n.mu.Lock()
	defer n.mu.Unlock()
	if n.lastErr = err; err != nil {
		p.failedAt = time.Now()
	}
	return err
}

func (n *Node) subscribe(ctx context.Context, p *peer, begin func(follow.Subscription)) error {
	// Batches wait in the subscription until the snapshot is complete. NATS keeps the order of subscribing and asking.
	sub, err := n.conn.nats.SubscribeSync(n.conn.subject(n.cfg.Shard, p.name, string(kindBatch)))
	if err != nil {
		return fmt.Errorf("cluster: subscribe to %s: %w", p.name, err)
	}
	s := &subscription{node: n, peer: p, sub: sub}
	if err := s.load(ctx, begin); err != nil {
		_ = sub.Unsubscribe()
		n.follower.End(err)
		return fmt.Errorf("cluster: snapshot of %s: %w", p.name, err)
	}
	n.activate(p)
	ctx, n.cancel = context.WithCancel(ctx)
	n.delivery.Go(func() error {
		defer func() { _ = sub.Unsubscribe() }()
		if err := s.deliver(ctx); err != nil {
			n.deactivate(p)
			n.follower.End(err)
		}
		return nil
	})
	return nil
}

// stop ends the present delivery. The follower has ended its subscription.
func (n *Node) stop() {
	if n.cancel != nil {
		n.cancel()
		n.cancel = nil
	}
	n.deactivate(nil)
}

// activate makes p the collector whose batches are applied.
func (n *Node) activate(p *peer) {
	n.mu.Lock()
	defer n.mu.Unlock()
	if n.followed != "" && n.followed != p.key {
		n.switches.Add(1)
		n.log.Info("following another collector", "collector", p.name, "epoch", p.epoch)
	}
	n.current, n.followed = p, p.key
	p.followedAt, p.takenAt = time.Now(), time.Now()
	n.report(p)
}

// deactivate notes that the batches of p, or of any collector, aren't applied any more.
func (n *Node) deactivate(p *peer) {
	n.mu.Lock()
	defer n.mu.Unlock()
	if n.current != nil && (p == nil || n.current == p) {
		n.current, n.inactive = nil, time.Now()
	}
}

// patience is how long a collector may be silent. The caller holds mu.
func (n *Node) patience() time.Duration {
	beat := n.conn.cfg.Heartbeat
	if n.current != nil {
		beat = max(beat, n.current.beat)
	}
	return beat * 5 / 2
}

// watch reports to the replica why it isn't kept up to date, and moves to a better collector.
func (n *Node) watch() {
	n.mu.Lock()
	defer n.mu.Unlock()
	p := n.why()
	if p == nil {
		if n.current != nil && n.betterThan(n.current) {
			n.follower.End(errBetter)
		}
		return
	}
	if n.problem == nil || n.problem.Reason != p.Reason {
		n.log.Warn("shard is not kept up to date", "reason", p.Reason, "remedy", p.Remedy, "err", p.Err)
		n.problemAt = time.Now()
	}
	n.problem = p
	for _, d := range n.cfg.Domains {
		n.cfg.Replica.SetStatus(d, occupancy.Status{Since: n.problemAt, Problem: p})
	}
}

// why returns why the replica isn't kept up to date, nil if it is, or if that isn't clear yet. The caller holds mu.
func (n *Node) why() *occupancy.UnavailableError {
	now := time.Now()
	shard := occupancy.Fact{Name: "shard", Value: n.cfg.Shard}
	quiet := n.inactive
	if n.current != nil {
		quiet = n.current.takenAt
	}
	switch p := n.conn.problem(); {
	case p != nil && (n.current == nil || now.Sub(quiet) > n.patience() || p.Reason == occupancy.ReasonNATSForbidden):
		return p
	case n.current != nil && now.Sub(quiet) <= n.patience():
		return nil
	}
	recently := func(t time.Time) bool { return !t.IsZero() && now.Sub(t) < 3*n.patience() }
	switch {
	case !n.hears(now) && recently(n.theirsAt):
		problem := occupancy.ProblemClusterTooNew
		if n.theirs < version {
			problem = occupancy.ProblemClusterTooOld
		}
		return problem.With(shard, occupancy.Fact{Name: "version", Value: strconv.Itoa(n.theirs)}).Err(nil)
	case !n.hears(now) && recently(n.foreignAt):
		return occupancy.ProblemClusterSecret.With(shard).Err(nil)
	case now.Sub(quiet) <= n.patience() && n.problem == nil && n.followed != "":
		return nil // a resync, or a change to another collector
	case len(n.peers) == 0 && now.Sub(n.began) <= n.patience():
		return occupancy.ProblemCollectorAwaited.With(shard).Err(nil)
	}
	return occupancy.ProblemCollectorSilent.With(shard, occupancy.Fact{Name: "age", Value: now.Sub(quiet).Round(time.Second).String()}).Err(n.lastErr)
}

// hears reports whether a collector of the shard can be heard. The caller holds mu.
func (n *Node) hears(now time.Time) bool {
	for _, p := range n.peers {
		if now.Sub(p.heardAt) <= n.patience() {
			return true
		}
	}
	return false
}

// report passes the state of the domains on a collector to the replica. The caller holds mu.
func (n *Node) report(p *peer) {
	if n.why() != nil {
		return
	}
	n.problem = nil
	now := time.Now()
	for _, d := range n.cfg.Domains {
		status := occupancy.Status{Mode: occupancy.ModeModule, Since: now}
		state, ok := p.domains[d.Domainpart()]
		switch {
		case n.cfg.Kind != "" && p.kind != n.cfg.Kind:
			status.Problem = occupancy.ProblemShardKind.With(n.shardFacts(p, d)...).Err(nil)
		case !ok:
			status.Problem = occupancy.ProblemDomainNotCollected.With(n.shardFacts(p, d)...).Err(nil)
		default:
			status = n.statusOf(d, state, now)
		}
		n.cfg.Replica.SetStatus(d, status)
	}
}

func (n *Node) shardFacts(p *peer, d jid.JID) []occupancy.Fact {
	return []occupancy.Fact{
		{Name: "shard", Value: n.cfg.Shard}, {Name: "collector", Value: p.name}, {Name: "domain", Value: d.String()},
	}
}

// statusOf returns the status of a domain on a collector. The caller holds mu.
func (n *Node) statusOf(d jid.JID, s domainState, now time.Time) occupancy.Status {
	since := now.Add(-microseconds(s.Since))
	// The same time, computed twice, differs by what the messages took.
	if before := n.since[s.JID]; since.Sub(before).Abs() < time.Second {
		since = before
	}
	if domain, err := n.cfg.Replica.Domain(d); err == nil && s.Current && !domain.AsOf.IsZero() && domain.AsOf.Before(since) {
		since = domain.AsOf
	}
	n.since[s.JID] = since
	status := occupancy.Status{Connected: s.Connected, Since: since, Mode: mode(s.Mode)}
	if s.Reason != "" {
		status.Problem = &occupancy.UnavailableError{Reason: occupancy.Reason(s.Reason), Remedy: s.Remedy, RetryAfter: microseconds(s.Retry)}
	}
	return status
}

// errBetter means that another collector has no problem, unlike the one that is followed.
var errBetter = errors.New("cluster: another collector has no problem")

// count counts a message that can't be used.
func (n *Node) count(err error) {
	n.mu.Lock()
	defer n.mu.Unlock()
	var other *VersionError
	switch {
	case errors.As(err, &other):
		n.theirs, n.theirsAt = other.Theirs, time.Now()
	case errors.Is(err, errForeign):
		n.foreignAt = time.Now()
	default:
		n.garbage.Add(1)
	}
}

// hear notes the heartbeat of a collector.
func (n *Node) hear(in *nats.Msg) {
	m, err := n.conn.open(in.Data)
	if err == nil && (m.Kind != kindState || m.Shard != n.cfg.Shard) {
		err = errFormat
	}
	if err != nil {
		n.count(err)
		return
	}
	n.mu.Lock()
	defer n.mu.Unlock()
	if n.note(m) && m.End && n.current != nil && n.current.key == key(m) {
		n.current, n.inactive = nil, time.Now()
		n.follower.End(follow.ErrEnded)
	}
}
