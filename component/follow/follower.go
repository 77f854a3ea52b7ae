package follow

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"sync"
	"sync/atomic"
	"time"

	"mellium.im/xmpp/jid"

	"ppch/component/occupancy"
	"ppch/component/protocol"
)

// Timing of following a sender.
const (
	// missedHeartbeats is how many heartbeats may be missing before a resync.
	missedHeartbeats = 2.5

	firstResync = 500 * time.Millisecond
	maxResync   = 30 * time.Second
)

// Causes of a resync, in addition to the errors of a [Carrier] and a [Replica].
var (
	// ErrRefused means that the sender serves no subscription at all. A [Carrier] returns it; it ends [Follower.Follow].
	ErrRefused = errors.New("follow: subscription refused")

	// ErrEpoch means that a batch belongs to another subscription. It ends none.
	ErrEpoch = errors.New("follow: batch of another subscription")

	// ErrGap means that a batch is missing, or came twice.
	ErrGap = errors.New("follow: batch missing")

	// ErrNoHeartbeat means that nothing came for too long.
	ErrNoHeartbeat = errors.New("follow: no heartbeat")

	// ErrEnded means that the sender ended the subscription.
	ErrEnded = errors.New("follow: subscription ended by the sender")
)

// Carrier carries the subscriptions of a sender.
type Carrier interface {
	// Subscribe requests a snapshot and all changes after it. It calls begin with the answer, once, before it delivers a batch of it.
	// It returns after the answer; batches may follow later, by [Follower.Apply].
	Subscribe(ctx context.Context, begin func(Subscription)) error
}

// Replica is where the rooms go. [occupancy.Shard] describes the methods.
type Replica interface {
	Begin(domain jid.JID, accounts occupancy.SystemAccounts)
	Apply(domain jid.JID, b occupancy.Batch, at time.Time) error
	Forget(domain jid.JID)
}

// Subscription is the sender's answer to a request for a snapshot.
type Subscription struct {
	// Epoch names the subscription. Version is the sender's.
	Epoch, Version string

	// Heartbeat is the longest time between two batches.
	Heartbeat time.Duration

	// At and Time are the sender's monotonic clock and its wall clock, which is zero if it doesn't send that.
	// Asked is when the carrier asked for this answer, by our clock.
	At    time.Duration
	Time  time.Time
	Asked time.Time

	// RoomCache is how many rooms Prosody keeps in memory, zero if unknown.
	RoomCache int

	// Domains are those whose snapshots follow.
	Domains []Domain
}

// Domain is a MUC domain whose snapshot follows.
type Domain struct {
	JID      jid.JID
	Accounts occupancy.SystemAccounts
}

// Batch is a batch of changes of one domain.
type Batch struct {
	protocol.Batch

	// Domain is zero for a batch about domains that the replica lacks: it only counts.
	Domain jid.JID

	// Age is how old the sender's own data already was at At.
	Age time.Duration

	// Beat means that it is no batch, only a heartbeat: Seq is that of the last batch.
	Beat bool
}

// Follower keeps a replica equal to the rooms of a sender. It is safe for concurrent use.
type Follower struct {
	// MaxWait is the longest wait before a resync. Set it before the first use.
	MaxWait time.Duration

	replica  Replica
	accepted func()
	resyncs  atomic.Uint64

	// mu protects what follows.
	mu           sync.Mutex
	subscription Subscription // of the subscription; its epoch is empty while there is none
	seq          uint64       // of the last batch
	lost         chan error   // has room for one: why the subscription ended
	lastBatchAt  time.Time
	clocks       clocks
}

// New returns a Follower that keeps replica. It calls accepted, unless nil, after the sender accepts a subscription.
func New(replica Replica, accepted func()) *Follower {
	if accepted == nil {
		accepted = func() {}
	}
	return &Follower{MaxWait: maxResync, replica: replica, accepted: accepted}
}

