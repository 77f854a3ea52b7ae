package main

import (
	"context"
	"fmt"
	"strconv"
	"testing"
	"time"

	"ppch/prosody/prosodytest"
)

// BenchmarkStart starts the service beside a Prosody with 100,000 people in 10,000 rooms.
//
// It reports how long that takes until every room is known (synced-s), and how long somebody else waits at most who pings Prosody
// every 20 ms: in the ten seconds of the start (ping-ms), and in ten seconds without the service (alone-ping-ms).
// With so many people everybody waits whenever Prosody collects its garbage, which a start may bring on as all other work does.
// So the same is told of a start that brings it on, and of other work that does (gc-). Of several starts it reports the worst.
func BenchmarkStart(b *testing.B) {
	const rooms = 10_000
	s := &starter{b: b, srv: fullServer(b, rooms), program: buildProgram(b), rooms: rooms}
	s.guest = must(s.srv.Guest(b.Context()))(b)
	defer s.guest.Close()

	var alone, beside, gcAlone, gcBeside time.Duration
	for b.Loop() {
		s.collect(400)
		alone = max(alone, s.longestPing(func() {}))
		beside = max(beside, s.longestPing(s.start))
		s.stop()
		s.collect(100)
		gcAlone = max(gcAlone, s.longestPing(s.litter))
		s.collect(100)
		gcBeside = max(gcBeside, s.longestPing(s.start))
		s.stop()
	}
	b.ReportMetric(s.took.Seconds(), "synced-s")
	b.ReportMetric(milliseconds(beside), "ping-ms")
	b.ReportMetric(milliseconds(alone), "alone-ping-ms")
	b.ReportMetric(milliseconds(beside-alone), "longer-ms")
	b.ReportMetric(milliseconds(gcBeside), "gc-ping-ms")
	b.ReportMetric(milliseconds(gcAlone), "gc-alone-ping-ms")
	b.ReportMetric(milliseconds(gcBeside-gcAlone), "gc-longer-ms")
	b.ReportMetric(0, "ns/op")
}

// starter starts the service beside a full server.
type starter struct {
	b       *testing.B
	srv     *prosodytest.Server
	guest   *prosodytest.Client
	program string
	rooms   int
	process *process
	took    time.Duration // the longest start
}

// start runs the service until it knows all.
func (s *starter) start() {
	began := time.Now()
	s.process = startProcess(s.b, s.program, envFor(s.srv))
	s.b.Cleanup(s.process.kill)
	s.process.synced("room"+strconv.Itoa(s.rooms), 10)
	s.took = max(s.took, time.Since(began))
}

// stop looks whether all that is known is right, and kills the service.
func (s *starter) stop() {
	for r := range s.rooms {
		if name := "room" + strconv.Itoa(r+1); !s.process.tells(name, 10, time.Time{}) {
			s.b.Errorf("%s is not right", name)
		}
	}
	s.process.kill()
}

// collect collects all garbage. The next time that is begun when the memory in use has grown to so many percent,
// and from then on at 400 %, as Jitsi has it.
func (s *starter) collect(percent int) {
	must(s.srv.Shell(s.b.Context(), fmt.Sprintf(`> collectgarbage("incremental", %d, 250, 13); collectgarbage(); collectgarbage(); `+
		`collectgarbage("incremental", 400, 250, 13)`, percent)))(s.b)
	time.Sleep(time.Second) // for the machine to come to rest
}

// litter makes some 150 MB of garbage, as a start does, a little at a time.
func (s *starter) litter() {
	must(s.srv.Shell(s.b.Context(), `> local turns = 1000; require "util.timer".add_task(0.003, function () local t = {}; `+
		`for i = 1, 2500 do t[i] = ("%d %d"):format(i, math.random(1e9)); end; turns = turns - 1; return turns > 0 and 0.003 or nil; end)`))(s.b)
}

// longestPing pings every 20 ms while something happens, and for ten seconds at least.
// A ping that was due while another was waited for has waited since it was due.
func (s *starter) longestPing(happens func()) (longest time.Duration) {
	ctx, cancel := context.WithCancel(s.b.Context())
	done := make(chan error, 1)
	go func() {
		for due := time.Now(); ctx.Err() == nil; due = due.Add(20 * time.Millisecond) {
			since := due
			if early := time.Until(due); early > 0 {
				time.Sleep(early)
				since = time.Now()
			}
			if _, err := s.guest.IQ(s.b.Context(), s.srv.Domains.Main, "get", "<ping xmlns='urn:xmpp:ping'/>"); err != nil {
				done <- err
				return
			}
			longest = max(longest, time.Since(since))
		}
		done <- nil
	}()
	over := time.After(10 * time.Second)
	happens()
	<-over
	cancel()
	if err := <-done; err != nil {
		s.b.Error(err)
	}
	return longest
}

func milliseconds(d time.Duration) float64 { return float64(d) / float64(time.Millisecond) }
