package main

import (
	"context"
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"net/http"
	"net/url"
	"os"
	"strings"
	"sync"
	"testing"
	"time"

	"ppch/api/view"
	"ppch/prosody/prosodytest"
)

// converge is how long after the last fault all services know everything again.
const converge = 45 * time.Second

// TestCluster_SameTruthOnAllNodes makes people join, leave, rename, be kicked, and destroys rooms at random on two Prosodys and a visitor
// node. Two collectors publish all three shards to a cluster of three NATS servers, and two nodes receive them. Meanwhile all of these
// programs are killed and frozen, and their connections cut in one direction or both. Each answer of each service must be true at its as_of,
// and name each shard that it doesn't know; after the last fault all of them must know everything.
//
// PPCH_CLUSTER_SEEDS is the number of seeds (none without it), PPCH_CLUSTER_FIRST the first one, PPCH_CLUSTER_SECONDS the duration of each (20).
// With PPCH_CLUSTER_SKEW=1 the wall clock of each service is wrong by up to six hours.
func TestCluster_SameTruthOnAllNodes(t *testing.T) {
	t.Parallel()
	if os.Getenv("PPCH_CLUSTER_SEEDS") == "" {
		t.Skip("processes that starve look like faults, so it must run alone: PPCH_CLUSTER_SEEDS=3 go test -run TestCluster_SameTruth")
	}
	var flags []string
	if os.Getenv("PPCH_CLUSTER_SKEW") != "" {
		flags = append(flags, "-overlay", skewedClock(t))
	}
	program := buildProgram(t, flags...)
	eachSeed(t, "PPCH_CLUSTER", 20, func(t *testing.T, seed uint64, lasts time.Duration) {
		w := newClusterWorld(t, program, seed, len(flags) > 0)
		w.live(lasts)
		w.check()
	})
}

// clusterShard is a shard with its Prosody and people.
type clusterShard struct {
	*venue
	name, kind string
	busy       sync.Mutex
}

// clusterService is a service, a collector or a node.
type clusterService struct {
	*process
	wires
	name string
	skew time.Duration // of its wall clock
	busy sync.Mutex
}

// clusterWorld is shards, NATS servers and services.
type clusterWorld struct {
	t        *testing.T
	random   *rand.Rand
	rooms    []string
	shards   []*clusterShard
	nats     []*natsServer
	natsBusy []sync.Mutex
	services []*clusterService

	// mu protects what follows.
	mu      sync.Mutex
	claims  []claim
	unknown int // answers that the number is unknown
	faults  []string
}

func newClusterWorld(t *testing.T, program string, seed uint64, skewed bool) *clusterWorld {
	w := &clusterWorld{t: t, random: rand.New(rand.NewPCG(seed, 0)), rooms: []string{"room0", "room1", "room2"}}
	for i, s := range []*clusterShard{{name: "a", kind: "main"}, {name: "b", kind: "main"}, {name: "v1", kind: "visitors"}} {
		base := map[string]string{"main": "meet.jitsi", "visitors": "v1.meet.jitsi"}[s.kind]
		srv := prosodytest.New(t, prosodytest.Options{
			Module: true, HideRooms: true, ConflictResolve: "kick_old", Base: base, Components: []string{"ppch2." + base},
			GlobalConfig:    fmt.Sprintf("room_participants_heartbeat = 1; room_participants_components = { %q, %q }", "ppch."+base, "ppch2."+base),
			ModuleConstants: impatient,
		})
		s.venue = newVenue(t, srv)
		s.pace = 500 * time.Millisecond
		for k, room := range w.rooms {
			s.add(room, rand.New(rand.NewPCG(seed, uint64(1+10*i+k))))
		}
		w.shards = append(w.shards, s)
	}
	w.nats = startNATSCluster(t, 3, "")
	w.natsBusy = make([]sync.Mutex, len(w.nats))
	for i, name := range []string{"collector-1", "collector-2", "node-1", "node-2"} {
		s := &clusterService{name: name}
		if skewed {
			s.skew = (time.Duration(w.random.Int64N(int64(12*time.Hour))) - 6*time.Hour).Truncate(time.Second) // as skewedClock has it
		}
		natsURL, lines := s.toNATS(t, w.nats), ""
		for _, shard := range w.shards {
			if i < 2 {
				component := []string{"ppch.", "ppch2."}[i] + shard.srv.Domains.Main
				lines += collectorLine(t, shard.name, shard.kind, component, s.through(t, shard.srv.ComponentAddr()), shard.srv)
			} else {
				lines += nodeLine(shard.name, shard.kind, shard.srv)
			}
		}
		env := clusterEnv(t, natsURL, lines)
		env["PPCH_TEST_SKEW"] = fmt.Sprint(int64(s.skew / time.Second))
		s.process = startProcess(t, program, env)
		w.services = append(w.services, s)
	}
	for _, s := range w.services {
		s.ready(t)
	}
	return w
}

