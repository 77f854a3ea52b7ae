package component_test

import (
	"fmt"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"ppch/component"
	"ppch/component/occupancy"
)

// After a freeze, batches from the socket may arrive before the follower notices the silence.
func TestFollow_LateBatchResyncs(t *testing.T) {
	const late = 13 * time.Second // between two checks for silence
	follow(t, func(m *module, epoch string) {
		m.send(epoch, 1, 100, synced, oneRoom)
		if epoch == "e1" {
			time.Sleep(late)
			m.send(epoch, 2, 101, synced, "")
		}
	}, func(t *testing.T, c *component.Component, m *module) {
		time.Sleep(late + time.Second)
		synctest.Wait()
		if n := m.subscriptions(); n != 2 {
			t.Errorf("got %d subscriptions want another one at once", n)
		}
		if got, err := c.Room(t.Context(), room("planning")); err != nil || time.Since(got.AsOf) > time.Second {
			t.Errorf("got %+v, %v want the new replica", got, err)
		}
	})
}

func TestFollow_DelayedBatchKeepsItsAge(t *testing.T) {
	follow(t, func(m *module, epoch string) {
		m.send(epoch, 1, 100, synced, oneRoom)
		time.Sleep(4 * time.Second)
		m.send(epoch, 2, 101, synced, "") // three seconds late
	}, func(t *testing.T, c *component.Component, _ *module) {
		first := must(c.Room(t.Context(), room("planning")))(t)
		time.Sleep(4 * time.Second)
		synctest.Wait()
		second, err := c.Room(t.Context(), room("planning"))
		if age := second.AsOf.Sub(first.AsOf); err != nil || age != time.Second {
			t.Errorf("as of %s later, %v want a second, by Prosody's clock", age, err)
		}
	})
}

func TestFollow_QuickBatchSetsTheClock(t *testing.T) {
	for slow, want := range map[time.Duration]time.Duration{
		700 * time.Millisecond: 0,
		3 * time.Second:        3 * time.Second, // a slow answer never makes data look younger
	} {
		var sent time.Time
		follow(t, func(m *module, epoch string) {
			sent = time.Now()
			m.send(epoch, 1, 100.001, synced, oneRoom)
		}, func(t *testing.T, c *component.Component, _ *module) {
			time.Sleep(2 * slow) // a slow answer is asked for twice
			synctest.Wait()
			got, err := c.Room(t.Context(), room("planning"))
			if early := sent.Sub(got.AsOf); err != nil || (early-want).Abs() > time.Millisecond {
				t.Errorf("asked for %s: got as of %s too early, %v want %s", slow, early, err, want)
			}
		}, func(m *module) { m.slow = slow })
	}
}

// A Prosody that was frozen answers a question from that time late, and everything after that quickly.
func TestFollow_LateAnswerSetsNoClock(t *testing.T) {
	var sent time.Time
	follow(t, func(m *module, epoch string) {
		sent = time.Now()
		m.send(epoch, 1, 100.001, synced, oneRoom)
	}, func(t *testing.T, c *component.Component, m *module) {
		time.Sleep(4 * time.Second)
		synctest.Wait()
		got, err := c.Room(t.Context(), room("planning"))
		if early := sent.Sub(got.AsOf); err != nil || early.Abs() > 10*time.Millisecond {
			t.Errorf("got as of %s too early, %v want the time of the batch", early, err)
		}
		if n := m.subscriptions(); n != 2 {
			t.Errorf("got %d subscriptions want 2", n)
		}
	}, func(m *module) { m.slow, m.recovers = 3*time.Second, true })
}

