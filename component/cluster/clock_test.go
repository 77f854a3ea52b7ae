package cluster_test

import (
	"testing"
	"time"

	"ppch/component/cluster"
	"ppch/component/occupancy"
)

// The clock of a collector, and so all times that it sends, is hours ahead or behind: by the node's clock the times are still right.
func TestNode_ClocksHoursApart(t *testing.T) {
	for name, skew := range map[string]time.Duration{"ahead": 5 * time.Hour, "behind": -5 * time.Hour} {
		t.Run(name, func(t *testing.T) {
			collectors, nodes := runNATS(t), runNATS(t)
			newRelay(t, collectors.ClientURL(), nodes.ClientURL(), 1, func(data []byte) []byte { return cluster.ShiftClock(secret, data, skew) })
			c := newCollector(t, options(t, collectors.ClientURL(), "ppch.meet.jitsi"))
			joined := time.Now().Add(-time.Minute)
			c.up(began("a@muc.meet.jitsi", person("ann", joined.UnixMilli())))
			n := newNode(t, options(t, nodes.ClientURL(), "node"), func(m *member) { m.directory.MaxStaleness = 5 * time.Second })
			check := func(people int) {
				t.Helper()
				n.participants("a", people)
				got, err := n.directory.Room(roomOf("a"))
				if age := time.Since(got.AsOf); err != nil || age < -time.Second || age > 5*time.Second {
					t.Errorf("got age %s, %v want it to be small", age, err)
				}
				for _, record := range got.Occupants {
					o := record.Occupant()
					if off := o.JoinedAt.Sub(joined); off.Abs() > 2*time.Second {
						t.Errorf("%s: got joined %s away", o.ID, off)
					}
				}
			}
			check(1)
			c.apply(domain, occupancy.Delta{Room: "a@muc.meet.jitsi", Present: []occupancy.Occupant{person("bob", joined.UnixMilli())}})
			check(2)
			n.reason("")
			if d := n.node.Diagnostics(); d.Resyncs > 0 || d.Garbage > 0 {
				t.Errorf("got %+v want no resync", d)
			}
		})
	}
}

// A shard that has another name on its collector is unknown to a node with the old one, not empty; the old name works on both again.
func TestNode_ShardRenamed(t *testing.T) {
	s := runNATS(t)
	shard := func(m *member) {
		m.directory = occupancy.NewDirectory()
		var err error
		if m.shard, err = m.directory.AddShard(occupancy.ShardConfig{Name: "eu", Kind: occupancy.ShardMain, Domains: m.domains()}); err != nil {
			t.Fatal(err)
		}
	}
	c := newCollector(t, options(t, s.ClientURL(), "ppch.meet.jitsi"))
	c.up(began("a@muc.meet.jitsi", person("ann", 1)))
	stale := func(m *member) { m.directory.MaxStaleness = time.Second }
	n := newNode(t, options(t, s.ClientURL(), "node"), stale)
	n.participants("a", 1)
	c.stop()
	renamed := newCollector(t, options(t, s.ClientURL(), "ppch.meet.jitsi"), shard)
	renamed.up(began("a@muc.meet.jitsi", person("ann", 1)))
	n.reason(occupancy.ReasonCollectorSilent)
	eventually(t, 10*time.Second, func() string {
		if got, err := n.directory.Room(roomOf("a")); err == nil {
			return "got an answer of " + time.Since(got.AsOf).String()
		}
		return ""
	})
	newNode(t, options(t, s.ClientURL(), "node2"), shard).participants("a", 1)
}
