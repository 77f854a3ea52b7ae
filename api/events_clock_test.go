package api_test

import (
	"context"
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"ppch/api"
	"ppch/api/keys"
)

// listen has a client in memory follow all events for some time, of which a minute is over at once.
func listen(t *testing.T, d *site, target string, lasts time.Duration, meanwhile func()) string {
	t.Helper()
	s := prepare(t, telling(d.Directory))
	ctx, stop := context.WithCancel(t.Context())
	done := make(chan error, 1)
	go func() { done <- s.RunHub(ctx) }()
	leaving, leave := context.WithTimeout(t.Context(), lasts)
	defer leave()
	w := &leaver{header: http.Header{}, leave: func() {}}
	r := httptest.NewRequestWithContext(leaving, http.MethodGet, target, nil)
	r.Header.Set("X-API-Key", testKey)
	go meanwhile()
	s.Handler().ServeHTTP(w, r)
	stop()
	if err := <-done; err != nil {
		t.Error(err)
	}
	if err := s.CloseListener(); err != nil {
		t.Error(err)
	}
	return w.body.String()
}

func TestASilentStreamSaysThatItIsThere(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		d := newSite(t)
		got := listen(t, d, "/api/rooms/daily/events", 50*time.Second, func() {
			for range 45 {
				time.Sleep(time.Second)
				d.join("other", "ann")
				d.leave("other", "ann")
			}
		})
		beats := regexp.MustCompile(`: keep-alive\nid: [A-Z2-7]{10}-(\d+)\n\n`).FindAllStringSubmatch(got, -1)
		if len(beats) != 3 || beats[0][1] == beats[1][1] {
			t.Errorf("got the beats %q in %s, want three, each with another position", beats, got)
		}
		if strings.Contains(got, "participant") {
			t.Errorf("got another room's events: %s", got)
		}
	})
}

func TestAStormWakesManySomeTimesASecondAndFewAtOnce(t *testing.T) {
	for _, c := range []struct{ followers, least, most int }{
		{1, 400, 520},
		{1000, 45, 55},
		{20000, 15, 25},
	} {
		synctest.Test(t, func(t *testing.T) {
			d := newSite(t)
			s := prepare(t, telling(d.Directory))
			ctx, stop := context.WithCancel(t.Context())
			done := make(chan error, 1)
			go func() { done <- s.RunHub(ctx) }()
			time.Sleep(time.Second)
			next, release := s.Follow("")
			defer release()
			for range c.followers - 1 {
				_, release := s.Follow("")
				defer release()
			}
			woken, first := 0, time.Duration(-1)
			began, news := time.Now(), next()
			go func() {
				for range 1000 {
					d.join("daily", "ann")
					d.leave("daily", "ann")
					time.Sleep(time.Millisecond)
				}
			}()
			for ; time.Since(began) < time.Second; news = next() {
				select {
				case <-news:
					if woken++; woken == 1 {
						first = time.Since(began)
					}
				case <-time.After(time.Second):
				}
			}
			if woken < c.least || woken > c.most || first != 0 {
				t.Errorf("%d followers: got woken %d times, first after %v; want %d to %d times, and at once first",
					c.followers, woken, first, c.least, c.most)
			}
			stop()
			<-done
			_ = s.CloseListener()
		})
	}
}

