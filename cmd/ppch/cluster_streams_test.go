package main

import (
	"context"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"ppch/prosody/prosodytest"
)

// balancer forwards each connection to the next of some addresses that accepts it.
type balancer struct {
	net.Listener
	next atomic.Uint64

	// mu protects targets.
	mu      sync.Mutex
	targets []string
}

func newBalancer(t *testing.T, targets ...string) *balancer {
	t.Helper()
	b := &balancer{Listener: must(net.Listen("tcp", "127.0.0.1:0"))(t), targets: targets}
	var running sync.WaitGroup
	running.Go(func() {
		for {
			conn, err := b.Accept()
			if err != nil {
				return
			}
			running.Go(func() { b.serve(conn) })
		}
	})
	t.Cleanup(func() {
		_ = b.Close()
		running.Wait()
	})
	return b
}

// to changes the addresses of new connections.
func (b *balancer) to(targets ...string) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.targets = targets
}

func (b *balancer) serve(conn net.Conn) {
	defer conn.Close()
	b.mu.Lock()
	targets := b.targets
	b.mu.Unlock()
	for range targets {
		to, err := net.Dial("tcp", targets[b.next.Add(1)%uint64(len(targets))])
		if err != nil {
			continue
		}
		defer to.Close()
		var ended sync.WaitGroup
		ended.Go(func() {
			_, _ = io.Copy(to, conn)
			_ = to.Close()
		})
		_, _ = io.Copy(conn, to)
		_ = conn.Close()
		ended.Wait()
		return
	}
}

// visits lets people join and leave rooms, each for a second, and so knows which events must come.
type visits struct {
	t     *testing.T
	casts []*prosodytest.Cast
	rooms []string

	// mu protects events.
	mu     sync.Mutex
	events []string
}

// run lets people visit until ctx ends, then waits until they have left.
func (v *visits) run(ctx context.Context, every time.Duration) {
	var here sync.WaitGroup
	defer here.Wait()
	for i := 0; ctx.Err() == nil; i++ {
		cast, room := v.casts[i%len(v.casts)], v.rooms[i%len(v.casts)]
		here.Go(func() { v.visit(cast, room, fmt.Sprint("Person ", i)) })
		select {
		case <-ctx.Done():
		case <-time.After(every):
		}
	}
}

func (v *visits) visit(cast *prosodytest.Cast, room, name string) {
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	o, err := cast.User(ctx, room, name)
	if err != nil {
		v.t.Error(err)
		return
	}
	v.note("participant.joined " + room + " " + o.Nick())
	time.Sleep(time.Second) // longer than the module gathers changes
	if err := o.Leave(ctx); err != nil {
		v.t.Error(err)
	}
	v.note("participant.left " + room + " " + o.Nick())
	_ = o.Close()
}

func (v *visits) note(event string) {
	v.mu.Lock()
	defer v.mu.Unlock()
	v.events = append(v.events, event)
}

// all returns the events so far.
func (v *visits) all() []string {
	v.mu.Lock()
	defer v.mu.Unlock()
	return append([]string(nil), v.events...)
}

// A thousand clients follow the events of two shards through a proxy with two nodes behind it. First one node is killed, then,
// once that one is back, the other. Every client gets every event once, without a reset.
func TestCluster_StreamsMoveWithoutLoss(t *testing.T) {
	t.Parallel()
	if testing.Short() {
		t.Skip("takes half a minute")
	}
	const clients = 1000
	program := buildProgram(t)
	nats := startNATSCluster(t, 1, "")
	v := &visits{t: t}
	collecting, following := "", ""
	for _, name := range []string{"a", "b"} {
		srv := prosodytest.New(t, prosodytest.Options{Module: true, HideRooms: true})
		collecting += collectorLine(t, name, "main", srv.Domains.Component, srv.ComponentAddr(), srv)
		following += nodeLine(name, "main", srv)
		cast, room := castOn(t, srv), srv.Room("planning-"+name)
		meeting(t, cast, room)
		v.casts, v.rooms = append(v.casts, cast), append(v.rooms, room)
	}
	natsURL := "nats://" + nats[0].addr
	startProcess(t, program, clusterEnv(t, natsURL, collecting)).ready(t)
	nodes := []*process{startProcess(t, program, clusterEnv(t, natsURL, following)), startProcess(t, program, clusterEnv(t, natsURL, following))}
	var addrs []string
	for _, n := range nodes {
		n.ready(t)
		addrs = append(addrs, strings.TrimPrefix(n.url, "http://"))
	}
	b := newBalancer(t, addrs...)

	ctx, stop := context.WithCancel(t.Context())
	transport := &http.Transport{DisableKeepAlives: true}
	var running sync.WaitGroup
	defer running.Wait()
	defer stop()
	var all []*eventSource
	for range clients {
		s := newEventSource("http://"+b.Addr().String()+"/api/events", &http.Client{Transport: transport})
		all = append(all, s)
		running.Go(func() { s.run(ctx) })
	}
	everyone := func(what string, is func(*eventSource) bool) {
		t.Helper()
		eventually(t, time.Minute, what, func() bool {
			for _, s := range all {
				if !is(s) {
					return false
				}
			}
			return true
		})
	}
	everyone("all clients are connected", func(s *eventSource) bool { return s.lastKnownID() != "" })
	visiting, enough := context.WithCancel(ctx)
	done := make(chan struct{})
	go func() {
		defer close(done)
		v.run(visiting, 500*time.Millisecond)
	}()
	for i, n := range nodes {
		time.Sleep(time.Second)
		b.to(addrs[1-i])
		moved := connections(all)
		n.kill()
		eventually(t, time.Minute, "the clients of the killed node are back", func() bool { return connections(all) >= moved+clients/3 })
		seen := v.all()
		everyone("all have what happened until then", func(s *eventSource) bool { return s.count() >= len(seen) })
		if i == 0 {
			n.start()
			n.ready(t)
		}
	}
	enough()
	<-done
	want := v.all()
	everyone("all have as many events as there were", func(s *eventSource) bool { return s.count() >= len(want) })
	wrong := 0
	for i, s := range all {
		if text := s.wrong(want); text != "" {
			if wrong++; wrong <= 5 {
				t.Errorf("client %d: %s", i, text)
			}
		}
	}
	t.Logf("%d of %d clients got %d events once, over %d connections", clients-wrong, clients, len(want), connections(all))
	if len(want) < 20 {
		t.Errorf("got only %d events", len(want))
	}
}

// connections returns how many connections clients have had.
func connections(all []*eventSource) (n int) {
	for _, s := range all {
		n += s.connections()
	}
	return n
}
