package occupancy_test

import (
	"fmt"
	"sync"
	"testing"

	"github.com/google/go-cmp/cmp"
	"mellium.im/xmpp/jid"

	"ppch/component/occupancy"
)

// joins returns a batch for each of n people who join a meeting.
func joins(n int) (batches []occupancy.Batch) {
	for i := range n {
		batches = append(batches, synced(1, 4+i, roomUpdate("daily@muc.meet.jitsi", nil, person(fmt.Sprintf("p%d", i), 11))))
	}
	return batches
}

func TestSubscription_SlowReaderIsDropped(t *testing.T) {
	d := meeting(t)
	slow, exact, quick := d.Subscribe(2), d.Subscribe(3), d.Subscribe(10)
	apply(t, d, at(20), joins(3)...)
	if slow.Missed() != true || exact.Missed() || quick.Missed() {
		t.Errorf("got missed %t, %t, %t; want the first only", slow.Missed(), exact.Missed(), quick.Missed())
	}
	same(t, "slow", []string{"joined daily p0 3", "joined daily p1 4", "end"}, drain(slow))
	want := []string{"joined daily p0 3", "joined daily p1 4", "joined daily p2 5"}
	for _, s := range []*occupancy.Subscription{exact, quick} {
		same(t, "events", want, drain(s))
	}
	slow.Close() // after it has been ended
	if got := d.Dropped(); got != 1 {
		t.Errorf("got %d dropped", got)
	}
}

func TestSubscription_MinimumBuffer(t *testing.T) {
	d := meeting(t)
	s := d.Subscribe(-1)
	apply(t, d, at(20), joins(1)...)
	if diff := cmp.Diff([]string{"joined daily p0 3"}, drain(s)); diff != "" || s.Missed() {
		t.Errorf("-want +got:\n%s", diff)
	}
}

func TestSubscription_Close(t *testing.T) {
	d := meeting(t)
	s := d.Subscribe(1)
	s.Close()
	s.Close()
	apply(t, d, at(20), joins(3)...)
	if diff := cmp.Diff([]string{"end"}, drain(s)); diff != "" || s.Missed() || d.Dropped() != 0 {
		t.Errorf("missed %t, dropped %d, -want +got:\n%s", s.Missed(), d.Dropped(), diff)
	}
}

func TestSubscription_Batches(t *testing.T) {
	d := meeting(t)
	batches, others := d.SubscribeBatches(20), d.Subscribe(20)
	apply(t, d, at(20), joins(1)...)
	apply(t, d, at(25), synced(1, 4)) // a heartbeat
	mainOf(d).Begin(muc, jitsi)
	apply(t, d, at(40), occupancy.Batch{Deltas: []occupancy.Delta{fullRoom("daily@muc.meet.jitsi", focus)}}, synced(1, 1))
	type end struct {
		since, at int64
		resynced  bool
	}
	var got []end
	for len(batches.Events()) > 0 {
		if e := <-batches.Events(); e.Kind == occupancy.EventConfirmed {
			got = append(got, end{e.Since.Unix() - at(0).Unix(), e.At.Unix() - at(0).Unix(), e.Resynced})
		}
	}
	want := []end{{10, 20, false}, {20, 25, false}, {25, 40, true}}
	same(t, "events", want, got, cmp.AllowUnexported(end{}))
	same(t, "without batches", []string{"joined daily p0 3", "left daily ann 2", "left daily bob 1", "left daily p0 0"}, drain(others))
}

func TestSubscription_Rooms(t *testing.T) {
	d := meeting(t)
	mainOf(d).Begin(lobby, jitsi)
	check(t, mainOf(d).Apply(lobby, synced(0, 0), at(10)))
	s := d.Subscribe(10, jid.MustParse("other@muc.meet.jitsi/nick"), daily)
	none := d.Subscribe(10, jid.MustParse("none@muc.meet.jitsi"))
	apply(t, d, at(20), synced(3, 5, fullRoom("x@muc.meet.jitsi", focus), fullRoom("other@muc.meet.jitsi", focus)))
	check(t, mainOf(d).Apply(lobby, synced(1, 1, fullRoom("daily@lobby.meet.jitsi", person("eve", 1))), at(20)))
	mainOf(d).Forget(lobby)
	mainOf(d).Forget(muc)
	want := []string{"room-started other  0", "joined other focus 0", "reset   0"}
	same(t, "events", want, drain(s))
	same(t, "of a room that isn't there", []string{"reset   0"}, drain(none))
}

