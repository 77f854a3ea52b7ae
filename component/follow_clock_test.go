package component_test

import (
	"fmt"
	"testing"
	"testing/synctest"
	"time"

	"ppch/component"
	"ppch/component/occupancy"
)

// After a freeze what had waited in the socket may come in before it is noticed that nothing came for long.
func TestFollow_LateBatchResyncs(t *testing.T) {
	const late = 13 * time.Second // between two looks at how long it is silent
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
			t.Errorf("got %+v, %v want the new copy", got, err)
		}
	})
}

func TestFollow_DelayedBatchKeepsItsAge(t *testing.T) {
	follow(t, func(m *module, epoch string) {
		m.send(epoch, 1, 100, synced, oneRoom)
		time.Sleep(4 * time.Second)
		m.send(epoch, 2, 101, synced, "") // three seconds on its way
	}, func(t *testing.T, c *component.Component, _ *module) {
		first, err := c.Room(t.Context(), room("planning"))
		if err != nil {
			t.Fatal(err)
		}
		time.Sleep(4 * time.Second)
		synctest.Wait()
		second, err := c.Room(t.Context(), room("planning"))
		if age := second.AsOf.Sub(first.AsOf); err != nil || age != time.Second {
			t.Errorf("as of %s later, %v want the second that Prosody's clock told", age, err)
		}
	})
}

func TestFollow_QuickBatchSetsTheClock(t *testing.T) {
	for slow, want := range map[time.Duration]time.Duration{
		700 * time.Millisecond: 0,
		3 * time.Second:        3 * time.Second, // who is that slow to answer is not taken for younger than it is
	} {
		var sent time.Time
		follow(t, func(m *module, epoch string) {
			sent = time.Now()
			m.send(epoch, 1, 100.001, synced, oneRoom)
		}, func(t *testing.T, c *component.Component, _ *module) {
			time.Sleep(slow)
			synctest.Wait()
			got, err := c.Room(t.Context(), room("planning"))
			if early := sent.Sub(got.AsOf); err != nil || (early-want).Abs() > time.Millisecond {
				t.Errorf("asked for %s: got as of %s too early, %v want %s", slow, early, err, want)
			}
		}, func(m *module) { m.slow = slow })
	}
}

func TestRoom_StaleReplicaIsUnknown(t *testing.T) {
	follow(t, func(m *module, epoch string) {
		if epoch == "e1" {
			m.send(epoch, 1, 100, synced, oneRoom)
		}
	}, func(t *testing.T, c *component.Component, _ *module) {
		time.Sleep(25 * time.Second)
		if got, err := c.Room(t.Context(), room("planning")); err != nil || time.Since(got.AsOf) < 25*time.Second {
			t.Errorf("got %+v, %v want the last copy with its age", got, err)
		}
		time.Sleep(6 * time.Second)
		if got, err := c.Room(t.Context(), room("planning")); reasonOf(err) != occupancy.ReasonSyncing {
			t.Errorf("got %+v, %v want syncing after 30 s", got, err)
		}
		if trouble := c.Main().CountProblem(); trouble == nil || trouble.Reason != occupancy.ReasonSyncing {
			t.Errorf("trouble got %v want syncing", trouble)
		}
	})
}

func TestClockOffset_UpperBound(t *testing.T) {
	for name, c := range map[string]struct {
		told bool
		by   time.Duration
		slow time.Duration
		want string
	}{
		"a module that doesn't tell": {want: "<nil>"},
		"the same time":              {told: true, want: "0s"},
		"an hour ahead":              {told: true, by: time.Hour, want: "1h0m0s"},
		"an hour behind":             {told: true, by: -time.Hour, want: "-1h0m0s"},
		"a slow answer":              {told: true, by: -2 * time.Second, slow: 3 * time.Second, want: "0s"},
	} {
		t.Run(name, func(t *testing.T) {
			tell := func(m *module, epoch string) { m.send(epoch, 1, 100, synced, oneRoom) }
			follow(t, tell, func(t *testing.T, component *component.Component, _ *module) {
				time.Sleep(c.slow)
				synctest.Wait()
				got := "<nil>"
				if ahead := component.Wiring().Domains[0].Sync.Ahead; ahead != nil {
					got = ahead.String()
				}
				if got != c.want {
					t.Errorf("got %s want %s", got, c.want)
				}
			}, func(m *module) { m.told, m.ahead, m.slow = c.told, c.by, c.slow })
		})
	}
}

