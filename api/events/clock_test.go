package events_test

import (
	"context"
	"regexp"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"ppch/api/apitest"
)

// listen returns what a client in memory gets of a hub that runs for some time, while meanwhile happens.
func listen(t *testing.T, d *apitest.Directory, target string, lasts time.Duration, meanwhile func()) string {
	t.Helper()
	s := newService(t, d.Directory)
	ctx, stop := context.WithCancel(t.Context())
	var running sync.WaitGroup
	running.Go(func() { _ = s.Run(ctx) })
	running.Go(func() { _ = d.Run(ctx) })
	leaving, leave := context.WithTimeout(t.Context(), lasts)
	defer leave()
	go meanwhile()
	got := s.record(leaving, target, "")
	stop()
	running.Wait()
	return got
}

func TestStream_KeepAlive(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		d := apitest.NewDirectory(t)
		got := listen(t, d, "/daily", 50*time.Second, func() {
			for range 45 {
				time.Sleep(time.Second)
				d.Join("other", "ann")
				d.Leave("other", "ann")
			}
		})
		beats := regexp.MustCompile(`: keep-alive\nid: 1\.([A-Za-z0-9_-]+)\n\n`).FindAllStringSubmatch(got, -1)
		if len(beats) != 3 || beats[0][1] == beats[1][1] {
			t.Errorf("got the beats %q in %s, want three, each with another position", beats, got)
		}
		if strings.Contains(got, "participant") {
			t.Errorf("got another room's events: %s", got)
		}
	})
}

func TestHub_WakeupsAreBatched(t *testing.T) {
	for _, c := range []struct{ followers, least, most int }{
		{1, 400, 520},
		{1000, 45, 55},
		{20000, 15, 25},
	} {
		synctest.Test(t, func(t *testing.T) {
			d := apitest.NewDirectory(t)
			s := newService(t, d.Directory)
			ctx, stop := context.WithCancel(t.Context())
			done := make(chan error, 1)
			go func() { done <- s.Run(ctx) }()
			time.Sleep(time.Second)
			topic := s.Follow("")
			for range c.followers - 1 {
				s.Follow("")
			}
			woken, first := 0, time.Duration(-1)
			began, news := time.Now(), topic.Next()
			go func() {
				for range 1000 {
					d.Join("daily", "ann")
					d.Leave("daily", "ann")
					time.Sleep(time.Millisecond)
				}
			}()
			for ; time.Since(began) < time.Second; news = topic.Next() {
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
		})
	}
}

// A snapshot includes a person whose joining is not in the ring yet, and a status comes before the joining.
// A client that loses the stream then and resumes does not get the joining.
func TestStream_StatusIDResumesAtSnapshot(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		d := apitest.NewDirectory(t)
		s := newService(t, d.Directory)
		s.TakeEvents()
		d.Join("daily", "ann")
		listen := func(since string, meanwhile func()) string {
			leaving, leave := context.WithTimeout(t.Context(), time.Second)
			defer leave()
			time.AfterFunc(500*time.Millisecond, meanwhile)
			return s.record(leaving, "/?snapshot=true", since)
		}
		first := listen("", s.AddStatus)
		ids := regexp.MustCompile(`(?m)^id: (.*)$`).FindAllStringSubmatch(first, -1)
		if !strings.Contains(first, `"id":"ann"`) || !strings.Contains(first, "event: status") {
			t.Fatalf("got %s, want a snapshot with ann, then a status", first)
		}
		second := listen(ids[len(ids)-1][1], func() {
			s.TakeEvents()
			d.Join("daily", "bob")
			s.TakeEvents()
		})
		if strings.Contains(second, `"id":"ann"`) || !strings.Contains(second, `"id":"bob"`) || strings.Contains(second, "reset") {
			t.Errorf("got %s, want bob to join and nothing else", second)
		}
	})
}