// A file of keys is read anew while streams are open: they heed it with the next beat.
func TestAStreamEndsWithItsKey(t *testing.T) {
	for _, c := range []struct {
		name, before, after string
		target              string
		want                []string // what is told of two joins, the second after the file has changed
	}{
		{"the key stays", "scope=all", "scope=all", "/api/events", []string{"ann", "bob"}},
		{"the key is withdrawn", "scope=all", "", "/api/events", []string{"ann"}},
		{"the key has ended", "scope=all", "scope=all expires=1999-12-31", "/api/events", []string{"ann"}},
		{"the key lacks the scope now", "scope=all", "scope=count", "/api/events", []string{"ann"}},
		{"the key is for another room now", "scope=all", "scope=all room=other", "/api/rooms/daily/events", []string{"ann"}},
		{"the key may know no names now", "scope=all", "scope=events", "/api/events", []string{"ann", ""}},
		{"by a ticket, the key is withdrawn", "scope=all", "", "/api/events?ticket=", []string{"ann"}},
	} {
		t.Run(c.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				d := newSite(t)
				file := filepath.Join(t.TempDir(), "keys")
				write := func(fields string) {
					text := lineFor("another-key-of-somebody", "name=other scope=all")
					if fields != "" {
						text += lineFor(testKey, "name=client "+fields)
					}
					if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
						t.Fatal(err)
					}
				}
				write(c.before)
				ring := keyring(keys.KeyringConfig{File: file, Names: names})
				s := prepare(t, telling(d.Directory), func(cfg *api.Config) { cfg.Keys = ring })
				ctx, stop := context.WithCancel(t.Context())
				var running sync.WaitGroup
				running.Go(func() { _ = s.RunHub(ctx) })
				running.Go(func() { _ = ring.Run(ctx, nil) })
				target := c.target
				leaving, leave := context.WithTimeout(t.Context(), time.Minute)
				defer leave()
				r := httptest.NewRequestWithContext(leaving, http.MethodGet, target, nil)
				r.Header.Set("X-API-Key", testKey)
				if strings.HasSuffix(target, "ticket=") {
					post := httptest.NewRequestWithContext(ctx, http.MethodPost, "/api/events/ticket", nil)
					post.Header.Set("X-API-Key", testKey)
					w := httptest.NewRecorder()
					s.Handler().ServeHTTP(w, post)
					var issued struct{ Ticket string }
					if err := json.Unmarshal(w.Body.Bytes(), &issued); err != nil {
						t.Fatal(err)
					}
					r = httptest.NewRequestWithContext(leaving, http.MethodGet, target+issued.Ticket, nil)
				}
				w := &leaver{header: http.Header{}, leave: func() {}}
				running.Go(func() {
					time.Sleep(5 * time.Second)
					d.join("daily", "ann")
					time.Sleep(time.Second)
					write(c.after)
					time.Sleep(30 * time.Second)
					d.join("daily", "bob")
				})
				s.Handler().ServeHTTP(w, r)
				if len(c.want) == 1 {
					again := httptest.NewRecorder()
					s.Handler().ServeHTTP(again, r.WithContext(ctx))
					if again.Code != http.StatusForbidden {
						t.Errorf("got %d for the next stream", again.Code)
					}
				}
				stop()
				running.Wait()
				_ = s.CloseListener()
				var got []string
				for _, m := range regexp.MustCompile(`event: participant.joined\n.*?"occupant":(?:null|\{"id":"(\w+)")`).FindAllStringSubmatch(w.body.String(), -1) {
					got = append(got, m[1])
				}
				if !slices.Equal(got, c.want) {
					t.Errorf("got %q, want %q\n%s", got, c.want, w.body.String())
				}
			})
		})
	}
}

// A snapshot tells of somebody whose joining is not in the ring yet, and a status comes before that.
// Whoever loses the stream then and comes back isn't told of the joining.
func TestAStatusBetweenASnapshotAndItsEventsLeadsBackToTheSnapshot(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		d := newSite(t)
		s := prepare(t, telling(d.Directory))
		defer func() { _ = s.CloseListener() }()
		s.TakeEvents()
		d.join("daily", "ann")
		listen := func(since string, meanwhile func()) string {
			leaving, leave := context.WithTimeout(t.Context(), time.Second)
			defer leave()
			r := httptest.NewRequestWithContext(leaving, http.MethodGet, "/api/events?snapshot=true", nil)
			r.Header.Set("X-API-Key", testKey)
			r.Header.Set("Last-Event-ID", since)
			w := &leaver{header: http.Header{}, leave: func() {}}
			time.AfterFunc(500*time.Millisecond, meanwhile)
			s.Handler().ServeHTTP(w, r)
			return w.body.String()
		}
		first := listen("", s.TellStatus)
		ids := regexp.MustCompile(`(?m)^id: (.*)$`).FindAllStringSubmatch(first, -1)
		if !strings.Contains(first, `"id":"ann"`) || !strings.Contains(first, "event: status") {
			t.Fatalf("got %s, want a snapshot with ann, then a status", first)
		}
		second := listen(ids[len(ids)-1][1], func() {
			s.TakeEvents()
			d.join("daily", "bob")
			s.TakeEvents()
		})
		if strings.Contains(second, `"id":"ann"`) || !strings.Contains(second, `"id":"bob"`) || strings.Contains(second, "reset") {
			t.Errorf("got %s, want bob to join and nothing else", second)
		}
	})
}
