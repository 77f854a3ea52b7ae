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

// The clock of following a MUC domain.
const (
	// missedBeats is how many heartbeats may fail to come before the copy is made anew.
	missedBeats = 2.5

	// maxSlack is how much may be unknown of Prosody's clock for a time by it to be told as the latest possible.
	maxSlack = time.Second

	firstResync = 500 * time.Millisecond
	maxResync   = 30 * time.Second
)

// Why a copy is made anew; what Prosody says comes beside these.
var (
	errGap       = errors.New("component: a batch is missing")
	errNoBeat    = errors.New("component: no heartbeat came")
	errEpoch     = errors.New("component: a batch of another subscription")
	errNotLoaded = errors.New("component: the Lua module is not loaded any more")
)

// follower keeps the directory's copy of one MUC domain equal to what the Lua module tells (prosody/README.md).
// Batches come on the session's read loop, everything else happens on the goroutine of follow.
type follower struct {
	domain    jid.JID
	directory *occupancy.Directory

	// accepted is called whenever the module has accepted a subscription.
	accepted func()

	// resyncs counts how often a copy had to be made anew.
	resyncs atomic.Uint64

	// mu protects what follows.
	mu      sync.Mutex
	epoch   string // of the subscription; empty while there is none
	version string // of the module
	seq     uint64 // of the last batch
	beat    time.Duration
	last    time.Time     // when the last batch came
	zero    time.Time     // when Prosody's clock was at 0, or up to slack earlier
	slack   time.Duration // shrinks as batches come
	lost    chan error    // has room for one: why the subscription is over

	ahead     *time.Duration // of Prosody's clock, if the module told
	roomCache int

	// refusals counts how often in a row the module refused the subscription although it had just shown itself.
	refusals int
}

func newFollower(domain jid.JID, directory *occupancy.Directory) *follower {
	return &follower{domain: domain, directory: directory}
}

// follow subscribes and stays subscribed until ctx ends, which returns nil, or the module is gone, which returns errNotLoaded.
func (f *follower) follow(ctx context.Context, l *live, log *slog.Logger) error {
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
		case time.Since(began) > maxResync:
			wait = firstResync
		}
		log.Warn("copy is made anew", "domain", f.domain.String(), "err", err, "wait", wait, "resyncs", f.resyncs.Add(1))
		select {
		case <-ctx.Done():
			return nil
		case <-time.After(wait):
		}
		wait = min(2*wait, maxResync)
	}
}

// subscribe asks for the snapshot and all changes after it.
func (f *follower) subscribe(ctx context.Context, l *live) error {
	ctx, cancel := context.WithTimeout(ctx, askTimeout)
	defer cancel()
	asked := time.Now()
	return l.Ask(ctx, stanza.SetIQ, f.domain, xmlstream.Wrap(nil, xml.StartElement{Name: protocol.SubscribeName}), func(d *xml.Decoder) error {
		var answer protocol.Subscribed
		if err := d.Decode(&answer); err != nil {
			return err
		}
		// The read loop stands still until this returns: the first batch can't come before its epoch is known.
		f.begin(answer, asked)
		return nil
	})
}

func (f *follower) begin(answer protocol.Subscribed, asked time.Time) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.directory.Begin(f.domain, answer.Trust)
	f.refusals, f.ahead = 0, ahead(answer.Time, asked, time.Now())
	f.epoch, f.version, f.seq, f.beat, f.last = answer.Epoch, answer.Version, 0, answer.Heartbeat, time.Now()
	f.roomCache = answer.RoomCache
	f.lost = make(chan error, 1)
	// Prosody answered after it was asked and before the answer came.
	f.zero = asked.Add(-answer.At)
	f.slack = time.Since(asked)
}

