package cluster_test

import (
	"context"
	"fmt"
	"log/slog"
	"maps"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
	"github.com/nats-io/nats-server/v2/server"
	"golang.org/x/sync/errgroup"
	"mellium.im/xmpp/jid"

	"ppch/component/cluster"
	"ppch/component/clustertest"
	"ppch/component/occupancy"
)

const (
	secret = "a secret of all the nodes"

	// beat is short, so that silence is noticed soon.
	beat = 200 * time.Millisecond
)

var (
	domain    = jid.MustParse("muc.meet.jitsi")
	breakouts = jid.MustParse("breakout.meet.jitsi")
)

// runNATS runs a NATS server until the test ends.
func runNATS(t *testing.T, adjust ...func(*server.Options)) *clustertest.NATS {
	t.Helper()
	return clustertest.NewNATS(t, adjust...)
}

// member is a program of the cluster: a collector or a node.
type member struct {
	t         testing.TB
	directory *occupancy.Directory
	shard     *occupancy.Shard
	conn      *cluster.Conn
	collector *cluster.Collector
	node      *cluster.Node
	stop      func()
	log       *slog.Logger

	// mu protects what follows, and the batches of the test.
	mu        sync.Mutex
	connected bool // to Prosody
}

// options are those of a connection to s.
func options(t *testing.T, url, name string) cluster.Config {
	return cluster.Config{
		URLs: []string{url}, Secret: secret, Name: name, Heartbeat: beat,
		Log: slog.New(slog.NewTextHandler(t.Output(), nil)).With("program", name),
	}
}

func newMember(t testing.TB, cfg cluster.Config) *member {
	t.Helper()
	m := &member{t: t, directory: occupancy.NewDirectory(domain, breakouts)}
	m.shard = m.directory.Shard(occupancy.DefaultShard)
	var err error
	if m.conn, err = cluster.Dial(cfg); err != nil {
		t.Fatal(err)
	}
	return m
}

// domains returns the MUC domains of the member.
func (m *member) domains() (all []jid.JID) {
	for _, d := range m.shard.Domains() {
		all = append(all, d.JID)
	}
	return all
}

// run runs a part of the member until the test ends, or stop is called.
func (m *member) run(runs ...func(context.Context) error) *member {
	ctx, cancel := context.WithCancel(context.Background())
	var g errgroup.Group
	for _, f := range append(runs, m.directory.Run) {
		g.Go(func() error { return f(ctx) })
	}
	m.stop = sync.OnceFunc(func() {
		cancel()
		if err := g.Wait(); err != nil {
			m.t.Error(err)
		}
		m.conn.Close()
	})
	m.t.Cleanup(m.stop)
	return m
}

// newCollector runs a collector whose Prosody the test plays, with changes made before.
func newCollector(t *testing.T, cfg cluster.Config, changes ...func(*member)) *member {
	t.Helper()
	m := newMember(t, cfg)
	for _, change := range changes {
		change(m)
	}
	var err error
	m.collector, err = cluster.NewCollector(cluster.CollectorConfig{Conn: m.conn, Shard: m.shard, Name: cfg.Name, Version: "2.0.0", Log: cfg.Log})
	if err != nil {
		t.Fatal(err)
	}
	return m.run(m.collector.Run, m.confirm)
}

// confirm confirms the rooms periodically, as the Lua module does.
func (m *member) confirm(ctx context.Context) error {
	tick := time.NewTicker(beat)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return nil
		case <-tick.C:
			m.mu.Lock()
			if m.connected {
				m.send(domain, m.nicks(domain), nil)
				m.send(breakouts, m.nicks(breakouts), nil)
			}
			m.mu.Unlock()
		}
	}
}

// away reports that the connection to Prosody is lost.
func (m *member) away() {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.connected = false
	for _, d := range []jid.JID{domain, breakouts} {
		m.shard.SetStatus(d, occupancy.Status{Since: time.Now(), Problem: occupancy.ProblemLost.Err(nil)})
	}
}

// newNode returns a node that runs, with changes made before.
func newNode(t *testing.T, cfg cluster.Config, changes ...func(*member)) *member {
	t.Helper()
	m := newMember(t, cfg)
	m.log = cfg.Log
	for _, change := range changes {
		change(m)
	}
	return m.follows(t)
}

// follows runs the member as a node.
func (m *member) follows(t testing.TB) *member {
	t.Helper()
	var err error
	m.node, err = cluster.NewNode(cluster.NodeConfig{
		Conn: m.conn, Shard: m.shard.Name(), Kind: occupancy.ShardMain, Domains: []jid.JID{domain, breakouts}, Replica: m.shard, Log: m.log,
	})
	if err != nil {
		t.Fatal(err)
	}
	return m.run(m.node.Run)
}

// up reports a connection to Prosody and loads its rooms.
func (m *member) up(rooms ...occupancy.Delta) {
	m.t.Helper()
	m.mu.Lock()
	defer m.mu.Unlock()
	m.connected = true
	for _, d := range []jid.JID{domain, breakouts} {
		m.shard.SetStatus(d, occupancy.Status{Connected: true, Since: time.Now(), Mode: occupancy.ModeModule})
		m.shard.Begin(d, occupancy.SystemAccounts{})
	}
	m.send(breakouts, nil, nil)
	m.send(domain, nil, rooms)
}

