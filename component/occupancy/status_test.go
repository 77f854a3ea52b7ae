package occupancy_test

import (
	"errors"
	"fmt"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"mellium.im/xmpp/jid"

	"ppch/component/componenttest"
	"ppch/component/occupancy"
)

// following returns the status of a domain whose module sends changes.
func following() occupancy.Status {
	return occupancy.Status{Connected: true, Since: time.Now(), Mode: occupancy.ModeModule}
}

// confirm loads and confirms the rooms of meeting on muc.
func confirm(t *testing.T, d *occupancy.Directory) {
	t.Helper()
	mainOf(d).Begin(muc, jitsi)
	check(t, mainOf(d).Apply(muc, synced(1, 3, fullRoom("daily@muc.meet.jitsi", focus, person("ann", 1), person("bob", 2))), time.Now()))
}

// connect makes muc live.
func connect(t *testing.T, d *occupancy.Directory) {
	t.Helper()
	mainOf(d).SetStatus(muc, following())
	confirm(t, d)
}

// statuses returns the pending status events, each as "domain live" or "domain reason".
func statuses(s *occupancy.Subscription) (all []string) {
	for {
		select {
		case e := <-s.Events():
			switch {
			case e.Kind != occupancy.EventStatus:
			case e.Domain.EventProblem == nil:
				all = append(all, e.Room.String()+" live")
			default:
				all = append(all, e.Room.String()+" "+string(e.Domain.EventProblem.Reason))
			}
		default:
			return all
		}
	}
}

