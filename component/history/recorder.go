package history

import (
	"cmp"
	"context"
	"errors"
	"log/slog"
	"sync/atomic"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"golang.org/x/sync/errgroup"

	"ppch/component/occupancy"
)

// How a Recorder reads events.
const (
	// eventBuffer is how many events may wait while the disk is slow. One more makes the Recorder compare with a snapshot.
	eventBuffer = 16384

	// maxWaiting is how many events one transaction has at most, unless a single batch has more.
	maxWaiting = 4096

	// commitEvery is the least time between two transactions with changes. Each makes the disk write its cache,
	// and 200 a second cost webhooks 13 % more processor time than 50.
	commitEvery = 20 * time.Millisecond

	// confirmEvery is how often a confirmation without changes is written.
	confirmEvery = 5 * time.Second

	firstRetry = time.Second
	maxRetry   = 30 * time.Second
)

var (
	errOverload = errors.New("history: events come faster than they can be stored")
	errChanged  = errors.New("history: the recorded level has changed")
)

// RecorderConfig are the settings of a Recorder. Store and Directory are required.
type RecorderConfig struct {
	Store     *Store
	Directory *occupancy.Directory

	// Own reports whether this PPCH records a shard; nil for all. Others are recorded by the PPCH that are connected to their Prosodys.
	Own func(shard string) bool

	// Level is what is recorded of people.
	Level Level

	// Days is after how many days a stay is deleted, counted from its end; 0 keeps it.
	Days int

	// Outbox receives the events; nil for none.
	Outbox Outbox

	// Log receives what a person should know; nil discards it.
	Log *slog.Logger
}

// Recorder fills a Store from the events of a Directory. Its methods are safe for concurrent use; call Run once.
type Recorder struct {
	cfg     RecorderConfig
	log     *slog.Logger
	changed chan struct{}

	// What only Run uses.
	keep    Level // the most that Level and the Outbox need
	watches map[scope]*watch

	events atomic.Uint64          // recorded
	gaps   *prometheus.CounterVec // by reason
}

// watch is how far a domain has been recorded.
type watch struct {
	confirmed time.Time // when it was last confirmed; zero before the first time
	written   time.Time // the confirmation in the file
	skip      uint64    // events up to this number are in the file
	gap       *Gap      // the open gap, or nil
	gapNumber int64     // of its row
	noticed   time.Time // when the last gap was reported
	partial   bool      // whether rooms of the file may exist that the replica lacks
}

// NewRecorder returns a Recorder.
func NewRecorder(cfg RecorderConfig) *Recorder {
	cfg.Log = cmp.Or(cfg.Log, slog.New(slog.DiscardHandler))
	gaps := prometheus.NewCounterVec(prometheus.CounterOpts{Name: "history_gaps_total", Help: "Times without watching a MUC domain."}, []string{"reason"})
	for _, reason := range []GapReason{GapStopped, GapOverload, GapStore, GapResync} {
		gaps.WithLabelValues(string(reason)) // so that the first one shows as an increase
	}
	if cfg.Own == nil {
		cfg.Own = func(string) bool { return true }
	}
	return &Recorder{cfg: cfg, log: cfg.Log, changed: make(chan struct{}, 1), gaps: gaps}
}

// Changed makes the Recorder ask the Outbox again what it needs.
func (r *Recorder) Changed() {
	select {
	case r.changed <- struct{}{}:
	default:
	}
}

// Store returns the Store.
func (r *Recorder) Store() *Store { return r.cfg.Store }

// Level returns the recorded level of personal data.
func (r *Recorder) Level() Level { return r.cfg.Level }

// Run records, and deletes what is older than the retention, until ctx ends; then it returns nil.
// It opens the Store, and retries while that isn't usable.
func (r *Recorder) Run(ctx context.Context) error {
	if r.cfg.Store.Path() == "" {
		<-ctx.Done()
		return nil
	}
	var g errgroup.Group
	g.Go(func() error { return r.follow(ctx) })
	g.Go(func() error { return r.prune(ctx) })
	g.Go(func() error { return r.roll(ctx) })
	return g.Wait()
}

// follow records until ctx ends.
func (r *Recorder) follow(ctx context.Context) error {
	wait, reason := firstRetry, GapStopped
	for ctx.Err() == nil {
		began := time.Now()
		err := r.record(ctx, reason)
		switch {
		case ctx.Err() != nil:
			return nil
		case errors.Is(err, errChanged):
			continue
		case errors.Is(err, errOverload):
			r.log.Warn("history fell behind and compares with a snapshot")
			reason = GapOverload
			continue
		case !errors.As(err, new(*Problem)): // the Store logs its own
			r.log.Error("history is not recorded", "err", err)
		}
		reason = GapStore
		if time.Since(began) > maxRetry {
			wait = firstRetry
		}
		select {
		case <-ctx.Done():
		case <-time.After(wait):
		}
		wait = min(2*wait, maxRetry)
	}
	return nil
}

// record records until ctx ends or an error occurs. reason is why nothing was recorded before.
func (r *Recorder) record(ctx context.Context, reason GapReason) error {
	if err := r.cfg.Store.Open(ctx); err != nil {
		return err
	}
	if r.keep = r.needs(); r.keep == LevelOff {
		if err := r.stop(ctx); err != nil {
			return err
		}
		select {
		case <-ctx.Done():
			return nil
		case <-r.changed:
			return errChanged
		}
	}
	var committed time.Time
	events := r.cfg.Directory.SubscribeBatches(eventBuffer)
	defer events.Close()
	if err := r.begin(ctx, reason); err != nil {
		return err
	}
	for {
		select {
		case <-ctx.Done():
			// Record the events so far, so that the next start knows more.
			return r.commit(context.WithoutCancel(ctx), waiting(ctx, events, nil), true)
		case <-r.changed:
			if needs := r.needs(); needs != r.keep {
				if err := r.commit(ctx, nil, true); err != nil {
					return err
				}
				return errChanged
			}
		case e, ok := <-events.Events():
			if !ok {
				return errOverload
			}
			select {
			case <-ctx.Done():
			case <-time.After(time.Until(committed.Add(commitEvery))):
			}
			if err := r.commit(ctx, waiting(ctx, events, []occupancy.Event{e}), false); err != nil {
				return err
			}
			committed = time.Now()
		}
	}
}

// needs returns the level of personal data to record.
func (r *Recorder) needs() Level {
	if r.cfg.Outbox == nil {
		return r.cfg.Level
	}
	return max(r.cfg.Level, r.cfg.Outbox.Needs())
}

// waiting appends the events that wait to all, and the rest of a batch that has begun.
func waiting(ctx context.Context, s *occupancy.Subscription, all []occupancy.Event) []occupancy.Event {
	for {
		complete := len(all) == 0 || ends(all[len(all)-1])
		if complete && (len(all) >= maxWaiting || len(s.Events()) == 0) {
			return all
		}
		// The Directory publishes the rest of a batch at once.
		select {
		case e, ok := <-s.Events():
			if !ok {
				return all
			}
			all = append(all, e)
		case <-ctx.Done():
			if len(s.Events()) == 0 {
				return all
			}
		}
	}
}

// ends reports whether e ends a batch.
func ends(e occupancy.Event) bool {
	switch e.Kind {
	case occupancy.EventConfirmed, occupancy.EventReset, occupancy.EventStatus:
		return true
	}
	return false
}
