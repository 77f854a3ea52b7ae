package main

import (
	"context"
	"fmt"
	"os"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"ppch/prosody/prosodytest"
)

// BenchmarkFrozen freezes the service for a minute, or for PPCH_BENCH_FROZEN_SECONDS,
// while 200 people a second come to a hundred rooms of five, and 200 go; fewer where the machine is too slow.
// A second Prosody has as many come and go at the same time, and nobody who has subscribed.
//
// It reports what memory both Prosodys took at most while the service was frozen, and what they held when it was over
// and all garbage was collected (MiB), and how long after it went on the service was right again.
func BenchmarkFrozen(b *testing.B) {
	frozen := time.Minute
	if v := os.Getenv("PPCH_BENCH_FROZEN_SECONDS"); v != "" {
		frozen = time.Duration(must(strconv.Atoi(v))(b)) * time.Second
	}
	program := buildProgram(b)
	var with, without footprint
	var again, took time.Duration
	var came, others int64
	for b.Loop() {
		watched, unwatched := newBusyServer(b), newBusyServer(b)
		p := startProcess(b, program, envFor(watched.srv))
		b.Cleanup(p.kill)
		p.synced("quiet", 0)

		began := time.Now()
		watched.begin()
		unwatched.begin()
		time.Sleep(10 * time.Second) // until garbage is collected at the pace of the load
		p.signal(syscall.SIGSTOP)
		watched.resetPeak()
		unwatched.resetPeak()
		time.Sleep(frozen)
		with, without = watched.footprint(), unwatched.footprint()
		must(watched.crowd.Join(b.Context(), 3, watched.quiet))(b)
		p.signal(syscall.SIGCONT)
		again = max(again, within(b, time.Minute, 5*time.Millisecond, "the service is right again", func() bool {
			return p.tells("quiet", 3, time.Time{})
		}))

		watched.end()
		unwatched.end()
		came, others = came+watched.came.Load(), others+unwatched.came.Load()
		took += time.Since(began)
		for room, people := range watched.people() {
			name, _, _ := strings.Cut(room, "@")
			within(b, 5*time.Second, 5*time.Millisecond, name+" is right", func() bool { return p.tells(name, people, time.Time{}) })
		}
		p.kill()
	}
	b.ReportMetric(float64(came)/took.Seconds(), "joins/s")
	b.ReportMetric(float64(others)/took.Seconds(), "unwatched-joins/s")
	b.ReportMetric(with.most, "most-MiB")
	b.ReportMetric(without.most, "unwatched-most-MiB")
	b.ReportMetric(with.most-without.most, "more-MiB")
	b.ReportMetric(with.held, "held-MiB")
	b.ReportMetric(without.held, "unwatched-held-MiB")
	b.ReportMetric(again.Seconds(), "right-again-s")
	b.ReportMetric(0, "ns/op")
}

func (p *process) signal(s syscall.Signal) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if err := p.cmd.Process.Signal(s); err != nil {
		p.t.Error(err)
	}
}

// busyServer is a Prosody whose rooms are never at rest, but for a quiet one.
type busyServer struct {
	*churn
	srv   *prosodytest.Server
	quiet string
	end   func()
}

func newBusyServer(b *testing.B) *busyServer {
	b.Helper()
	srv := prosodytest.New(b, prosodytest.Options{Module: true, HideRooms: true})
	cast := castOn(b, srv)
	s := &busyServer{churn: newChurn(b, srv, cast, 100, 4), srv: srv, quiet: srv.Room("quiet")}
	must(cast.Open(b.Context(), s.quiet))(b)
	return s
}

// begin lets people come and go until end is called.
func (s *busyServer) begin() {
	ctx, cancel := context.WithCancel(s.b.Context())
	done := make(chan struct{})
	go func() {
		defer close(done)
		s.run(ctx, 200)
	}()
	s.end = func() {
		cancel()
		<-done
	}
	s.b.Cleanup(s.end)
}

// footprint is what memory a Prosody took, in MiB.
type footprint struct {
	most float64 // resident, at most
	held float64 // of Lua, all garbage collected
}

// resetPeak lets the peak be counted from now on (proc(5), clear_refs).
func (s *busyServer) resetPeak() {
	if err := os.WriteFile(fmt.Sprintf("/proc/%d/clear_refs", s.srv.PID()), []byte("5"), 0); err != nil {
		s.b.Fatal(err)
	}
}

func (s *busyServer) footprint() (f footprint) {
	_, f.most = memory(s.b, s.srv.PID())
	out := must(s.srv.Shell(s.b.Context(), `> collectgarbage(); collectgarbage(); return ("%.0f"):format(collectgarbage("count"))`))(s.b)
	kib := must(strconv.ParseFloat(strings.TrimSpace(strings.TrimPrefix(out, "Result: ")), 64))(s.b)
	f.held = kib / 1024
	return f
}
