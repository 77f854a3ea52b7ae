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

// sighting is one answer about a room, and when it was asked for and came.
type sighting struct {
	answer
	asked, came time.Time
	err         error
}

// watchers are clients that ask about one room all the time.
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
				time.Sleep(5 * time.Millisecond) // other tests want to run as well
			}
		})
	}
	t.Cleanup(func() { w.end() })
	return w
}

// end stops the clients and returns all that they saw.
func (w *watchers) end() []sighting {
	w.stop()
	w.running.Wait()
	return w.seen
}

// last returns the latest answer.
func (w *watchers) last() sighting {
	w.mu.Lock()
	defer w.mu.Unlock()
	if len(w.seen) == 0 {
		return sighting{}
	}
	return w.seen[len(w.seen)-1]
}

// Prosody dies in the midst of a meeting, without a word, and comes back two seconds later; the people come back with it.
// Twenty users who ask all the time read the right number, then that it isn't known and when to ask again,
// and then the right number. At no moment do they read another number, or that there is no such room.
func TestWhileProsodyIsDeadNothingIsMadeUp(t *testing.T) {
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

	if err := srv.Kill(); err != nil {
		t.Fatal(err)
	}
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
	if err := srv.Restart(t.Context()); err != nil {
		t.Fatal(err)
	}
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
			t.Fatalf("%s after the death, asked at %s: %v: %d %s", got.came.Sub(dead), got.asked.Sub(dead), err, got.status, got.body)
		}
		if got.status == 503 {
			unknown++
		}
	}
	if unknown < 20 {
		t.Errorf("got %d answers of %d that nothing is known want at least one for each client", unknown, len(seen))
	}
}

// outage is what really happened to a meeting of three.
type outage struct{ dead, reborn, gathered time.Time }

// contradicts returns what in an answer can't be true.
func (o outage) contradicts(got sighting) error {
	if got.err != nil {
		return got.err
	}
	if got.status == http.StatusServiceUnavailable {
		if got.came.Before(o.dead.Add(-time.Second)) {
			return fmt.Errorf("nothing is known of a Prosody that lives")
		}
		for _, field := range []string{"exists", "participant_count", "has_participants"} {
			if _, ok := got.data[field]; ok {
				return fmt.Errorf("%s is told of a room that nothing is known of", field)
			}
		}
		if got.header.Get("Content-Type") != "application/problem+json" || got.header.Get("Retry-After") == "" {
			return fmt.Errorf("the problem doesn't say when to ask again: %v", got.header)
		}
		return nil
	}
	if got.status != http.StatusOK {
		return fmt.Errorf("neither an answer nor that there is none")
	}
	text, _ := got.data["as_of"].(string)
	asOf, err := time.Parse(time.RFC3339, text)
	isThree := got.data["exists"] == true && got.data["participant_count"] == 3.0 && got.data["has_participants"] == true
	switch {
	case err != nil:
		return err
	case got.asked.Sub(asOf) > 2*time.Second:
		return fmt.Errorf("the answer is as old as %s", got.asked.Sub(asOf))
	case asOf.Before(o.dead) && got.asked.After(o.dead.Add(time.Second)):
		return fmt.Errorf("the answer is that of a Prosody which is dead")
	case asOf.After(o.dead) && asOf.Before(o.reborn):
		return fmt.Errorf("nobody can have known that then")
	case asOf.After(o.reborn) && asOf.Before(o.gathered):
		return nil // one after the other they come back, and an empty room is the truth
	case !isThree:
		return fmt.Errorf("three are in the room")
	}
	return nil
}

// contradictions are to be found where there are some: this is the test of the test.
func TestAnOutageIsToldFromWhatIsMadeUp(t *testing.T) {
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
