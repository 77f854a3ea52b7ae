package occupancy_test

import (
	"slices"
	"testing"

	"github.com/google/go-cmp/cmp"
	"mellium.im/xmpp/jid"

	"ppch/component/occupancy"
)

func TestSnapshot_IsConsistent(t *testing.T) {
	d := meeting(t)
	mainOf(d).Begin(breakout, jitsi)
	check(t, mainOf(d).Apply(breakout, synced(1, 1, fullRoom("b@breakout.meet.jitsi", person("gus", 5))), at(12)))
	apply(t, d, at(20), synced(2, 4, fullRoom("__jicofo-health-check-1@muc.meet.jitsi", focus),
		occupancy.Delta{Room: "daily@muc.meet.jitsi", Facts: &occupancy.RoomFacts{CreatedAt: at(0), Breakouts: []occupancy.Breakout{{JID: "b@breakout.meet.jitsi"}}}}))
	s, one := d.Snapshot(), d.SnapshotOf(jid.MustParse("b@breakout.meet.jitsi"))
	before, _ := d.Room(daily)

	// Later changes are in neither.
	apply(t, d, at(30), synced(2, 3, roomUpdate("daily@muc.meet.jitsi", []string{"ann", "bob"}, withName(person("cyd", 30), "Cyd"))))
	apply(t, d, at(31), synced(2, 3, occupancy.Delta{Room: "daily@muc.meet.jitsi", Facts: &occupancy.RoomFacts{Subject: "later"}}))

	domains := []occupancy.DomainSnapshot{{JID: muc, Shard: occupancy.DefaultShard, Known: true, AsOf: at(20)}, {JID: lobby, Shard: occupancy.DefaultShard}, {JID: breakout, Shard: occupancy.DefaultShard, Known: true, AsOf: at(12)}}
	same(t, "domains", domains, s.Domains(), sameJID)
	focus := focus
	focus.Kind = occupancy.KindFocus
	ann, bob, gus := person("ann", 1), person("bob", 2), person("gus", 5)
	for _, o := range []*occupancy.Occupant{&ann, &bob, &gus} {
		o.Kind = occupancy.KindUser
	}
	b := occupancy.RoomSnapshot{
		JID: jid.MustParse("b@breakout.meet.jitsi"), Shard: occupancy.DefaultShard, Type: occupancy.RoomBreakout, Parent: daily, Facts: occupancy.RoomFacts{CreatedAt: at(0)},
		Counts: occupancy.Counts{1}, Occupants: records(gus),
	}
	want := []occupancy.RoomSnapshot{b, {
		JID: daily, Shard: occupancy.DefaultShard, Type: occupancy.RoomMain, Facts: occupancy.RoomFacts{CreatedAt: at(0), Breakouts: []occupancy.Breakout{{JID: "b@breakout.meet.jitsi"}}},
		Counts: occupancy.Counts{2, 0, 0, 1}, Occupants: records(ann, bob, focus),
	}}
	if diff := cmp.Diff(want, slices.Collect(s.Rooms(0)), sameJID, asOccupant); diff != "" || s.Seq != before.Version {
		t.Errorf("seq %d want %d, -want +got:\n%s", s.Seq, before.Version, diff)
	}
	if diff := cmp.Diff(want[:1], slices.Collect(one.Rooms(0)), sameJID, asOccupant); diff != "" || len(one.Domains()) != 1 {
		t.Errorf("of one room: %v, -want +got:\n%s", one.Domains(), diff)
	}
	for range s.Rooms(0) {
		break // stopping early does no harm
	}
}

func TestSnapshotOf_Missing(t *testing.T) {
	d := meeting(t)
	for name, domains := range map[string][]occupancy.DomainSnapshot{
		"none@muc.meet.jitsi":    {{JID: muc, Shard: occupancy.DefaultShard, Known: true, AsOf: at(10)}},
		"none@lobby.meet.jitsi":  {{JID: lobby, Shard: occupancy.DefaultShard}},
		"none@muc.other.example": nil,
	} {
		s := d.SnapshotOf(jid.MustParse(name))
		if diff := cmp.Diff(domains, s.Domains(), sameJID, asOccupant); diff != "" || len(slices.Collect(s.Rooms(0))) != 0 {
			t.Errorf("%s: -want +got:\n%s", name, diff)
		}
	}
}