// joined is a line of Ann, who joined when Prosody's clock, by so much ahead of ours, had that time.
func joined(ahead time.Duration) string {
	return fmt.Sprintf("<room jid='planning@muc.meet.jitsi' new='1' facts='1' created='%d'>+\tann\tann@meet.jitsi/x\tparticipant\tnone\t%d\n</room>",
		time.Now().Add(ahead-time.Minute).UnixMilli(), time.Now().Add(ahead).UnixMilli())
}

func TestClock_TimesAreByOursAndNeverInTheFuture(t *testing.T) {
	for name, c := range map[string]struct {
		told    bool
		measure time.Duration // what the module says of its clock when it is subscribed to
		ahead   time.Duration // what its clock shows later
		created time.Duration // before now
	}{
		"the same time":  {true, 0, 0, time.Minute},
		"an hour ahead":  {true, time.Hour, time.Hour, time.Minute},
		"an hour behind": {true, -time.Hour, -time.Hour, time.Minute},
		"a little ahead": {true, 300 * time.Millisecond, 300 * time.Millisecond, time.Minute},
		"set forward since the subscription began": {true, 0, time.Hour, 0},
		"ahead, and the module doesn't tell":       {false, 0, time.Hour, 0},
	} {
		t.Run(name, func(t *testing.T) {
			var sent time.Time
			tell := func(m *module, epoch string) {
				if epoch == "e1" {
					sent = time.Now()
					m.send(epoch, 1, 100, synced, joined(c.ahead))
				}
			}
			follow(t, tell, func(t *testing.T, service *component.Component, _ *module) {
				got, err := service.Room(t.Context(), room("planning"))
				if err != nil {
					t.Fatal(err)
				}
				if at := got.Occupants[0].JoinedAt; at.After(time.Now()) || at.Sub(sent).Abs() > 2*time.Millisecond {
					t.Errorf("joined %s after Ann did", at.Sub(sent))
				}
				if at := got.CreatedAt; at.After(time.Now()) || at.Sub(sent.Add(-c.created)).Abs() > 2*time.Millisecond {
					t.Errorf("created %s after the room was", at.Sub(sent.Add(-c.created)))
				}
			}, func(m *module) { m.told, m.ahead = c.told, c.measure })
		})
	}
}

// How far the clocks are apart is measured once in each subscription. What was shown by the last measure stays.
func TestClock_TimesThatWereShownStay(t *testing.T) {
	var line string
	follow(t, func(m *module, epoch string) {
		if line == "" {
			line = joined(time.Hour) // by a clock that was set forward unnoticed
		}
		m.send(epoch, 1, 100, synced, line)
		if epoch == "e1" {
			m.mu.Lock()
			m.ahead = time.Hour
			m.mu.Unlock()
			time.Sleep(5 * time.Second)
			m.send(epoch, 3, 105, synced, "") // one is missing: the copy is made anew
		}
	}, func(t *testing.T, c *component.Component, m *module) {
		before, err := c.Room(t.Context(), room("planning"))
		if err != nil {
			t.Fatal(err)
		}
		events := c.Directory().Subscribe(10)
		time.Sleep(10 * time.Second)
		synctest.Wait()
		if n := m.subscriptions(); n != 2 {
			t.Fatalf("got %d subscriptions want two", n)
		}
		after, err := c.Room(t.Context(), room("planning"))
		if err != nil || !after.Occupants[0].JoinedAt.Equal(before.Occupants[0].JoinedAt) || !after.CreatedAt.Equal(before.CreatedAt) {
			t.Errorf("got %+v, %v want the times of %+v", after, err, before)
		}
		events.Close()
		for e := range events.Events() {
			t.Errorf("got the event %s though nothing has happened", e.Kind)
		}
	}, func(m *module) { m.told = true })
}
