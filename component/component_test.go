package component_test

import (
	"context"
	"errors"
	"log/slog"
	"net"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"mellium.im/xmpp/jid"

	"ppch/component"
	"ppch/component/componenttest"
	"ppch/component/occupancy"
)

const (
	mucInfo = `<query xmlns='http://jabber.org/protocol/disco#info'><identity category='conference' type='text' name='rooms'/>` +
		`<feature var='http://jabber.org/protocol/disco#info'/><feature var='http://jabber.org/protocol/muc'/></query>`
	noItems  = `<query xmlns='http://jabber.org/protocol/disco#items'/>`
	roomInfo = `<query xmlns='http://jabber.org/protocol/disco#info'><identity category='conference' type='text'/>` +
		`<x xmlns='jabber:x:data' type='result'><field var='FORM_TYPE' type='hidden'><value>http://jabber.org/protocol/muc#roominfo</value></field>` +
		`<field var='muc#roominfo_occupants'><value>3</value></field></x></query>`
	forbidden = `<error type='auth'><forbidden xmlns='urn:ietf:params:xml:ns:xmpp-stanzas'/></error>`
	notFound  = `<error type='cancel' by='muc.meet.jitsi'><item-not-found xmlns='urn:ietf:params:xml:ns:xmpp-stanzas'/></error>`
)

// muc answers as a MUC service with one room, planning.
func muc(planning string) func(componenttest.Stanza) string {
	return func(s componenttest.Stanza) string {
		switch {
		case strings.Contains(s.Inner, "disco#items"):
			return noItems
		case !strings.Contains(s.To, "@"):
			return mucInfo
		case s.To == "planning@muc.meet.jitsi":
			return planning
		}
		return notFound
	}
}

func serve(reply func(componenttest.Stanza) string) componenttest.Script {
	return func(c *componenttest.Conn) error {
		if err := c.Handshake(); err != nil {
			return err
		}
		return c.Serve(reply)
	}
}

func config(dial func(context.Context, string, string) (net.Conn, error)) component.Config {
	return component.Config{
		Address:    "prosody:5347",
		Domain:     jid.MustParse("ppch.meet.jitsi"),
		Secret:     "secret",
		MUCDomains: []jid.JID{jid.MustParse("muc.meet.jitsi")},
		Directory:  occupancy.NewDirectory(jid.MustParse("muc.meet.jitsi")),
		Log:        slog.New(slog.DiscardHandler),
		Dial:       dial,
	}
}

// start runs a component until stop, inside or outside of a synctest bubble.
func start(t *testing.T, cfg component.Config) (c *component.Component, stop func()) {
	t.Helper()
	c = must(component.New(cfg))(t)
	stop = componenttest.Run(t, c.Run)
	t.Cleanup(stop)
	return c, stop
}

func room(name string) jid.JID { return jid.MustParse(name + "@muc.meet.jitsi") }

func reasonOf(err error) occupancy.Reason {
	if unknown, ok := errors.AsType[*occupancy.UnavailableError](err); ok {
		return unknown.Reason
	}
	return ""
}

func TestRoom_ByDisco(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		srv := componenttest.New("secret", serve(muc(roomInfo)))
		c, stop := start(t, config(srv.Dial))
		synctest.Wait()

		got, err := c.Room(t.Context(), room("planning"))
		if err != nil || !got.Exists || got.Participants != 3 || got.Exact || got.Source != occupancy.SourceDisco {
			t.Errorf("got %+v, %v want three occupants, inexact, by disco", got, err)
		}
		if got.Counts != nil || got.Occupants != nil {
			t.Errorf("got counts %v, occupants %v want nil: disco can't know them", got.Counts, got.Occupants)
		}
		got, err = c.Room(t.Context(), room("nowhere"))
		if err != nil || got.Exists || !got.Exact || got.Participants != 0 {
			t.Errorf("got %+v, %v want a room that does not exist", got, err)
		}
		if mode := c.Main().Mode; mode != occupancy.ModeDisco {
			t.Errorf("mode got %s want disco", mode)
		}
		if _, err := c.Room(t.Context(), jid.MustParse("planning@elsewhere.example")); !errors.Is(err, occupancy.ErrNotWatched) {
			t.Errorf("got %v want ErrNotWatched", err)
		}
		stop()
		if err := srv.Wait(); err != nil {
			t.Error(err)
		}
	})
}