// apply applies a batch as the Lua module would send it: the totals are those of the shard afterwards.
func (m *member) apply(of jid.JID, deltas ...occupancy.Delta) {
	m.t.Helper()
	m.mu.Lock()
	defer m.mu.Unlock()
	m.send(of, m.nicks(of), deltas)
}

// send applies a batch with the totals after deltas to rooms. The caller holds mu.
func (m *member) send(of jid.JID, before map[string]map[string]bool, deltas []occupancy.Delta) {
	m.t.Helper()
	rooms, occupants := totals(before, deltas)
	b := occupancy.Batch{Deltas: deltas, Synced: true, Rooms: rooms, Occupants: occupants}
	if err := m.shard.Apply(of, b, time.Now()); err != nil {
		m.t.Errorf("%s: %v", of, err)
	}
}

// nicks returns the nicks in all rooms of a domain.
func (m *member) nicks(of jid.JID) map[string]map[string]bool {
	all := make(map[string]map[string]bool)
	for r := range m.shard.Snapshot().Rooms(0) {
		if !r.JID.Domain().Equal(of) {
			continue
		}
		nicks := make(map[string]bool)
		for _, record := range r.Occupants {
			o := record.Occupant()
			nicks[o.ID] = true
		}
		all[r.JID.String()] = nicks
	}
	return all
}

// totals returns the totals after deltas to rooms with nicks.
func totals(all map[string]map[string]bool, deltas []occupancy.Delta) (rooms, occupants int) {
	if all == nil {
		all = make(map[string]map[string]bool)
	}
	for _, d := range deltas {
		if d.Gone {
			delete(all, d.Room)
			continue
		}
		if d.New || all[d.Room] == nil {
			all[d.Room] = make(map[string]bool)
		}
		for _, nick := range d.Left {
			delete(all[d.Room], nick)
		}
		for _, o := range d.Present {
			all[d.Room][o.ID] = true
		}
	}
	for nicks := range maps.Values(all) {
		occupants += len(nicks)
	}
	return len(all), occupants
}

// person is an occupant who joined at a time by Prosody's clock.
func person(nick string, joined int64) occupancy.Occupant {
	return occupancy.Occupant{
		ID: nick, Name: "Person " + nick, RealJID: nick + "@meet.jitsi/x", Role: "participant", Affiliation: "none",
		JoinedAt: time.UnixMilli(joined).UTC(), Stamp: time.UnixMilli(joined).UTC(),
	}
}

// began is a room that just began, with people.
func began(room string, people ...occupancy.Occupant) occupancy.Delta {
	created := time.UnixMilli(1_700_000_000_000).UTC()
	return occupancy.Delta{Room: room, New: true, Facts: &occupancy.RoomFacts{CreatedAt: created, Stamp: created, MeetingID: "m-" + room}, Present: people}
}

func roomOf(name string) jid.JID { return jid.MustParse(name + "@muc.meet.jitsi") }

// eventually waits until check returns an empty text.
func eventually(t testing.TB, within time.Duration, check func() string) {
	t.Helper()
	deadline := time.Now().Add(within)
	for {
		problem := check()
		if problem == "" {
			return
		}
		if time.Now().After(deadline) {
			t.Fatalf("after %s: %s", within, problem)
		}
		time.Sleep(5 * time.Millisecond)
	}
}

// participants waits until a member has a number of people in a room.
func (m *member) participants(room string, want int) {
	m.t.Helper()
	eventually(m.t, 20*time.Second, func() string {
		got, err := m.directory.Room(roomOf(room))
		if err != nil || got.Participants != want || !got.Exact {
			return fmt.Sprintf("%s: got %d people, exact %t, %v want %d", room, got.Participants, got.Exact, err, want)
		}
		return ""
	})
}

// reason waits until a read of all rooms of the main domain, or its events, have a problem of that reason; empty for none.
func (m *member) reason(want occupancy.Reason) {
	m.t.Helper()
	eventually(m.t, 20*time.Second, func() string {
		d, err := m.shard.Domain(domain)
		var got occupancy.Reason
		if d.EventProblem != nil {
			got = d.EventProblem.Reason
		}
		if err != nil || got != want {
			return fmt.Sprintf("got reason %q, %v want %q", got, err, want)
		}
		return ""
	})
}

// rooms returns all that a shard knows, in a form that two programs have in common.
func (m *member) rooms() (all []occupancy.RoomSnapshot) {
	for r := range m.shard.Snapshot().Rooms(0) {
		r.Occupants = slices.Clone(r.Occupants)
		for i, record := range r.Occupants {
			o := record.Occupant()
			o.JoinedAt = time.Time{} // by this program's clock
			r.Occupants[i] = occupancy.NewRecord(o)
		}
		r.Facts.CreatedAt = time.Time{}
		all = append(all, r)
	}
	return all
}

// equal waits until a node knows the same as a collector.
func equal(t *testing.T, collector, node *member, within time.Duration) {
	t.Helper()
	eventually(t, within, func() string {
		return cmp.Diff(collector.rooms(), node.rooms(), cmpopts.EquateEmpty(), cmp.Transformer("occupant", (*occupancy.Record).Occupant),
			cmp.Comparer(func(a, b jid.JID) bool { return a.Equal(b) }))
	})
}
