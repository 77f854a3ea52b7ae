package occupancy_test

import (
	"testing"

	"mellium.im/xmpp/jid"

	"ppch/component/occupancy"
)

var (
	node1 = jid.MustParse("muc.v1.meet.jitsi")
	node2 = jid.MustParse("muc.v2.meet.jitsi")
)

// visitor returns a visitor on the n-th visitor node.
func visitor(nick, node string) occupancy.Occupant {
	return occupancy.Occupant{ID: nick, RealJID: "q-" + nick + "@" + node + ".meet.jitsi/web", Role: "visitor", Affiliation: "none", JoinedAt: at(5)}
}

// mirrored returns the room of a meeting on a visitor node: mirrors of Ann and focus, and visitors.
func mirrored(domain jid.JID, visitors ...occupancy.Occupant) occupancy.Delta {
	nodeFocus := focus
	return fullRoom("daily@"+domain.String(), append([]occupancy.Occupant{nodeFocus, person("ann", 1)}, visitors...)...)
}

// withFocusVisitors returns the room of a meeting in which focus reports a number of visitors.
func withFocusVisitors(n int) occupancy.Delta {
	room := fullRoom(dailyAddress, focus, person("ann", 1))
	room.Facts.Visitors = &n
	return room
}

func TestDirectory_VisitorsAreTheSumOfTheirNodes(t *testing.T) {
	d := newDirectory()
	main := addShard(t, d, "main", occupancy.ShardMain, muc)
	v1 := addShard(t, d, "v1", occupancy.ShardVisitors, node1)
	v2 := addShard(t, d, "v2", occupancy.ShardVisitors, node2)
	serve(t, main, 10, withFocusVisitors(7))
	serve(t, v1, 10, mirrored(node1, visitor("x", "v1"), visitor("y", "v1")))
	want := func(n int) {
		t.Helper()
		r, err := d.Room(daily)
		check(t, err)
		if !r.Exact || r.Participants != 1 || r.VisitorsSource != occupancy.VisitorsFromNodes || n < 0 && r.Visitors != nil || n >= 0 && (r.Visitors == nil || *r.Visitors != n) {
			t.Errorf("got %+v, visitors %v want one person, %d visitors", r, r.Visitors, n)
		}
		for s := range d.SnapshotOf(daily).Rooms(0) {
			if (s.Facts.Visitors == nil) != (n < 0) {
				t.Errorf("got %v in the snapshot want %d", s.Facts.Visitors, n)
			}
		}
	}
	want(-1) // v2 has never reported
	serve(t, v2, 10, mirrored(node2, visitor("z", "v2")))
	want(3)

	before, _ := d.RoomSummary(daily)
	events := d.Subscribe(10, daily)
	check(t, v2.Apply(node2, synced(1, 4, roomUpdate("daily@"+node2.String(), nil, visitor("w", "v2"))), at(11)))
	want(4)
	if e := next(t, events); e.Kind != occupancy.EventRoomUpdated || e.Shard != "main" || e.Facts.Visitors == nil || *e.Facts.Visitors != 4 {
		t.Errorf("got %+v want the room with four visitors", e)
	}
	if after, _ := d.RoomSummary(daily); after.Fingerprint == before.Fingerprint || after.AnonymousFingerprint == before.AnonymousFingerprint {
		t.Error("the fingerprints are as before")
	}
	check(t, v2.Apply(node2, synced(1, 4, roomUpdate("daily@"+node2.String(), nil, withName(visitor("w", "v2"), "Wim"))), at(12)))
	if got := drain(events); len(got) > 0 {
		t.Errorf("got %q for a name", got)
	}
	reopened := mirrored(node2, visitor("w", "v2"))
	reopened.Facts.CreatedAt, reopened.Facts.Stamp = at(12), at(12)
	check(t, v2.Apply(node2, synced(1, 3, reopened), at(12)))
	want(3)
	reopened.Facts.CreatedAt, reopened.Facts.Stamp = at(13), at(13)
	check(t, v2.Apply(node2, synced(1, 3, reopened), at(13)))
	want(3)
	check(t, v2.Apply(node2, synced(0, 0, occupancy.Delta{Room: "daily@" + node2.String(), Gone: true}), at(13)))
	want(2)
	before, _ = d.RoomSummary(daily)
	refuse(v1)
	want(-1)
	if after, _ := d.RoomSummary(daily); after.Fingerprint == before.Fingerprint {
		t.Error("the fingerprint doesn't show that the visitors are unknown")
	}
	serve(t, v1, 14, mirrored(node1, visitor("x", "v1")))
	want(1)
	before, _ = d.RoomSummary(daily)
	d.Retire("v1")
	want(0)
	if after, _ := d.RoomSummary(daily); after.Fingerprint == before.Fingerprint || after.AnonymousFingerprint == before.AnonymousFingerprint {
		t.Error("the fingerprints don't show that the visitors of a retired node are gone")
	}

	// A node without visitors of the room, too, makes their number unknown.
	before, _ = d.RoomSummary(daily)
	refuse(v2)
	want(-1)
	if after, _ := d.RoomSummary(daily); after.Fingerprint == before.Fingerprint {
		t.Error("the fingerprint doesn't show that the visitors are unknown")
	}
}

