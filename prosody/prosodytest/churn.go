package prosodytest

import (
	"context"
	"errors"
	"math/rand/v2"
	"strconv"
	"sync/atomic"
	"time"

	"golang.org/x/sync/errgroup"
)

// Churn is people who join and leave rooms, while their number stays about the
// same. The caller must Close it.
type Churn struct {
	// Rooms are the rooms' bare JIDs: busy0, busy1 and so on. Read-only.
	Rooms []string

	// Joined, if set before Run, is called after each join with the time when it
	// was requested, from several goroutines.
	Joined func(m Member, asked time.Time)

	crowd   *Crowd
	members chan Member // in the order of joining
	joins   atomic.Int64
}

// Churn opens rooms and fills each with the focus and this many people.
// They are a Crowd. There can be one at a time.
func (s *Server) Churn(ctx context.Context, cast *Cast, rooms, people int) (*Churn, error) {
	c := &Churn{members: make(chan Member, 2*rooms*max(1, people))}
	for r := range rooms {
		c.Rooms = append(c.Rooms, s.Room("busy"+strconv.Itoa(r)))
		if _, err := cast.Open(ctx, c.Rooms[r]); err != nil {
			return nil, err
		}
	}
	crowd, err := s.Crowd(ctx)
	if err != nil {
		return nil, err
	}
	c.crowd = crowd
	members, err := crowd.Join(ctx, people, c.Rooms...)
	if err != nil {
		return nil, errors.Join(err, crowd.Close())
	}
	for _, m := range members {
		c.members <- m
	}
	return c, nil
}

// Crowd returns the people's crowd, which can also join other rooms.
func (c *Churn) Crowd() *Crowd { return c.crowd }

// Joins counts the joins of all runs. It may be called during Run.
func (c *Churn) Joins() int64 { return c.joins.Load() }

// Close disconnects the crowd.
func (c *Churn) Close() error { return c.crowd.Close() }

// Run makes a person join, or the longest-present one leave, each at random
// moments, rate times a second on average, until there were this many joins or
// ctx ends, which is no error. Up to 50 joins and leaves run concurrently.
func (c *Churn) Run(ctx context.Context, rate float64, joins int) error {
	group, within := errgroup.WithContext(ctx)
	group.SetLimit(50)
	due := time.Now()
	for n := 0; n < 2*joins && within.Err() == nil; n++ {
		due = due.Add(time.Duration(rand.ExpFloat64() / (2 * rate) * float64(time.Second))) // #nosec G404 -- it needn't be secret
		select {
		case <-within.Done():
		case <-time.After(time.Until(due)):
		}
		group.Go(func() error {
			if n%2 == 0 {
				return c.join(within, c.Rooms[n/2%len(c.Rooms)])
			}
			return c.leave(within)
		})
	}
	err := group.Wait()
	if ctx.Err() != nil {
		return nil
	}
	return err
}

func (c *Churn) join(ctx context.Context, room string) error {
	asked := time.Now()
	members, err := c.crowd.Join(ctx, 1, room)
	if err != nil {
		return err
	}
	c.joins.Add(1)
	if c.Joined != nil {
		c.Joined(members[0], asked)
	}
	select {
	case c.members <- members[0]:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

func (c *Churn) leave(ctx context.Context) error {
	select {
	case m := <-c.members:
		return c.crowd.Leave(ctx, m)
	case <-ctx.Done():
		return ctx.Err()
	}
}
