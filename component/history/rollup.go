package history

import (
	"context"
	"errors"
	"time"

	"ppch/component/occupancy"
)

// sampleEvery is how often the numbers for charts are read.
const sampleEvery = time.Second

// Rollup is a resolution of the numbers for charts.
type Rollup struct {
	Step time.Duration // the time that one number covers
	Keep time.Duration
}

// rollups are all resolutions, finest first. A finer step divides a coarser one.
var rollups = []Rollup{
	{5 * time.Minute, 2 * 24 * time.Hour},
	{time.Hour, 35 * 24 * time.Hour},
	{24 * time.Hour, 400 * 24 * time.Hour},
}

// Peaks are the peaks of rooms and people within a step.
type Peaks struct {
	At                  time.Time // when the step began
	Rooms, Participants int
	Watched             time.Duration // the known part of the step
}

// roll records the numbers for charts until ctx ends, and then writes those of the last step.
func (r *Recorder) roll(ctx context.Context) error {
	if r.cfg.Level == LevelOff {
		return nil
	}
	tick := time.NewTicker(sampleEvery)
	defer tick.Stop()
	begun := time.Now().Truncate(rollups[0].Step)
	peaks := map[occupancy.RoomType]Peaks{}
	for {
		select {
		case <-ctx.Done():
			return r.flush(context.WithoutCancel(ctx), begun, peaks)
		case <-tick.C:
		}
		now := time.Now().Truncate(rollups[0].Step)
		if !now.Equal(begun) {
			// A file that can't be written loses a step, which then counts as not watched.
			_ = r.flush(ctx, begun, peaks)
			begun = now
			clear(peaks)
		}
		totals, err := r.liveTotals()
		if err != nil {
			continue
		}
		sum := map[occupancy.RoomType]Peaks{}
		for _, t := range totals {
			p := sum[t.Type]
			p.Rooms += t.Rooms
			p.Participants += t.Counts.People()
			sum[t.Type] = p
		}
		for typ, now := range sum {
			p := peaks[typ]
			peaks[typ] = Peaks{Rooms: max(p.Rooms, now.Rooms), Participants: max(p.Participants, now.Participants), Watched: p.Watched + sampleEvery}
		}
	}
}

// liveTotals returns the present totals of the recorded shards, or an error unless all their domains are live.
func (r *Recorder) liveTotals() (all []occupancy.Totals, err error) {
	own := r.ownShards()
	if len(own) == len(recordedShards(r.cfg.Directory)) {
		return r.cfg.Directory.LiveTotals()
	}
	for _, shard := range own {
		totals, err := shard.LiveTotals()
		if err != nil {
			return nil, err
		}
		all = append(all, totals...)
	}
	if len(own) == 0 {
		return nil, errNoShard
	}
	return all, nil
}

var errNoShard = errors.New("history: no shard is recorded here")

func (r *Recorder) flush(ctx context.Context, begun time.Time, peaks map[occupancy.RoomType]Peaks) error {
	if len(peaks) == 0 {
		return nil
	}
	err := r.cfg.Store.Write(ctx, func(tx *Tx) error { return addPeaks(tx, begun, peaks) })
	if errors.As(err, new(*Problem)) {
		return nil // the Store logs it
	}
	return err
}

// addPeaks adds the peaks of a step to all resolutions.
func addPeaks(tx *Tx, begun time.Time, peaks map[occupancy.RoomType]Peaks) error {
	for _, res := range rollups {
		for typ, p := range peaks {
			_, err := tx.Exec(`INSERT INTO rollups VALUES (?, ?, ?, ?, ?, ?) ON CONFLICT DO UPDATE SET
				rooms = MAX(rooms, excluded.rooms), participants = MAX(participants, excluded.participants), watched = MIN(step, watched + excluded.watched)`,
				int64(res.Step/time.Second), Milli(begun.Truncate(res.Step)), typ, p.Rooms, p.Participants, int64(p.Watched/time.Second))
			if err != nil {
				return err
			}
		}
	}
	return nil
}

// Peaks returns the peaks of rooms of a type since a time, oldest first, in the finest resolution that is kept that long.
// Steps that weren't watched at all are missing.
func (s *Store) Peaks(ctx context.Context, typ occupancy.RoomType, step time.Duration, from time.Time) (all []Peaks, err error) {
	err = s.Read(ctx, func(tx *Tx) error {
		return tx.Each("SELECT at, rooms, participants, watched FROM rollups WHERE step = ? AND type = ? AND at >= ? ORDER BY at",
			[]any{int64(step / time.Second), typ, Milli(from)}, func(scan Scan) error {
				var p Peaks
				var at, watched int64
				err := scan(&at, &p.Rooms, &p.Participants, &watched)
				p.At, p.Watched = TimeOf(at), time.Duration(watched)*time.Second
				all = append(all, p)
				return err
			})
	})
	return all, err
}

func (s *Store) pruneRollups(ctx context.Context, now time.Time) error {
	return s.Write(ctx, func(tx *Tx) error {
		for _, res := range rollups {
			if _, err := tx.Exec("DELETE FROM rollups WHERE step = ? AND at < ?", int64(res.Step/time.Second), Milli(now.Add(-res.Keep))); err != nil {
				return err
			}
		}
		// Without a change it would say nothing of the disk.
		_, err := tx.Exec("INSERT OR REPLACE INTO settings VALUES ('pruned', ?)", Milli(now))
		return err
	})
}
