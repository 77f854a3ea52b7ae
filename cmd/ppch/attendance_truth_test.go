package main

import (
	"context"
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"net/http"
	"os"
	"strconv"
	"sync"
	"testing"
	"time"

	"ppch/api/view"
	"ppch/prosody/prosodytest"
)

// TestAttendanceMatchesGroundTruth makes people join and leave at random, while Prosody and the service are killed.
// The recorded attendance must agree with what the people know, within the bounds that it states: no stay is missing,
// unless the stay was within a gap or shorter than the module's tick, and no stay is invented.
//
// PPCH_ATTENDANCE_SEEDS is the number of seeds (3), PPCH_ATTENDANCE_FIRST the first one, PPCH_ATTENDANCE_SECONDS the duration of each (15).
func TestAttendanceMatchesGroundTruth(t *testing.T) {
	t.Parallel()
	if testing.Short() {
		t.Skip("takes half a minute")
	}
	program := buildProgram(t)
	first, seeds, seconds := 1, 3, 15
	for name, n := range map[string]*int{"PPCH_ATTENDANCE_FIRST": &first, "PPCH_ATTENDANCE_SEEDS": &seeds, "PPCH_ATTENDANCE_SECONDS": &seconds} {
		if v := os.Getenv(name); v != "" {
			*n = must(strconv.Atoi(v))(t)
		}
	}
	for seed := first; seed < first+seeds; seed++ {
		t.Run(fmt.Sprintf("seed %d", seed), func(t *testing.T) {
			t.Parallel()
			w := newCrowd(t, program, uint64(seed))
			w.live(time.Duration(seconds) * time.Second)
			w.check()
		})
	}
}

// moment is a time that is known within bounds: before and after the server was asked.
type moment struct{ from, to time.Time }

// truth is a stay as the person knows it. A zero left means that it is still there.
type truth struct {
	nick         string
	joined, left moment
}

// crowd is a Prosody, a service with a store, and people in one room.
type crowd struct {
	t      *testing.T
	srv    *prosodytest.Server
	svc    *process
	room   string
	random *rand.Rand // of the faults

	// mu protects what follows.
	mu    sync.Mutex
	cast  *prosodytest.Cast
	all   []*truth
	there map[*prosodytest.Occupant]*truth
}

func newCrowd(t *testing.T, program string, seed uint64) *crowd {
	srv := prosodytest.New(t, prosodytest.Options{
		Module: true, HideRooms: true, ConflictResolve: "kick_old",
		GlobalConfig: "room_participants_heartbeat = 1", ModuleConstants: map[string]string{"ack_timeout": "2"},
	})
	w := &crowd{t: t, srv: srv, room: srv.Room("truth"), random: rand.New(rand.NewPCG(seed, 0)), there: map[*prosodytest.Occupant]*truth{}}
	w.cast = must(srv.Cast(t.Context()))(t)
	t.Cleanup(func() { _ = w.cast.Close() })
	env := envFor(srv)
	env["PPCH_DATA_DIR"], env["PPCH_HISTORY"] = t.TempDir(), "names"
	w.svc = startProcess(t, program, env)
	w.svc.ready(t)
	must(w.cast.Open(t.Context(), w.room))(t)
	return w
}

// live runs people and faults.
func (w *crowd) live(lasts time.Duration) {
	end := time.Now().Add(lasts)
	next := w.pause()
	for time.Now().Before(end) {
		w.step()
		time.Sleep(time.Duration(w.random.Int64N(int64(60 * time.Millisecond))))
		if time.Now().Before(next) {
			continue
		}
		switch w.random.IntN(3) {
		case 0:
			w.killProsody()
		case 1:
			w.svc.kill()
			for range w.random.IntN(10) { // some come and go unseen
				w.step()
			}
			w.svc.start()
		default: // a kill within a transaction, more likely than not
			w.step()
			w.svc.kill()
			w.svc.start()
		}
		next = w.pause()
	}
}

func (w *crowd) pause() time.Time {
	return time.Now().Add(time.Second + time.Duration(w.random.Int64N(int64(3*time.Second))))
}

// step lets a person join or leave.
func (w *crowd) step() {
	w.mu.Lock()
	defer w.mu.Unlock()
	ctx, cancel := context.WithTimeout(context.Background(), 20*time.Second)
	defer cancel()
	began := time.Now()
	if len(w.there) < 6 && w.random.IntN(2) == 0 {
		o, err := w.cast.User(ctx, w.room, "Person "+strconv.Itoa(len(w.all)))
		if err != nil {
			w.t.Fatal(err)
		}
		s := &truth{nick: o.Nick(), joined: moment{began, time.Now()}}
		w.all, w.there[o] = append(w.all, s), s
		return
	}
	for o, s := range w.there {
		if err := o.Leave(ctx); err != nil {
			w.t.Fatal(err)
		}
		s.left = moment{began, time.Now()}
		delete(w.there, o)
		_ = o.Close()
		return
	}
}

