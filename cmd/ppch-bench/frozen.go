package main

import (
	"bytes"
	"context"
	"fmt"
	"math"
	"os"
	"syscall"
	"time"

	"golang.org/x/sync/errgroup"

	"ppch/prosody/prosodytest"
)

// frozen measures what a frozen service costs Prosody: it stops the service while 200 people per second join a hundred rooms of five
// and 200 leave, or fewer on a slow machine. A second Prosody has the same traffic and no subscriber.
// It reports the peak memory of both, and how long the service takes to be current after it resumes.
func frozen(t *trial) {
	t.title(fmt.Sprintf("A service frozen for %s, with 200 joins and 200 leaves per second", t.plan.frozen))
	watched, unwatched := t.busy(), t.busy()
	s := t.service(watched.srv)
	t.ready(s)
	stop := t.begin(watched, unwatched)
	t.sleep(t.plan.frozen) // until garbage collection keeps pace with the load
	var peak, other, again sample
	for n := range t.plan.pairs {
		t.check(s.signal(syscall.SIGSTOP))
		t.resetPeak(watched.srv)
		t.resetPeak(unwatched.srv)
		t.sleep(t.plan.frozen)
		_, with := t.memory(watched.srv.PID())
		_, without := t.memory(unwatched.srv.PID())
		peak, other = append(peak, with/1024), append(other, without/1024)

		must(watched.Crowd().Join(t.ctx, 1, watched.quiet))(t)
		began := time.Now()
		t.check(s.signal(syscall.SIGCONT))
		t.awaitPeople(s, "quiet", n+1)
		again = append(again, time.Since(began).Seconds())
		t.sleep(t.plan.turn) // until the module's buffer is empty
	}
	stop()
	t.row(row{What: "Prosody's peak memory meanwhile", Unit: "MiB", PPCH: peak, Peer: "unwatched", Other: other})
	t.row(row{What: "until all data is current again", Unit: "s", PPCH: again})
}

// busyServer is a Prosody with busy rooms and a quiet one.
type busyServer struct {
	*prosodytest.Churn
	srv   *prosodytest.Server
	quiet string
}

func (t *trial) busy() *busyServer {
	srv := t.prosody(prosodytest.Options{Module: true, HideRooms: true})
	cast := must(srv.Cast(t.ctx))(t)
	t.cleanup(func() { _ = cast.Close() })
	s := &busyServer{Churn: t.churn(srv, cast, 100, 4), srv: srv, quiet: srv.Room("quiet")}
	must(cast.Open(t.ctx, s.quiet))(t)
	return s
}

// begin lets people join and leave on servers until stop is called.
func (t *trial) begin(servers ...*busyServer) (stop func()) {
	ctx, cancel := context.WithCancel(t.ctx)
	var busy errgroup.Group
	for _, s := range servers {
		busy.Go(func() error { return s.Run(ctx, 200, math.MaxInt/2) })
	}
	t.cleanup(func() {
		cancel()
		_ = busy.Wait()
	})
	return func() {
		cancel()
		t.check(busy.Wait())
	}
}

// resetPeak restarts the peak of resident memory from its present value (proc(5), clear_refs).
func (t *trial) resetPeak(srv *prosodytest.Server) {
	t.check(os.WriteFile(fmt.Sprintf("/proc/%d/clear_refs", srv.PID()), []byte("5"), 0))
}

// awaitPeople waits until the service reports this number of people in the room as exact.
func (t *trial) awaitPeople(s *service, room string, people int) {
	ctx, cancel := context.WithTimeout(t.ctx, time.Minute)
	defer cancel()
	want := fmt.Sprintf(`"participant_count":%d,`, people)
	for {
		a, err := get(ctx, s.room(room), key)
		if err == nil && a.Status == 200 && bytes.Contains(a.Body, []byte(want)) && bytes.Contains(a.Body, []byte(`"exact":true`)) {
			return
		}
		if ctx.Err() != nil {
			t.check(fmt.Errorf("the service did not report %d people in %s: %w\n%s", people, room, ctx.Err(), a.Body))
		}
		time.Sleep(5 * time.Millisecond)
	}
}
