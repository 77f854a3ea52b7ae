package main

import (
	"context"
	"fmt"
	"math/rand/v2"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"

	"ppch/prosody/prosodytest"
)

// state is a true state of a room. It began between began, when it was requested of Prosody, and sure, when that was done.
type state struct {
	began, sure time.Time
	exists      bool
	people      int
}

// roomActor makes people join and leave one room, one after the other, and so knows its true state.
type roomActor struct {
	w         *world
	name, jid string
	random    *rand.Rand

	focus  bool
	people []*prosodytest.Occupant
	others []*prosodytest.Occupant
	came   int

	// mu protects what follows.
	mu      sync.Mutex
	history []state
	answers []statement
}

// statement is a response of the service.
type statement struct {
	at, asOf time.Time
	exists   bool
	people   int
}

func newRoomActor(w *world, name string, random *rand.Rand) *roomActor {
	now := time.Now()
	return &roomActor{w: w, name: name, jid: w.srv.Room(name), random: random, history: []state{{began: now, sure: now}}}
}

// act changes the room at random until ctx ends.
func (r *roomActor) act(ctx context.Context) {
	for ctx.Err() == nil {
		r.w.quiet.RLock()
		r.step(ctx)
		r.w.quiet.RUnlock()
		select {
		case <-ctx.Done():
		case <-time.After(time.Duration(r.random.Int64N(int64(150 * time.Millisecond)))):
		}
	}
}

func (r *roomActor) step(ctx context.Context) {
	// Complete each action, even after the deadline: the result of half an action is unknown.
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), 20*time.Second)
	defer cancel()
	began, err := time.Now(), error(nil)
	switch n := r.random.IntN(20); {
	case !r.focus:
		_, err = r.w.cast.Open(ctx, r.jid)
		r.focus = true
	case n < 9 && len(r.people) < 8:
		r.came++
		var o *prosodytest.Occupant
		if o, err = r.w.cast.User(ctx, r.jid, "Person "+strconv.Itoa(r.came)); err == nil {
			r.people = append(r.people, o)
		}
	case n == 19 && len(r.others) == 0:
		var o *prosodytest.Occupant
		if o, err = r.w.cast.Recorder(ctx, r.jid); err == nil {
			r.others = append(r.others, o)
		}
	case n == 18:
		err = r.w.cast.Focus.Destroy(ctx, r.jid, "")
		r.focus, r.people, r.others = false, nil, nil
	case len(r.people) == 0:
		return
	case n < 13:
		o := r.take()
		if err = o.Leave(ctx); err == nil {
			err = o.Close()
		}
	case n < 15:
		o := r.take()
		if err = r.w.cast.Focus.Kick(ctx, r.jid, o.Nick(), ""); err == nil {
			err = o.Close()
		}
	case n == 15:
		err = r.people[r.random.IntN(len(r.people))].Rename(ctx, prosodytest.Nick())
	default:
		o := r.people[r.random.IntN(len(r.people))]
		err = o.Update(ctx, prosodytest.DisplayName("Person, "+strconv.Itoa(r.random.IntN(100))), "<jitsi_participant_raisedHand>1</jitsi_participant_raisedHand>")
	}
	if err != nil {
		r.w.t.Errorf("%s: %v", r.name, err)
	}
	r.now(began)
}

// take removes a person from the people.
func (r *roomActor) take() *prosodytest.Occupant {
	i := r.random.IntN(len(r.people))
	o := r.people[i]
	r.people = slices.Delete(r.people, i, i+1)
	return o
}

// now records the state that began after began and is certain now.
func (r *roomActor) now(began time.Time) {
	r.mu.Lock()
	defer r.mu.Unlock()
	s := state{began: began, sure: time.Now(), exists: r.focus, people: len(r.people)}
	if last := r.history[len(r.history)-1]; last.exists != s.exists || last.people != s.people {
		r.history = append(r.history, s)
	}
}