func TestEvents_Reset(t *testing.T) {
	d := newDirectory(muc)
	s := d.Subscribe(10)
	mainOf(d).Begin(muc, jitsi)
	apply(t, d, at(10), synced(1, 1, fullRoom("daily@muc.meet.jitsi", focus)))
	mainOf(d).Begin(muc, jitsi) // the old replica stays readable
	apply(t, d, at(11), synced(1, 1, fullRoom("daily@muc.meet.jitsi", focus)))
	mainOf(d).Forget(muc)
	for i, want := range []uint64{1, 2} {
		e := next(t, s)
		if e.Kind != occupancy.EventReset || e.Room.String() != muc.String() || e.Seq != want {
			t.Errorf("event %d: got %+v", i, e)
		}
	}
	if got := drain(s); len(got) > 0 {
		t.Errorf("got %q as well", got)
	}
}

func TestEvents_Occupant(t *testing.T) {
	d := meeting(t)
	s := d.Subscribe(10)
	ann := person("ann", 1)
	ann.Name, ann.UserID, ann.UserName, ann.UserGroup, ann.UserEmail = "Ann", "42", "Ann L.", "staff", "ann@example.com"
	ann.AvatarURL, ann.Flags = "https://example.com/a.png", occupancy.FlagHandRaised
	apply(t, d, at(20), synced(1, 3, roomUpdate("daily@muc.meet.jitsi", nil, ann)))
	ann.Kind = occupancy.KindUser
	room, _ := d.Room(daily)
	want := occupancy.Event{
		Seq: room.Version, Kind: occupancy.EventUpdated, Room: daily, Shard: occupancy.DefaultShard, Origin: occupancy.Origin{Epoch: d.Shard(occupancy.DefaultShard).States().Origin.Epoch, Seq: 2}, Type: occupancy.RoomMain, Occupant: ann, At: at(20),
		Counts: occupancy.Counts{2, 0, 0, 1}, MeetingParticipants: new(2),
	}
	same(t, "events", want, next(t, s), sameJID)
}