// A room that is not, or no longer, on a main shard can still have visitors.
func TestDirectory_MissingRoomHasItsVisitors(t *testing.T) {
	d := newDirectory()
	main := addShard(t, d, "main", occupancy.ShardMain, muc)
	v1 := addShard(t, d, "v1", occupancy.ShardVisitors, node1)
	serve(t, main, 10)
	serve(t, v1, 10, mirrored(node1, visitor("x", "v1")))
	var last occupancy.RoomSummary
	want := func(n int) {
		t.Helper()
		r, err := d.Room(daily)
		check(t, err)
		if r.Exists || !r.Exact || r.VisitorsSource != occupancy.VisitorsFromNodes || n < 0 && r.Visitors != nil || n >= 0 && (r.Visitors == nil || *r.Visitors != n) {
			t.Errorf("got %+v, visitors %v want a missing room with %d visitors", r, r.Visitors, n)
		}
		summary, err := d.RoomSummary(daily)
		check(t, err)
		if summary.Fingerprint == last.Fingerprint || summary.AnonymousFingerprint == last.AnonymousFingerprint || summary.Fingerprint != r.Fingerprint || !summary.AsOf.Equal(r.AsOf) {
			t.Errorf("got %+v and %+v after %+v", r, summary, last)
		}
		last = summary
	}
	want(1)
	check(t, v1.Apply(node1, synced(1, 4, roomUpdate("daily@"+node1.String(), nil, visitor("y", "v1"))), at(11)))
	want(2)
	refuse(v1)
	want(-1)

	second := addShard(t, d, "second", occupancy.ShardMain, muc)
	serve(t, second, 12)
	serve(t, v1, 13, mirrored(node1, visitor("x", "v1")))
	last = occupancy.RoomSummary{}
	want(1)
	refuse(v1)
	want(-1)
}

// Mirrors and focus never count on a visitor node, in spite of their roles and nicks.
func TestDirectory_MirrorsAreNotPeople(t *testing.T) {
	d := newDirectory()
	main := addShard(t, d, "main", occupancy.ShardMain, muc)
	v1 := addShard(t, d, "v1", occupancy.ShardVisitors, node1)
	serve(t, main, 10, withFocusVisitors(0))
	mirror := person("bob", 1)
	mirror.Role = "visitor" // only the host decides
	guest := visitor("x", "v1")
	guest.Role = "participant"
	foreign := visitor("y", "v2")
	serve(t, v1, 10, mirrored(node1, mirror, guest, foreign))
	r, err := d.Room(jid.MustParse("daily@muc.v1.meet.jitsi"))
	check(t, err)
	if r.Participants != 0 || *r.Visitors != 1 || r.Counts[occupancy.KindHidden] != 3 || r.Counts[occupancy.KindFocus] != 1 {
		t.Errorf("got %+v want one visitor, three mirrors and focus", r)
	}
	page, err := d.Rooms(occupancy.Query{})
	check(t, err)
	stats, err := d.Stats(occupancy.Query{})
	check(t, err)
	if len(page.Rooms) != 1 || len(stats) != 1 {
		t.Errorf("got %+v, %+v want only the main domain", page.Rooms, stats)
	}
	if page, err := d.Rooms(occupancy.Query{Shard: "v1"}); err != nil || len(page.Rooms) != 1 {
		t.Errorf("got %+v, %v want the room of the visitor node", page, err)
	}
}

// Where two main domains are watched, visitors belong to that of their node's name.
func TestDirectory_VisitorsOfSeveralMainDomains(t *testing.T) {
	d := newDirectory()
	other, strange := jid.MustParse("muc.example.org"), jid.MustParse("muc.v9.example.net")
	one := addShard(t, d, "one", occupancy.ShardMain, muc)
	two := addShard(t, d, "two", occupancy.ShardMain, other)
	v1 := addShard(t, d, "v1", occupancy.ShardVisitors, node1)
	serve(t, one, 10, fullRoom(dailyAddress, person("ann", 1)))
	serve(t, two, 10, withVisitors(fullRoom("daily@muc.example.org", person("bob", 1)), 5))
	serve(t, v1, 10, mirrored(node1, visitor("x", "v1")))
	visitors := func(room string) *int {
		r, err := d.Room(jid.MustParse(room))
		check(t, err)
		return r.Visitors
	}
	if n := visitors(dailyAddress); n == nil || *n != 1 {
		t.Errorf("got %v want one visitor", n)
	}
	if n := visitors("daily@muc.example.org"); n == nil || *n != 5 {
		t.Errorf("got %v want the number of focus: it has no visitor node", n)
	}
	addShard(t, d, "v9", occupancy.ShardVisitors, strange)
	if n, m := visitors(dailyAddress), visitors("daily@muc.example.org"); n != nil || m != nil {
		t.Errorf("got %v and %v want nothing: the node may be of either", n, m)
	}
}

