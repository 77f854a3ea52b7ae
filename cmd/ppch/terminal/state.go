package terminal

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"maps"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/cenkalti/backoff/v5"
	"github.com/tmaxmax/go-sse"
	"golang.org/x/sync/errgroup"

	"ppch/api/view"
)

// confirmEvery is how often a room is read without an event, so that a connection that died silently is noticed.
const confirmEvery = 10 * time.Second

// RoomState is what a service says about a room at one moment.
type RoomState struct {
	// People is the number of people, if Problem is empty.
	People int

	// Problem is why the number is unknown.
	Problem string
}

// FollowRoom calls each with the state of a room at the start, after each change and every few seconds, until ctx ends, which returns nil.
// While the service can't be reached or its data isn't live, the state has a Problem, and FollowRoom goes on.
// It returns a *Problem if the service refuses finally, such as an unknown key. It never calls each concurrently.
func (c *Client) FollowRoom(ctx context.Context, name string, each func(RoomState)) error {
	f := &roomFollower{client: c, name: name, changed: make(chan struct{}, 1), problem: "not connected yet", stale: map[string]string{}}
	g, ctx := errgroup.WithContext(ctx)
	g.Go(func() error { return f.stream(ctx) })
	g.Go(func() error { return f.report(ctx, each) })
	return g.Wait()
}

// roomFollower follows the events of one room, and reads the room when it may have changed.
type roomFollower struct {
	client  *Client
	name    string
	changed chan struct{}

	// mu protects what follows.
	mu      sync.Mutex
	problem string // why what is read may be out of date, or empty

	// stale are the domains of shards that aren't live, with the reason.
	stale map[string]string
}

// stream receives events until ctx ends or the service refuses finally.
func (f *roomFollower) stream(ctx context.Context) error {
	waits := backoff.NewExponentialBackOff()
	waits.InitialInterval, waits.MaxInterval = firstWait, maxWait
	for {
		err := f.client.follow(ctx, eventsPath(f.name), f.receive, f.lost)
		if p := (*Problem)(nil); ctx.Err() == nil && errors.As(err, &p) && p.isFinal() {
			return err
		}
		if ctx.Err() != nil {
			return nil
		}
		f.lost(err)
		select {
		case <-ctx.Done():
			return nil
		case <-time.After(waits.NextBackOff()):
		}
	}
}

// receive notes what an event says about the data, and that the room may have changed.
func (f *roomFollower) receive(e sse.Event) error {
	var status struct {
		view.StatusEvent
		Reason view.ResetReason `json:"reason"`
	}
	if (e.Type == "status" || e.Type == "reset") && json.Unmarshal([]byte(e.Data), &status) == nil {
		f.mu.Lock()
		defer f.mu.Unlock()
		key := status.Shard + " " + status.Domain
		switch {
		case e.Type == "reset" && status.Reason == view.ResetRetired:
			delete(f.stale, key)
		case e.Type == "reset" || len(status.VisitorsOf) > 0: // visitors aren't people
		default:
			if delete(f.stale, key); !status.Live {
				f.stale[key] = Clean(status.Status)
			}
			f.problem = ""
		}
	}
	f.signal()
	return nil
}

// lost notes that no events arrive.
func (f *roomFollower) lost(err error) {
	f.setProblem(Clean(err.Error()))
	f.signal()
}

func (f *roomFollower) setProblem(problem string) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.problem = problem
}

func (f *roomFollower) signal() {
	select {
	case f.changed <- struct{}{}:
	default:
	}
}

// report calls each with the state of the room, until ctx ends or the service refuses finally.
func (f *roomFollower) report(ctx context.Context, each func(RoomState)) error {
	confirm := time.NewTicker(confirmEvery)
	defer confirm.Stop()
	for {
		select {
		case <-ctx.Done():
			return nil
		case <-confirm.C:
		case <-f.changed:
		}
		state, err := f.read(ctx)
		if ctx.Err() != nil {
			return nil
		}
		if err != nil {
			return err
		}
		each(state)
	}
}

// read returns the state of the room, or an error if the service refuses finally.
func (f *roomFollower) read(ctx context.Context) (RoomState, error) {
	f.mu.Lock()
	problem := f.problem
	for _, key := range slices.Sorted(maps.Keys(f.stale)) {
		problem = cmp.Or(problem, f.stale[key])
	}
	f.mu.Unlock()
	if problem != "" {
		return RoomState{Problem: problem}, nil
	}
	ctx, cancel := context.WithTimeout(ctx, confirmEvery)
	defer cancel()
	_, r, err := f.client.room(ctx, f.name)
	var p *Problem
	switch {
	case errors.As(err, &p) && p.isFinal():
		return RoomState{}, err
	case err != nil:
		return RoomState{Problem: Clean(err.Error())}, nil
	case len(r.UnknownShards) > 0:
		return RoomState{Problem: "the room may also be on shards that can't be read now: " + Clean(strings.Join(r.UnknownShards, ", "))}, nil
	case !r.Exact:
		return RoomState{Problem: "the number is not exact: " + Clean(r.Note)}, nil
	}
	return RoomState{People: r.ParticipantCount}, nil
}