// live runs people, clients and faults, then waits until all services know everything.
func (w *clusterWorld) live(lasts time.Duration) {
	w.settle("the start")
	ctx, cancel := context.WithTimeout(w.t.Context(), lasts)
	defer cancel()
	asking, stop := context.WithCancel(w.t.Context())
	defer stop()
	var acting, faults, clients sync.WaitGroup
	for _, s := range w.shards {
		for _, r := range s.rooms {
			acting.Go(func() { r.act(ctx) })
		}
	}
	for i, s := range w.services {
		random := rand.New(rand.NewPCG(w.random.Uint64(), uint64(i)))
		clients.Go(func() { w.ask(asking, s, random) })
	}
	for ctx.Err() == nil {
		select {
		case <-ctx.Done():
		case <-time.After(200*time.Millisecond + w.upTo(1500*time.Millisecond)):
			w.fault(&faults, lasts)
		}
	}
	acting.Wait()
	faults.Wait()
	w.settle("the last fault")
	stop()
	clients.Wait()
}

// upTo returns a random duration.
func (w *clusterWorld) upTo(d time.Duration) time.Duration {
	return time.Duration(w.random.Int64N(int64(d)))
}

// fault lets something fail for a while, unless it has failed already.
func (w *clusterWorld) fault(running *sync.WaitGroup, lasts time.Duration) {
	d := w.upTo(min(14*time.Second, lasts*2/3))
	var busy *sync.Mutex
	var what string
	var happen func()
	switch n := w.random.IntN(10); {
	case n < 5:
		s := w.services[w.random.IntN(len(w.services))]
		busy, what, happen = &s.busy, s.name+" ", nil
		switch w.random.IntN(5) {
		case 0:
			what, happen = what+"killed", func() { s.kill(); time.Sleep(d / 5); s.start() }
		case 1:
			what, happen = what+"frozen", func() { s.freeze(d) }
		case 2:
			what, happen = what+"cut off", func() { s.cut(d, prosodytest.Sent, prosodytest.Received) }
		case 3:
			what, happen = what+"unheard", func() { s.cut(d, prosodytest.Sent) }
		default:
			what, happen = what+"deaf", func() { s.cut(d, prosodytest.Received) }
		}
	case n < 8:
		i := w.random.IntN(len(w.nats))
		s := w.nats[i]
		busy, what, happen = &w.natsBusy[i], fmt.Sprintf("nats-%d frozen", i+1), func() { s.freeze(d) }
		if w.random.IntN(2) == 0 {
			what, happen = fmt.Sprintf("nats-%d killed", i+1), func() { s.kill(); time.Sleep(d / 4); s.start() }
		}
	default:
		s := w.shards[w.random.IntN(len(w.shards))]
		quiet := func(f func()) func() {
			return func() { s.quiet.Lock(); defer s.quiet.Unlock(); f() }
		}
		busy, what, happen = &s.busy, "Prosody "+s.name+" frozen", quiet(func() { s.freeze(d / 2) })
		if w.random.IntN(2) == 0 {
			what, happen = "Prosody "+s.name+" killed", quiet(func() { s.kill(); time.Sleep(d / 5); s.restart() })
		}
	}
	if !busy.TryLock() {
		return
	}
	began := time.Now()
	running.Go(func() {
		defer busy.Unlock()
		happen()
		w.mu.Lock()
		defer w.mu.Unlock()
		w.faults = append(w.faults, fmt.Sprintf("%s from %s to %s", what, began.Format("05.000"), time.Now().Format("05.000")))
	})
}

