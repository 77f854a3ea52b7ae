package main

import (
	"bytes"
	"context"
	"fmt"
	"slices"
	"strconv"
	"time"

	"golang.org/x/sync/errgroup"

	"ppch/prosody/prosodytest"
)

// snapshots measures a start of the service on a Prosody full of people, in rooms of ten: the time until all rooms are loaded,
// the longest wait of a client that pings Prosody every 20 ms meanwhile, and the service's memory afterwards.
// It ends with the cost of a change with few rooms and with many.
func snapshots(t *trial) {
	t.title("Loading all rooms at a start, ten people in each")
	var all []*starter
	for _, n := range t.plan.occupants {
		srv := t.fullProsody(n/10, 10, prosodytest.Options{
			Module: true, HideRooms: true, HostConfig: map[string]string{"muc.meet.jitsi": "muc_room_cache_size = 20000"},
		})
		s := &starter{t: t, occupants: n, srv: srv}
		s.guest = must(s.srv.Guest(t.ctx))(t)
		t.cleanup(func() { _ = s.guest.Close() })
		all = append(all, s)
		s.measure(all[0])
	}
	few, many := all[0], all[len(all)-1]
	a, b := t.alternate(t.plan.pairs, many.changes(), few.changes())
	t.row(row{
		What: fmt.Sprintf("the service's processor time for a join or leave, with %s rooms", figure(float64(many.occupants)/10)), Unit: "µs",
		PPCH: a[0], Peer: fmt.Sprintf("with %s", figure(float64(few.occupants)/10)), Other: b[0], Goal: atMost("ratio", 1.25),
	})
}

// starter starts the service on a full server.
type starter struct {
	t         *trial
	srv       *prosodytest.Server
	guest     *prosodytest.Client
	occupants int
	service   *service
	memory    sample // of the service, in KiB
}

// measure starts the service repeatedly, and leaves it running.
func (s *starter) measure(least *starter) {
	t := s.t
	// Both sides are measured for as long as a start may take.
	window := min(t.plan.turn, 2*time.Second) + time.Duration(s.occupants/30_000)*time.Second
	var took sample
	alone, during := t.alternate(t.plan.pairs, func() []float64 {
		s.collect()
		return []float64{milliseconds(s.longestPing(window, func() { t.look(window / 2) }))}
	}, func() []float64 {
		s.collect()
		began := time.Now()
		ping := s.longestPing(window, func() {
			s.service = t.service(s.srv)
			t.ready(s.service)
			took = append(took, time.Since(began).Seconds())
		})
		now, _ := t.memory(s.service.pid())
		s.memory = append(s.memory, now)
		s.right()
		s.service.stop()
		t.sleep(time.Second) // until Prosody has closed its connection
		return []float64{milliseconds(ping)}
	})
	s.service = t.service(s.srv)
	t.ready(s.service)

	who := figure(float64(s.occupants)) + " occupants: "
	var wantTime, wantPing, wantMemory *goal
	if s.occupants == 100_000 {
		wantTime, wantPing, wantMemory = atMost("value", 3), atMost("value", 20), atMost("value", 1)
	}
	t.row(row{What: who + "until all are loaded", Unit: "s", PPCH: took, Goal: wantTime})
	t.row(row{What: who + "longest ping of Prosody meanwhile", Unit: "ms", PPCH: during[0], Peer: "without a start", Other: alone[0], Goal: wantPing})
	t.row(row{What: who + "memory of the service", Unit: "MiB", PPCH: pairs(s.memory, s.memory, func(kib, _ float64) float64 { return kib / 1024 })})
	if s != least {
		more := float64(s.occupants - least.occupants)
		each := pairs(s.memory, least.memory, func(many, few float64) float64 { return (many - few) / more })
		what := fmt.Sprintf("memory for each occupant beyond the first %s", figure(float64(least.occupants)))
		t.row(row{What: who + what, Unit: "KiB", PPCH: each, Goal: wantMemory})
	}
}

