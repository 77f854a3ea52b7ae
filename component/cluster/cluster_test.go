package cluster_test

import (
	"testing"
	"time"

	"ppch/component/occupancy"
)

func TestNode_FollowsCollector(t *testing.T) {
	s := runNATS(t)
	c := newCollector(t, options(t, s.ClientURL(), "ppch.meet.jitsi"))
	c.up(began("a@muc.meet.jitsi", person("ann", 1)))
	n := newNode(t, options(t, s.ClientURL(), "node"))
	n.participants("a", 1)
	n.participants("b", 0)
	n.reason("")
	c.apply(domain, occupancy.Delta{Room: "a@muc.meet.jitsi", Present: []occupancy.Occupant{person("bob", 2)}}, began("b@muc.meet.jitsi", person("eve", 3)))
	n.participants("a", 2)
	n.participants("b", 1)
	c.apply(domain, occupancy.Delta{Room: "a@muc.meet.jitsi", Gone: true, Reason: occupancy.LeaveRoomDestroyed, Alternate: "b@muc.meet.jitsi"})
	n.participants("a", 0)
	equal(t, c, n, time.Second)
}

// A collector that starts after the node, as after an update.
func TestNode_WaitsForCollector(t *testing.T) {
	s := runNATS(t)
	n := newNode(t, options(t, s.ClientURL(), "node"))
	n.reason(occupancy.ReasonConnecting)
	n.reason(occupancy.ReasonCollectorSilent)
	c := newCollector(t, options(t, s.ClientURL(), "ppch.meet.jitsi"))
	c.up(began("a@muc.meet.jitsi", person("ann", 1)))
	n.participants("a", 1)
	n.reason("")
}
