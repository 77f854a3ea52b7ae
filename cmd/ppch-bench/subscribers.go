package main

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"slices"
	"strings"
	"syscall"
	"time"

	"golang.org/x/sync/errgroup"

	"ppch/prosody/prosodytest"
)

// subscribers measures the cost of many event streams, and how soon all of them receive a join.
// The clients run in this process, so they use the same machine.
func subscribers(t *trial) {
	t.title("Event streams")
	srv := t.prosody(prosodytest.Options{Module: true, HideRooms: true})
	cast := must(srv.Cast(t.ctx))(t)
	t.cleanup(func() { _ = cast.Close() })
	daily := srv.Room("daily")
	must(cast.Open(t.ctx, daily))(t)
	crowd := must(srv.Crowd(t.ctx))(t)
	t.cleanup(func() { _ = crowd.Close() })
	for _, n := range t.plan.streams {
		var files syscall.Rlimit
		t.check(syscall.Getrlimit(syscall.RLIMIT_NOFILE, &files))
		if uint64(n+100) > files.Max { // #nosec G115 -- n is positive
			t.row(row{What: fmt.Sprintf("%d streams", n), Missing: fmt.Sprintf("a process may have no more than %d files (ulimit -n)", files.Max)})
			continue
		}
		var memory, all, spread sample
		for range t.plan.pairs {
			s := t.service(srv)
			t.ready(s)
			t.sleep(500 * time.Millisecond)
			before, _ := t.memory(s.pid())
			a := t.audience(s, n)
			t.sleep(time.Second)
			now, _ := t.memory(s.pid())
			memory = append(memory, (now-before)/float64(n))
			for range 3 {
				began := time.Now()
				members := must(crowd.Join(t.ctx, 1, daily))(t)
				first, last := a.received(t)
				all, spread = append(all, milliseconds(last.Sub(began))), append(spread, milliseconds(last.Sub(first)))
				t.check(crowd.Leave(t.ctx, members...))
			}
			a.close()
			s.stop()
		}
		what := figure(float64(n)) + " streams: "
		t.row(row{What: what + "memory of the service for each", Unit: "KiB", PPCH: memory})
		t.row(row{What: what + "from a join until the last one receives it", Unit: "ms", PPCH: all})
		t.row(row{What: what + "from the first one that receives it to the last", Unit: "ms", PPCH: spread})
	}
}

// audience is many subscribers.
type audience struct {
	n     int
	came  chan time.Time // when each subscriber received the event
	close func()
}

// audience opens n event streams and returns when all are confirmed.
func (t *trial) audience(s *service, n int) *audience {
	ctx, cancel := context.WithCancel(t.ctx)
	a := &audience{n: n, came: make(chan time.Time, n)}
	ready := make(chan error, n)
	places := make(chan struct{}, 100) // streams that are not confirmed yet: the service bounds connections without a valid key
	confirm := func(err error) {
		<-places
		ready <- err
	}
	var listening errgroup.Group
	for range n {
		listening.Go(func() error {
			places <- struct{}{}
			conn, err := new(net.Dialer).DialContext(ctx, "tcp", strings.TrimPrefix(s.url, "http://"))
			if err == nil {
				_, err = io.WriteString(conn, "GET /api/events HTTP/1.1\r\nHost: ppch\r\nX-API-Key: "+key+"\r\n\r\n")
			}
			if err != nil {
				confirm(err)
				return err
			}
			defer context.AfterFunc(ctx, func() { _ = conn.Close() })()
			return a.listen(conn, confirm)
		})
	}
	a.close = func() {
		cancel()
		_ = listening.Wait() // all were closed on purpose
	}
	t.cleanup(a.close)
	for range n {
		t.check(<-ready)
	}
	return a
}

// listen reads a stream until it ends. It calls confirm once, when the service has confirmed the stream or closed it.
func (a *audience) listen(conn net.Conn, confirm func(error)) error {
	lines, subscribed := bufio.NewReaderSize(conn, 1024), false
	for {
		line, err := lines.ReadSlice('\n')
		if err != nil && !errors.Is(err, bufio.ErrBufferFull) {
			if !subscribed {
				confirm(err)
			}
			return err
		}
		switch string(line) {
		case "event: status\n":
			if !subscribed {
				subscribed = true
				confirm(nil)
			}
		case "event: participant.joined\n":
			a.came <- time.Now()
		}
	}
}

// received waits until all subscribers have received an event, and returns the first and the last time.
func (a *audience) received(t *trial) (first, last time.Time) {
	var all []time.Time
	late := time.After(30 * time.Second)
	for range a.n {
		select {
		case at := <-a.came:
			all = append(all, at)
		case <-late:
			t.check(fmt.Errorf("%d of %d subscribers received the event", len(all), a.n))
		}
	}
	return slices.MinFunc(all, time.Time.Compare), slices.MaxFunc(all, time.Time.Compare)
}

// starts measures how soon the service is ready with an empty Prosody, and its size.
func starts(t *trial) {
	t.title("The program")
	srv := t.prosody(prosodytest.Options{Module: true, HideRooms: true})
	var took sample
	for range max(5, t.plan.pairs) {
		began := time.Now()
		s := t.service(srv)
		t.ready(s)
		took = append(took, milliseconds(time.Since(began)))
		s.stop()
	}
	t.row(row{What: "from its start until it is ready, with an empty Prosody", Unit: "ms", PPCH: took, Goal: atMost("value", 150)})
	t.row(row{What: "its size, equal to the image's", Unit: "MB", PPCH: sample{t.megabytes(t.program)}})
}
