package webhook

import (
	"context"
	"time"

	"ppch/component/history"
)

// readLanes adds lanes of an endpoint that are in the file only.
func (o *Outbox) readLanes(ctx context.Context, e *endpoint) error {
	r := e.queue.beginRead()
	return o.cfg.Store.Read(ctx, func(tx *history.Tx) error {
		due, more, err := readLanes(tx, e.number, r)
		if err == nil {
			e.queue.addLanes(due, more, r)
		}
		return err
	})
}

// readLane fills a busy lane from the file, and returns when its first message is due.
func (o *Outbox) readLane(ctx context.Context, e *endpoint, l *lane) (due time.Time, err error) {
	r := e.queue.beginLane(l)
	err = o.cfg.Store.Read(ctx, func(tx *history.Tx) error {
		items, attempts, at, err := readLane(tx, e.number, l.key, r)
		if err == nil {
			due = at
			e.queue.refill(l, items, attempts, len(items) == laneItems, r)
		}
		return err
	})
	return due, err
}
