package cluster_test

import (
	"fmt"
	"slices"
	"testing"
	"time"

	"github.com/nats-io/nats-server/v2/server"

	"ppch/component/cluster"
	"ppch/component/occupancy"
)

// crowded loads a collector with rooms of 20 people each.
func crowded(b *testing.B, occupants int) (url string, c *member) {
	b.Helper()
	s, err := server.NewServer(&server.Options{Host: "127.0.0.1", Port: server.RANDOM_PORT, NoLog: true, NoSigs: true})
	if err != nil {
		b.Fatal(err)
	}
	s.Start()
	b.Cleanup(s.Shutdown)
	if !s.ReadyForConnections(10 * time.Second) {
		b.Fatal("NATS doesn't start")
	}
	cfg := cluster.Config{URLs: []string{s.ClientURL()}, Secret: secret, Name: "ppch.meet.jitsi"}
	c = newMember(b, cfg)
	var rooms []occupancy.Delta
	for r := range occupants / 20 {
		var people []occupancy.Occupant
		for i := range 20 {
			people = append(people, person(fmt.Sprintf("%08x", r*20+i), int64(1_700_000_000_000+i)))
		}
		rooms = append(rooms, began(fmt.Sprintf("room%d@muc.meet.jitsi", r), people...))
	}
	if c.collector, err = cluster.NewCollector(cluster.CollectorConfig{Conn: c.conn, Shard: c.shard, Name: cfg.Name}); err != nil {
		b.Fatal(err)
	}
	c.run(c.collector.Run)
	c.up(rooms...)
	return s.ClientURL(), c
}

// BenchmarkSnapshot measures how long a new node takes for 100,000 occupants, from the first request to the last room.
func BenchmarkSnapshot(b *testing.B) {
	url, c := crowded(b, 100_000)
	for b.Loop() {
		b.StopTimer()
		n := newMember(b, cluster.Config{URLs: []string{url}, Secret: secret, Name: "node"})
		n.follows(b)
		// The node waits for a heartbeat, which a change of the status sends.
		time.Sleep(50 * time.Millisecond)
		b.StartTimer()
		c.shard.SetStatus(domain, occupancy.Status{Connected: true, Since: time.Now(), Mode: occupancy.ModeDisco})
		c.shard.SetStatus(domain, occupancy.Status{Connected: true, Since: time.Now(), Mode: occupancy.ModeModule})
		for {
			if _, err := n.directory.Room(roomOf("room0")); err == nil {
				break
			}
			time.Sleep(100 * time.Microsecond)
		}
		b.StopTimer()
		n.stop()
		b.StartTimer()
	}
}

// BenchmarkFreshness measures the time from a change on the collector to the answer of a node, at 1,000 changes a second.
func BenchmarkFreshness(b *testing.B) {
	url, c := crowded(b, 10_000)
	n := newMember(b, cluster.Config{URLs: []string{url}, Secret: secret, Name: "node"})
	n.follows(b)
	time.Sleep(50 * time.Millisecond)
	c.shard.SetStatus(domain, occupancy.Status{Connected: true, Since: time.Now(), Mode: occupancy.ModeUndecided})
	c.shard.SetStatus(domain, occupancy.Status{Connected: true, Since: time.Now(), Mode: occupancy.ModeModule})
	for {
		if _, err := n.directory.Room(roomOf("room0")); err == nil {
			break
		}
		time.Sleep(time.Millisecond)
	}
	events := n.directory.Subscribe(1000, roomOf("room0"))
	defer events.Close()
	var took []time.Duration
	ann := person("00000000", 1_700_000_000_000)
	for b.Loop() {
		ann.Name = fmt.Sprint(len(took))
		batch := occupancy.Batch{
			Synced: true, Rooms: 500, Occupants: 10_000,
			Deltas: []occupancy.Delta{{Room: "room0@muc.meet.jitsi", Present: []occupancy.Occupant{ann}}},
		}
		began := time.Now()
		if err := c.shard.Apply(domain, batch, began); err != nil {
			b.Fatal(err)
		}
		for e := range events.Events() {
			if e.Kind == occupancy.EventUpdated {
				break
			}
		}
		took = append(took, time.Since(began))
		time.Sleep(time.Millisecond - time.Since(began))
	}
	slices.Sort(took)
	b.ReportMetric(float64(took[len(took)/2].Microseconds()), "µs-p50")
	b.ReportMetric(float64(took[len(took)*99/100].Microseconds()), "µs-p99")
}
