package webhook

import (
	"context"
	"errors"
	"log/slog"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"ppch/component/history"
)

// Peers asks the other services that record a shard.
type Peers interface {
	// Ask sends a question to the service of a name, or to any other if that is empty, and returns the answer of [Outbox.Answer] there.
	Ask(ctx context.Context, to string, question []byte) ([]byte, error)
}

// ShareConfig says who delivers the webhooks of a shard that several services record. All fields are required.
type ShareConfig struct {
	Shard string

	// Deliverer is the name of the service that delivers, and Own whether that is this one.
	Deliverer string
	Own       bool

	Peers Peers

	// Every is the time between two questions; other times follow it. 4 s in production.
	Every time.Duration
}

// How long, in multiples of ShareConfig.Every.
const (
	// A deliverer that hasn't answered for silence is replaced: 60 s. That long, one that returns asks what was sent meanwhile.
	silence = 15

	// A deliverer that returns waits for another service for this long: 10 s.
	alone = 2.5
)

// Share is a shard whose webhooks several services record, and one delivers.
//
// Each of them stores the same messages, with the same ids. While a service is not to send those of the shard, it holds them: their state in the file
// is stateHeld. It asks the deliverer about them every few seconds. What was delivered or has failed there is settled here, too.
// A deliverer that is silent for 60 s is replaced: what is held is sent, until it answers again.
//
// A deliverer that starts, or was suspended, holds messages at first, too, and asks another service which of them it sent.
type Share struct {
	cfg    ShareConfig
	outbox *Outbox
	log    *slog.Logger

	takeovers atomic.Uint64

	// holding is whether messages are held. It changes within transactions that write, so that it is the same for a whole transaction.
	holding atomic.Bool

	wake chan struct{} // has a value after the deliverer has stored messages that it holds

	// mu is held while the shard is held or released.
	mu sync.Mutex

	// heard is when another service last answered, or this one began to ask.
	heard atomic.Pointer[time.Time]

	since time.Time // of the start, or of the end of a suspension; of Run's goroutine
}

// Share begins to share the webhooks of a shard, instead of as before. They are held until [Share.Run] decides.
// Call it before Run if it is to hold what waits from the last run.
func (o *Outbox) Share(cfg ShareConfig) *Share {
	s := &Share{cfg: cfg, outbox: o, log: o.log.With("shard", cfg.Shard, "deliverer", cfg.Deliverer), wake: make(chan struct{}, 1)}
	s.holding.Store(true)
	o.setShare(cfg.Shard, s)
	return s
}

// Active reports whether any webhook is enabled.
func (o *Outbox) Active() bool {
	return slices.ContainsFunc(*o.all.Load(), func(e *endpoint) bool { return e.config.Load().active() })
}

// Alone ends the sharing of a shard: this service delivers its webhooks.
func (o *Outbox) Alone(shard string) {
	if o.shareOf(shard) != nil {
		o.setShare(shard, nil)
	}
}

func (o *Outbox) setShare(shard string, s *Share) {
	o.mu.Lock()
	defer o.mu.Unlock()
	if s == nil {
		delete(o.shares, shard)
	} else {
		o.shares[shard] = s
	}
	o.arranged = false
	select {
	case o.wake <- struct{}{}:
	default:
	}
}

// shareOf returns how a shard is shared, or nil.
func (o *Outbox) shareOf(shard string) *Share {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.shares[shard]
}

// sharesNow returns all shares.
func (o *Outbox) sharesNow() (all []*Share) {
	o.mu.Lock()
	defer o.mu.Unlock()
	for _, s := range o.shares {
		all = append(all, s)
	}
	return all
}

// arrange makes the file agree with the shares: what waits of a shard that is held, is held, and what is held of one that isn't shared waits.
// It reports false if ctx has ended.
func (o *Outbox) arrange(ctx context.Context) bool {
	for {
		o.mu.Lock()
		done := o.arranged
		o.arranged = true
		o.mu.Unlock()
		if done {
			return true
		}
		shares := o.sharesNow()
		err := o.moveAll(ctx, func(tx *history.Tx) error {
			var shards []string
			if len(shares) > 0 {
				if err := indexEvents(tx); err != nil {
					return err
				}
			}
			for _, s := range shares {
				shards = append(shards, s.cfg.Shard)
				if s.holding.Load() {
					if err := holdShard(tx, s.cfg.Shard); err != nil {
						return err
					}
				}
			}
			return releaseOthers(tx, shards)
		})
		if err == nil {
			continue
		}
		o.mu.Lock()
		o.arranged = false
		o.mu.Unlock()
		if !errors.As(err, new(*history.Problem)) && ctx.Err() == nil {
			o.log.Error("webhooks of shards with two services not arranged", "err", err)
		}
		if !sleep(ctx, nil, retryStore) {
			return false
		}
	}
}