// ahead returns by how much a clock at least is ahead of ours that was read between two moments, or nil where it wasn't.
func ahead(read, from, to time.Time) *time.Duration {
	// Only the times of day are of two clocks alike.
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

// notAllowed reports whether the module shows itself and won't talk to us.
// Once refused is not enough: it may just have been unloaded, or have been loaded again.
func (f *follower) notAllowed() bool {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.refusals > 1
}

// forgive forgets refusals: whatever refused isn't there any more.
func (f *follower) forgive() {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.refusals = 0
}

// trueAt returns when what a batch tells was true, by our clock.
// That it came at a time says only that it was true before: it may have waited for a frozen service, or on a slow network.
// The batch that waited least tells most of how the clocks stand to each other.
// Where none was quick it is taken to be as old as it can be, rather than younger than it is.
func (f *follower) trueAt(at time.Duration) time.Time {
	earliest := f.zero.Add(at)
	f.slack = max(0, min(f.slack, time.Since(earliest)))
	if f.slack > maxSlack {
		return earliest
	}
	return earliest.Add(f.slack)
}

// await returns why the subscription is over.
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
			silent := time.Since(f.last)
			f.mu.Unlock()
			if silent > patience {
				f.end(errNoBeat)
				return errNoBeat
			}
		}
	}
}

// patience is how long it may be silent before the subscription is given up. The caller holds mu.
func (f *follower) patience() time.Duration { return time.Duration(missedBeats * float64(f.beat)) }

// end forgets the subscription, so that what still comes of it is refused.
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

// apply takes one batch. It runs on the read loop and doesn't block.
func (f *follower) apply(b protocol.Batch) error {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.epoch == "" || b.Epoch != f.epoch {
		return errEpoch
	}
	silent := time.Since(f.last)
	f.last = time.Now()
	var err error
	switch {
	case silent > f.patience():
		// We were frozen, or the network was. What waited here meanwhile is of a subscription that the module
		// has forgotten by now, and must not pass for a sign of life.
		err = errNoBeat
	case b.Seq != f.seq+1:
		err = fmt.Errorf("%w: got %d after %d", errGap, b.Seq, f.seq)
	default:
		f.seq = b.Seq
		f.localize(b.Deltas)
		err = f.directory.Apply(f.domain, b.Batch, f.trueAt(b.At))
		if errors.Is(err, occupancy.ErrTotals) {
			// The copy is known to be wrong, and nobody knows since when: better none until the next one is whole.
			f.directory.Forget(f.domain)
		}
	}
	if err != nil {
		f.endLocked(err)
	}
	return err
}

// localize moves the times of a batch, which are Prosody's, to our clock. None of them may be later than now:
// the difference of the clocks is known to a few milliseconds, and one of them may have been set since the subscription began.
func (f *follower) localize(deltas []occupancy.Delta) {
	skew := time.Duration(0)
	if f.ahead != nil {
		skew = *f.ahead
	}
	now := f.last.UTC().Truncate(time.Millisecond) // without what is of the monotonic clock
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

// handleBatches returns the handlers of batches for the session's mux.
// A batch in an IQ is acknowledged by a result once it is applied; an error makes the module forget the subscription.
// A batch in a message is followed by one in an IQ sooner or later.
func (c *Component) handleBatches() []mux.Option {
	return []mux.Option{
		mux.IQFunc(stanza.SetIQ, protocol.BatchName, func(iq stanza.IQ, t xmlstream.TokenReadEncoder, start *xml.StartElement) error {
			if err := c.takeBatch(iq.From, t, *start); err != nil {
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
			return c.takeBatch(msg.From, t, start)
		}),
	}
}

// takeBatch applies a batch whose start element has been read already.
func (c *Component) takeBatch(from jid.JID, t xml.TokenReader, start xml.StartElement) error {
	d, err := c.domainOf(from)
	if err != nil || !from.Equal(d.jid) {
		// Only the MUC domain itself tells of its rooms, and Prosody lets nobody else speak as it.
		return fmt.Errorf("component: a batch from %s", from)
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
