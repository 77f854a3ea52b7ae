package main

import (
	"context"
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"net/http"
	"slices"
	"strconv"
	"testing"
	"time"

	"ppch/api/view"
	"ppch/prosody/prosodytest"
)

// tick is how long the module gathers changes.
const tick = 50 * time.Millisecond

// late is how much later a Prosody without processor time may send a change. Few changes may be later than the tick and slack.
const late = 3 * time.Second

// moment is a time that is known within bounds: before and after the server was asked.
type moment struct{ from, to time.Time }

// truth is a stay as the person knows it. A zero left means that it is still there.
type truth struct {
	room, nick   string
	joined, left moment
	reason       string // why it left; empty if Prosody died
	silent       bool   // whether the module may not have sent the reason
}

// crowd is a Prosody, a service with a store, and people in its rooms. It is for one goroutine.
type crowd struct {
	t      *testing.T
	srv    *prosodytest.Server
	svc    *process
	folder string // of the store
	rooms  []string
	random *rand.Rand

	cast  *prosodytest.Cast
	all   []*truth
	there map[*prosodytest.Occupant]*truth
	late  int // stays of which the module sent a change late, or both at once
}

// impatient is a module that soon gives up a service that acknowledges nothing.
var impatient = map[string]string{"ack_timeout": "2"}

// newCrowd starts them, with a module that has other constants. The rooms aren't open yet.
func newCrowd(t *testing.T, program string, seed uint64, module map[string]string, rooms ...string) *crowd {
	srv := prosodytest.New(t, prosodytest.Options{
		Module: true, HideRooms: true, ConflictResolve: "kick_old",
		GlobalConfig: "room_participants_heartbeat = 1", ModuleConstants: module,
	})
	w := &crowd{t: t, srv: srv, folder: t.TempDir(), random: rand.New(rand.NewPCG(seed, 0)), there: map[*prosodytest.Occupant]*truth{}}
	w.cast = must(srv.Cast(t.Context()))(t)
	t.Cleanup(func() { _ = w.cast.Close() })
	env := envFor(srv)
	env["PPCH_DATA_DIR"], env["PPCH_HISTORY"], env["PPCH_WEBHOOK_ALLOW"] = w.folder, "names", "127.0.0.1"
	w.svc = startProcess(t, program, env)
	w.svc.ready(t)
	for _, name := range rooms {
		w.rooms = append(w.rooms, srv.Room(name))
	}
	return w
}

// service returns the client of the service.
func (w *crowd) service() *service { return &service{t: w.t, url: w.svc.url, client: w.svc.client} }

// lives reports whether people and faults go on: until a time, and on a slow machine until enough people came.
func (w *crowd) lives(end time.Time) bool { return time.Now().Before(end) || len(w.all) < 40 }

// open opens all rooms.
func (w *crowd) open(ctx context.Context) {
	for _, room := range w.rooms {
		must(w.cast.Open(ctx, room))(w.t)
	}
}

// step lets a person join or leave, or now and then destroys a room.
func (w *crowd) step() {
	ctx, cancel := context.WithTimeout(w.t.Context(), 20*time.Second)
	defer cancel()
	room := w.rooms[w.random.IntN(len(w.rooms))]
	switch n := w.random.IntN(40); {
	case n == 0:
		w.destroy(ctx, room)
	case n < 20 && len(w.there) < 6+len(w.rooms):
		w.join(ctx, room)
	default:
		for o := range w.there {
			began := time.Now()
			check(w.t, o.Leave(ctx))
			w.gone(o, moment{began, time.Now()}, "left")
			_ = o.Close()
			return
		}
	}
}

// join lets a person join a room, and returns its nick.
func (w *crowd) join(ctx context.Context, room string) string {
	began := time.Now()
	o := must(w.cast.User(ctx, room, "Person "+strconv.Itoa(len(w.all))))(w.t)
	s := &truth{room: room, nick: o.Nick(), joined: moment{began, time.Now()}}
	w.all, w.there[o] = append(w.all, s), s
	return s.nick
}

// gone notes that a person has left.
func (w *crowd) gone(o *prosodytest.Occupant, left moment, reason string) {
	w.there[o].left, w.there[o].reason = left, reason
	delete(w.there, o)
}

// destroy ends a room, and opens another in its place. Within one tick of the module that leaves no reasons for what happened in it.
func (w *crowd) destroy(ctx context.Context, room string) {
	began := time.Now()
	check(w.t, w.cast.Focus.Destroy(ctx, room, ""))
	for o, s := range w.there {
		if s.room == room {
			w.gone(o, moment{began, time.Now()}, "room-destroyed")
			_ = o.Close()
		}
	}
	if w.random.IntN(4) == 0 {
		time.Sleep(time.Second)
	} else {
		for _, s := range w.all {
			s.silent = s.silent || s.room == room && began.Sub(s.left.to) < time.Second
		}
	}
	must(w.cast.Open(ctx, room))(w.t)
}