// look polls a port where nothing listens as often as a start polls the service.
// Polling keeps this process awake, which makes pings faster, so both sides need it.
func (t *trial) look(lasts time.Duration) {
	for until := time.Now().Add(lasts); time.Now().Before(until); t.sleep(time.Millisecond) {
		_, _ = get(t.ctx, "http://127.0.0.1:1/readyz", "")
	}
}

// right ends the trial unless the service reports the right counts for the first and last room and in total.
func (s *starter) right() {
	for room, people := range map[string]int{"room" + strconv.Itoa(s.occupants/10): 10, "room1": 10} {
		a := s.t.ask(target{url: s.service.room(room), headers: []string{"X-API-Key: " + key}})
		if want := fmt.Sprintf(`"participant_count":%d`, people); !bytes.Contains(a.Body, []byte(want)) {
			s.t.check(fmt.Errorf("%s: the answer lacks %s:\n%s", room, want, a.Body))
		}
	}
	a := s.t.ask(target{url: s.service.url + "/api/stats", headers: []string{"X-API-Key: " + key}})
	if want := fmt.Sprintf(`:%d`, s.occupants); !bytes.Contains(a.Body, []byte(want)) {
		s.t.check(fmt.Errorf("the totals lack %s:\n%s", want, a.Body))
	}
}

// collect collects Prosody's garbage. With Jitsi's settings the next collection starts when memory has grown fourfold.
// With so many people a collection delays everyone, and a start of the service brings it closer, like any other work.
func (s *starter) collect() {
	must(s.srv.Shell(s.t.ctx, "> collectgarbage(); collectgarbage()"))(s.t)
	s.t.sleep(500 * time.Millisecond) // until the machine is idle
}

// longestPing pings every 20 ms while happens runs, and for at least window, and returns the longest wait.
// A ping that the previous one delayed counts from its due time.
func (s *starter) longestPing(window time.Duration, happens func()) (longest time.Duration) {
	ctx, cancel := context.WithCancel(s.t.ctx)
	defer cancel()
	var pinging errgroup.Group
	pinging.Go(func() error {
		for due := time.Now(); ctx.Err() == nil; due = due.Add(20 * time.Millisecond) {
			since := due
			if early := time.Until(due); early > 0 {
				time.Sleep(early)
				since = time.Now()
			}
			if _, err := s.guest.IQ(s.t.ctx, s.srv.Domains.Main, "get", "<ping xmlns='urn:xmpp:ping'/>"); err != nil {
				return err
			}
			longest = max(longest, time.Since(since))
		}
		return nil
	})
	over := time.After(window)
	happens()
	<-over
	cancel()
	s.t.check(pinging.Wait())
	return longest
}

// changes returns a function that measures the service's processor time for a join or leave, in µs,
// in rooms of its own.
func (s *starter) changes() func() []float64 {
	const rooms, each = 20, 10
	t := s.t
	cast := must(s.srv.Cast(t.ctx))(t)
	t.cleanup(func() { _ = cast.Close() })
	c := t.churn(s.srv, cast, rooms, 0)
	const settled = time.Second
	return func() []float64 {
		before := t.cpu(s.service.pid())
		t.sleep(settled)
		idle := t.cpu(s.service.pid()) - before // in that second

		began := time.Now()
		before += idle
		for range 2 {
			members := must(c.Crowd().Join(t.ctx, each, c.Rooms...))(t)
			slices.Reverse(members)
			t.check(c.Crowd().Leave(t.ctx, members...))
		}
		t.sleep(200 * time.Millisecond) // until the service has applied all changes
		spent := t.cpu(s.service.pid()) - before
		spent -= time.Duration(float64(idle) * float64(time.Since(began)) / float64(settled))
		return []float64{milliseconds(spent) * 1000 / (2 * 2 * rooms * each)}
	}
}
