package main

import (
	"context"
	"fmt"
	"net/http"
	"slices"
	"sync"
	"testing"
	"time"

	"ppch/prosody/prosodytest"
)

// sighting is a response for a room, with the times of request and response.
type sighting struct {
	answer
	asked, came time.Time
	err         error
}

// watchers are clients that poll one room.
type watchers struct {
	stop    context.CancelFunc
	running sync.WaitGroup

	// mu protects seen.
	mu   sync.Mutex
	seen []sighting
}

func (s *service) watch(t *testing.T, clients int, room string) *watchers {
	t.Helper()
	ctx, stop := context.WithCancel(context.Background())
	w := &watchers{stop: stop}
	for range clients {
		w.running.Go(func() {
			for ctx.Err() == nil {
				asked := time.Now()
				a, err := s.try(context.Background(), "/api/rooms/"+room+"/participants", "X-API-Key", testKey)
				w.mu.Lock()
				w.seen = append(w.seen, sighting{a, asked, time.Now(), err})
				w.mu.Unlock()
				time.Sleep(5 * time.Millisecond) // leave time for other tests
			}
		})
	}
	t.Cleanup(func() { w.end() })
	return w
}

// end stops the clients and returns all sightings.
func (w *watchers) end() []sighting {
	w.stop()
	w.running.Wait()
	return w.seen
}

// last returns the latest response.
func (w *watchers) last() sighting {
	w.mu.Lock()
	defer w.mu.Unlock()
	if len(w.seen) == 0 {
		return sighting{}
	}
	return w.seen[len(w.seen)-1]
}

// Prosody is killed during a meeting and restarts two seconds later; the people rejoin. Twenty polling clients get the right
// number, then 503 with Retry-After, then the right number; never another number, and never a room that does not exist.
func TestOutage_NoFalseAnswers(t *testing.T) {
	t.Parallel()
	srv := prosodytest.New(t, prosodytest.Options{})
	planning := srv.Room("planning")
	cast := castOn(t, srv)
	meeting(t, cast, planning, "Ada", "Bob")
	s := runService(t, envFor(srv)).ready()
	w := s.watch(t, 20, "Planning")
	isRight := func() bool { return w.last().status == 200 && w.last().data["participant_count"] == 3.0 }
	eventually(t, 5*time.Second, "the number is right", isRight)
	time.Sleep(300 * time.Millisecond)

	check(t, srv.Kill())
	dead := time.Now()
	_ = cast.Close()
	eventually(t, 3*time.Second, "the number is unknown", func() bool { return w.last().status == 503 })
	time.Sleep(time.Until(dead.Add(2 * time.Second)))
	if got := s.get("/readyz"); got.status != 503 {
		t.Errorf("/readyz got %d %s want 503", got.status, got.body)
	}
	if got := s.get("/livez"); got.status != 200 {
		t.Errorf("/livez got %d %s want 200", got.status, got.body)
	}

	reborn := time.Now()
	check(t, srv.Restart(t.Context()))
	back := time.Now()
	meeting(t, castOn(t, srv), planning, "Ada", "Bob")
	gathered := time.Now()
	eventually(t, time.Until(back.Add(5*time.Second)), "the number is right again", isRight)
	time.Sleep(300 * time.Millisecond)

	story := outage{dead: dead, reborn: reborn, gathered: gathered}
	seen := w.end()
	unknown := 0
	for _, got := range seen {
		if err := story.contradicts(got); err != nil {
			t.Fatalf("%s after the kill, requested at %s: %v: %d %s", got.came.Sub(dead), got.asked.Sub(dead), err, got.status, got.body)
		}
		if got.status == 503 {
			unknown++
		}
	}
	if unknown < 20 {
		t.Errorf("got %d of %d responses with 503 want at least one for each client", unknown, len(seen))
	}
}

// outage has the real events of a meeting of three.
type outage struct{ dead, reborn, gathered time.Time }

// contradicts returns an error if a response is false.
func (o outage) contradicts(got sighting) error {
	if got.err != nil {
		return got.err
	}
	if got.status == http.StatusServiceUnavailable {
		if got.came.Before(o.dead.Add(-time.Second)) {
			return fmt.Errorf("503 while Prosody is up")
		}
		for _, field := range []string{"exists", "participant_count", "has_participants"} {
			if _, ok := got.data[field]; ok {
				return fmt.Errorf("%s in a 503", field)
			}
		}
		if got.header.Get("Content-Type") != "application/problem+json" || got.header.Get("Retry-After") == "" {
			return fmt.Errorf("no Retry-After: %v", got.header)
		}
		return nil
	}
	if got.status != http.StatusOK {
		return fmt.Errorf("neither 200 nor 503")
	}
	text, _ := got.data["as_of"].(string)
	asOf, err := time.Parse(time.RFC3339, text)
	isThree := got.data["exists"] == true && got.data["participant_count"] == 3.0 && got.data["has_participants"] == true
	switch {
	case err != nil:
		return err
	case got.asked.Sub(asOf) > 2*time.Second:
		return fmt.Errorf("the data is %s old", got.asked.Sub(asOf))
	case asOf.Before(o.dead) && got.asked.After(o.dead.Add(time.Second)):
		return fmt.Errorf("the data is from before the kill")
	case asOf.After(o.dead) && asOf.Before(o.reborn):
		return fmt.Errorf("as_of is in the future")
	case asOf.After(o.reborn) && asOf.Before(o.gathered):
		return nil // they rejoin one after the other; an empty room is true
	case !isThree:
		return fmt.Errorf("not the three people of the room")
	}
	return nil
}

func TestOutage_MatcherFindsContradictions(t *testing.T) {
	t.Parallel()
	now := time.Now()
	story := outage{dead: now, reborn: now.Add(2 * time.Second), gathered: now.Add(3 * time.Second)}
	at := func(asOf time.Duration, count float64) sighting {
		came := now.Add(asOf)
		return sighting{answer: answer{status: 200, data: map[string]any{
			"as_of": came.Format(time.RFC3339Nano), "exists": count > 0, "participant_count": count, "has_participants": count > 0,
		}}, asked: came, came: came}
	}
	late := at(-100*time.Millisecond, 3)
	late.asked = now.Add(1500 * time.Millisecond)
	honest := []sighting{at(-time.Second, 3), at(2500*time.Millisecond, 0), at(2500*time.Millisecond, 2), at(4*time.Second, 3)}
	for i, got := range slices.Concat(honest, []sighting{at(-time.Second, 0), at(time.Second, 0), at(time.Second, 3), at(4*time.Second, 2), late}) {
		if err := story.contradicts(got); (err == nil) != (i < len(honest)) {
			t.Errorf("answer %d: got %v", i, err)
		}
	}
}