// ask asks a service at random until ctx ends.
func (w *clusterWorld) ask(ctx context.Context, s *clusterService, random *rand.Rand) {
	for ctx.Err() == nil {
		c := claim{by: s, room: w.rooms[random.IntN(len(w.rooms))]}
		path := "/api/rooms/" + c.room
		switch n := random.IntN(10); {
		case n == 0:
			c.room, path = "", "/api/stats"
		case n < 4:
			shard := w.shards[random.IntN(len(w.shards))]
			c.shard = shard.name
			path = "/api/rooms/" + url.PathEscape(shard.srv.Room(c.room)) + "?shard=" + c.shard
		}
		c.asked = time.Now()
		a, err := s.get(ctx, path)
		c.at, c.body = time.Now(), a.body
		switch {
		case err != nil: // it is killed, or frozen
		case a.status == http.StatusServiceUnavailable:
			w.mu.Lock()
			w.unknown++
			w.mu.Unlock()
		case a.status != http.StatusOK || c.decode() != nil:
			w.t.Errorf("%s: %s: %s", s.name, path, statusOf(a, err))
		default:
			w.mu.Lock()
			w.claims = append(w.claims, c)
			w.mu.Unlock()
		}
		select {
		case <-ctx.Done():
		case <-time.After(time.Duration(random.Int64N(int64(60 * time.Millisecond)))):
		}
	}
}

// get requests a path with the key.
func (s *clusterService) get(ctx context.Context, path string) (answer, error) {
	return (&service{url: s.url, client: s.client}).try(ctx, path, "X-API-Key", testKey)
}

// settle waits until all services know what Prosody and the people know. No one moves meanwhile.
func (w *clusterWorld) settle(after string) {
	w.t.Helper()
	began := time.Now()
	for _, s := range w.shards {
		s.quiet.Lock()
		defer s.quiet.Unlock()
		truth := s.prosodysTruth()
		for _, r := range s.rooms {
			if wrong := r.inProsody(truth[r.jid]); wrong != "" {
				w.t.Errorf("after %s: shard %s:%s", after, s.name, wrong)
			}
		}
	}
	wrong := ""
	for {
		wrong = ""
		for _, s := range w.services {
			for i, room := range w.rooms {
				wrong += w.differs(s, i, room)
			}
		}
		if wrong == "" {
			w.t.Logf("after %s, all services knew everything within %s", after, time.Since(began).Round(time.Millisecond))
			return
		}
		if time.Since(began) > converge {
			break
		}
		time.Sleep(100 * time.Millisecond)
	}
	w.t.Errorf("%s after %s:%s\n%s", converge, after, wrong, strings.Join(w.faults, "\n"))
	for _, s := range w.services {
		w.t.Logf("%s:\n%s", s.name, s.log.String())
	}
	w.t.FailNow()
}

// differs returns how a service's answer about a room differs from the truth. No one moves meanwhile.
func (w *clusterWorld) differs(s *clusterService, i int, room string) string {
	a, err := s.get(context.Background(), "/api/rooms/"+url.PathEscape(room))
	if err != nil || a.status != http.StatusOK {
		return fmt.Sprintf("\n%s: %s: %s", s.name, room, statusOf(a, err))
	}
	var doc view.Room
	if err := json.Unmarshal([]byte(a.body), &doc); err != nil {
		return err.Error()
	}
	var people []string
	exists, visitors := false, 0
	for _, s := range w.shards {
		r := s.rooms[i]
		if s.kind == "visitors" {
			visitors = len(r.people)
			continue
		}
		exists = exists || r.focus
		people = append(people, strings.Fields(nicks(r.people))...)
	}
	want := sorted(people)
	if doc.Exists != exists || !doc.Exact || peopleIn(doc.Occupants) != want || exists && (doc.Visitors == nil || *doc.Visitors != visitors) {
		return fmt.Sprintf("\n%s: %s has [%s] and %d visitors, but got %s", s.name, room, want, visitors, a.body)
	}
	return ""
}