// vanish records that Prosody has destroyed the room.
func (r *roomActor) vanish(began time.Time) {
	r.focus, r.people, r.others = false, nil, nil
	r.now(began)
}

// ask polls the service until ctx ends.
func (r *roomActor) ask(ctx context.Context) {
	for ctx.Err() == nil {
		a, err := r.w.svc.room(ctx, r.name)
		if err == nil && a.status == http.StatusOK {
			asOf, err := time.Parse(time.RFC3339, a.data["as_of"].(string))
			if err != nil || a.data["source"] != "module" || a.data["exact"] != true {
				r.w.t.Errorf("%s: got %s", r.name, a.body)
			}
			r.mu.Lock()
			r.answers = append(r.answers, statement{time.Now(), asOf, a.data["exists"].(bool), int(a.data["participant_count"].(float64))})
			r.mu.Unlock()
		} else if err == nil && a.status != http.StatusServiceUnavailable {
			r.w.t.Errorf("%s: got %s", r.name, statusOf(a, err))
		}
		select {
		case <-ctx.Done():
		case <-time.After(20 * time.Millisecond):
		}
	}
}

// check compares each response with the true state at its as_of and returns their number.
func (r *roomActor) check() int {
	wrong := 0
	for _, a := range r.answers {
		if !r.couldBe(a) {
			if wrong++; wrong <= 3 {
				r.w.t.Errorf("%s: at %s it was said that as of %s exists was %t and %d people were there; but:%s",
					r.name, a.at.Format("05.000"), a.asOf.Format("05.000"), a.exists, a.people, r.around(a.asOf))
			}
		}
	}
	return len(r.answers)
}

func (r *roomActor) couldBe(a statement) bool {
	for i, s := range r.history {
		if s.began.After(a.asOf.Add(slack)) {
			break
		}
		over := i+1 < len(r.history) && r.history[i+1].sure.Before(a.asOf.Add(-slack))
		if !over && s.exists == a.exists && s.people == a.people {
			return true
		}
	}
	return false
}

// around returns the true states around a time.
func (r *roomActor) around(at time.Time) string {
	var b strings.Builder
	for _, s := range r.history {
		if s.sure.After(at.Add(-3*time.Second)) && s.began.Before(at.Add(3*time.Second)) {
			fmt.Fprintf(&b, "\n  %s to %s: %t, %d", s.began.Format("05.000"), s.sure.Format("05.000"), s.exists, s.people)
		}
	}
	return b.String()
}

// compare returns the differences between service, Prosody and people. No one moves meanwhile.
func (r *roomActor) compare(prosody string) string {
	var here, people []string
	if r.focus {
		here = append(here, "focus")
	}
	for _, o := range slices.Concat(r.people, r.others) {
		here = append(here, o.Nick())
	}
	for _, o := range r.people {
		people = append(people, o.Nick())
	}
	slices.Sort(here)
	slices.Sort(people)
	if want := strings.Join(here, " "); want != prosody {
		return fmt.Sprintf("\n%s: Prosody has %q want %q", r.name, prosody, want)
	}
	a, err := r.w.svc.room(context.Background(), r.name)
	if err != nil || a.status != http.StatusOK {
		return fmt.Sprintf("\n%s: %s", r.name, statusOf(a, err))
	}
	var all, persons []string
	for _, o := range a.data["occupants"].([]any) {
		o := o.(map[string]any)
		all = append(all, o["id"].(string))
		if o["kind"] == "user" {
			persons = append(persons, o["id"].(string))
		}
	}
	slices.Sort(all)
	slices.Sort(persons)
	if a.data["exists"] != r.focus || !slices.Equal(all, here) || !slices.Equal(persons, people) || int(a.data["participant_count"].(float64)) != len(people) {
		return fmt.Sprintf("\n%s: the service has %v want %v", r.name, all, here)
	}
	return ""
}