func TestRoom_HiddenIsUnknown(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		srv := componenttest.New("secret", serve(muc(forbidden)))
		c, stop := start(t, config(srv.Dial))
		defer stop()
		synctest.Wait()

		if _, err := c.Room(t.Context(), room("planning")); reasonOf(err) != occupancy.ReasonModuleMissing {
			t.Errorf("got %v want module-missing", err)
		}
		if problem := c.Main().CountProblem(); problem == nil || problem.Reason != occupancy.ReasonModuleMissing {
			t.Errorf("problem got %v want module-missing once a room showed it", problem)
		}
		got, err := c.Room(t.Context(), room("nowhere"))
		if err != nil || got.Exists || got.Source != occupancy.SourceExistence {
			t.Errorf("got %+v, %v want a missing room, by existence", got, err)
		}
	})
}

func TestRoom_CallersShareAnswers(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var questions atomic.Int32
		answer := muc(roomInfo)
		srv := componenttest.New("secret", serve(func(s componenttest.Stanza) string {
			if s.To == "planning@muc.meet.jitsi" {
				questions.Add(1)
				time.Sleep(20 * time.Millisecond)
			}
			return answer(s)
		}))
		c, stop := start(t, config(srv.Dial))
		defer stop()
		synctest.Wait()

		ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
		defer cancel()
		var callers sync.WaitGroup
		for range 200 {
			callers.Go(func() {
				for ctx.Err() == nil {
					if _, err := c.Room(t.Context(), room("planning")); err != nil {
						t.Error(err)
					}
					time.Sleep(10 * time.Millisecond)
				}
			})
		}
		callers.Wait()
		if n := questions.Load(); n < 8 || n > 11 {
			t.Errorf("got %d questions in 10 s want about one a second", n)
		}
	})
}

// The deadline of one caller ends only its own wait: others wait for the same answer.
func TestRoom_HonoursItsContext(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var questions atomic.Int32
		answer := muc(roomInfo)
		srv := componenttest.New("secret", serve(func(s componenttest.Stanza) string {
			if s.To == "planning@muc.meet.jitsi" {
				questions.Add(1)
				time.Sleep(3 * time.Second)
			}
			return answer(s)
		}))
		c, stop := start(t, config(srv.Dial))
		defer stop()
		synctest.Wait()

		var callers sync.WaitGroup
		asks := func(ctx context.Context, took time.Duration, check func(occupancy.Room, error) bool) {
			callers.Go(func() {
				began := time.Now()
				got, err := c.Room(ctx, room("planning"))
				if time.Since(began) != took || !check(got, err) {
					t.Errorf("got %+v, %v after %s, want an end after %s", got, err, time.Since(began), took)
				}
			})
		}
		hurried, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		asks(hurried, time.Second, func(_ occupancy.Room, err error) bool {
			return reasonOf(err) == occupancy.ReasonTimeout && errors.Is(err, context.DeadlineExceeded)
		})
		left, leave := context.WithCancel(t.Context())
		time.AfterFunc(2*time.Second, leave)
		asks(left, 2*time.Second, func(_ occupancy.Room, err error) bool { return errors.Is(err, context.Canceled) })
		asks(t.Context(), 3*time.Second, func(got occupancy.Room, err error) bool { return err == nil && got.Participants == 3 })
		callers.Wait()
		if n := questions.Load(); n != 1 {
			t.Errorf("got %d questions, want one for all", n)
		}
	})
}

func TestReconnect_HalfOpen(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		half := func(c *componenttest.Conn) error {
			if err := c.Handshake(); err != nil {
				return err
			}
			return c.Drain()
		}
		srv := componenttest.New("secret", half, serve(muc(roomInfo)))
		c, stop := start(t, config(srv.Dial))
		defer stop()

		time.Sleep(20 * time.Second)
		synctest.Wait()
		if !c.Main().Connected {
			t.Fatal("got disconnected want connected, since the peer is silent only for a moment")
		}
		if _, err := c.Room(t.Context(), room("planning")); err == nil {
			t.Error("got an answer from a silent peer")
		}
		time.Sleep(17 * time.Second)
		synctest.Wait()
		if dials := srv.Dials(); dials != 2 {
			t.Errorf("got %d connections want a second one within 37 s", dials)
		}
		if _, err := c.Room(t.Context(), room("planning")); err != nil {
			t.Errorf("got %v want an answer from the new connection", err)
		}
	})
}

func TestReconnect_Backoff(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var dials []time.Time
		refuse := func(context.Context, string, string) (net.Conn, error) {
			dials = append(dials, time.Now())
			return nil, &net.OpError{Op: "dial", Err: syscall.ECONNREFUSED}
		}
		c, stop := start(t, config(refuse))
		time.Sleep(10 * time.Minute)
		synctest.Wait()
		if len(dials) < 20 || len(dials) > 60 {
			t.Errorf("got %d dials in 10 minutes want 20 to 60", len(dials))
		}
		for i := range dials[1:] {
			if wait := dials[i+1].Sub(dials[i]); wait < 500*time.Millisecond || wait > 30*time.Second {
				t.Errorf("wait %d got %s want 0.5 s to 30 s", i, wait)
			}
		}
		before := len(dials)
		for range 100 {
			if _, err := c.Room(t.Context(), room("planning")); reasonOf(err) != occupancy.ReasonRefused {
				t.Fatalf("got %v want refused", err)
			}
			time.Sleep(100 * time.Millisecond)
		}
		synctest.Wait()
		if n := len(dials) - before; n < 5 || n > 11 {
			t.Errorf("got %d dials in 10 s of questions want about one a second", n)
		}
		stop()
	})
}

