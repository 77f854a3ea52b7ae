package history_test

import (
	"slices"
	"testing"

	"mellium.im/xmpp/jid"

	"ppch/component/history"
	"ppch/component/occupancy"
)

var node = jid.MustParse("muc.v1.meet.jitsi")

// withShards adds a second main shard with the same domain, and a visitor node, to a site's Directory.
func withShards(t *testing.T, s *site) (b, v1 *occupancy.Shard) {
	t.Helper()
	add := func(name string, kind occupancy.ShardKind, domain jid.JID) *occupancy.Shard {
		shard := must(s.directory.AddShard(occupancy.ShardConfig{Name: name, Kind: kind, Domains: []jid.JID{domain}}))(t)
		shard.SetStatus(domain, occupancy.Status{Connected: true, Since: at(0), Mode: occupancy.ModeModule})
		return shard
	}
	return add("b", occupancy.ShardMain, muc), add("v1", occupancy.ShardVisitors, node)
}

// apply applies a batch of a shard with these totals, as a snapshot if begin is set.
func apply(t *testing.T, s *occupancy.Shard, begin bool, domain jid.JID, sec, rooms, occupants int, deltas ...occupancy.Delta) {
	t.Helper()
	if begin {
		s.Begin(domain, occupancy.SystemAccounts{})
	}
	check(t, s.Apply(domain, occupancy.Batch{Synced: true, Rooms: rooms, Occupants: occupants, Deltas: deltas}, at(sec)))
}

// Rooms of one name on two shards are two meetings, and changes of one leave the other alone, also across a restart.
func TestRecorder_ShardsAreApart(t *testing.T) {
	s := newSite(t, history.LevelNames)
	b, _ := withShards(t, s)
	s.load(10)
	apply(t, b, true, muc, 10, 0, 0)
	waitFor(t, "both domains to be recorded", func() bool { return s.count("SELECT COUNT(*) FROM domains") == 2 })
	s.apply(20, room("daily", 19, person("ann", 20)))
	s.expect("room-started daily  0>0", "joined daily ann 0>1")
	apply(t, b, false, muc, 21, 1, 1, room("daily", 19, person("bob", 21)))
	s.expect("room-started daily  0>0", "joined daily bob 0>1")
	if n := s.count("SELECT COUNT(DISTINCT id) FROM meetings WHERE ended_before IS NULL"); n != 2 {
		t.Errorf("got %d open meetings want two", n)
	}
	s.stop()
	s.directory = occupancy.NewDirectory(muc)
	b, _ = withShards(t, s)
	s.start(s.directory)
	s.load(60, room("daily", 19, person("ann", 20)))
	s.expect("lost from 21 because of stopped", "lost from 20 because of stopped", "restored, lost from 20 to 60 because of stopped")
	apply(t, b, true, muc, 61, 0, 0)
	s.take(t)
	s.expectShard(t, "main", 1)
	s.expectShard(t, "b", 0)
}

// take waits until the Outbox has the end of the meeting on b.
func (s *site) take(t *testing.T) {
	t.Helper()
	waitFor(t, "the end of the meeting on b", func() bool {
		return slices.Contains(s.box.take(), "room-ended daily  0>0 between 21 and 61")
	})
}

// expectShard checks the number of open meetings of a shard.
func (s *site) expectShard(t *testing.T, shard string, want int) {
	t.Helper()
	open := s.count("SELECT COUNT(*) FROM meetings WHERE ended_before IS NULL AND shard = '" + shard + "'")
	if open != want {
		t.Errorf("got %d open meetings on %s want %d", open, shard, want)
	}
}

// A visitor node's rooms are no meetings, but its visitors change the meeting's room.
func TestRecorder_VisitorNodesAreNoMeetings(t *testing.T) {
	s := newSite(t, history.LevelNames)
	b, v1 := withShards(t, s)
	s.load(10, room("daily", 1, person("ann", 2)))
	apply(t, b, true, muc, 10, 0, 0)
	mirror := occupancy.Delta{Room: "daily@" + node.String(), New: true, Facts: &occupancy.RoomFacts{CreatedAt: at(5), Stamp: at(5)}, Present: []occupancy.Occupant{person("ann", 2)}}
	apply(t, v1, true, node, 11, 1, 1, mirror)
	visitor := person("vera", 12)
	visitor.RealJID = "vera@v1.meet.jitsi/web"
	apply(t, v1, false, node, 12, 1, 2, occupancy.Delta{Room: mirror.Room, Present: []occupancy.Occupant{visitor}})
	s.expect("room-updated daily  1>1")
	if n := s.count("SELECT COUNT(*) FROM meetings"); n != 1 {
		t.Errorf("got %d meetings want that of the main shard", n)
	}
}

// The meetings of a shard that is retired end when it was last confirmed, or later.
func TestRecorder_RetiredShardEndsItsMeetings(t *testing.T) {
	s := newSite(t, history.LevelNames)
	b, _ := withShards(t, s)
	s.load(10, room("daily", 1, person("ann", 2)))
	apply(t, b, true, muc, 10, 1, 1, room("weekly", 1, person("bob", 2)))
	waitFor(t, "both domains to be recorded", func() bool { return s.count("SELECT COUNT(*) FROM domains") == 2 })
	s.directory.Retire("b")
	waitFor(t, "the end", func() bool { return s.count("SELECT COUNT(*) FROM meetings WHERE ended_before IS NOT NULL") == 1 })
	s.expectShard(t, "main", 1)
	s.expectShard(t, "b", 0)
	if n := s.count("SELECT COUNT(*) FROM domains"); n != 1 {
		t.Errorf("got %d domains in the file want one", n)
	}
}
