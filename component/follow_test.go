package component_test

import (
	"errors"
	"testing"
	"testing/synctest"
	"time"

	"ppch/component"
	"ppch/component/occupancy"
)

func TestFollow_AcknowledgesSnapshot(t *testing.T) {
	follow(t, func(m *module, epoch string) {
		m.send(epoch, 1, 100, "", oneRoom)
		m.send(epoch, 2, 100, synced, "")
	}, func(t *testing.T, c *component.Component, m *module) {
		got, err := c.Room(t.Context(), room("planning"))
		if err != nil || got.Participants != 1 || !got.Exact || got.Source != occupancy.SourceModule {
			t.Errorf("got %+v, %v want one person, exact", got, err)
		}
		if m.ack("e1-1") != "result" || m.ack("e1-2") != "result" {
			t.Errorf("acknowledgements got %v want results", m.acks)
		}
	})
}

func TestFollow_BatchInAMessage(t *testing.T) {
	const more = "<room jid='planning@muc.meet.jitsi'>+\tbob\tbob@meet.jitsi/x\tparticipant\tnone\n</room>"
	follow(t, func(m *module, epoch string) {
		m.send(epoch, 1, 100, synced, oneRoom)
		m.say("muc.meet.jitsi", epoch, 2, 101, "synced='1' rooms='1' occupants='2'", more)
		m.send(epoch, 3, 102, "synced='1' rooms='1' occupants='2'", "")
	}, func(t *testing.T, c *component.Component, m *module) {
		if got, err := c.Room(t.Context(), room("planning")); err != nil || got.Participants != 2 {
			t.Errorf("got %+v, %v want two people", got, err)
		}
		if m.ack("e1-1") != "result" || m.ack("e1-2") != "" || m.ack("e1-3") != "result" {
			t.Errorf("answers got %v want results for 1 and 3", m.acks)
		}
		if n := m.subscriptions(); n != 1 {
			t.Errorf("got %d subscriptions want one", n)
		}
	})
}

func TestFollow_IgnoresForeignMessages(t *testing.T) {
	follow(t, func(m *module, epoch string) {
		m.send(epoch, 1, 100, synced, oneRoom)
		const gone, none = "<gone jid='planning@muc.meet.jitsi'/>", "synced='1' rooms='0' occupants='0'"
		m.say("muc.meet.jitsi", "other", 2, 101, none, gone)
		for _, from := range []string{"guest@meet.jitsi/x", "room@muc.meet.jitsi", "room@muc.meet.jitsi/nick", "muc.meet.jitsi/x", "meet.jitsi"} {
			m.say(from, epoch, 2, 101, none, gone)
		}
	}, func(t *testing.T, c *component.Component, m *module) {
		time.Sleep(2 * time.Second)
		synctest.Wait()
		if got, err := c.Room(t.Context(), room("planning")); err != nil || got.Participants != 1 {
			t.Errorf("got %+v, %v want the room as it was", got, err)
		}
		if n := m.subscriptions(); n != 1 || len(m.acks) != 1 {
			t.Errorf("got %d subscriptions, answers %v want one of each", n, m.acks)
		}
	})
}

func TestFollow_ResyncsOnGap(t *testing.T) {
	whole := func(m *module, epoch string) {
		m.send(epoch, 1, 100, synced, oneRoom)
	}
	for name, first := range map[string]func(*module, string){
		"a gap": func(m *module, e string) { m.send(e, 1, 100, "", oneRoom); m.send(e, 3, 100, synced, "") },
		"a gap before a message": func(m *module, e string) {
			m.send(e, 1, 100, "", oneRoom)
			m.say("muc.meet.jitsi", e, 3, 100, synced, "")
		},
		"a message that makes no sense": func(m *module, e string) {
			m.say("muc.meet.jitsi", e, 1, 100, synced, "<room jid='planning@muc.meet.jitsi'>?</room>")
		},
		"a batch sent twice":             func(m *module, e string) { m.send(e, 1, 100, synced, oneRoom); m.send(e, 1, 100, synced, "") },
		"other totals":                   func(m *module, e string) { m.send(e, 1, 100, "synced='1' rooms='1' occupants='2'", oneRoom) },
		"a line that makes no sense":     func(m *module, e string) { m.send(e, 1, 100, synced, "<room jid='planning@muc.meet.jitsi'>?</room>") },
		"a room of another domain":       func(m *module, e string) { m.send(e, 1, 100, synced, "<room jid='x@elsewhere.example' new='1'/>") },
		"a heartbeat that does not come": func(m *module, e string) { m.send(e, 1, 100, synced, oneRoom); time.Sleep(14 * time.Second) },
		"no snapshot at all":             func(*module, string) {},
	} {
		t.Run(name, func(t *testing.T) {
			follow(t, func(m *module, epoch string) {
				if epoch == "e1" {
					first(m, epoch)
				} else {
					whole(m, epoch)
				}
			}, func(t *testing.T, c *component.Component, m *module) {
				time.Sleep(16 * time.Second)
				synctest.Wait()
				if n := m.subscriptions(); n < 2 {
					t.Errorf("got %d subscriptions want another one", n)
				}
				if got, err := c.Room(t.Context(), room("planning")); err != nil || got.Participants != 1 {
					t.Errorf("got %+v, %v want one person again", got, err)
				}
			})
		})
	}
}

