package history

import (
	"context"
	"errors"
	"time"
)

// How deletion by age works: in steps that let other writes through.
const (
	pruneEvery = 10 * time.Minute
	pruneStep  = 500 // rows
	prunePause = 20 * time.Millisecond
)

// prune deletes what is older than the retention, again and again until ctx ends. While the file has a problem it does so more often,
// because each time shows whether that is over.
func (r *Recorder) prune(ctx context.Context) error {
	var next time.Time
	for {
		if now := time.Now(); r.cfg.Store.Problem() != nil || !now.Before(next) {
			err := r.cfg.Store.Prune(ctx, r.cfg.Days, now)
			if err != nil && ctx.Err() == nil && !errors.As(err, new(*Problem)) {
				r.log.Error("old meetings are not deleted", "err", err)
			}
			if err == nil {
				next = now.Add(pruneEvery)
			}
		}
		select {
		case <-ctx.Done():
			return nil
		case <-time.After(maxRetry):
		}
	}
}

// Prune deletes stays that ended more than some days ago, then meetings without stays, gaps and accesses of that age.
// 0 days keep them. It runs many short transactions, the last of which changes the file in any case. Finally it truncates the write-ahead log, from which all that was deleted until then is gone.
func (s *Store) Prune(ctx context.Context, days int, now time.Time) error {
	cutoff := Milli(now.AddDate(0, 0, -days))
	statements := []string{
		"DELETE FROM stays WHERE number IN (SELECT number FROM stays WHERE left_before < ? LIMIT ?)",
		"DELETE FROM meetings WHERE number IN (SELECT number FROM meetings m WHERE ended_before < ? AND NOT EXISTS (SELECT 1 FROM stays WHERE meeting = m.number) LIMIT ?)",
		"DELETE FROM gaps WHERE number IN (SELECT number FROM gaps WHERE ended < ? LIMIT ?)",
		"DELETE FROM accesses WHERE number IN (SELECT number FROM accesses WHERE at < ? LIMIT ?)",
	}
	if days == 0 {
		statements = nil
	}
	for _, statement := range statements {
		for n := int64(pruneStep); n == pruneStep; {
			err := s.Write(ctx, func(tx *Tx) error {
				done, err := tx.Exec(statement, cutoff, pruneStep)
				if err != nil {
					return err
				}
				n, err = done.RowsAffected()
				return err
			})
			if err != nil {
				return err
			}
			if n == pruneStep {
				select {
				case <-ctx.Done():
					return ctx.Err()
				case <-time.After(prunePause):
				}
			}
		}
	}
	if err := s.pruneRollups(ctx, now); err != nil {
		return err
	}
	return s.Checkpoint(ctx)
}