func TestRoom_StaleReplicaIsUnknown(t *testing.T) {
	follow(t, func(m *module, epoch string) {
		if epoch == "e1" {
			m.send(epoch, 1, 100, synced, oneRoom)
		}
	}, func(t *testing.T, c *component.Component, _ *module) {
		time.Sleep(25 * time.Second)
		if got, err := c.Room(t.Context(), room("planning")); err != nil || time.Since(got.AsOf) < 25*time.Second {
			t.Errorf("got %+v, %v want the old replica with its age", got, err)
		}
		time.Sleep(6 * time.Second)
		if got, err := c.Room(t.Context(), room("planning")); reasonOf(err) != occupancy.ReasonTimeout {
			t.Errorf("got %+v, %v want timeout after 30 s", got, err)
		}
		if problem := c.Main().CountProblem(); problem == nil || problem.Reason != occupancy.ReasonTimeout {
			t.Errorf("problem got %v want timeout", problem)
		}
	})
}

// A Prosody that freezes before all rooms are loaded is one that doesn't answer: nothing is loading.
func TestFollow_FrozenWhileLoading(t *testing.T) {
	reasons := func(t *testing.T, c *component.Component) {
		t.Helper()
		for _, look := range []struct {
			after time.Duration
			want  occupancy.Reason
		}{{14 * time.Second, occupancy.ReasonSyncing}, {2 * time.Second, occupancy.ReasonTimeout}, {20 * time.Second, occupancy.ReasonTimeout}} {
			time.Sleep(look.after)
			synctest.Wait()
			got := c.Main().CountProblem()
			if got == nil || got.Reason != look.want {
				t.Errorf("%s later: got %v want %s", look.after, got, look.want)
			}
			if got != nil && look.want == occupancy.ReasonTimeout && !strings.HasPrefix(got.Remedy, "Prosody has sent nothing about the rooms of muc.meet.jitsi for ") {
				t.Errorf("got %s", got.Remedy)
			}
		}
	}
	t.Run("before it answers", func(t *testing.T) {
		follow(t, nil, func(t *testing.T, c *component.Component, _ *module) { reasons(t, c) }, func(m *module) { m.deaf = true })
	})
	t.Run("after a page of the snapshot", func(t *testing.T) {
		follow(t, func(m *module, epoch string) {
			m.send(epoch, 1, 100, "", oneRoom)
			m.freeze()
		}, func(t *testing.T, c *component.Component, _ *module) { reasons(t, c) })
	})
}

// A large snapshot takes as long as it takes: each page shows that Prosody answers.
func TestFollow_SlowSnapshotIsLoading(t *testing.T) {
	follow(t, func(m *module, epoch string) {
		for i := range 10 {
			m.send(epoch, i+1, 100+float64(4*i), "", strings.ReplaceAll(oneRoom, "planning", fmt.Sprintf("room%d", i)))
			time.Sleep(4 * time.Second)
		}
		m.send(epoch, 11, 140, "synced='1' rooms='10' occupants='10'", "")
	}, func(t *testing.T, c *component.Component, _ *module) {
		for range 39 {
			if got := c.Main().CountProblem(); got == nil || got.Reason != occupancy.ReasonSyncing {
				t.Errorf("got %v want syncing", got)
			}
			time.Sleep(time.Second)
		}
		time.Sleep(2 * time.Second)
		if got := c.Main().CountProblem(); got != nil {
			t.Errorf("got %v want all rooms", got)
		}
	})
}

func TestClockOffset_UpperBound(t *testing.T) {
	for name, c := range map[string]struct {
		timed bool
		by    time.Duration
		slow  time.Duration
		want  string
	}{
		"a module without a time": {want: "<nil>"},
		"the same time":           {timed: true, want: "0s"},
		"an hour ahead":           {timed: true, by: time.Hour, want: "1h0m0s"},
		"an hour behind":          {timed: true, by: -time.Hour, want: "-1h0m0s"},
		"a slow answer":           {timed: true, by: -2 * time.Second, slow: 3 * time.Second, want: "0s"},
	} {
		t.Run(name, func(t *testing.T) {
			batches := func(m *module, epoch string) { m.send(epoch, 1, 100, synced, oneRoom) }
			follow(t, batches, func(t *testing.T, component *component.Component, _ *module) {
				time.Sleep(2 * c.slow) // a slow answer is asked for twice
				synctest.Wait()
				got := "<nil>"
				if ahead := component.Diagnostics().Domains[0].Sync.Ahead; ahead != nil {
					got = ahead.String()
				}
				if got != c.want {
					t.Errorf("got %s want %s", got, c.want)
				}
			}, func(m *module) { m.timed, m.ahead, m.slow = c.timed, c.by, c.slow })
		})
	}
}

