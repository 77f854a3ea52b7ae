package main

import (
	"context"
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"

	"ppch/api/view"
	"ppch/component/occupancy"
	"ppch/prosody/prosodytest"
)

// state is a true state of a room. It began between began, when it was requested of Prosody, and sure, when that was done.
type state struct {
	began, sure time.Time
	exists      bool
	people      string // their nicks, sorted
}

// roomActor makes people join and leave one room, one after the other, and so knows its true state.
type roomActor struct {
	*venue
	name, jid string
	random    *rand.Rand

	focus  bool
	people []*prosodytest.Occupant
	others []*prosodytest.Occupant
	came   int
	ever   map[string]bool // the nicks of all people so far

	// mu protects what follows.
	mu      sync.Mutex
	history []state
	answers []statement
}

// statement is a response of the service.
type statement struct {
	at, asOf time.Time
	exists   bool
	people   string
}

func newRoomActor(v *venue, name string, random *rand.Rand) *roomActor {
	now := time.Now()
	return &roomActor{venue: v, name: name, jid: v.srv.Room(name), random: random, ever: map[string]bool{}, history: []state{{began: now, sure: now}}}
}

// act changes the room at random until ctx ends.
func (r *roomActor) act(ctx context.Context) {
	for ctx.Err() == nil {
		r.quiet.RLock()
		r.step(ctx)
		r.quiet.RUnlock()
		select {
		case <-ctx.Done():
		case <-time.After(time.Duration(r.random.Int64N(int64(r.pace)))):
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
		_, err = r.cast.Open(ctx, r.jid)
		r.focus = true
	case n < 9 && len(r.people) < 8:
		r.came++
		var o *prosodytest.Occupant
		if o, err = r.cast.User(ctx, r.jid, "Person "+strconv.Itoa(r.came)); err == nil {
			r.people = append(r.people, o)
		}
	case n == 19 && len(r.others) == 0:
		var o *prosodytest.Occupant
		if o, err = r.cast.Recorder(ctx, r.jid); err == nil {
			r.others = append(r.others, o)
		}
	case n == 18:
		err = r.cast.Focus.Destroy(ctx, r.jid, "")
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
		if err = r.cast.Focus.Kick(ctx, r.jid, o.Nick(), ""); err == nil {
			err = o.Close()
		}
	case n == 15:
		err = r.people[r.random.IntN(len(r.people))].Rename(ctx, prosodytest.Nick())
	default:
		o := r.people[r.random.IntN(len(r.people))]
		err = o.Update(ctx, prosodytest.DisplayName("Person, "+strconv.Itoa(r.random.IntN(100))), "<jitsi_participant_raisedHand>1</jitsi_participant_raisedHand>")
	}
	if err != nil {
		r.t.Errorf("%s: %v", r.name, err)
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

// nicks returns the nicks of people, sorted and separated by blanks.
func nicks(people []*prosodytest.Occupant) string {
	var all []string
	for _, o := range people {
		all = append(all, o.Nick())
	}
	return sorted(all)
}

// sorted returns words in order, separated by blanks.
func sorted(words []string) string {
	slices.Sort(words)
	return strings.Join(words, " ")
}

// now records the state that began after began and is certain now.
func (r *roomActor) now(began time.Time) {
	r.mu.Lock()
	defer r.mu.Unlock()
	s := state{began: began, sure: time.Now(), exists: r.focus, people: nicks(r.people)}
	for _, o := range r.people {
		r.ever[o.Nick()] = true
	}
	if last := r.history[len(r.history)-1]; last.exists != s.exists || last.people != s.people {
		r.history = append(r.history, s)
	}
}

// vanish records that Prosody has destroyed the room.
func (r *roomActor) vanish(began time.Time) {
	r.focus, r.people, r.others = false, nil, nil
	r.now(began)
}

// peopleIn returns the ids of people and visitors among occupants, sorted and separated by blanks.
func peopleIn(occupants []view.OccupantDetail) string {
	var all []string
	for _, o := range occupants {
		if o.Kind == occupancy.KindUser || o.Kind == occupancy.KindVisitor {
			all = append(all, o.ID)
		}
	}
	return sorted(all)
}

// ask polls a service until ctx ends.
func (r *roomActor) ask(ctx context.Context, svc *process) {
	for ctx.Err() == nil {
		a, err := svc.room(ctx, r.name)
		if err == nil && a.status == http.StatusOK {
			var room view.Room
			err := json.Unmarshal([]byte(a.body), &room)
			asOf, _ := view.ParseTime(&room.AsOf)
			if err != nil || asOf.IsZero() || room.Source != occupancy.SourceModule || !room.Exact || room.ParticipantCount != len(strings.Fields(peopleIn(room.Occupants))) {
				r.t.Errorf("%s: got %s", r.name, a.body)
			}
			r.mu.Lock()
			r.answers = append(r.answers, statement{time.Now(), asOf, room.Exists, peopleIn(room.Occupants)})
			r.mu.Unlock()
		} else if err == nil && a.status != http.StatusServiceUnavailable {
			r.t.Errorf("%s: got %s", r.name, statusOf(a, err))
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
		if !r.was(a.exists, a.people, a.asOf.Add(-slack), a.asOf.Add(slack)) {
			if wrong++; wrong <= 3 {
				r.t.Errorf("%s: at %s it was said that as of %s exists was %t and [%s] were there; but:%s",
					r.name, a.at.Format("05.000"), a.asOf.Format("05.000"), a.exists, a.people, r.around(a.asOf))
			}
		}
	}
	return len(r.answers)
}

// was reports whether the room may have been in a state at some time between two.
func (r *roomActor) was(exists bool, people string, from, to time.Time) bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	for i, s := range r.history {
		if s.began.After(to) {
			break
		}
		over := i+1 < len(r.history) && r.history[i+1].sure.Before(from)
		if !over && s.exists == exists && s.people == people {
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
			fmt.Fprintf(&b, "\n  %s to %s: %t, [%s]", s.began.Format("05.000"), s.sure.Format("05.000"), s.exists, s.people)
		}
	}
	return b.String()
}

// inProsody returns how Prosody's occupants differ from those who should be there. No one moves meanwhile.
func (r *roomActor) inProsody(prosody string) string {
	all := strings.Fields(nicks(slices.Concat(r.people, r.others)))
	if r.focus {
		all = append(all, "focus")
	}
	if want := sorted(all); want != prosody {
		return fmt.Sprintf("\n%s: Prosody has %q want %q", r.name, prosody, want)
	}
	return ""
}

// compare returns the differences between service, Prosody and people. No one moves meanwhile.
func (r *roomActor) compare(prosody string, svc *process) string {
	if wrong := r.inProsody(prosody); wrong != "" {
		return wrong
	}
	a, err := svc.room(context.Background(), r.name)
	if err != nil || a.status != http.StatusOK {
		return fmt.Sprintf("\n%s: %s", r.name, statusOf(a, err))
	}
	var room view.Room
	if err := json.Unmarshal([]byte(a.body), &room); err != nil {
		return fmt.Sprintf("\n%s: %v", r.name, err)
	}
	var all []string
	for _, o := range room.Occupants {
		all = append(all, o.ID)
	}
	if got := sorted(all); got != prosody || room.Exists != r.focus || peopleIn(room.Occupants) != nicks(r.people) || room.ParticipantCount != len(r.people) {
		return fmt.Sprintf("\n%s: the service has %s want %s", r.name, got, prosody)
	}
	return ""
}
