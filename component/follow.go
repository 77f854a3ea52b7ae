package component

import (
	"context"
	"encoding/xml"
	"errors"
	"fmt"
	"log/slog"
	"sync"
	"sync/atomic"
	"time"

	"mellium.im/xmlstream"
	"mellium.im/xmpp/jid"
	"mellium.im/xmpp/mux"
	"mellium.im/xmpp/stanza"

	"ppch/component/occupancy"
	"ppch/component/protocol"
)

// Timing of following a MUC domain.
const (
	// missedHeartbeats is how many heartbeats may be missing before a resync.
	missedHeartbeats = 2.5

	// maxClockSlack is the largest uncertainty about Prosody's clock at which asOf returns the latest possible time.
	maxClockSlack = time.Second

	firstResync = 500 * time.Millisecond
	maxResync   = 30 * time.Second
)

// Causes of a resync, in addition to Prosody's errors.
var (
	errGap         = errors.New("component: batch missing")
	errNoHeartbeat = errors.New("component: no heartbeat")
	errEpoch       = errors.New("component: batch of another subscription")
	errEnded       = errors.New("component: Lua module ended the subscription")
	errNotLoaded   = errors.New("component: Lua module unloaded")
)

// follower keeps the replica of one MUC domain equal to the rooms in Prosody, by the batches of the Lua module (prosody/README.md).
// Batches come on the read loop; everything else runs on the goroutine of follow.
type follower struct {
	domain    jid.JID
	directory *occupancy.Directory

	// accepted is called after the module accepts a subscription.
	accepted func()

	resyncs atomic.Uint64 // how many there were

	// mu protects what follows.
	mu      sync.Mutex
	epoch   string     // of the subscription; empty while there is none
	version string     // of the module
	seq     uint64     // of the last batch
	lost    chan error // has room for one: why the subscription ended

	heartbeat   time.Duration
	lastBatchAt time.Time
	clockBase   time.Time      // when Prosody's clock was at 0, or up to clockSlack earlier
	clockSlack  time.Duration  // shrinks as batches come
	clockOffset *time.Duration // of Prosody's wall clock to ours; nil from an older module
	roomCache   int

	// refusals counts how often in a row the module refused the subscription although disco showed it.
	refusals int
}

func newFollower(domain jid.JID, directory *occupancy.Directory) *follower {
	return &follower{domain: domain, directory: directory}
}

// follow subscribes and stays subscribed until ctx ends, then returns nil, or until the module is unloaded, then returns errNotLoaded.
func (f *follower) follow(ctx context.Context, l *connection, log *slog.Logger) error {
	defer f.end(nil)
	wait := firstResync
	for {
		began := time.Now()
		err := f.subscribe(ctx, l)
		if err == nil {
			f.accepted()
			log.Info("subscribed", "domain", f.domain.String())
			err = f.await(ctx)
		}
		var refusal stanza.Error
		switch {
		case ctx.Err() != nil:
			return nil
		case errors.As(err, &refusal) && refusal.Condition == stanza.ServiceUnavailable:
			f.mu.Lock()
			f.refusals++
			f.mu.Unlock()
			return errNotLoaded
		case errors.Is(err, errEnded):
			// The module is unloaded, which the next answer shows, or reloaded.
			log.Info("subscription ended by the module", "domain", f.domain.String(), "resyncs", f.resyncs.Add(1))
			wait = firstResync
			continue
		case time.Since(began) > maxResync:
			wait = firstResync
		}
		log.Warn("resyncing", "domain", f.domain.String(), "err", err, "wait", wait, "resyncs", f.resyncs.Add(1))
		select {
		case <-ctx.Done():
			return nil
		case <-time.After(wait):
		}
		wait = min(2*wait, maxResync)
	}
}

// subscribe requests a snapshot and all changes after it.
func (f *follower) subscribe(ctx context.Context, l *connection) error {
	ctx, cancel := context.WithTimeout(ctx, askTimeout)
	defer cancel()
	asked := time.Now()
	return l.Ask(ctx, stanza.SetIQ, f.domain, xmlstream.Wrap(nil, xml.StartElement{Name: protocol.SubscribeName}), func(d *xml.Decoder) error {
		var answer protocol.Subscribed
		if err := d.Decode(&answer); err != nil {
			return err
		}
		// The read loop waits until this returns, so the first batch comes after begin.
		f.begin(answer, asked)
		return nil
	})
}

func (f *follower) begin(answer protocol.Subscribed, asked time.Time) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.directory.Begin(f.domain, answer.Accounts)
	f.refusals, f.clockOffset = 0, offset(answer.Time, asked, time.Now())
	f.epoch, f.version, f.seq, f.heartbeat, f.lastBatchAt = answer.Epoch, answer.Version, 0, answer.Heartbeat, time.Now()
	f.roomCache = answer.RoomCache
	f.lost = make(chan error, 1)
	// Prosody read its clock between the question and the answer.
	f.clockBase = asked.Add(-answer.At)
	f.clockSlack = time.Since(asked)
}

// offset returns the least possible offset of another clock, which was read between two times of ours; nil if it wasn't read.
func offset(read, from, to time.Time) *time.Duration {
	// Compare wall clocks: drop the monotonic reading.
	from, to = from.Round(0), to.Round(0)
	switch {
	case read.IsZero():
		return nil
	case read.Before(from):
		return new(read.Sub(from))
	case read.After(to):
		return new(read.Sub(to))
	}
	return new(time.Duration)
}

