package cluster_test

import (
	"strings"
	"testing"
	"time"

	"ppch/component/occupancy"
)

// pair runs two collectors of one Prosody: both have the same room with Ann.
func pair(t *testing.T, url string) (a, b *member) {
	t.Helper()
	a = newCollector(t, options(t, url, "a.meet.jitsi"))
	b = newCollector(t, options(t, url, "b.meet.jitsi"))
	for _, c := range []*member{a, b} {
		c.up(began("a@muc.meet.jitsi", person("ann", 1)))
	}
	return a, b
}

// followed waits until a node follows a collector.
func (m *member) followed(name string) {
	m.t.Helper()
	eventually(m.t, 20*time.Second, func() string {
		if got := m.node.Diagnostics().Collector; got != name {
			return "follows " + got + " want " + name
		}
		return ""
	})
}

// Every node moves to the other collector, and no event is false or comes twice.
func TestNode_MovesToOtherCollector(t *testing.T) {
	for name, end := range map[string]func(*member, *relay){
		"stopped":         func(c *member, _ *relay) { c.stop() },
		"killed":          func(c *member, _ *relay) { c.conn.Crash() },
		"cut off":         func(c *member, r *relay) { r.set(0, strings.ReplaceAll(c.collector.Diagnostics().Name, ".", "_")) },
		"without Prosody": func(c *member, _ *relay) { c.away() },
	} {
		t.Run(name, func(t *testing.T) {
			collectors, nodes := runNATS(t), runNATS(t)
			r := newRelay(t, collectors.ClientURL(), nodes.ClientURL(), 1, nil)
			a, b := pair(t, collectors.ClientURL())
			n := newNode(t, options(t, nodes.ClientURL(), "node"))
			n.participants("a", 1)
			eventually(t, 10*time.Second, func() string {
				if n.node.Diagnostics().Collector == "" {
					return "follows none"
				}
				return ""
			})
			if n.node.Diagnostics().Collector == "b.meet.jitsi" { // it was heard first
				a, b = b, a
			}
			events := n.directory.Subscribe(100, roomOf("a"))
			defer events.Close()
			end(a, r)
			// The other collector alone sees Bob.
			b.apply(domain, occupancy.Delta{Room: "a@muc.meet.jitsi", Present: []occupancy.Occupant{person("bob", 2)}})
			n.participants("a", 2)
			n.followed(b.collector.Diagnostics().Name)
			n.reason("")
			b.apply(domain, occupancy.Delta{Room: "a@muc.meet.jitsi", Left: []string{"bob"}})
			n.participants("a", 1)
			time.Sleep(4 * beat) // in which it stays with this collector
			n.followed(b.collector.Diagnostics().Name)
			if d := n.node.Diagnostics(); d.Switches != 1 {
				t.Errorf("got %d changes of the collector want 1", d.Switches)
			}
			var got []occupancy.EventKind
			for len(events.Events()) > 0 {
				if e := <-events.Events(); e.Kind != occupancy.EventStatus {
					got = append(got, e.Kind)
				}
			}
			if len(got) != 2 || got[0] != occupancy.EventJoined || got[1] != occupancy.EventLeft {
				t.Errorf("got events %v want that Bob joined and left", got)
			}
		})
	}
}

func TestNode_BothCollectorsSilent(t *testing.T) {
	collectors, nodes := runNATS(t), runNATS(t)
	r := newRelay(t, collectors.ClientURL(), nodes.ClientURL(), 1, nil)
	a, b := pair(t, collectors.ClientURL())
	n := newNode(t, options(t, nodes.ClientURL(), "node"), func(m *member) { m.directory.MaxStaleness = time.Second })
	n.participants("a", 1)
	r.set(0, "a_meet_jitsi", "b_meet_jitsi")
	n.reason(occupancy.ReasonCollectorSilent)
	eventually(t, 10*time.Second, func() string {
		if got, err := n.directory.Room(roomOf("a")); err == nil {
			return "an old answer of " + time.Since(got.AsOf).String()
		}
		return ""
	})
	for _, c := range []*member{a, b} {
		c.apply(domain, occupancy.Delta{Room: "a@muc.meet.jitsi", Present: []occupancy.Occupant{person("bob", 2)}})
	}
	r.set(0)
	n.participants("a", 2)
	n.reason("")
}
