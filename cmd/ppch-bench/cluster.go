package main

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"time"

	"mellium.im/xmpp/jid"

	"ppch/component/cluster"
	"ppch/component/occupancy"
	"ppch/prosody/prosodytest"
)

// Sizes of the benchmark cluster, and its load.
const (
	clusterShards  = 20
	clusterRate    = 2000 // changes a second over all shards
	clusterNodes   = 10
	pageOccupants  = 100_000
	clusterPeople  = 10  // in each room
	freshnessRate  = 200 // joins a second on one shard
	clusterConnect = 16  // connections of reads
)

// clusters measures nodes that receive shards over NATS. Occupants of large shards are made up in this process, which publishes them
// with the real collector; freshness and the cost for Prosody are measured on a real one.
func clusters(t *trial) {
	t.title("Nodes over NATS")
	t.newNode()
	t.manyShards()
	t.nodesOfProsody()
}

// newNode measures how long a node takes for a snapshot, from the request to the last room. Collector, NATS and node share this process.
func (t *trial) newNode() {
	f := t.fleet(1, pageOccupants)
	var took sample
	for range t.plan.pairs {
		took = append(took, f.load().Seconds())
	}
	t.row(row{
		What: fmt.Sprintf("snapshot of %s occupants for another node, from the request to the last room", figure(pageOccupants)), Unit: "s",
		PPCH: took, Goal: atMost("value", 0.5),
	})
	f.close()
}

// load returns how long a new node takes to load the only shard.
func (f *fleet) load() time.Duration {
	t := f.t
	replica := occupancy.NewDirectory(clusterMUC)
	shard := replica.Shard(occupancy.DefaultShard)
	conn := must(cluster.Dial(f.config("new node")))(t)
	defer conn.Close()
	node := must(cluster.NewNode(cluster.NodeConfig{Conn: conn, Shard: f.shards[0].Name(), Domains: []jid.JID{clusterMUC}, Replica: shard}))(t)
	ctx, cancel := context.WithCancel(t.ctx)
	var running sync.WaitGroup
	running.Go(func() { _ = node.Run(ctx) }) // it was stopped on purpose
	defer running.Wait()
	defer cancel()
	t.sleep(100 * time.Millisecond) // until it listens for heartbeats
	began := time.Now()
	f.beat()
	for {
		totals, err := replica.Totals(clusterMUC)
		switch {
		case err == nil && totals.Counts.People() == f.each:
			return time.Since(began)
		case time.Since(began) > time.Minute:
			t.check(fmt.Errorf("the node has %d occupants, %w", totals.Counts.People(), err))
		}
		time.Sleep(100 * time.Microsecond)
	}
}

// manyShards measures a node with many shards: until it is ready, its memory, reads compared with a node that has one of the shards,
// and processor time under load.
func (t *trial) manyShards() {
	f := t.fleet(clusterShards, t.plan.shard)
	occupants := figure(float64(f.total()))
	what := fmt.Sprintf("%s occupants on %d shards: ", occupants, clusterShards)
	var wantTime, wantMemory *goal
	if f.total() >= 1_000_000 {
		wantTime, wantMemory = atMost("value", 10), atMost("value", 600)
	}
	var took, memory, peak sample
	var s *service
	for range min(t.plan.pairs, 3) {
		if s != nil {
			s.stop()
		}
		began := time.Now()
		s = t.node(f.url(), f.names()...)
		t.ready(s)
		took = append(took, time.Since(began).Seconds())
		t.sleep(t.plan.rest)
		now, high := t.memory(s.pid())
		memory, peak = append(memory, now/1024), append(peak, high/1024)
	}
	f.verify(s)
	t.row(row{What: what + "until a node is ready", Unit: "s", PPCH: took, Goal: wantTime})
	t.row(row{What: what + "memory of the node", Unit: "MiB", PPCH: memory, Goal: wantMemory})
	t.row(row{What: what + "its peak while loading", Unit: "MiB", PPCH: peak})

	f.busy(s, what)
	now, _ := t.memory(s.pid())
	t.row(row{What: what + "memory after that", Unit: "MiB", PPCH: sample{now / 1024}, Goal: wantMemory})
	if err := hasWrk(); err != nil {
		t.row(row{What: what + "reads"}.missing(err))
		return
	}
	one := t.node(f.url(), f.shards[0].Name())
	t.ready(one)
	of := func(s *service, path, k, want string) target {
		return target{name: "a node with one of them", url: s.url + path, headers: []string{"X-API-Key: " + k}, want: want}
	}
	for _, r := range []struct{ name, path, key, want string }{
		{"a room of 10", "/api/rooms/" + roomOf(0, 0) + "/participants", key, "Person Number 9"},
		{"the number of a room", "/api/rooms/" + roomOf(0, 0) + "/participants", countKey, `"participant_count":10`},
		{"a list of 100 rooms", "/api/rooms?limit=100", key, "room-"},
	} {
		ours, other := of(s, r.path, r.key, r.want), of(one, r.path, r.key, r.want)
		t.verify(ours)
		t.verify(other)
		t.row(t.against(what+r.name, ours, other, clusterConnect, t.plan.pairs, atLeast(0.9)))
	}
	one.stop()
	s.stop()
	f.close()
}