// Everything runs at once, under the race detector, and no call waits for a reader that sleeps.
// In the end the joins and leaves that were sent add up to the people who are there.
func TestDirectory_Concurrent(t *testing.T) {
	d := meeting(t)
	counted := d.Subscribe(1<<14, daily)
	var wg sync.WaitGroup
	for range 4 {
		wg.Go(func() {
			for range 500 {
				s := d.Subscribe(1, daily)
				if r, err := d.Room(daily); err == nil && r.Exists && r.Participants != r.Counts[occupancy.KindUser] {
					t.Errorf("got %+v", r)
				}
				_ = listed(d, occupancy.ByParticipants)
				_, _ = d.RoomSummary(daily)
				_, _ = d.Stats(occupancy.Query{Domain: muc.String()})
				_, _ = d.Totals(muc)
				_ = d.Domains()
				select {
				case <-s.Events():
				default:
				}
				_ = s.Missed()
				s.Close()
			}
		})
	}
	for range 2 {
		wg.Go(func() {
			for i := range 200 {
				mainOf(d).Begin(lobby, jitsi)
				_ = mainOf(d).Apply(lobby, synced(1, 1, fullRoom("daily@lobby.meet.jitsi", person("eve", 1))), at(i))
				_ = mainOf(d).Apply(lobby, synced(0, 0, occupancy.Delta{Room: "daily@lobby.meet.jitsi", Gone: true}), at(i))
				mainOf(d).Forget(lobby)
			}
		})
	}
	asleep := d.Subscribe(1)
	for i := range 200 {
		renamed := roomUpdate("daily@muc.meet.jitsi", nil, withName(person("ann", 1), fmt.Sprint(i)))
		apply(t, d, at(i), synced(1, 3, renamed))
		apply(t, d, at(i), synced(1, 4, roomUpdate("daily@muc.meet.jitsi", nil, person("cyd", i))))
		if i < 199 { // who stays in the end
			apply(t, d, at(i), synced(1, 3, roomUpdate("daily@muc.meet.jitsi", []string{"cyd"})))
		}
		if i%20 == 0 {
			mainOf(d).Begin(muc, jitsi)
			apply(t, d, at(i), synced(1, 3, fullRoom("daily@muc.meet.jitsi", focus, person("ann", 1), person("bob", 2))))
		}
	}
	wg.Wait()
	if !asleep.Missed() {
		t.Error("a subscription without a reader was not dropped")
	}
	occupants, joins := 3, 0
	for len(counted.Events()) > 0 {
		switch e := <-counted.Events(); e.Kind {
		case occupancy.EventJoined:
			occupants++
			joins++
		case occupancy.EventLeft:
			occupants--
		}
	}
	totals, err := d.Totals(muc)
	if err != nil || counted.Missed() || joins != 200 || occupants != 4 || totals.Counts.All() != occupants {
		t.Errorf("%d joins and the leaves add up to %d occupants; got totals %+v, %v, want 200 and 4", joins, occupants, totals, err)
	}
}

func TestEvents_Parent(t *testing.T) {
	d := newDirectory(muc, lobby)
	mainOf(d).Begin(muc, jitsi)
	mainOf(d).Begin(lobby, jitsi)
	apply(t, d, at(1), synced(1, 1, fullRoom("daily@muc.meet.jitsi", person("ann", 1))))
	check(t, mainOf(d).Apply(lobby, synced(0, 0), at(1)))
	s := d.Subscribe(8)
	defer s.Close()
	check(t, mainOf(d).Apply(lobby, synced(1, 1, fullRoom("daily@lobby.meet.jitsi", person("bob", 1))), at(2)))
	apply(t, d, at(3), synced(1, 0, occupancy.Delta{Room: "daily@muc.meet.jitsi", Left: []string{"ann"}}))
	for _, want := range []jid.JID{daily, daily, {}} {
		if e := <-s.Events(); !e.Parent.Equal(want) {
			t.Errorf("%s of %s: got parent %q want %q", e.Kind, e.Room, e.Parent, want)
		}
	}
}

func TestEvents_RoomFacts(t *testing.T) {
	d := meeting(t)
	s := d.Subscribe(10)
	facts := func(subject string) *occupancy.RoomFacts {
		return &occupancy.RoomFacts{Subject: subject, Breakouts: []occupancy.Breakout{{JID: "b@breakout.meet.jitsi"}}}
	}
	// Both in one batch: each event has the facts of its own moment.
	apply(t, d, at(20), synced(2, 4,
		occupancy.Delta{Room: "daily@muc.meet.jitsi", Facts: facts("one")},
		occupancy.Delta{Room: "daily@muc.meet.jitsi", Facts: facts("two")},
		fullRoom("new@muc.meet.jitsi", focus)))
	want := []*occupancy.RoomFacts{facts("one"), facts("two"), {CreatedAt: at(0)}, nil}
	for i, w := range want {
		same(t, fmt.Sprintf("event %d", i), w, next(t, s).Facts)
	}
}

