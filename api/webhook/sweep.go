package webhook

import (
	"context"
	"errors"
	"time"

	"ppch/component/history"
)

// Old data is deleted in small steps, so that recording never waits for long.
const (
	sweepEvery = 15 * time.Second
	sweepStep  = 500
	sweepPause = 20 * time.Millisecond
)

// Problems of deliveries that fail without an attempt.
const (
	problemDisabled = "the webhook was disabled"
	problemStopped  = "the webhook was stopped for longer than deliveries are kept"
)

// sweepSoon starts a sweep.
func (o *Outbox) sweepSoon() {
	select {
	case o.sweep <- struct{}{}:
	default:
	}
}

// runSweep deletes deliveries whose outcome is old and those of removed endpoints, fails those of disabled ones, and measures what waits, until ctx ends.
func (o *Outbox) runSweep(ctx context.Context) {
	every := time.NewTicker(sweepEvery)
	defer every.Stop()
	for {
		if o.isLoaded() {
			if err := o.sweepAll(ctx); err != nil && ctx.Err() == nil && !errors.As(err, new(*history.Problem)) {
				o.log.Error("old webhooks not deleted", "err", err)
			}
			o.measure(ctx)
		}
		select {
		case <-ctx.Done():
			return
		case <-every.C:
		case <-o.sweep:
		}
	}
}

// sweepAll takes steps until there is nothing more to do.
func (o *Outbox) sweepAll(ctx context.Context) error {
	now := time.Now()
	cut := now.Add(-o.cfg.KeepLog).UnixMilli()
	for _, e := range *o.all.Load() {
		c := e.config.Load()
		if !c.DisabledAt.IsZero() {
			if err := o.failWaiting(ctx, e, 1<<62, problemDisabled); err != nil {
				return err
			}
		} else if _, denied := o.grant(c); denied != "" || !c.active() {
			number, err := o.lastMessage(ctx, cut)
			if err != nil {
				return err
			}
			if err := o.failWaiting(ctx, e, number, problemStopped); err != nil {
				return err
			}
		}
	}
	last, err := o.lastMessage(ctx, cut)
	if err != nil {
		return err
	}
	return o.repeat(ctx, []statement{
		{`DELETE FROM deliveries WHERE (webhook, message) IN (SELECT webhook, message FROM deliveries WHERE webhook NOT IN (SELECT number FROM webhooks) LIMIT ?)`, []any{sweepStep}},
		// The last attempt may be later than the days for which deliveries are kept. An outcome in the future is from before the clock was set back.
		{`DELETE FROM deliveries WHERE (webhook, message) IN (SELECT d.webhook, d.message FROM webhooks w CROSS JOIN deliveries d ON d.webhook = w.number
			WHERE d.message <= ? AND d.state NOT IN (0, 3) AND MAX(d.tried, d.due) NOT BETWEEN ? AND ? LIMIT ?)`, []any{last, cut, now.Add(o.cfg.KeepLog).UnixMilli(), sweepStep}},
		{`DELETE FROM messages WHERE number IN (SELECT number FROM messages WHERE number <= ?1 AND number NOT IN
			(SELECT d.message FROM webhooks w CROSS JOIN deliveries d ON d.webhook = w.number WHERE d.message <= ?1) LIMIT ?2)`, []any{last, sweepStep}},
	})
}

// lastMessage returns the last message that was stored before a time, in Unix milliseconds.
func (o *Outbox) lastMessage(ctx context.Context, before int64) (number int64, err error) {
	err = o.cfg.Store.Read(ctx, func(tx *history.Tx) error {
		// Numbers increase with time, so that a few looks find it.
		var lowest, highest int64
		if _, err := tx.Get(`SELECT COALESCE(MIN(number), 0), COALESCE(MAX(number), 0) FROM messages`, nil, &lowest, &highest); err != nil {
			return err
		}
		number = lowest - 1
		for lowest <= highest {
			middle := lowest + (highest-lowest)/2
			var at, created int64
			ok, err := tx.Get(`SELECT number, created FROM messages WHERE number >= ? ORDER BY number LIMIT 1`, []any{middle}, &at, &created)
			switch {
			case err != nil:
				return err
			case !ok || created >= before:
				highest = middle - 1
			default:
				number, lowest = at, at+1
			}
		}
		return nil
	})
	return number, err
}

// failWaiting fails the waiting deliveries of an endpoint, up to a message.
func (o *Outbox) failWaiting(ctx context.Context, e *endpoint, through int64, problem string) error {
	for {
		if rows, _, _ := e.queue.size(); rows <= 0 {
			return nil
		}
		var last, bytes int64
		var rows int
		err := o.cfg.Store.Write(ctx, func(tx *history.Tx) (err error) {
			_, _, after := e.queue.size()
			var oldest int64
			if _, err := tx.Get(`SELECT COALESCE(MIN(message), 0) FROM deliveries WHERE webhook = ? AND state IN (0, 3)`, []any{e.number}, &oldest); err != nil || oldest == 0 || oldest > through {
				return err
			}
			last, rows, bytes, err = failOldest(tx, e.number, after, sweepStep, problem)
			return err
		})
		if err != nil || rows == 0 {
			return err
		}
		e.queue.failThrough(last, rows, bytes)
		o.metrics.dropped(rows)
		if !sleep(ctx, nil, sweepPause) {
			return ctx.Err()
		}
	}
}

type statement struct {
	query string
	args  []any
}

// repeat runs each statement until it changes nothing more.
func (o *Outbox) repeat(ctx context.Context, all []statement) error {
	for _, st := range all {
		for changed := int64(1); changed > 0; {
			err := o.cfg.Store.Write(ctx, func(tx *history.Tx) error {
				r, err := tx.Exec(st.query, st.args...)
				if err == nil {
					changed, err = r.RowsAffected()
				}
				return err
			})
			if err != nil {
				return err
			}
			if changed > 0 && !sleep(ctx, nil, sweepPause) {
				return ctx.Err()
			}
		}
	}
	return nil
}

// measure finds the oldest delivery that waits, for metrics. One to an endpoint that is switched off isn't late.
func (o *Outbox) measure(ctx context.Context) {
	var oldest int64
	err := o.cfg.Store.Read(ctx, func(tx *history.Tx) error {
		for _, e := range *o.all.Load() {
			c := e.config.Load()
			if rows, _, _ := e.queue.size(); rows == 0 || !c.active() || o.withdrawn(c) {
				continue
			}
			var created int64
			if _, err := tx.Get(`SELECT created FROM messages WHERE number = (SELECT MIN(message) FROM deliveries WHERE webhook = ? AND state = 0)`, []any{e.number}, &created); err != nil {
				return err
			}
			if created != 0 && (oldest == 0 || created < oldest) {
				oldest = created
			}
		}
		return nil
	})
	if err == nil {
		o.metrics.oldest.Store(oldest)
	}
}

// withdrawn reports whether the key of an endpoint lets nothing through, and not only while the keys are unknown.
func (o *Outbox) withdrawn(c *config) bool {
	_, denied := o.grant(c)
	return denied != "" && o.cfg.Keys.Unknown() == nil
}
