package main

import (
	"context"
	"encoding/json"
	"math/rand/v2"
	"net/http"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"ppch/api/view"
	"ppch/prosody/prosodytest"
)

// Two collectors serve a shard. The one that a node follows freezes: the node moves to the other. Then the first one continues.
// Meanwhile people come and go: no answer of the node is false, and no event on its stream comes twice or is false.
func TestCluster_FrozenCollector(t *testing.T) {
	t.Parallel()
	if testing.Short() {
		t.Skip("takes half a minute")
	}
	program := buildProgram(t)
	srv := prosodytest.New(t, prosodytest.Options{
		Module: true, HideRooms: true, ConflictResolve: "kick_old", Components: []string{"ppch2.meet.jitsi"}, ModuleConstants: impatient,
		GlobalConfig: `room_participants_heartbeat = 1; room_participants_components = { "ppch.meet.jitsi", "ppch2.meet.jitsi" }`,
	})
	v := newVenue(t, srv)
	v.pace = 500 * time.Millisecond
	for i, name := range []string{"room0", "room1"} {
		v.add(name, rand.New(rand.NewPCG(1, uint64(i))))
	}
	collectors, node := startCollectors(t, program, srv)

	ctx, stop := context.WithCancel(t.Context())
	defer stop()
	var running sync.WaitGroup
	stream := newEventSource(node.url+"/api/events", &http.Client{Transport: &http.Transport{DisableKeepAlives: true}})
	running.Go(func() { stream.run(ctx) })
	eventually(t, 20*time.Second, "the stream has begun", func() bool { return stream.lastKnownID() != "" })
	acting, quiet := context.WithCancel(ctx)
	defer quiet()
	var actors sync.WaitGroup
	for _, r := range v.rooms {
		actors.Go(func() { r.act(acting) })
		running.Go(func() { r.ask(ctx, node) })
	}
	time.Sleep(2 * time.Second)
	first := followedBy(node)
	if collectors[first] == nil {
		t.Fatalf("the node follows %q", first)
	}
	frozen := time.Now()
	running.Go(func() { collectors[first].freeze(20 * time.Second) })
	eventually(t, time.Minute, "the node follows the other collector", func() bool { return followedBy(node) != first && followedBy(node) != "" })
	t.Logf("the node follows the other collector after %s", time.Since(frozen).Round(time.Second/10))
	time.Sleep(time.Until(frozen.Add(25 * time.Second)))
	quiet()
	actors.Wait()

	eventually(t, 40*time.Second, "the node knows all", func() bool {
		truth := v.prosodysTruth()
		return !slices.ContainsFunc(v.rooms, func(r *roomActor) bool { return r.compare(truth[r.jid], node) != "" })
	})
	var present []string
	eventually(t, 20*time.Second, "the stream shows who is there", func() bool {
		var wrong string
		present, wrong = stream.present()
		return wrong == "" && slices.Equal(present, v.present())
	})
	stop()
	running.Wait()
	answers := 0
	for _, r := range v.rooms {
		answers += r.check()
	}
	if _, wrong := stream.present(); wrong != "" || len(stream.resets) > 0 || stream.connections() != 1 {
		t.Errorf("the stream got %s, resets %q, and %d connections", wrong, stream.resets, stream.connections())
	}
	t.Logf("%d answers and %d events were true", answers, stream.count())
}

// followedBy returns the name of the collector that a node follows, or an empty text.
func followedBy(node *process) string {
	a, err := (&service{url: node.url, client: node.client}).try(context.Background(), "/api/diagnostics", "X-API-Key", testKey)
	var doc view.Diagnostics
	if err != nil || json.Unmarshal([]byte(a.body), &doc) != nil || doc.NATS == nil || len(doc.NATS.Followed) == 0 || doc.NATS.Followed[0].Collector == nil {
		return ""
	}
	return *doc.NATS.Followed[0].Collector
}

// present returns who is there, as "room nick", and the first event that contradicts those before it.
func (s *eventSource) present() (all []string, wrong string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	here := map[string]bool{}
	for _, e := range s.events {
		name, who, _ := strings.Cut(e, " ")
		if joins := name == "participant.joined"; joins == here[who] {
			wrong = e
		} else if here[who] = joins; !joins {
			delete(here, who)
		}
	}
	for who := range here {
		all = append(all, who)
	}
	slices.Sort(all)
	return all, wrong
}

// present returns who is there, as "room nick".
func (v *venue) present() (all []string) {
	for _, r := range v.rooms {
		for _, o := range r.people {
			all = append(all, r.jid+" "+o.Nick())
		}
	}
	slices.Sort(all)
	return all
}

// startCollectors starts NATS, two collectors of a Prosody, by component, and a node.
func startCollectors(t *testing.T, program string, srv *prosodytest.Server) (collectors map[string]*process, node *process) {
	t.Helper()
	natsURL := "nats://" + startNATSCluster(t, 1, "")[0].addr
	collectors = map[string]*process{}
	for _, component := range []string{"ppch.meet.jitsi", "ppch2.meet.jitsi"} {
		collectors[component] = startProcess(t, program, clusterEnv(t, natsURL, collectorLine(t, "main", "main", component, srv.ComponentAddr(), srv)))
		collectors[component].ready(t)
	}
	node = startProcess(t, program, clusterEnv(t, natsURL, nodeLine("main", "main", srv)))
	node.ready(t)
	return collectors, node
}
