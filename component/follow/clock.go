package follow

import (
	"time"

	"ppch/component/occupancy"
)

// MaxClockSlack is the largest uncertainty about the sender's clock at which data is as of the latest possible time.
// A [Carrier] whose question is answered later asks once more, so that data doesn't look older than it is until the next one.
const MaxClockSlack = time.Second

// clocks relates the sender's clocks to ours.
type clocks struct {
	base   time.Time      // when the sender's monotonic clock was at 0, or up to slack earlier
	slack  time.Duration  // shrinks as batches come
	offset *time.Duration // of the sender's wall clock to ours; nil if it doesn't send it
}

// newClocks returns the clocks of a sender that read its own between a question, which was asked at that time, and now.
func newClocks(at time.Duration, wall, asked time.Time) clocks {
	now := time.Now()
	return clocks{base: asked.Add(-at), slack: now.Sub(asked), offset: offset(wall, asked, now)}
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

// asOf returns the time of a batch by our clock.
// Its arrival is only an upper bound: it may have waited for a frozen service, or on a slow network.
// The batch with the shortest delay shows best how the clocks differ.
// If none was quick, asOf returns the earliest possible time, so that data never looks younger than it is.
func (c *clocks) asOf(at time.Duration) time.Time {
	earliest := c.base.Add(at)
	c.slack = max(0, min(c.slack, time.Since(earliest)))
	if c.slack > MaxClockSlack {
		return earliest
	}
	return earliest.Add(c.slack)
}

// localize converts the times of a batch that arrived at now from the sender's wall clock to ours. None becomes later than now:
// the offset is exact to a few milliseconds only, and one of the clocks may have been set since the subscription began.
// The stamps stay by Prosody's clock.
func (c *clocks) localize(deltas []occupancy.Delta, now time.Time) {
	skew := time.Duration(0)
	if c.offset != nil {
		skew = *c.offset
	}
	now = now.UTC().Truncate(time.Millisecond) // without the monotonic reading
	local := func(at, stamp *time.Time) {
		if stamp.IsZero() {
			*stamp = *at
		}
		if at.IsZero() {
			return
		}
		*at = at.Add(-skew)
		if !at.Before(now) {
			*at = now
		}
	}
	for _, d := range deltas {
		if d.Facts != nil {
			local(&d.Facts.CreatedAt, &d.Facts.Stamp)
		}
		for i := range d.Present {
			local(&d.Present[i].JoinedAt, &d.Present[i].Stamp)
		}
	}
}