// refused reports whether the module is loaded but refuses our subscription.
// One refusal is not enough: the module may be just unloading or loading.
func (f *follower) refused() bool {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.refusals > 1
}

// resetRefusals drops the count of refusals: the module that refused is gone.
func (f *follower) resetRefusals() {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.refusals = 0
}

// asOf returns the time of a batch by our clock.
// Its arrival is only an upper bound: it may have waited for a frozen service, or on a slow network.
// The batch with the shortest delay shows best how the clocks differ.
// If none was quick, asOf returns the earliest possible time, so that data never looks younger than it is.
func (f *follower) asOf(at time.Duration) time.Time {
	earliest := f.clockBase.Add(at)
	f.clockSlack = max(0, min(f.clockSlack, time.Since(earliest)))
	if f.clockSlack > maxClockSlack {
		return earliest
	}
	return earliest.Add(f.clockSlack)
}

// await returns why the subscription ended.
func (f *follower) await(ctx context.Context) error {
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
				f.end(errNoHeartbeat)
				return errNoHeartbeat
			}
		}
	}
}

// patience is how long the module may be silent before a resync. The caller holds mu.
func (f *follower) patience() time.Duration {
	return time.Duration(missedHeartbeats * float64(f.heartbeat))
}

// end ends the subscription: later batches of it are refused.
func (f *follower) end(err error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.endLocked(err)
}

func (f *follower) endLocked(err error) {
	if f.epoch == "" {
		return
	}
	f.epoch = ""
	f.lost <- err
}

// apply applies one batch. It runs on the read loop and doesn't block.
func (f *follower) apply(b protocol.Batch) error {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.epoch == "" || b.Epoch != f.epoch {
		return errEpoch
	}
	silent := time.Since(f.lastBatchAt)
	f.lastBatchAt = time.Now()
	var err error
	switch {
	case silent > f.patience():
		// This process or the network was frozen. Batches that waited meanwhile belong to a subscription
		// that the module has dropped by now, and must not count as a sign of life.
		err = errNoHeartbeat
	case b.Seq != f.seq+1:
		err = fmt.Errorf("%w: got %d after %d", errGap, b.Seq, f.seq)
	case b.End:
		f.endLocked(errEnded)
		return nil
	default:
		f.seq = b.Seq
		f.localize(b.Deltas)
		err = f.directory.Apply(f.domain, b.Batch, f.asOf(b.At))
		if errors.Is(err, occupancy.ErrTotals) {
			// The replica has been wrong for an unknown time: drop it until the next one is complete.
			f.directory.Forget(f.domain)
		}
	}
	if err != nil {
		f.endLocked(err)
	}
	return err
}

// localize converts the times of a batch from Prosody's clock to ours. None becomes later than now:
// the offset is exact to a few milliseconds only, and one of the clocks may have been set since the subscription began.
func (f *follower) localize(deltas []occupancy.Delta) {
	skew := time.Duration(0)
	if f.clockOffset != nil {
		skew = *f.clockOffset
	}
	now := f.lastBatchAt.UTC().Truncate(time.Millisecond) // without the monotonic reading
	local := func(stamp time.Time) time.Time {
		switch at := stamp.Add(-skew); {
		case stamp.IsZero():
			return stamp
		case at.Before(now):
			return at
		}
		return now
	}
	for _, d := range deltas {
		if d.Facts != nil {
			d.Facts.CreatedAt, d.Facts.Stamp = local(d.Facts.CreatedAt), d.Facts.CreatedAt
		}
		for i := range d.Present {
			o := &d.Present[i]
			o.JoinedAt, o.Stamp = local(o.JoinedAt), o.JoinedAt
		}
	}
}

// handleBatches returns the handlers of batches.
// The result of an IQ acknowledges its batch once it is applied; an error makes the module drop the subscription.
// A batch in a message needs no answer: one in an IQ follows later.
func (c *Component) handleBatches() []mux.Option {
	return []mux.Option{
		mux.IQFunc(stanza.SetIQ, protocol.BatchName, func(iq stanza.IQ, t xmlstream.TokenReadEncoder, start *xml.StartElement) error {
			if err := c.receiveBatch(iq.From, t, *start); err != nil {
				return err
			}
			_, err := xmlstream.Copy(t, iq.Result(nil))
			return err
		}),
		mux.MessageFunc(stanza.NormalMessage, protocol.BatchName, func(msg stanza.Message, t xmlstream.TokenReadEncoder) error {
			start, err := protocol.FindBatch(t)
			if err != nil {
				return err
			}
			return c.receiveBatch(msg.From, t, start)
		}),
	}
}

// receiveBatch applies a batch whose start element was read before.
func (c *Component) receiveBatch(from jid.JID, t xml.TokenReader, start xml.StartElement) error {
	d, err := c.domainOf(from)
	if err != nil || !from.Equal(d.jid) {
		// Only the MUC domain sends batches of its rooms, and Prosody guarantees from.
		return fmt.Errorf("component: batch from %s", from)
	}
	b, err := protocol.DecodeBatch(t, start)
	if err == nil {
		err = d.follower.apply(b)
	} else {
		d.follower.end(err)
	}
	if err == nil {
		c.noteAnswer()
	}
	return err
}
