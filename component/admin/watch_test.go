package admin_test

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"ppch/component/componenttest"
	"ppch/component/occupancy"
)

// running runs a session of a stage until stop.
func running(t *testing.T, s *stage) (l *line, stop func()) {
	l = &line{gone: make(map[string]bool)}
	stop = componenttest.Run(t, func(ctx context.Context) error { return s.NewSession().Run(ctx, l) })
	synctest.Wait() // a stream begins before anything comes over it
	return l, stop
}

func chat(from, body string) string {
	return "<message type='chat' from='" + from + "' to='" + own + "'><body>" + body + "</body></message>"
}

func presence(from, typ string) string {
	if typ != "" {
		typ = " type='" + typ + "'"
	}
	return "<presence from='" + from + "' to='" + own + "'" + typ + "/>"
}

// join adds an occupant to a room.
func (s *stage) join(t testing.TB, room, nick string) {
	t.Helper()
	s.rooms[room] = append(s.rooms[room], occupancy.Occupant{ID: nick, Name: nick})
	s.set(t)
}

func TestWatch_RateLimit(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newStage(t)
		s.set(t, "planning")
		l, stop := running(t, s)
		defer stop()
		s.send(t, chat(boss, "watch planning"))
		synctest.Wait()
		for i := range 100 {
			s.join(t, "planning", fmt.Sprint("n", i))
		}
		s.join(t, "other", "Olga")
		time.Sleep(1100 * time.Millisecond)
		synctest.Wait()
		sent := l.take()
		if len(sent) != 1 || strings.Count(sent[0], " joined planning") != 20 || !strings.Contains(sent[0], "and 80 others") || strings.Contains(sent[0], "Olga") {
			t.Fatalf("got %d messages %q want one of 20 lines and the number of others", len(sent), sent)
		}
		start := time.Now()
		for time.Since(start) < 10*time.Second {
			s.join(t, "planning", time.Since(start).String())
			time.Sleep(100 * time.Millisecond)
		}
		synctest.Wait()
		if n := len(l.take()); n < 9 || n > 11 {
			t.Errorf("got %d messages in 10 s want one a second", n)
		}
	})
}

func TestWatch_PingsSilentClients(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newStage(t)
		s.set(t, "planning")
		l, stop := running(t, s)
		s.send(t, chat(boss, "watch all"))
		s.send(t, presence("present@auth.meet.jitsi/x", ""))
		reported := func() (who []string) {
			t.Helper()
			synctest.Wait()
			l.take()
			s.join(t, "planning", time.Now().String())
			time.Sleep(1100 * time.Millisecond)
			synctest.Wait()
			for _, m := range l.take() {
				for _, to := range []string{boss, "present@auth.meet.jitsi/x"} {
					if strings.Contains(m, to) {
						who = append(who, to)
					}
				}
			}
			return who
		}
		if got := reported(); len(got) != 2 {
			t.Errorf("got %v want a report to both", got)
		}
		l.fail(errors.New("no answer"))
		l.lose(boss, "present@auth.meet.jitsi/x")
		time.Sleep(61 * time.Second)
		if got := reported(); len(got) != 2 {
			t.Errorf("got %v want a report to both while it is unknown whether they are there", got)
		}
		l.fail(nil)
		time.Sleep(61 * time.Second)
		if got := reported(); len(got) != 1 || got[0] == boss {
			t.Errorf("got %v want a report only to the client that sent presence", got)
		}
		stop()

		// On the next stream Prosody doesn't report the other one either.
		l, stop = running(t, s)
		defer stop()
		if got := reported(); len(got) != 1 {
			t.Errorf("got %v want the watcher to survive the stream", got)
		}
		l.lose("present@auth.meet.jitsi/x")
		time.Sleep(61 * time.Second)
		if got := reported(); len(got) != 0 {
			t.Errorf("got %v want no reports", got)
		}
	})
}

func TestWatch_BoundsWatchers(t *testing.T) {
	s := newStage(t)
	for i := range 100 {
		if got := s.send(t, chat(fmt.Sprintf("admin%d@auth.meet.jitsi/x", i), "watch all")); !strings.Contains(got, "watching ") {
			t.Fatalf("watcher %d got %s", i, got)
		}
	}
	for _, stanza := range []string{chat(boss, "watch all"), presence(boss, "")} {
		if got := s.send(t, stanza); !strings.Contains(got, "too many clients watch") {
			t.Errorf("got %s want a refusal", got)
		}
	}
	one := "admin1@auth.meet.jitsi/x"
	for i := range 60 {
		got := s.send(t, chat(one, fmt.Sprint("watch room", i)))
		if want := i < 49; strings.Contains(got, "watching ") != want {
			t.Fatalf("room %d got %s", i, got)
		}
	}
	s.send(t, presence(one, "unavailable"))
	if got := s.send(t, chat(boss, "watch all")); !strings.Contains(got, "watching ") {
		t.Errorf("got %s want room for one more", got)
	}
}

func TestWatch_StatusChangeIsIgnored(t *testing.T) {
	s := newStage(t)
	if got := s.send(t, presence(boss, "")); !strings.Contains(got, "watching ") {
		t.Errorf("got %s", got)
	}
	for range 3 {
		if got := s.send(t, presence(boss, "")); got != "" {
			t.Errorf("got %s want silence", got)
		}
	}
	for typ, want := range map[string]string{"probe": "", "subscribed": "", "unsubscribe": "", "subscribe": "unsubscribed", "error": ""} {
		if got := s.send(t, presence(boss, typ)); want == "" && got != "" || !strings.Contains(got, want) {
			t.Errorf("%s: got %s want %q", typ, got, want)
		}
	}
}