// killProsody ends all rooms with everyone in them, and opens them again.
func (w *crowd) killProsody() {
	ctx, cancel := context.WithTimeout(w.t.Context(), 30*time.Second)
	defer cancel()
	began := time.Now()
	if err := w.srv.Kill(); err != nil {
		w.t.Error(err)
	}
	_ = w.cast.Close()
	for o := range w.there {
		w.gone(o, moment{began, time.Now()}, "")
	}
	check(w.t, w.srv.Restart(ctx))
	w.cast = must(w.srv.Cast(ctx))(w.t)
	w.open(ctx)
}

// checkAttendance compares the record with the truth, and returns it.
func (w *crowd) checkAttendance() (stays []view.Stay, gaps []view.Gap) {
	w.svc.ready(w.t) // it may have been started just now
	s, last := w.service(), w.join(w.t.Context(), w.rooms[0])
	eventually(w.t, 40*time.Second, "the record has the last person, and so all before", func() bool {
		stays, _, ok := w.record(s)
		return ok && slices.ContainsFunc(stays, func(stay view.Stay) bool { return *stay.Nick == last })
	})
	stays, gaps, _ = w.record(s) // each meeting is read on its own, some of them before the last person was there
	byNick := map[string][]view.Stay{}
	for _, stay := range stays {
		byNick[*stay.Nick] = append(byNick[*stay.Nick], stay)
	}
	missing := 0
	for _, truth := range w.all {
		recorded := byNick[truth.nick]
		switch {
		case len(recorded) == 0 && (truth.within(gaps) || w.brief(truth)):
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
	if len(w.all)-missing < 5 || w.late > len(w.all)/5 {
		w.t.Errorf("%d of %d stays were recorded, %d of them late", len(w.all)-missing, len(w.all), w.late)
	}
	return stays, gaps
}

// record returns all stays and gaps of the meetings, and false if the store isn't open yet.
func (w *crowd) record(s *service) (stays []view.Stay, gaps []view.Gap, ok bool) {
	list := s.get("/api/meetings?limit=1000", "X-API-Key", testKey)
	var meetings view.Meetings
	if list.status != http.StatusOK || json.Unmarshal([]byte(list.body), &meetings) != nil {
		return nil, nil, false
	}
	for _, m := range meetings.Meetings {
		var a view.Attendance
		got := s.get("/api/meetings/"+m.ID+"/attendance", "X-API-Key", testKey)
		if err := json.Unmarshal([]byte(got.body), &a); err != nil || got.status != http.StatusOK {
			return nil, nil, false
		}
		for _, p := range a.Attendees {
			stays = append(stays, p.Stays...)
		}
		for _, g := range a.Gaps {
			if !slices.ContainsFunc(gaps, func(other view.Gap) bool { return other.From == g.From }) {
				gaps = append(gaps, g)
			}
		}
	}
	return stays, gaps, true
}

// compare checks that the bounds of a stay contain the truth.
func (w *crowd) compare(got view.Stay, truth *truth) {
	joined := must(view.ParseTime(&got.JoinedAt))(w.t)
	if !overlap(moment{joined, joined}, truth.joined) || got.RoomJID != truth.room {
		w.t.Errorf("%s: got %s want a join at %s", truth.nick, asJSON(got), truth)
	}
	if truth.left.to.IsZero() != got.Present {
		w.t.Errorf("%s: got %s want %s", truth.nick, asJSON(got), truth)
	}
	if got.Present || truth.left.to.IsZero() {
		return
	}
	after, before := must(view.ParseTime(got.LeftAfter))(w.t), must(view.ParseTime(got.LeftBefore))(w.t)
	if after.After(truth.left.to.Add(slack)) && after.Before(truth.left.to.Add(late)) {
		w.late++
		after = truth.left.to
	}
	if !overlap(moment{after, before}, truth.left) {
		w.t.Errorf("%s: got %s want a leave at %s", truth.nick, asJSON(got), truth)
	}
	if got.Reason != nil && *got.Reason != truth.reason || got.Reason == nil && after.Equal(before) && !truth.silent {
		w.t.Errorf("%s: got %s want it %q", truth.nick, asJSON(got), truth.reason)
	}
}

// overlap reports whether two moments may be the same, within the tolerance of a loaded machine.
func overlap(a, b moment) bool {
	return !a.from.After(b.to.Add(slack)) && !b.from.After(a.to.Add(slack))
}

// within reports whether a stay may have been within one gap as a whole.
func (s *truth) within(gaps []view.Gap) bool {
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

// brief reports whether a stay may have begun and ended within one tick of the module, which then doesn't send it.
func (w *crowd) brief(s *truth) bool {
	stayed := s.left.from.Sub(s.joined.to)
	if s.left.to.IsZero() || stayed > late {
		return false
	}
	if stayed > 2*tick {
		w.late++
	}
	return true
}

func (s *truth) String() string {
	return fmt.Sprintf("joined %s–%s, left %s–%s %s", view.FormatTime(s.joined.from), view.FormatTime(s.joined.to), view.FormatTime(s.left.from), view.FormatTime(s.left.to), s.reason)
}

func asJSON(v any) string {
	text, err := json.Marshal(v)
	if err != nil {
		return err.Error()
	}
	return string(text)
}