func TestStatus_ReadsAndEvents(t *testing.T) {
	lost := &occupancy.UnavailableError{Reason: occupancy.ReasonLost}
	for _, c := range []struct {
		name   string
		happen func(t *testing.T, d *occupancy.Directory)
		// reasons of Problem, ReadProblem and EventProblem
		want string
	}{
		{"before the first connection", func(*testing.T, *occupancy.Directory) {}, `"connecting" "connecting" "connecting"`},
		{"the module is loaded, its rooms are loading", func(_ *testing.T, d *occupancy.Directory) {
			mainOf(d).SetStatus(muc, following())
		}, `"syncing" "syncing" "syncing"`},
		{"nothing comes for 15 s while they are loading", func(t *testing.T, d *occupancy.Directory) {
			mainOf(d).SetStatus(muc, following())
			time.Sleep(10 * time.Second)
			mainOf(d).Begin(muc, jitsi)
			time.Sleep(10 * time.Second)
			check(t, mainOf(d).Apply(muc, occupancy.Batch{Deltas: []occupancy.Delta{fullRoom("daily@muc.meet.jitsi", focus)}}, time.Now()))
			time.Sleep(15 * time.Second)
		}, `"syncing" "syncing" "syncing"`},
		{"nothing comes for longer", func(t *testing.T, d *occupancy.Directory) {
			mainOf(d).SetStatus(muc, following())
			mainOf(d).Begin(muc, jitsi)
			check(t, mainOf(d).Apply(muc, occupancy.Batch{Deltas: []occupancy.Delta{fullRoom("daily@muc.meet.jitsi", focus)}}, time.Now()))
			time.Sleep(15*time.Second + 1)
		}, `"timeout" "timeout" "timeout"`},
		{"the module was loaded long after the connection", func(_ *testing.T, d *occupancy.Directory) {
			s := occupancy.Status{Connected: true, Since: time.Now(), Mode: occupancy.ModeUndecided}
			mainOf(d).SetStatus(muc, s)
			time.Sleep(time.Hour)
			s.Mode = occupancy.ModeModule
			mainOf(d).SetStatus(muc, s)
		}, `"syncing" "syncing" "syncing"`},
		{"all rooms are loaded", func(t *testing.T, d *occupancy.Directory) {
			connect(t, d)
		}, `"" "" ""`},
		{"the connection is lost: reads show their age, streams aren't live", func(t *testing.T, d *occupancy.Directory) {
			connect(t, d)
			mainOf(d).SetStatus(muc, occupancy.Status{Problem: lost})
			time.Sleep(30 * time.Second)
		}, `"lost" "" "lost"`},
		{"it is lost for longer than MaxStaleness", func(t *testing.T, d *occupancy.Directory) {
			connect(t, d)
			mainOf(d).SetStatus(muc, occupancy.Status{Problem: lost})
			time.Sleep(30*time.Second + 1)
		}, `"lost" "lost" "lost"`},
		{"a new connection hasn't confirmed the rooms", func(t *testing.T, d *occupancy.Directory) {
			connect(t, d)
			mainOf(d).SetStatus(muc, occupancy.Status{Problem: lost})
			time.Sleep(time.Second)
			mainOf(d).SetStatus(muc, following())
		}, `"" "" "syncing"`},
		{"it has confirmed the rooms", func(t *testing.T, d *occupancy.Directory) {
			connect(t, d)
			mainOf(d).SetStatus(muc, occupancy.Status{Problem: lost})
			time.Sleep(time.Second)
			connect(t, d)
		}, `"" "" ""`},
		{"the module was silent for longer than a live domain may be", func(t *testing.T, d *occupancy.Directory) {
			connect(t, d)
			time.Sleep(15*time.Second + 1)
		}, `"" "" "timeout"`},
		{"the module was silent for longer than a replica may be read", func(t *testing.T, d *occupancy.Directory) {
			connect(t, d)
			time.Sleep(30*time.Second + 1)
		}, `"timeout" "timeout" "timeout"`},
		{"an old replica on a new connection", func(t *testing.T, d *occupancy.Directory) {
			connect(t, d)
			time.Sleep(30*time.Second + 1)
			s := following()
			s.Since = time.Now()
			mainOf(d).SetStatus(muc, s)
		}, `"syncing" "syncing" "syncing"`},
		{"the domain is no longer a MUC service, but its replica is fresh", func(t *testing.T, d *occupancy.Directory) {
			connect(t, d)
			s := following()
			s.Problem = &occupancy.UnavailableError{Reason: occupancy.ReasonNoMUC}
			mainOf(d).SetStatus(muc, s)
		}, `"no-muc" "" "no-muc"`},
		{"there is no module, so only single rooms can be queried", func(_ *testing.T, d *occupancy.Directory) {
			mainOf(d).SetStatus(muc, occupancy.Status{Connected: true, Mode: occupancy.ModeDisco})
		}, `"" "module-missing" "module-missing"`},
		{"rooms are hidden", func(_ *testing.T, d *occupancy.Directory) {
			mainOf(d).SetStatus(muc, occupancy.Status{Connected: true, Mode: occupancy.ModeExistence})
		}, `"" "module-missing" "module-missing"`},
		{"forgotten", func(t *testing.T, d *occupancy.Directory) {
			connect(t, d)
			mainOf(d).Forget(muc)
		}, `"syncing" "syncing" "syncing"`},
		{"of another domain", func(_ *testing.T, d *occupancy.Directory) {
			mainOf(d).SetStatus(lobby, following())
			mainOf(d).SetStatus(jid.MustParse("muc.example.com"), following())
		}, `"connecting" "connecting" "connecting"`},
	} {
		t.Run(c.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				d := occupancy.NewDirectory(muc, lobby)
				c.happen(t, d)
				domain, err := d.Domain(muc)
				check(t, err)
				if got := problems(domain); got != c.want {
					t.Errorf("got %s, want %s", got, c.want)
				}
				_, err = d.Room(daily)
				if readable := domain.ReadProblem == nil; (err == nil) != readable || reasonOf(err) != reason(domain.ReadProblem) {
					t.Errorf("got %v for a room, want the problem %v", err, domain.ReadProblem)
				}
				if ask := domain.Problem == nil && domain.Mode != occupancy.ModeModule; errors.Is(err, occupancy.ErrNoModule) != ask {
					t.Errorf("got %v, want that Prosody can be asked: %t", err, ask)
				}
			})
		})
	}
}

func TestStatus_RetryAtReplacesRetryAfter(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		d := occupancy.NewDirectory(muc)
		lost := &occupancy.UnavailableError{Reason: occupancy.ReasonLost, RetryAfter: time.Hour}
		mainOf(d).SetStatus(muc, occupancy.Status{Problem: lost, RetryAt: time.Now().Add(10 * time.Second)})
		for _, want := range []time.Duration{10 * time.Second, 4 * time.Second, time.Second} {
			var unknown *occupancy.UnavailableError
			if _, err := d.Room(daily); !errors.As(err, &unknown) || unknown.RetryAfter != want {
				t.Errorf("got %+v, want to ask again after %s", unknown, want)
			}
			time.Sleep(6 * time.Second)
		}
		if lost.RetryAfter != time.Hour {
			t.Error("the problem of the owner was changed")
		}
	})
}