func withVisitors(room occupancy.Delta, n int) occupancy.Delta {
	room.Facts.Visitors = &n
	return room
}

// Only rooms of which Jicofo reports more visitors than the watched nodes have speak for a node that isn't watched.
func TestDirectory_CheckVisitors(t *testing.T) {
	d := newDirectory()
	main := addShard(t, d, "main", occupancy.ShardMain, muc)
	serve(t, main, 10, withFocusVisitors(7))
	none := occupancy.VisitorsCheck{}
	want := func(when string, known bool, want occupancy.VisitorsCheck) {
		t.Helper()
		if got, ok := d.CheckVisitors(); got != want || ok != known {
			t.Errorf("%s: got %+v, %t want %+v, %t", when, got, ok, want, known)
		}
	}
	want("without a visitor shard", false, none)
	v1 := addShard(t, d, "v1", occupancy.ShardVisitors, node1)
	want("while v1 has never reported", false, none)

	room := func(name string, reported int) occupancy.Delta {
		return withVisitors(fullRoom(name+"@muc.meet.jitsi", focus, person("ann", 1)), reported)
	}
	serve(t, main, 11, room("daily", 7), room("equal", 1), room("late", 0), room("elsewhere", 3), fullRoom("silent@muc.meet.jitsi", person("ann", 1)))
	onNode := func(name string, all ...occupancy.Occupant) occupancy.Delta {
		return fullRoom(name+"@"+node1.String(), append([]occupancy.Occupant{focus, person("ann", 1)}, all...)...)
	}
	serve(t, v1, 11, onNode("daily", visitor("x", "v1"), visitor("y", "v1")), onNode("equal", visitor("x", "v1")), onNode("late", visitor("x", "v1")), onNode("silent", visitor("x", "v1")))
	want("with more in two rooms", true, occupancy.VisitorsCheck{Rooms: 2, Reported: 10, Watched: 2})

	refuse(v1)
	want("while v1 is unknown", false, none)
	serve(t, v1, 12, onNode("daily", visitor("x", "v1"), visitor("y", "v1")))
	v2 := addShard(t, d, "v2", occupancy.ShardVisitors, node2)
	want("while v2 has never reported", false, none)
	serve(t, main, 13, room("daily", 3))
	serve(t, v2, 13, mirrored(node2, visitor("z", "v2")))
	want("with as many on both nodes", true, none)
}

// A service may watch visitor nodes alone.
func TestDirectory_OnlyVisitorShards(t *testing.T) {
	d := newDirectory()
	v1 := addShard(t, d, "v1", occupancy.ShardVisitors, node1)
	serve(t, v1, 10, mirrored(node1, visitor("x", "v1")))
	page, err := d.Rooms(occupancy.Query{})
	check(t, err)
	stats, err := d.Stats(occupancy.Query{})
	check(t, err)
	if len(page.Rooms) != 1 || len(stats) != 1 {
		t.Errorf("got %+v, %+v want the room of the node", page, stats)
	}
}

// The status of a visitor node says whose visitors it has, and events and snapshots have their last number:
// a reader can tell that it is unknown, and knows it again when the node is back, without an event for each room.
func TestDirectory_StatusOfAVisitorNode(t *testing.T) {
	d := newDirectory()
	main := addShard(t, d, "main", occupancy.ShardMain, muc)
	v1 := addShard(t, d, "v1", occupancy.ShardVisitors, node1)
	serve(t, main, 10, withFocusVisitors(7))
	serve(t, v1, 10, mirrored(node1, visitor("x", "v1"), visitor("y", "v1")))
	events := d.Subscribe(10)
	v1.SetStatus(node1, occupancy.Status{Problem: occupancy.ProblemRefused.Err(nil)})
	e := <-events.Events()
	if e.Kind != occupancy.EventStatus || e.Shard != "v1" || e.Domain.EventProblem == nil || len(e.Domain.VisitorsOf) != 1 || !e.Domain.VisitorsOf[0].Equal(muc) {
		t.Errorf("got %+v want the status of v1 with the main domain", e)
	}
	check(t, main.Apply(muc, synced(1, 2, withSubject(withFocusVisitors(7), "Plans")), at(11)))
	if e := next(t, events); e.Facts == nil || e.WatchedVisitors == nil || *e.WatchedVisitors != 2 {
		t.Errorf("got %+v want two watched visitors", e)
	}
	for s := range d.Snapshot().Rooms(0) {
		if got := s.WatchedVisitors; s.Shard == "main" && (got == nil || *got != 2) || s.Shard == "v1" && got != nil {
			t.Errorf("got %v watched visitors in the snapshot of %s", got, s.Shard)
		}
	}
	if main, err := main.Domain(muc); err != nil || main.VisitorsOf != nil {
		t.Errorf("got %v, %v want visitors of no domain on a main shard", main.VisitorsOf, err)
	}
}