func TestReconnect_OperatorProblemsOnceAMinute(t *testing.T) {
	refuse := func(condition string) componenttest.Script {
		return func(c *componenttest.Conn) error {
			if _, err := c.Open(""); err != nil {
				return err
			}
			return c.Fail(condition)
		}
	}
	replaced := func(c *componenttest.Conn) error {
		if err := c.Handshake(); err != nil {
			return err
		}
		time.Sleep(time.Second)
		return c.Fail("conflict")
	}
	for name, tt := range map[string]struct {
		script   componenttest.Script
		want     occupancy.Reason
		remedy   string
		operator bool
	}{
		"a component that Prosody doesn't know": {refuse("host-unknown"), occupancy.ReasonHostUnknown, `Component "ppch.meet.jitsi"`, true},
		"a wrong secret":                        {refuse("not-authorized"), occupancy.ReasonNotAuthorized, "PPCH_COMPONENT_SECRET", true},
		"another instance took the name":        {replaced, occupancy.ReasonConflict, "PPCH_COMPONENT_DOMAIN", true},
		"the name is still held":                {refuse("conflict"), occupancy.ReasonConflict, "kick_old", false},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				srv := componenttest.New("secret", tt.script)
				c, stop := start(t, config(srv.Dial))
				time.Sleep(5 * time.Minute)
				synctest.Wait()
				p := c.Main().Problem
				if p == nil || p.Reason != tt.want || !strings.Contains(p.Remedy, tt.remedy) || p.RetryAfter < time.Second {
					t.Errorf("problem got %+v want %s with %s", p, tt.want, tt.remedy)
				}
				if n := srv.Dials(); (n <= 6) != tt.operator {
					t.Errorf("got %d connections in 5 minutes, waiting for an operator want %t", n, tt.operator)
				}
				stop()
			})
		})
	}
}

func TestRoom_PendingQuestionsEndWithTheStream(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		dying := func(c *componenttest.Conn) error {
			if err := c.Handshake(); err != nil {
				return err
			}
			for {
				s, err := c.Receive()
				if err != nil {
					return nil
				}
				if strings.Contains(s.To, "@") {
					time.Sleep(10 * time.Millisecond)
					return nil // the socket closes before the answer
				}
				if err := c.Send("<iq type='result' id='%s' from='%s' to='%s'>%s</iq>", s.ID, s.To, s.From, muc("")(s)); err != nil {
					return nil
				}
			}
		}
		srv := componenttest.New("secret", dying)
		c, stop := start(t, config(srv.Dial))
		defer stop()
		synctest.Wait()
		asked := time.Now()
		_, err := c.Room(t.Context(), room("planning"))
		if reasonOf(err) != occupancy.ReasonLost {
			t.Errorf("got %v want lost", err)
		}
		if took := time.Since(asked); took > 100*time.Millisecond {
			t.Errorf("the question ended after %s want at once", took)
		}
	})
}

func TestComponent_StopEndsTheStream(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		srv := componenttest.New("secret", serve(muc(roomInfo)))
		c, stop := start(t, config(srv.Dial))
		synctest.Wait()
		before := time.Now()
		stop()
		if took := time.Since(before); took > time.Second {
			t.Errorf("stopping took %s want at most 1 s", took)
		}
		if _, err := c.Room(context.Background(), room("planning")); err == nil {
			t.Error("a stopped component answered")
		}
	})
}

func TestDiscovery_NoMUCIsNeverAskedAboutRooms(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		for name, answer := range map[string]string{
			"a virtual host":  `<query xmlns='http://jabber.org/protocol/disco#info'><identity category='server' type='im'/></query>`,
			"an unknown host": `<error type='cancel'><remote-server-not-found xmlns='urn:ietf:params:xml:ns:xmpp-stanzas'/></error>`,
		} {
			srv := componenttest.New("secret", serve(func(componenttest.Stanza) string { return answer }))
			c, stop := start(t, config(srv.Dial))
			synctest.Wait()
			if _, err := c.Room(t.Context(), room("planning")); reasonOf(err) != occupancy.ReasonNoMUC {
				t.Errorf("%s: got %v want no-muc", name, err)
			}
			if c.Main().Problem == nil {
				t.Errorf("%s: ready", name)
			}
			stop()
		}
	})
}