func TestFollow_WrongTotalsAreUnknown(t *testing.T) {
	follow(t, func(m *module, epoch string) {
		if epoch == "e1" {
			m.send(epoch, 1, 100, synced, oneRoom)
			time.Sleep(time.Second)
			m.send(epoch, 2, 101, "synced='1' rooms='1' occupants='7'", "")
		}
	}, func(t *testing.T, c *component.Component, _ *module) {
		if got, err := c.Room(t.Context(), room("planning")); err != nil || got.Participants != 1 {
			t.Fatalf("got %+v, %v want one person", got, err)
		}
		time.Sleep(time.Second)
		synctest.Wait()
		if got, err := c.Room(t.Context(), room("planning")); reasonOf(err) != occupancy.ReasonSyncing {
			t.Errorf("got %+v, %v want syncing", got, err)
		}
	})
}

func TestFollow_RejectsForeignBatches(t *testing.T) {
	follow(t, func(m *module, epoch string) {
		m.send(epoch, 1, 100, synced, oneRoom)
		time.Sleep(time.Second)
		gone := "<gone jid='planning@muc.meet.jitsi'/>"
		m.send("other", 2, 101, "synced='1' rooms='0' occupants='0'", gone)
		m.sendFrom("guest@meet.jitsi/x", epoch, 3, 101, "synced='1' rooms='0' occupants='0'", gone)
		m.sendFrom("room@muc.meet.jitsi", epoch, 4, 101, "synced='1' rooms='0' occupants='0'", gone)
	}, func(t *testing.T, c *component.Component, m *module) {
		time.Sleep(2 * time.Second)
		synctest.Wait()
		for _, id := range []string{"other-2", "e1-3", "e1-4"} {
			if got := m.ack(id); got != "error" {
				t.Errorf("%s got %q want an error", id, got)
			}
		}
		if got, err := c.Room(t.Context(), room("planning")); err != nil || got.Participants != 1 {
			t.Errorf("got %+v, %v want the room as it was", got, err)
		}
	})
}

func TestFollow_ModuleUnloaded(t *testing.T) {
	follow(t, func(m *module, epoch string) {
		m.send(epoch, 1, 100, synced, oneRoom)
		m.mu.Lock()
		defer m.mu.Unlock()
		m.unloaded = true
	}, func(t *testing.T, c *component.Component, _ *module) {
		time.Sleep(20 * time.Second)
		synctest.Wait()
		got, err := c.Room(t.Context(), room("planning"))
		if err != nil || got.Source == occupancy.SourceModule {
			t.Errorf("got %+v, %v want another source", got, err)
		}
		if mode := c.Main().Mode; mode == occupancy.ModeModule {
			t.Errorf("mode got %s", mode)
		}
	})
}

func TestFollow_EndOfTheSubscription(t *testing.T) {
	for name, unloaded := range map[string]bool{"unloaded": true, "reloaded": false} {
		t.Run(name, func(t *testing.T) {
			follow(t, func(m *module, epoch string) {
				m.send(epoch, 1, 100, synced, oneRoom)
				if epoch != "e1" {
					return
				}
				time.Sleep(time.Second)
				m.mu.Lock()
				m.unloaded = unloaded
				m.mu.Unlock()
				m.send(epoch, 2, 101, synced+" end='1'", "")
			}, func(t *testing.T, c *component.Component, m *module) {
				time.Sleep(time.Second + 20*time.Millisecond) // far below a heartbeat
				synctest.Wait()
				got, err := c.Room(t.Context(), room("planning"))
				m.mu.Lock()
				epochs := m.epochs
				m.mu.Unlock()
				var unknown *occupancy.UnavailableError
				switch {
				case unloaded && !errors.As(err, &unknown):
					t.Errorf("got %+v, %v want unknown: nothing confirms it any more", got, err)
				case !unloaded && (err != nil || !got.Exists || epochs != 2):
					t.Errorf("got %+v, %v after %d subscriptions want the room, by the second", got, err, epochs)
				}
			})
		})
	}
}
