package main

import (
	"bufio"
	"fmt"
	"net"
	"net/http"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"ppch/prosody/prosodytest"
)

// listener counts the events of a subscriber.
type listener struct {
	mu     sync.Mutex
	events map[string]int
	bytes  int
	joined chan time.Time
}

// listen subscribes to a room until the test ends.
func (p *process) listen(t *testing.T, room string) *listener {
	t.Helper()
	conn := must(net.Dial("tcp", strings.TrimPrefix(p.url, "http://")))(t)
	t.Cleanup(func() { _ = conn.Close() })
	fmt.Fprintf(conn, "GET /api/rooms/%s/events HTTP/1.1\r\nHost: ppch\r\nX-API-Key: %s\r\n\r\n", room, testKey)
	resp, err := http.ReadResponse(bufio.NewReader(conn), nil)
	if err != nil || resp.StatusCode != http.StatusOK {
		t.Fatal(resp, err)
	}
	l := &listener{events: make(map[string]int), joined: make(chan time.Time, 1000)}
	go func() {
		lines := bufio.NewReader(resp.Body)
		for {
			line, err := lines.ReadString('\n')
			if err != nil {
				return
			}
			l.mu.Lock()
			l.bytes += len(line)
			if name, ok := strings.CutPrefix(line, "event: "); ok {
				l.events[strings.TrimSpace(name)]++
				if name == "participant.joined\n" {
					l.joined <- time.Now()
				}
			}
			l.mu.Unlock()
		}
	}()
	return l
}

func (l *listener) count(event string) (events, bytes int) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.events[event], l.bytes
}

// One occupant mutes and unmutes a thousand times a second. Subscribers receive a limited number of events,
// and joins in other rooms arrive as fast as before.
func TestAttacks_FlippingDelaysNoOtherRoom(t *testing.T) {
	t.Parallel()
	const subscribers, rate, eventsPerSecond, bytesPerEvent = 20, 1000, 50, 4096
	srv := prosodytest.New(t, prosodytest.Options{Module: true, HideRooms: true})
	cast := castOn(t, srv)
	for _, room := range []string{"noisy", "quiet"} {
		must(cast.Open(t.Context(), srv.Room(room)))(t)
	}
	crowd := must(srv.Crowd(t.Context()))(t)
	defer crowd.Close()
	flipper := must(crowd.Join(t.Context(), 1, srv.Room("noisy")))(t)[0]
	p := startProcess(t, buildProgram(t), envFor(srv))
	p.ready(t)
	var noisy, quiet []*listener
	for range subscribers {
		noisy, quiet = append(noisy, p.listen(t, "noisy")), append(quiet, p.listen(t, "quiet"))
	}
	time.Sleep(200 * time.Millisecond) // until all are subscribed
	joins := func(n int) (p99 time.Duration) {
		var all []time.Duration
		for range n {
			began := time.Now()
			member := must(crowd.Join(t.Context(), 1, srv.Room("quiet")))(t)
			for _, l := range quiet {
				select {
				case at := <-l.joined:
					all = append(all, at.Sub(began))
				case <-time.After(time.Minute):
					t.Fatal("a join has not arrived within a minute")
				}
			}
			check(t, crowd.Leave(t.Context(), member...))
			time.Sleep(50 * time.Millisecond)
		}
		slices.Sort(all)
		return all[len(all)*99/100]
	}
	without := joins(20)
	stop := make(chan struct{})
	var flipping sync.WaitGroup
	flips, began := 0, time.Now()
	flipping.Go(func() {
		for ; ; flips++ {
			select {
			case <-stop:
				return
			case <-time.After(time.Until(began.Add(time.Duration(flips) * time.Second / rate))):
			}
			extra := fmt.Sprintf(`<SourceInfo>{"%s-a0":{"muted":%t}}</SourceInfo>`, flipper.Nick, flips%2 == 0)
			if err := crowd.Update(flipper, extra); err != nil {
				t.Error(err)
				return
			}
		}
	})
	with := joins(20)
	close(stop)
	flipping.Wait()
	took := time.Since(began).Seconds()
	events, bytes := noisy[0].count("participant.updated")
	t.Logf("%d flips in %.1f s: %d events and %d bytes for each subscriber; others' p99 %s without, %s with", flips, took, events, bytes, without, with)
	if events == 0 || float64(events) > eventsPerSecond*took || bytes > bytesPerEvent*(events+10) {
		t.Errorf("got %d events and %d bytes, want %d events a second at most, of %d bytes", events, bytes, eventsPerSecond, bytesPerEvent)
	}
	if sizesOfAttacks().full && with > max(3*without, time.Second) {
		t.Errorf("others' p99 went from %s to %s", without, with)
	}
}
