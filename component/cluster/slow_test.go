package cluster_test

import (
	"fmt"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/nats-io/nats-server/v2/server"
	"github.com/nats-io/nats.go"
	"mellium.im/xmpp/jid"

	"ppch/component/cluster"
	"ppch/component/occupancy"
)

// stalling is a replica that applies nothing while the test holds mu.
type stalling struct {
	*occupancy.Shard
	mu *sync.Mutex
}

func (s stalling) Apply(domain jid.JID, b occupancy.Batch, at time.Time) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.Shard.Apply(domain, b, at)
}

// flood publishes what makes no sense on the subject of a collector's batches until a reader falls behind, large messages before small ones.
func flood(t *testing.T, url string, behind func() bool, sizes ...int) {
	t.Helper()
	nc, err := nats.Connect(url)
	if err != nil {
		t.Fatal(err)
	}
	defer nc.Close()
	eventually(t, 30*time.Second, func() string {
		for _, size := range sizes {
			_ = nc.Publish("ppch.main.ppch_meet_jitsi.batch", make([]byte, size))
		}
		if _ = nc.Flush(); !behind() {
			return "the reader isn't behind"
		}
		return ""
	})
}

// A node that applies batches more slowly than they come loses some, counts that, and loads the rooms again.
func TestNode_SlowerThanItsMessages(t *testing.T) {
	s := runNATS(t, func(o *server.Options) { o.MaxPending = 1 << 30 }) // so that it is the node that has no room
	n := newMember(t, options(t, s.ClientURL(), "node"))
	var mu sync.Mutex
	var err error
	n.node, err = cluster.NewNode(cluster.NodeConfig{
		Conn: n.conn, Shard: n.shard.Name(), Domains: []jid.JID{domain, breakouts}, Replica: stalling{n.shard, &mu},
	})
	if err != nil {
		t.Fatal(err)
	}
	n.run(n.node.Run)
	cfg := options(t, s.ClientURL(), "ppch.meet.jitsi")
	cfg.Heartbeat = 10 * time.Second // so that the node doesn't resync for its own silence
	c := newCollector(t, cfg)
	c.up(began("a@muc.meet.jitsi", person("ann", 1)))
	n.participants("a", 1)
	before := n.node.Diagnostics()
	func() {
		mu.Lock()
		defer mu.Unlock()
		large, small := slices.Repeat([]int{32 << 10}, 256), slices.Repeat([]int{32}, 2000)
		flood(t, s.ClientURL(), func() bool { return n.conn.Diagnostics().SlowConsumer > 0 }, append(large, small...)...)
		c.apply(domain, occupancy.Delta{Room: "a@muc.meet.jitsi", Present: []occupancy.Occupant{person("bob", 2)}})
	}()
	n.participants("a", 2)
	n.reason("")
	equal(t, c, n, 10*time.Second)
	if got := n.node.Diagnostics(); got.Resyncs == before.Resyncs {
		t.Errorf("got %d resyncs as before, %+v", got.Resyncs, got)
	}
}

// NATS closes the connection of a node that reads too slowly. The node connects again, and loads the rooms for the batches that it missed.
func TestNode_CutByNATS(t *testing.T) {
	const pending = 32 << 10 // less than one message of that size with its header
	s := runNATS(t, func(o *server.Options) { o.MaxPayload, o.MaxPending = pending, pending })
	c := newCollector(t, options(t, s.ClientURL(), "ppch.meet.jitsi"))
	c.up(began("a@muc.meet.jitsi", person("ann", 1)))
	n := newNode(t, options(t, s.ClientURL(), "node"))
	n.participants("a", 1)
	before := n.node.Diagnostics()
	for i := 0; n.node.Diagnostics().Resyncs == before.Resyncs; i++ { // if it connects again at once, it misses nothing
		cuts := s.NumSlowConsumers()
		flood(t, s.ClientURL(), func() bool { return s.NumSlowConsumers() > cuts }, pending)
		room := fmt.Sprint("room", i)
		c.apply(domain, began(room+"@muc.meet.jitsi", person("bob", 2)))
		n.participants(room, 1)
		n.reason("")
		equal(t, c, n, 10*time.Second)
	}
	if got := n.conn.Diagnostics(); got.Reconnects == 0 {
		t.Errorf("got %+v want a reconnect", got)
	}
}
