package main

import (
	"context"
	"fmt"
	"math/rand/v2"
	"time"

	"github.com/nats-io/nats-server/v2/server"
	"golang.org/x/sync/errgroup"
	"mellium.im/xmpp/jid"

	"ppch/component/cluster"
	"ppch/component/occupancy"
)

// clusterSecret seals the messages of the benchmark.
const clusterSecret = "Correct-Horse-Battery-Staple" // #nosec G101 -- not a secret

var clusterMUC = jid.MustParse("muc.meet.jitsi")

// fleet publishes made-up shards as collectors do. Their rooms have ten people each.
type fleet struct {
	t      *trial
	nats   string
	shards []*occupancy.Shard
	each   int // occupants of a shard
	stop   context.CancelFunc
	ran    errgroup.Group
}

// nats starts a NATS server in this process, and returns its URL.
func (t *trial) nats() string {
	s := must(server.NewServer(&server.Options{Host: "127.0.0.1", Port: server.RANDOM_PORT, NoLog: true, NoSigs: true}))(t)
	s.Start()
	t.cleanup(func() {
		s.Shutdown()
		s.WaitForShutdown()
	})
	if !s.ReadyForConnections(10 * time.Second) {
		t.check(fmt.Errorf("NATS doesn't start at %s", s.ClientURL()))
	}
	t.versions["nats-server"] = server.VERSION
	return s.ClientURL()
}

// fleet starts collectors of shards with this many occupants each, and a NATS server.
func (t *trial) fleet(shards, occupants int) *fleet {
	f := &fleet{t: t, nats: t.nats(), each: occupants}
	directory := occupancy.NewDirectory()
	ctx, cancel := context.WithCancel(t.ctx)
	conn := must(cluster.Dial(f.config("collectors")))(t)
	f.stop = func() {
		cancel()
		_ = f.ran.Wait() // it was stopped on purpose
		conn.Close()
	}
	t.cleanup(f.close)
	for i := range shards {
		s := must(directory.AddShard(occupancy.ShardConfig{Name: fmt.Sprintf("s%d", i), Domains: []jid.JID{clusterMUC}}))(t)
		f.shards = append(f.shards, s)
		f.status(s)
		s.Begin(clusterMUC, occupancy.SystemAccounts{Classified: true})
		for r := range occupants / clusterPeople {
			t.check(s.Apply(clusterMUC, occupancy.Batch{Deltas: []occupancy.Delta{madeUp(i, r)}}, time.Now()))
		}
		t.check(s.Apply(clusterMUC, f.batch(), time.Now()))
		c := must(cluster.NewCollector(cluster.CollectorConfig{Conn: conn, Shard: s, Name: fmt.Sprintf("ppch%d.meet.jitsi", i)}))(t)
		f.ran.Go(func() error { return c.Run(ctx) })
	}
	f.ran.Go(func() error { return directory.Run(ctx) })
	f.ran.Go(func() error {
		for ctx.Err() == nil {
			for _, s := range f.shards {
				if err := s.Apply(clusterMUC, f.batch(), time.Now()); err != nil {
					return err
				}
			}
			select {
			case <-ctx.Done():
			case <-time.After(2 * time.Second): // as the Lua module does
			}
		}
		return nil
	})
	return f
}

// close ends the collectors. Closing them twice does no harm.
func (f *fleet) close() { f.stop() }

func (f *fleet) config(name string) cluster.Config {
	return cluster.Config{URLs: []string{f.nats}, Secret: clusterSecret, Name: name}
}

func (f *fleet) url() string { return f.nats }

func (f *fleet) total() int { return len(f.shards) * f.each }

func (f *fleet) names() (names []string) {
	for _, s := range f.shards {
		names = append(names, s.Name())
	}
	return names
}

func (f *fleet) status(s *occupancy.Shard) {
	s.SetStatus(clusterMUC, occupancy.Status{Connected: true, Since: time.Now(), Mode: occupancy.ModeModule})
}

// beat makes all collectors send a heartbeat.
func (f *fleet) beat() {
	for _, s := range f.shards {
		s.SetStatus(clusterMUC, occupancy.Status{Connected: true, Since: time.Now(), Mode: occupancy.ModeDisco})
		f.status(s)
	}
}

// batch returns a batch of a shard with its totals, which changes never change.
func (f *fleet) batch(deltas ...occupancy.Delta) occupancy.Batch {
	return occupancy.Batch{Deltas: deltas, Synced: true, Rooms: f.each / clusterPeople, Occupants: f.each}
}

// change lets occupants raise and lower their hands for a time, at this rate over all shards.
func (f *fleet) change(rate int, lasts time.Duration) {
	due := time.Now()
	for i := range int(lasts.Seconds() * float64(rate)) {
		due = due.Add(time.Second / time.Duration(rate))
		time.Sleep(time.Until(due))
		shard := i % len(f.shards)
		d := madeUp(shard, rand.IntN(f.each/clusterPeople)) // #nosec G404 -- not a secret
		o := d.Present[0]
		o.Flags = occupancy.PresenceFlags(i)
		d = occupancy.Delta{Room: d.Room, Present: []occupancy.Occupant{o}}
		f.t.check(f.shards[shard].Apply(clusterMUC, f.batch(d), time.Now()))
	}
}

// verify ends the trial unless a node has all occupants.
func (f *fleet) verify(s *service) {
	f.t.verify(target{url: s.url + "/api/stats", headers: []string{"X-API-Key: " + key}, want: fmt.Sprintf(`:%d`, f.total())})
}

// roomOf returns the name of a room.
func roomOf(shard, room int) string { return fmt.Sprintf("room-%02d-%06d", shard, room) }

// madeUp returns a room of ten people, whose records are as long as those of people in Jitsi Meet.
func madeUp(shard, room int) occupancy.Delta {
	created := time.UnixMilli(1_790_000_000_000 + int64(room))
	d := occupancy.Delta{
		Room: roomOf(shard, room) + "@" + clusterMUC.String(), New: true,
		Facts: &occupancy.RoomFacts{CreatedAt: created, Stamp: created, MeetingID: fmt.Sprintf("%08x-1f2e-4d3c-8b9a-%012x", room, shard)},
	}
	for i := range clusterPeople {
		n := (shard<<20+room)*clusterPeople + i
		d.Present = append(d.Present, occupancy.Occupant{
			ID: fmt.Sprintf("%08x", n), Kind: occupancy.KindUser, Role: "participant", Affiliation: "none", JoinedAt: created, Stamp: created,
			RealJID: fmt.Sprintf("%08x-1f2e-4d3c-8b9a-%012x@meet.jitsi/AbCdEfGh-%06x", n, n, i), Name: fmt.Sprintf("Person Number %d", i),
			Flags: occupancy.FlagAudioMuted | occupancy.FlagVideoOn,
		})
	}
	return d
}