func TestStatus_ChangesAreEvents(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		d := occupancy.NewDirectory(muc, lobby)
		s, ofLobby := d.Subscribe(100), d.Subscribe(100, jid.MustParse("daily@lobby.meet.jitsi"))
		lost := occupancy.Status{Problem: &occupancy.UnavailableError{Reason: occupancy.ReasonLost}}
		for _, step := range []struct {
			name   string
			happen func()
			want   []string
		}{
			{"the module is loaded", func() { mainOf(d).SetStatus(muc, following()) }, []string{"muc.meet.jitsi syncing"}},
			{"the same", func() { mainOf(d).SetStatus(muc, following()) }, nil},
			{"all rooms are loaded", func() { confirm(t, d) }, []string{"muc.meet.jitsi live"}},
			{"they are confirmed again", func() { apply(t, d, time.Now(), synced(1, 3)) }, nil},
			{"the connection is lost", func() { mainOf(d).SetStatus(muc, lost) }, []string{"muc.meet.jitsi lost"}},
			{"another try fails", func() {
				lost.RetryAt = time.Now().Add(time.Minute)
				mainOf(d).SetStatus(muc, lost)
			}, nil},
			{"a new connection", func() {
				time.Sleep(time.Second)
				mainOf(d).SetStatus(muc, following())
			}, []string{"muc.meet.jitsi syncing"}},
			{"and the rooms are confirmed", func() { apply(t, d, time.Now(), synced(1, 3)) }, []string{"muc.meet.jitsi live"}},
			{"the module is unloaded", func() {
				mainOf(d).Forget(muc)
				mainOf(d).SetStatus(muc, occupancy.Status{Connected: true, Mode: occupancy.ModeUndecided})
			}, []string{"muc.meet.jitsi syncing", "muc.meet.jitsi module-missing"}},
			{"a room shows what can be asked", func() {
				mainOf(d).SetStatus(muc, occupancy.Status{Connected: true, Mode: occupancy.ModeDisco})
			}, []string{"muc.meet.jitsi module-missing"}},
			{"another domain", func() { mainOf(d).SetStatus(lobby, following()) }, []string{"lobby.meet.jitsi syncing"}},
		} {
			step.happen()
			same(t, step.name, step.want, statuses(s))
		}
		same(t, "of rooms of another domain", []string{"lobby.meet.jitsi syncing"}, statuses(ofLobby))
	})
}

func TestStatus_EventFollowsItsCause(t *testing.T) {
	d := occupancy.NewDirectory(muc)
	mainOf(d).SetStatus(muc, occupancy.Status{Connected: true, Since: at(0), Mode: occupancy.ModeModule})
	s := d.Subscribe(100)
	confirm(t, d)
	apply(t, d, time.Now(), joins(1)...)
	mainOf(d).Forget(muc)
	var got []string
	for len(s.Events()) > 0 {
		e := <-s.Events()
		got = append(got, fmt.Sprint(e.Kind, " ", e.Seq > 0))
	}
	want := []string{"reset true", "status false", "joined true", "reset true", "status false"}
	same(t, "statuses", want, got)
}

func TestRun_PublishesExpiry(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		d := occupancy.NewDirectory(muc, lobby)
		defer componenttest.Run(t, d.Run)()
		time.Sleep(time.Minute) // so that Run has begun long ago
		s := d.Subscribe(100)
		connect(t, d)
		for range 10 {
			time.Sleep(5 * time.Second)
			apply(t, d, time.Now(), synced(1, 3))
		}
		want := []string{"muc.meet.jitsi syncing", "muc.meet.jitsi live"}
		same(t, "while the module sends", want, statuses(s))
		time.Sleep(15 * time.Second)
		if got := statuses(s); got != nil {
			t.Errorf("got %q after 15 s", got)
		}
		time.Sleep(time.Millisecond)
		same(t, "after more than 15 s", []string{"muc.meet.jitsi timeout"}, statuses(s))
		time.Sleep(15 * time.Second)
		e := status(t, s)
		if e.Domain.ReadProblem == nil || time.Since(e.At) > 2*time.Millisecond {
			t.Errorf("got %+v, want that rooms can't be read any more", e)
		}
		statuses(s)
		mainOf(d).SetStatus(lobby, following())
		time.Sleep(15*time.Second + time.Millisecond)
		same(t, "after more than 15 s of loading", []string{"lobby.meet.jitsi syncing", "lobby.meet.jitsi timeout"}, statuses(s))
	})
}

// status returns the next event, which has to be in a stream.
func status(t *testing.T, s *occupancy.Subscription) occupancy.Event {
	t.Helper()
	select {
	case e := <-s.Events():
		return e
	default:
		t.Fatal("no event")
		return occupancy.Event{}
	}
}