func (w *crowd) killProsody() {
	w.mu.Lock()
	defer w.mu.Unlock()
	ctx, cancel := context.WithTimeout(context.Background(), 30*time.Second)
	defer cancel()
	began := time.Now()
	if err := w.srv.Kill(); err != nil {
		w.t.Error(err)
	}
	_ = w.cast.Close()
	for o, s := range w.there {
		s.left = moment{began, time.Now()}
		delete(w.there, o)
	}
	if err := w.srv.Restart(ctx); err != nil {
		w.t.Fatal(err)
	}
	w.cast = must(w.srv.Cast(ctx))(w.t)
	must(w.cast.Open(ctx, w.room))(w.t)
}

// check compares the record with the truth.
func (w *crowd) check() {
	w.svc.ready(w.t) // it may have been started just now
	s := &service{t: w.t, url: w.svc.url, client: w.svc.client}
	var stays []view.Stay
	var gaps []view.Gap
	eventually(w.t, 40*time.Second, "the record has everyone who is there", func() bool {
		stays, gaps = w.record(s)
		present := 0
		for _, stay := range stays {
			if stay.Present {
				present++
			}
		}
		return present == len(w.there)
	})
	byNick := map[string][]view.Stay{}
	for _, stay := range stays {
		byNick[*stay.Nick] = append(byNick[*stay.Nick], stay)
	}
	missing := 0
	for _, truth := range w.all {
		recorded := byNick[truth.nick]
		switch {
		case len(recorded) == 0 && (inGap(gaps, truth) || truth.brief()):
			missing++
		case len(recorded) != 1:
			w.t.Errorf("%s: got %d stays for %s, gaps %s", truth.nick, len(recorded), truth, asJSON(gaps))
		default:
			w.compare(recorded[0], truth)
		}
		delete(byNick, truth.nick)
	}
	for nick, invented := range byNick {
		w.t.Errorf("%s: got %s, which no person had", nick, asJSON(invented))
	}
	w.t.Logf("%d stays are as recorded; %d were within one of %d gaps, or one tick", len(w.all)-missing, missing, len(gaps))
	if len(w.all)-missing < 10 {
		w.t.Errorf("only %d stays were recorded", len(w.all)-missing)
	}
}

// record returns all stays and gaps of the room's meetings.
func (w *crowd) record(s *service) (stays []view.Stay, gaps []view.Gap) {
	list := s.get("/api/meetings?limit=1000", "X-API-Key", testKey)
	var meetings view.Meetings
	if list.status != http.StatusOK || json.Unmarshal([]byte(list.body), &meetings) != nil {
		return nil, nil
	}
	seen := map[string]bool{}
	for _, m := range meetings.Meetings {
		var a view.Attendance
		got := s.get("/api/meetings/"+m.ID+"/attendance", "X-API-Key", testKey)
		if err := json.Unmarshal([]byte(got.body), &a); err != nil || got.status != http.StatusOK {
			return nil, nil
		}
		for _, p := range a.Attendees {
			stays = append(stays, p.Stays...)
		}
		for _, g := range a.Gaps {
			if !seen[g.From] {
				seen[g.From] = true
				gaps = append(gaps, g)
			}
		}
	}
	return stays, gaps
}

// compare checks that the bounds of a stay contain the truth.
func (w *crowd) compare(got view.Stay, truth *truth) {
	joined := must(view.ParseTime(&got.JoinedAt))(w.t)
	if !overlap(moment{joined, joined}, truth.joined) {
		w.t.Errorf("%s: got %s want a join at %s", truth.nick, asJSON(got), truth)
	}
	if truth.left.to.IsZero() != got.Present {
		w.t.Errorf("%s: got %s want %s", truth.nick, asJSON(got), truth)
	}
	if got.Present || truth.left.to.IsZero() {
		return
	}
	after, before := must(view.ParseTime(got.LeftAfter))(w.t), must(view.ParseTime(got.LeftBefore))(w.t)
	if !overlap(moment{after, before}, truth.left) {
		w.t.Errorf("%s: got %s want a leave at %s", truth.nick, asJSON(got), truth)
	}
}

// overlap reports whether two moments may be the same, within the tolerance of a loaded machine.
func overlap(a, b moment) bool {
	return !a.from.After(b.to.Add(slack)) && !b.from.After(a.to.Add(slack))
}

// inGap reports whether a stay may have been within one gap as a whole.
func inGap(gaps []view.Gap, s *truth) bool {
	if s.left.to.IsZero() {
		return false
	}
	for _, g := range gaps {
		from, _ := view.ParseTime(&g.From)
		to, _ := view.ParseTime(g.To)
		if to.IsZero() {
			to = time.Now()
		}
		if !s.joined.to.Before(from.Add(-slack)) && !s.left.from.After(to.Add(slack)) {
			return true
		}
	}
	return false
}

// brief reports whether a stay may have begun and ended within one batch of the module (its constant tick), which then doesn't have it.
func (s *truth) brief() bool {
	const tick = 50 * time.Millisecond
	return !s.left.to.IsZero() && s.left.from.Sub(s.joined.to) < 2*tick
}

func (s *truth) String() string {
	return fmt.Sprintf("joined %s–%s, left %s–%s", view.FormatTime(s.joined.from), view.FormatTime(s.joined.to), view.FormatTime(s.left.from), view.FormatTime(s.left.to))
}

func asJSON(v any) string {
	text, err := json.Marshal(v)
	if err != nil {
		return err.Error()
	}
	return string(text)
}
