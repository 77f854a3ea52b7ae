package webhook

import (
	"context"
	"time"

	"ppch/component/history"
)

// readLanes adds lanes of an endpoint that are in the file only.
func (o *Outbox) readLanes(ctx context.Context, e *endpoint) error {
	lanes, after, recovered := e.queue.room()
	return o.cfg.Store.Read(ctx, func(tx *history.Tx) error {
		due, more, err := readLanes(tx, e.number, after, recovered, lanes)
		if err == nil {
			e.queue.addLanes(due, more)
		}
		return err
	})
}

// readLane fills a busy lane from the file, and returns when its first message is due.
func (o *Outbox) readLane(ctx context.Context, e *endpoint, l *lane) (due time.Time, err error) {
	after, recovered := e.queue.after(l)
	err = o.cfg.Store.Read(ctx, func(tx *history.Tx) error {
		items, attempts, at, err := readLane(tx, e.number, l.key, after, recovered)
		if err == nil {
			due = at
			e.queue.refill(l, items, attempts, len(items) == laneItems)
		}
		return err
	})
	return due, err
}