// busy measures the processor time of a node while occupants of all shards change.
func (f *fleet) busy(s *service, what string) {
	t := f.t
	var share sample
	for range t.plan.pairs {
		before, began := t.cpu(s.pid()), time.Now()
		f.change(clusterRate, t.plan.turn)
		share = append(share, 100*float64(t.cpu(s.pid())-before)/float64(time.Since(began)))
	}
	t.row(row{
		What: what + fmt.Sprintf("processor time of the node with %s changes a second, each in a batch", figure(clusterRate)), Unit: "% of a core",
		PPCH: share, Goal: atMost("value", 50),
	})
}

// nodesOfProsody measures on a real Prosody how much later an answer of another node shows a join than one of its collector,
// and what ten nodes cost Prosody.
func (t *trial) nodesOfProsody() {
	srv := t.prosody(prosodytest.Options{Module: true, HideRooms: true})
	cast := must(srv.Cast(t.ctx))(t)
	t.cleanup(func() { _ = cast.Close() })
	c := t.churn(srv, cast, 100, 8)
	url := t.nats()
	collector := t.serviceWith(srv, natsEnv(url))
	t.ready(collector)
	node := t.nodeOf(url, srv.Domains.MUC, occupancy.DefaultShard)
	t.ready(node)
	first, second := newSightings(), newSightings()
	var following sync.WaitGroup
	for s, seen := range map[*service]*sightings{collector: first, node: second} {
		events := must(subscribe(t.ctx, s.url))(t)
		following.Go(func() { seen.follow(events) })
	}
	var median, p99 sample
	for range t.plan.pairs {
		first.forget()
		second.forget()
		t.check(c.Run(t.ctx, freshnessRate, t.plan.joins))
		t.sleep(500 * time.Millisecond) // until the last join has arrived
		there, here := first.all(), second.all()
		later := waits(there, there, here)
		if len(later) < len(there) || len(there) < t.plan.joins {
			t.check(fmt.Errorf("of %d joins, the collector showed %d and the other node %d", t.plan.joins, len(there), len(later)))
		}
		median, p99 = append(median, percentile(later, 50)), append(p99, percentile(later, 99))
	}
	what := fmt.Sprintf("how much later than the collector another node shows a join, %d joins a second, ", freshnessRate)
	t.row(row{What: what + "median", Unit: "ms", PPCH: median})
	t.row(row{What: what + "p99", Unit: "ms", PPCH: p99, Goal: atMost("value", 5)})
	node.stop()

	cost := func(nodes int) func() []float64 {
		return func() []float64 {
			var all []*service
			for range nodes {
				all = append(all, t.nodeOf(url, srv.Domains.MUC, occupancy.DefaultShard))
			}
			for _, s := range all {
				t.ready(s)
			}
			before := t.cpu(srv.PID())
			t.check(c.Run(t.ctx, freshnessRate, t.plan.joins))
			spent := milliseconds(t.cpu(srv.PID())-before) / float64(t.plan.joins)
			connections := float64(t.connections(srv.ComponentAddr()))
			for _, s := range all {
				s.stop()
			}
			return []float64{spent, connections}
		}
	}
	with, without := t.alternate(t.plan.pairs, cost(clusterNodes), cost(0))
	with[1], without[1] = with[1][:1], without[1][:1]
	t.row(row{What: fmt.Sprintf("Prosody's connections to services, with %d other nodes", clusterNodes), PPCH: with[1], Peer: "with the collector alone", Other: without[1], Goal: atMost("ratio", 1)})
	t.row(row{What: fmt.Sprintf("Prosody's processor time for a join, with %d other nodes", clusterNodes), Unit: "ms", PPCH: with[0], Peer: "with the collector alone", Other: without[0]})
	collector.stop()
	following.Wait()
}

// connections returns how many established TCP connections a server on 127.0.0.1 has at an address (proc(5), net/tcp).
func (t *trial) connections(address string) (n int) {
	table := string(must(os.ReadFile("/proc/net/tcp"))(t))
	var port int
	must(fmt.Sscanf(address[strings.LastIndexByte(address, ':'):], ":%d", &port))(t)
	const established = "01"
	for line := range strings.Lines(table) {
		f := strings.Fields(line)
		if len(f) > 3 && strings.HasSuffix(f[1], fmt.Sprintf(":%04X", port)) && f[3] == established {
			n++
		}
	}
	return n
}

// natsEnv returns the settings of a service that uses a NATS server.
func natsEnv(url string) []string {
	return []string{"PPCH_NATS_URL=" + url, "PPCH_CLUSTER_SECRET=" + clusterSecret}
}

// node starts a service without Prosody that receives made-up shards.
func (t *trial) node(nats string, shards ...string) *service {
	return t.nodeOf(nats, clusterMUC.String(), shards...)
}

// nodeOf starts a service without Prosody that receives shards with this MUC domain.
func (t *trial) nodeOf(nats, muc string, shards ...string) *service {
	var lines strings.Builder
	for _, name := range shards {
		fmt.Fprintf(&lines, "name=%s muc=%s via=nats\n", name, muc)
	}
	file := filepath.Join(must(os.MkdirTemp(t.dir, "node"))(t), "shards")
	t.check(os.WriteFile(file, []byte(lines.String()), 0o600))
	return t.launch(slices.Concat(natsEnv(nats), []string{"PPCH_SHARDS_FILE=" + file}))
}