func TestEvents_WhyOccupantsLeft(t *testing.T) {
	d := meeting(t)
	apply(t, d, at(20), synced(1, 6, roomUpdate("daily@muc.meet.jitsi", nil, person("a", 11), person("b", 12), person("c", 13))))
	s := d.Subscribe(20)
	kicked := roomUpdate("daily@muc.meet.jitsi", []string{"a"})
	kicked.Reasons = map[string]occupancy.LeaveReason{"a": occupancy.LeaveKicked}
	apply(t, d, at(21), synced(1, 5, kicked), synced(1, 4, roomUpdate("daily@muc.meet.jitsi", []string{"b"})), synced(0, 0, occupancy.Delta{
		Room: "daily@muc.meet.jitsi", Gone: true, Reason: occupancy.LeaveRoomDestroyed, Alternate: "other@muc.meet.jitsi",
		Reasons: map[string]occupancy.LeaveReason{"c": occupancy.LeaveDisconnected},
	}))
	got := map[string]string{}
	for len(s.Events()) > 0 {
		switch e := <-s.Events(); e.Kind {
		case occupancy.EventLeft:
			got[e.Occupant.ID] = string(e.Reason) + " " + e.Alternate
		case occupancy.EventRoomEnded:
			got["room"] = e.Alternate
		}
	}
	const destroyed = "room-destroyed other@muc.meet.jitsi"
	want := map[string]string{
		"a": "kicked ", "b": " ", "c": "disconnected ", "focus": destroyed, "ann": destroyed, "bob": destroyed, "room": "other@muc.meet.jitsi",
	}
	same(t, "events", want, got)
}

// An event has the numbers of its meeting as they are after it, and none that isn't known.
func TestEvents_NumbersOfTheMeeting(t *testing.T) {
	d := newDirectory(muc, lobby, breakout)
	shard := mainOf(d)
	shard.Begin(muc, jitsi)
	main := fullRoom("daily@muc.meet.jitsi", focus, person("ann", 1))
	main.Facts.Breakouts = []occupancy.Breakout{{JID: "b1@breakout.meet.jitsi"}, {JID: "b2@breakout.meet.jitsi"}}
	apply(t, d, at(10), synced(1, 2, main))
	s := d.Subscribe(10)
	expect := func(of string, people *int, main *occupancy.Counts) {
		t.Helper()
		if e := next(t, s); !cmp.Equal(e.MeetingParticipants, people) || !cmp.Equal(e.MainCounts, main) {
			t.Errorf("%s: got %v people, main room %v", of, e.MeetingParticipants, e.MainCounts)
		}
	}
	apply(t, d, at(11), synced(1, 3, roomUpdate("daily@muc.meet.jitsi", nil, person("bob", 2))))
	expect("join while the breakout rooms are unknown", nil, nil)
	shard.Begin(breakout, jitsi)
	check(t, shard.Apply(breakout, synced(0, 0), at(12)))
	next(t, s) // the reset
	check(t, shard.Apply(breakout, synced(1, 2, fullRoom("b1@breakout.meet.jitsi", person("cy", 3), person("di", 3))), at(13)))
	expect("start of the breakout room", new(2), nil)
	expect("first join to it", new(3), nil)
	expect("second join to it", new(4), nil)
	apply(t, d, at(14), synced(1, 1, roomUpdate("daily@muc.meet.jitsi", []string{"ann", "bob"})))
	expect("leave of the main room", new(3), nil)
	expect("last leave of the main room", new(2), nil)
	shard.Begin(lobby, jitsi)
	check(t, shard.Apply(lobby, synced(0, 0), at(15)))
	next(t, s)
	check(t, shard.Apply(lobby, synced(1, 1, fullRoom("daily@lobby.meet.jitsi", person("eve", 4))), at(16)))
	expect("start of the lobby", new(2), new(occupancy.Counts{0, 0, 0, 1}))
	expect("wait in the lobby", new(2), new(occupancy.Counts{0, 0, 0, 1}))
	apply(t, d, at(17), synced(0, 0, occupancy.Delta{Room: "daily@muc.meet.jitsi", Gone: true}))
	for len(s.Events()) > 0 {
		<-s.Events()
	}
	check(t, shard.Apply(lobby, synced(1, 0, roomUpdate("daily@lobby.meet.jitsi", []string{"eve"})), at(18)))
	expect("leave of the lobby after the end", nil, nil)
}
