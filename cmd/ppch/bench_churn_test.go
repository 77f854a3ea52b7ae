package main

import (
	"context"
	"math/rand/v2"
	"strconv"
	"sync/atomic"
	"testing"
	"time"

	"golang.org/x/sync/errgroup"

	"ppch/prosody/prosodytest"
)

// churn is people who come to rooms and go, so that about as many stay in each.
type churn struct {
	b     *testing.B
	crowd *prosodytest.Crowd
	rooms []string
	here  chan prosodytest.Member // in the order in which they came
	came  atomic.Int64

	// joined is called with each who came, and when that was asked for.
	joined func(m prosodytest.Member, asked time.Time)
}

// newChurn opens rooms, and fills each with focus and so many people.
func newChurn(b *testing.B, srv *prosodytest.Server, cast *prosodytest.Cast, rooms, people int) *churn {
	b.Helper()
	c := &churn{b: b, here: make(chan prosodytest.Member, 2*rooms*people), joined: func(prosodytest.Member, time.Time) {}}
	for r := range rooms {
		c.rooms = append(c.rooms, srv.Room("busy"+strconv.Itoa(r)))
		must(cast.Open(b.Context(), c.rooms[r]))(b)
	}
	c.crowd = must(srv.Crowd(b.Context()))(b)
	b.Cleanup(func() { _ = c.crowd.Close() })
	for _, m := range must(c.crowd.Join(b.Context(), people, c.rooms...))(b) {
		c.here <- m
	}
	return c
}

// run lets somebody come and the one go who was there for longest, at random moments, each rate times a second, until ctx ends.
// Nobody waits for the one before, until fifty are on their way.
func (c *churn) run(ctx context.Context, rate float64) {
	var acting errgroup.Group
	defer func() { _ = acting.Wait() }()
	acting.SetLimit(50)
	for due, n := time.Now(), 0; ; n++ {
		due = due.Add(time.Duration(rand.ExpFloat64() / (2 * rate) * float64(time.Second)))
		select {
		case <-ctx.Done():
			return
		case <-time.After(time.Until(due)):
		}
		acting.Go(func() error {
			if n%2 == 0 {
				c.join(c.rooms[n/2%len(c.rooms)])
			} else {
				c.leave()
			}
			return nil
		})
	}
}

func (c *churn) join(room string) {
	asked := time.Now()
	members, err := c.crowd.Join(c.b.Context(), 1, room)
	if err != nil {
		c.b.Error(err)
		return
	}
	c.came.Add(1)
	c.joined(members[0], asked)
	c.here <- members[0]
}

func (c *churn) leave() {
	if err := c.crowd.Leave(c.b.Context(), <-c.here); err != nil {
		c.b.Error(err)
	}
}

// people returns how many there are in each room, by its JID. Nobody may come or go meanwhile.
func (c *churn) people() map[string]int {
	people := map[string]int{}
	for range len(c.here) {
		m := <-c.here
		people[m.Room]++
		c.here <- m
	}
	return people
}