// With a second main domain, a visitor node may serve another than before.
func TestDirectory_StatusOfAVisitorNodeThatServesOtherRooms(t *testing.T) {
	d := newDirectory()
	addShard(t, d, "main", occupancy.ShardMain, muc)
	strange := addShard(t, d, "v9", occupancy.ShardVisitors, jid.MustParse("muc.v9.example.net"))
	events := d.Subscribe(10)
	served := func(want int) {
		t.Helper()
		for {
			select {
			case e := <-events.Events():
				if e.Shard == "v9" && len(e.Domain.VisitorsOf) != want {
					t.Errorf("got visitors of %v want of %d domains", e.Domain.VisitorsOf, want)
				} else if e.Shard == "v9" {
					return
				}
			default:
				t.Fatal("no status")
			}
		}
	}
	addShard(t, d, "other", occupancy.ShardMain, jid.MustParse("muc.example.org"))
	served(0)
	d.Retire("other")
	served(1)
	if serve(t, strange, 10); len(strange.Domains()[0].VisitorsOf) != 1 {
		t.Errorf("got %+v", strange.Domains())
	}
}

// A number of visitors is not newer than the node that reported it.
func TestDirectory_RoomIsAsOldAsItsVisitors(t *testing.T) {
	d := newDirectory()
	main := addShard(t, d, "main", occupancy.ShardMain, muc)
	v1 := addShard(t, d, "v1", occupancy.ShardVisitors, node1)
	serve(t, v1, 5, mirrored(node1, visitor("x", "v1")))
	serve(t, main, 10, withFocusVisitors(7))
	r, err := d.Room(daily)
	check(t, err)
	g, err := d.RoomSummary(daily)
	check(t, err)
	page, err := d.Rooms(occupancy.Query{})
	check(t, err)
	if r.AsOf != at(5) || g.AsOf != at(5) || page.AsOf != at(5) || page.Rooms[0].AsOf != at(5) {
		t.Errorf("got %s, %s, %s, %s want the time of the node", r.AsOf, g.AsOf, page.AsOf, page.Rooms[0].AsOf)
	}
	refuse(v1)
	if r, err := d.Room(daily); err != nil || r.Visitors != nil || r.AsOf != at(10) {
		t.Errorf("got %v visitors as of %s want none, as new as the room", r.Visitors, r.AsOf)
	}
}

func withSubject(room occupancy.Delta, subject string) occupancy.Delta {
	room.New = false
	room.Facts.Subject = subject
	return room
}

// A promoted visitor comes from the visitor node's room of the same meeting; no other room is shown.
func TestDirectory_PromotedVisitorHasMovedFromItsNode(t *testing.T) {
	d := newDirectory()
	main := addShard(t, d, "main", occupancy.ShardMain, muc)
	addShard(t, d, "v1", occupancy.ShardVisitors, node1)
	serve(t, main, 10)
	for from, want := range map[string]string{
		"daily@muc.v1.meet.jitsi": "daily@muc.v1.meet.jitsi",
		"other@muc.v1.meet.jitsi": "", // another meeting
		"daily@muc.v2.meet.jitsi": "", // not watched
		"daily":                   "",
	} {
		promoted := person("vic", 2)
		promoted.MovedFrom = from
		events := d.Subscribe(10)
		check(t, main.Apply(muc, synced(1, 1, fullRoom(dailyAddress, promoted)), at(11)))
		r, err := d.Room(daily)
		check(t, err)
		if got := r.Occupants[0].Occupant().MovedFrom; got != want {
			t.Errorf("from %q: got %q", from, got)
		}
		for e := next(t, events); ; e = next(t, events) {
			if e.Kind == occupancy.EventJoined {
				if e.Occupant.MovedFrom != want {
					t.Errorf("from %q: got the event %+v", from, e.Occupant)
				}
				break
			}
		}
		check(t, main.Apply(muc, synced(0, 0, occupancy.Delta{Room: dailyAddress, Gone: true}), at(12)))
	}
}