// joined is a line of Ann, who joined now by Prosody's clock, which is ahead of ours.
func joined(ahead time.Duration) string {
	return fmt.Sprintf("<room jid='planning@muc.meet.jitsi' new='1' facts='1' created='%d'>+\tann\tann@meet.jitsi/x\tparticipant\tnone\t%d\n</room>",
		time.Now().Add(ahead-time.Minute).UnixMilli(), time.Now().Add(ahead).UnixMilli())
}

func TestClock_TimesAreNeverInTheFuture(t *testing.T) {
	for name, c := range map[string]struct {
		timed   bool
		measure time.Duration // what the module reports of its clock in its answer
		ahead   time.Duration // what its clock shows later
		created time.Duration // before now
	}{
		"the same time":  {true, 0, 0, time.Minute},
		"an hour ahead":  {true, time.Hour, time.Hour, time.Minute},
		"an hour behind": {true, -time.Hour, -time.Hour, time.Minute},
		"a little ahead": {true, 300 * time.Millisecond, 300 * time.Millisecond, time.Minute},
		"set forward since the subscription began": {true, 0, time.Hour, 0},
		"ahead, and the module sends no time":      {false, 0, time.Hour, 0},
	} {
		t.Run(name, func(t *testing.T) {
			var sent time.Time
			batches := func(m *module, epoch string) {
				if epoch == "e1" {
					sent = time.Now()
					m.send(epoch, 1, 100, synced, joined(c.ahead))
				}
			}
			follow(t, batches, func(t *testing.T, service *component.Component, _ *module) {
				got := must(service.Room(t.Context(), room("planning")))(t)
				if at := got.Occupants[0].Occupant().JoinedAt; at.After(time.Now()) || at.Sub(sent).Abs() > 2*time.Millisecond {
					t.Errorf("joined %s after Ann did", at.Sub(sent))
				}
				if at := got.CreatedAt; at.After(time.Now()) || at.Sub(sent.Add(-c.created)).Abs() > 2*time.Millisecond {
					t.Errorf("created %s after the room was", at.Sub(sent.Add(-c.created)))
				}
			}, func(m *module) { m.timed, m.ahead = c.timed, c.measure })
		})
	}
}

// Each subscription measures the clock offset once. A new measurement changes no time that was shown before.
func TestClock_ShownTimesStay(t *testing.T) {
	var line string
	follow(t, func(m *module, epoch string) {
		if line == "" {
			line = joined(time.Hour) // by a clock that was set forward after the measurement
		}
		m.send(epoch, 1, 100, synced, line)
		if epoch == "e1" {
			m.mu.Lock()
			m.ahead = time.Hour
			m.mu.Unlock()
			time.Sleep(5 * time.Second)
			m.send(epoch, 3, 105, synced, "") // a gap: resync
		}
	}, func(t *testing.T, c *component.Component, m *module) {
		before := must(c.Room(t.Context(), room("planning")))(t)
		events := c.Directory().Subscribe(10)
		time.Sleep(10 * time.Second)
		synctest.Wait()
		if n := m.subscriptions(); n != 2 {
			t.Fatalf("got %d subscriptions want two", n)
		}
		after, err := c.Room(t.Context(), room("planning"))
		if err != nil || !after.Occupants[0].Occupant().JoinedAt.Equal(before.Occupants[0].Occupant().JoinedAt) || !after.CreatedAt.Equal(before.CreatedAt) {
			t.Errorf("got %+v, %v want the times of %+v", after, err, before)
		}
		events.Close()
		for e := range events.Events() {
			t.Errorf("got the event %s without a change", e.Kind)
		}
	}, func(m *module) { m.timed = true })
}