func TestUnanswered_SignalsFailedReads(t *testing.T) {
	d := occupancy.NewDirectory(muc)
	signalled := func() bool {
		select {
		case <-mainOf(d).Unanswered():
			return true
		default:
			return false
		}
	}
	for _, c := range []struct {
		name string
		read func()
		want bool
	}{
		{"a room", func() { _, _ = d.Room(daily) }, true},
		{"a room in short", func() { _, _ = d.RoomSummary(daily) }, true},
		{"a list", func() { _, _ = d.Rooms(occupancy.Query{}) }, true},
		{"statistics", func() { _, _ = d.Stats(occupancy.Query{}) }, true},
		{"a domain that isn't watched", func() { _, _ = d.Room(jid.MustParse("a@muc.example.com")) }, false},
		{"the status", func() { d.Domains() }, false},
		{"metrics", func() { _, _ = d.Totals(muc) }, false},
		{"the history", func() { _, _ = d.LiveTotals() }, false},
		{"a snapshot for a stream", func() { d.Snapshot() }, false},
		{"a room while there is a connection", func() {
			mainOf(d).SetStatus(muc, following())
			_, _ = d.Room(daily)
		}, false},
	} {
		if c.read(); signalled() != c.want {
			t.Errorf("%s: got a signal: %t", c.name, !c.want)
		}
	}
}

// The domain is forgotten and loaded during reads: no read may return an empty result.
func TestDirectory_ForgetDuringReads(t *testing.T) {
	d := occupancy.NewDirectory(muc, lobby)
	mainOf(d).SetStatus(muc, following())
	confirm(t, d)
	done := make(chan struct{})
	var reading sync.WaitGroup
	for range 2 {
		reading.Go(func() {
			for {
				select {
				case <-done:
					return
				default:
				}
				for _, by := range []occupancy.Order{occupancy.ByName, occupancy.ByParticipants} {
					if page, err := d.Rooms(occupancy.Query{Type: occupancy.RoomMain, By: by}); err == nil && len(page.Rooms) != 1 {
						t.Errorf("got a list of %d rooms", len(page.Rooms))
						return
					}
				}
				if s, err := d.Stats(occupancy.Query{Domain: muc.String()}); err == nil && (s[0].Rooms != 1 || s[0].Largest.Participants != 2) {
					t.Errorf("got %+v", s)
					return
				}
				if totals, err := d.Totals(muc); err == nil && totals.Rooms != 1 {
					t.Errorf("got %+v", totals)
					return
				}
				if room, err := d.Room(daily); err == nil && room.Participants != 2 {
					t.Errorf("got %+v", room)
					return
				}
				if g, err := d.RoomSummary(daily); err == nil && g.Participants != 2 {
					t.Errorf("got %+v", g)
					return
				}
				snapshot := d.Snapshot()
				rooms := 0
				for range snapshot.Rooms(0) {
					rooms++
				}
				if known := snapshot.Domains()[0].Known; known != (rooms == 1) {
					t.Errorf("got a snapshot of %d rooms, known %t", rooms, known)
					return
				}
			}
		})
	}
	for range 3000 {
		mainOf(d).Forget(muc)
		confirm(t, d)
	}
	close(done)
	reading.Wait()
}

// What a room shows of another one is no older than it could be if that were read itself.
func TestRoom_StaleRelatedRooms(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		d := occupancy.NewDirectory(muc, breakout)
		mainOf(d).SetStatus(muc, following())
		mainOf(d).SetStatus(breakout, following())
		mainOf(d).Begin(breakout, jitsi)
		check(t, mainOf(d).Apply(breakout, synced(1, 1, fullRoom("b@breakout.meet.jitsi", person("cyd", 1))), time.Now()))
		mainOf(d).Begin(muc, jitsi)
		apply(t, d, time.Now(), synced(1, 1, occupancy.Delta{
			Room: "daily@muc.meet.jitsi", New: true, Present: []occupancy.Occupant{person("ann", 1)},
			Facts: &occupancy.RoomFacts{Breakouts: []occupancy.Breakout{{JID: "b@breakout.meet.jitsi"}}},
		}))
		before, err := d.RoomSummary(daily)
		check(t, err)
		if room, err := d.Room(daily); err != nil || !room.Breakouts[0].Known || room.Breakouts[0].Participants != 1 {
			t.Errorf("got %+v, %v want a breakout room of one", room.Breakouts, err)
		}
		for range 7 {
			time.Sleep(5 * time.Second)
			apply(t, d, time.Now(), synced(1, 1)) // of muc alone
		}
		if room, err := d.Room(daily); err != nil || room.Breakouts[0].Known {
			t.Errorf("got %+v, %v want an unknown breakout room", room.Breakouts, err)
		}
		if after, err := d.RoomSummary(daily); err != nil || after.Fingerprint == before.Fingerprint {
			t.Errorf("got the state of before, %v", err)
		}
	})
}