// moveAll changes in a transaction which deliveries are held. The queues read all of the file afterwards.
func (o *Outbox) moveAll(ctx context.Context, change func(*history.Tx) error) error {
	all := *o.all.Load()
	for _, e := range all {
		e.queue.fill(true)
	}
	err := o.cfg.Store.Write(ctx, change)
	for _, e := range all {
		e.queue.forget()
		e.queue.fill(false)
	}
	return err
}

// set begins or ends holding.
func (s *Share) set(ctx context.Context, hold bool) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.holding.Load() == hold {
		return nil
	}
	err := s.outbox.moveAll(ctx, func(tx *history.Tx) error {
		s.holding.Store(hold)
		if hold {
			return holdShard(tx, s.cfg.Shard)
		}
		return releaseShard(tx, s.cfg.Shard)
	})
	if err != nil {
		s.holding.Store(!hold)
	}
	return err
}

// Delivers reports whether this service sends the shard's webhooks now.
func (s *Share) Delivers() bool { return !s.holding.Load() }

// Run asks the other services until ctx ends, then returns nil. Call it once.
func (s *Share) Run(ctx context.Context) error {
	last := time.Now()
	s.since = last
	s.heard.Store(new(last))
	for {
		// A process that was suspended may have been replaced meanwhile. The monotonic clock doesn't count the suspension of a machine.
		if pause := max(time.Since(last), time.Now().Round(0).Sub(last.Round(0))); pause > s.times(silence)/2 {
			s.log.Warn("the service was suspended", "for", pause.Round(time.Second))
			s.since = time.Now()
			s.heard.Store(new(s.since))
			if s.cfg.Own {
				s.try(ctx, true)
			}
		}
		last = time.Now()
		if s.cfg.Own {
			s.returned(ctx)
		} else {
			s.standBy(ctx)
		}
		select {
		case <-ctx.Done():
			return nil
		case <-time.After(s.cfg.Every):
		case <-s.wake:
		}
	}
}

func (s *Share) times(n float64) time.Duration { return time.Duration(n * float64(s.cfg.Every)) }

// try is set, which reports an error to the log.
func (s *Share) try(ctx context.Context, hold bool) bool {
	err := s.set(ctx, hold)
	if err != nil && ctx.Err() == nil && !errors.As(err, new(*history.Problem)) { // the Store logs its own
		s.log.Error("webhooks neither held nor released", "err", err)
	}
	return err == nil
}

// returned decides for a deliverer that holds messages: another service may have sent them.
func (s *Share) returned(ctx context.Context) {
	if !s.holding.Load() || !s.outbox.isLoaded() {
		return
	}
	err := s.ask(ctx)
	if err == nil {
		s.heard.Store(new(time.Now()))
	}
	if time.Since(*s.heard.Load()) > s.times(alone) || time.Since(s.since) > s.times(silence) {
		s.try(ctx, false)
	}
}

// standBy decides for a service that isn't the deliverer.
func (s *Share) standBy(ctx context.Context) {
	if !s.outbox.isLoaded() {
		return
	}
	err := s.ask(ctx)
	switch delivers := s.Delivers(); {
	case err == nil:
		s.heard.Store(new(time.Now()))
		if delivers && s.try(ctx, true) {
			s.log.Info("the deliverer of webhooks is back")
		}
	case ctx.Err() != nil || delivers || time.Since(*s.heard.Load()) < s.times(silence):
		s.log.Debug("the deliverer of webhooks doesn't answer", "err", err)
	case s.try(ctx, false):
		s.takeovers.Add(1)
		s.log.Warn("the deliverer of webhooks is silent, so this service delivers them", "err", err)
	}
}

// stored wakes a deliverer that holds what was just stored.
func (s *Share) stored() {
	if s.cfg.Own {
		select {
		case s.wake <- struct{}{}:
		default:
		}
	}
}
