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

// Churn is people who come to rooms and go, so that about as many stay in each.
// The caller must Close it.
type Churn struct {
	// Rooms are their bare JIDs: busy0, busy1 and so on. Not to be changed.
	Rooms []string

	// Joined, if it is set before Run, is called with each who came, and when that
	// was asked for, by several goroutines.
	Joined func(m Member, asked time.Time)

	crowd *Crowd
	here  chan Member // in the order in which they came
	came  atomic.Int64
}

// Churn opens rooms, and fills each with the focus and so many people.
// They are a Crowd, of which there can be one at a time.
func (s *Server) Churn(ctx context.Context, cast *Cast, rooms, people int) (*Churn, error) {
	c := &Churn{here: make(chan Member, 2*rooms*max(1, people))}
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
		c.here <- m
	}
	return c, nil
}

// Crowd is who they are. Others of it may join other rooms.
func (c *Churn) Crowd() *Crowd { return c.crowd }

// Came is how many have come in all runs. It may be asked while they do.
func (c *Churn) Came() int64 { return c.came.Load() }

// Close disconnects the crowd.
func (c *Churn) Close() error { return c.crowd.Close() }

// Run lets somebody come and the one go who was there for longest, at random
// moments, each rate times a second, until that many came or ctx ends; the end
// of ctx is no error. Nobody waits for the one before, until fifty are on their way.
func (c *Churn) Run(ctx context.Context, rate float64, joins int) error {
	acting, within := errgroup.WithContext(ctx)
	acting.SetLimit(50)
	due := time.Now()
	for n := 0; n < 2*joins && within.Err() == nil; n++ {
		due = due.Add(time.Duration(rand.ExpFloat64() / (2 * rate) * float64(time.Second))) // #nosec G404 -- it needn't be secret
		select {
		case <-within.Done():
		case <-time.After(time.Until(due)):
		}
		acting.Go(func() error {
			if n%2 == 0 {
				return c.join(within, c.Rooms[n/2%len(c.Rooms)])
			}
			return c.leave(within)
		})
	}
	err := acting.Wait()
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
	c.came.Add(1)
	if c.Joined != nil {
		c.Joined(members[0], asked)
	}
	select {
	case c.here <- members[0]:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

func (c *Churn) leave(ctx context.Context) error {
	select {
	case m := <-c.here:
		return c.crowd.Leave(ctx, m)
	case <-ctx.Done():
		return ctx.Err()
	}
}