// Follow subscribes and stays subscribed until ctx ends, then returns nil, or until the carrier returns ErrRefused, then returns that.
// It resyncs after everything else.
func (f *Follower) Follow(ctx context.Context, carrier Carrier, log *slog.Logger) error {
	defer f.End(nil)
	wait := firstResync
	for {
		began := time.Now()
		err := carrier.Subscribe(ctx, f.begin)
		if err == nil {
			f.accepted()
			log.Info("subscribed")
			err = f.await(ctx)
		}
		switch {
		case ctx.Err() != nil:
			return nil
		case errors.Is(err, ErrRefused):
			return err
		case errors.Is(err, ErrEnded):
			// The sender stops, which the next answer shows, or begins again.
			log.Info("subscription ended by the sender", "resyncs", f.resyncs.Add(1))
			wait = firstResync
			continue
		case time.Since(began) > f.MaxWait:
			wait = min(firstResync, f.MaxWait)
		}
		log.Warn("resyncing", "err", err, "wait", wait, "resyncs", f.resyncs.Add(1))
		select {
		case <-ctx.Done():
			return nil
		case <-time.After(wait):
		}
		wait = min(2*wait, f.MaxWait)
	}
}

func (f *Follower) begin(s Subscription) {
	f.mu.Lock()
	defer f.mu.Unlock()
	for _, d := range s.Domains {
		f.replica.Begin(d.JID, d.Accounts)
	}
	f.subscription, f.seq, f.lastBatchAt = s, 0, time.Now()
	f.lost = make(chan error, 1)
	f.clocks = newClocks(s.At, s.Time, s.Asked)
}

// await returns why the subscription ended.
func (f *Follower) await(ctx context.Context) error {
	f.mu.Lock()
	lost, patience := f.lost, f.patience()
	f.mu.Unlock()
	tick := time.NewTicker(patience / 5)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return nil
		case err := <-lost:
			return err
		case <-tick.C:
			f.mu.Lock()
			silent := time.Since(f.lastBatchAt)
			f.mu.Unlock()
			if silent > patience {
				f.End(ErrNoHeartbeat)
				return ErrNoHeartbeat
			}
		}
	}
}

// patience is how long the sender may be silent before a resync. The caller holds mu.
func (f *Follower) patience() time.Duration {
	return time.Duration(missedHeartbeats * float64(f.subscription.Heartbeat))
}

// End ends the subscription, if there is one: later batches of it are refused, and Follow resyncs because of err.
func (f *Follower) End(err error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.end(err)
}

// end is End for a caller who holds mu.
func (f *Follower) end(err error) {
	if f.subscription.Epoch == "" {
		return
	}
	f.subscription.Epoch = ""
	f.lost <- err
}

// Apply applies the next batch. It doesn't block. An error other than ErrEpoch has ended the subscription.
func (f *Follower) Apply(b Batch) error {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.subscription.Epoch == "" || b.Epoch != f.subscription.Epoch {
		return ErrEpoch
	}
	silent := time.Since(f.lastBatchAt)
	f.lastBatchAt = time.Now()
	var err error
	switch {
	case silent > f.patience():
		// This process or the network was frozen. Batches that waited meanwhile belong to a subscription
		// that the sender has dropped by now, and must not count as a sign of life.
		err = ErrNoHeartbeat
	case b.Beat && b.Seq != f.seq, !b.Beat && b.Seq != f.seq+1:
		err = fmt.Errorf("%w: got %d after %d", ErrGap, b.Seq, f.seq)
	case b.End:
		f.end(ErrEnded)
		return nil
	case b.Beat, b.Domain.Equal(jid.JID{}):
		f.seq = b.Seq
	default:
		f.seq = b.Seq
		f.clocks.localize(b.Deltas, f.lastBatchAt)
		err = f.replica.Apply(b.Domain, b.Batch.Batch, f.clocks.asOf(b.At).Add(-b.Age))
		if errors.Is(err, occupancy.ErrTotals) {
			// The replica has been wrong for an unknown time: drop it until the next one is complete.
			f.replica.Forget(b.Domain)
		}
	}
	if err != nil {
		f.end(err)
	}
	return err
}

// Resyncs returns how many resyncs there were.
func (f *Follower) Resyncs() uint64 { return f.resyncs.Load() }

// Sync returns the state of the subscription for a replica that was last confirmed at asOf, or nil if there is none.
func (f *Follower) Sync(asOf time.Time) *occupancy.Sync {
	f.mu.Lock()
	defer f.mu.Unlock()
	s := f.subscription
	if s.Epoch == "" {
		return nil
	}
	sync := &occupancy.Sync{
		Version: s.Version, Epoch: s.Epoch, Seq: f.seq, Heartbeat: s.Heartbeat, LastBatch: f.lastBatchAt, Ahead: f.clocks.offset, RoomCache: s.RoomCache,
	}
	if !asOf.IsZero() {
		sync.Lag = max(0, f.lastBatchAt.Sub(asOf))
	}
	return sync
}
