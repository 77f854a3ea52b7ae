package component_test

import (
	"fmt"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"ppch/component"
	"ppch/component/componenttest"
	"ppch/component/occupancy"
)

const (
	moduleInfo = `<query xmlns='http://jabber.org/protocol/disco#info'><identity category='conference' type='text'/>` +
		`<feature var='http://jabber.org/protocol/muc'/><feature var='urn:ppch:occupancy:1'/></query>`
	unavailable = `<error type='cancel'><service-unavailable xmlns='urn:ietf:params:xml:ns:xmpp-stanzas'/></error>`
)

// module plays the Lua module: each subscription gets what tell sends.
type module struct {
	tell func(m *module, epoch string)
	slow time.Duration // to be asked for a subscription

	// told is whether its answer tells the time of day, which is ahead of ours by so much.
	told  bool
	ahead time.Duration

	// mu protects what follows.
	mu       sync.Mutex
	conn     *componenttest.Conn
	unloaded bool
	epochs   int
	acks     map[string]string // type of the answer to each batch, by id
}

func (m *module) script(c *componenttest.Conn) error {
	if err := c.Handshake(); err != nil {
		return err
	}
	m.mu.Lock()
	m.conn = c
	m.mu.Unlock()
	return c.Serve(func(s componenttest.Stanza) string {
		m.mu.Lock()
		defer m.mu.Unlock()
		switch {
		case s.Type == "result" || s.Type == "error":
			m.acks[s.ID] = s.Type
		case strings.Contains(s.Inner, "<subscribe") && m.unloaded:
			return unavailable
		case strings.Contains(s.Inner, "<subscribe"):
			time.Sleep(m.slow)
			m.epochs++
			epoch := fmt.Sprintf("e%d", m.epochs)
			go func() {
				time.Sleep(time.Millisecond)
				m.tell(m, epoch)
			}()
			now := ""
			if m.told {
				now = fmt.Sprintf("time='%d'", time.Now().Add(m.ahead).UnixMilli())
			}
			return fmt.Sprintf("<subscribed xmlns='%s' epoch='%s' heartbeat='5' at='100' %s/>", component.Namespace, epoch, now)
		case strings.Contains(s.Inner, "disco#items"):
			return noItems
		case !strings.Contains(s.To, "@") && m.unloaded:
			return mucInfo
		case !strings.Contains(s.To, "@"):
			return moduleInfo
		}
		return notFound
	})
}

// send sends a batch, which is attributes and an inside; its id is its epoch and seq.
func (m *module) send(epoch string, seq int, at float64, attrs, inner string) {
	m.sendFrom("muc.meet.jitsi", epoch, seq, at, attrs, inner)
}

func (m *module) sendFrom(from, epoch string, seq int, at float64, attrs, inner string) {
	m.sendIn("iq type='set'", from, epoch, seq, at, attrs, inner)
}

// say sends a batch that is not to be acknowledged.
func (m *module) say(from, epoch string, seq int, at float64, attrs, inner string) {
	m.sendIn("message type='normal'", from, epoch, seq, at, attrs, inner)
}

func (m *module) sendIn(stanza, from, epoch string, seq int, at float64, attrs, inner string) {
	m.mu.Lock()
	conn := m.conn
	m.mu.Unlock()
	// Not while mu is held: a pipe has no buffer, and whoever reads may wait for mu.
	name, _, _ := strings.Cut(stanza, " ")
	_ = conn.Send("<%s id='%s-%d' from='%s' to='ppch.meet.jitsi'><batch xmlns='%s' epoch='%s' seq='%d' at='%.3f' %s>%s</batch></%s>",
		stanza, epoch, seq, from, component.Namespace, epoch, seq, at, attrs, inner, name)
}

func (m *module) ack(id string) string {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.acks[id]
}

func (m *module) subscriptions() int {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.epochs
}

const (
	oneRoom = "<room jid='planning@muc.meet.jitsi' new='1' facts='1'>+\tann\tann@meet.jitsi/x\tparticipant\tnone\n</room>"
	synced  = "synced='1' rooms='1' occupants='1'"
)

// follow runs a component beside the module in virtual time.
func follow(t *testing.T, tell func(*module, string), test func(*testing.T, *component.Component, *module), adjust ...func(*module)) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		m := &module{tell: tell, acks: map[string]string{}}
		for _, f := range adjust {
			f(m)
		}
		c, stop := start(t, config(componenttest.New("secret", m.script).Dial))
		defer stop()
		time.Sleep(100 * time.Millisecond)
		synctest.Wait()
		test(t, c, m)
	})
}

func TestASnapshotIsAcknowledgedAndServed(t *testing.T) {
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

func TestABatchInAMessageIsAppliedAndNotAnswered(t *testing.T) {
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

func TestMessagesOfNobodyChangeNothing(t *testing.T) {
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

func TestWhatIsMissingHasTheCopyMadeAnew(t *testing.T) {
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
		"a batch told twice":             func(m *module, e string) { m.send(e, 1, 100, synced, oneRoom); m.send(e, 1, 100, synced, "") },
		"other totals":                   func(m *module, e string) { m.send(e, 1, 100, "synced='1' rooms='1' occupants='2'", oneRoom) },
		"a line that makes no sense":     func(m *module, e string) { m.send(e, 1, 100, synced, "<room jid='planning@muc.meet.jitsi'>?</room>") },
		"a room of somebody else":        func(m *module, e string) { m.send(e, 1, 100, synced, "<room jid='x@elsewhere.example' new='1'/>") },
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

// After a freeze what had waited in the socket may come in before it is noticed that nothing came for long.
func TestABatchThatComesTooLateIsNoSignOfLife(t *testing.T) {
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

func TestACopyThatProvesWrongIsNoAnswer(t *testing.T) {
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

func TestOldNewsIsAsOldAsItSays(t *testing.T) {
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

func TestAQuickBatchTellsHowTheClocksStand(t *testing.T) {
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

func TestACopyThatIsTooOldIsNoAnswer(t *testing.T) {
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
		if trouble := c.Link().Trouble(); trouble == nil || trouble.Reason != occupancy.ReasonSyncing {
			t.Errorf("trouble got %v want syncing", trouble)
		}
	})
}

func TestBatchesOfNobodyAreRefused(t *testing.T) {
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

func TestAModuleThatIsUnloadedIsNotTrustedAnyMore(t *testing.T) {
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
		if mode := c.Link().Domains[0].Mode; mode == occupancy.ModeModule {
			t.Errorf("mode got %s", mode)
		}
	})
}

func TestHowFarProsodysClockIsAheadIsNeverMoreThanItCanBe(t *testing.T) {
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
