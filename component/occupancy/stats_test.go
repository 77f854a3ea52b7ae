package occupancy_test

import (
	"maps"
	"strings"
	"testing"

	"mellium.im/xmpp/jid"

	"ppch/component/occupancy"
)

func TestTotals_JoinsAndLeaves(t *testing.T) {
	const room = "daily@muc.meet.jitsi"
	type kinds = map[occupancy.Kind]uint64
	d := meeting(t)
	if _, err := d.Totals(lobby); err == nil {
		t.Error("got totals of a domain without a replica")
	}
	again := func(batches ...occupancy.Batch) func() {
		return func() {
			mainOf(d).Begin(muc, jitsi)
			apply(t, d, at(30), batches...)
		}
	}
	change := func(batches ...occupancy.Batch) func() {
		return func() { apply(t, d, at(20), batches...) }
	}
	for _, step := range []struct {
		name          string
		do            func()
		joins, leaves kinds
	}{
		{"occupants of the first snapshot haven't joined", change(synced(1, 3)), kinds{}, kinds{}},
		{
			"a person and a recorder join", change(synced(1, 5, roomUpdate(room, nil, person("cyd", 11), occupancy.Occupant{ID: "rec", RealJID: "recorder@hidden.meet.jitsi/j"}))),
			kinds{"user": 1, "recorder": 1}, kinds{},
		},
		{"a new name is neither", change(synced(1, 5, roomUpdate(room, nil, withName(person("cyd", 11), "Cyd")))), kinds{"user": 1, "recorder": 1}, kinds{}},
		{"a person leaves and rejoins", change(synced(1, 5, roomUpdate(room, nil, withName(person("cyd", 12), "Cyd")))), kinds{"user": 2, "recorder": 1}, kinds{"user": 1}},
		{
			"a health check doesn't count", change(synced(2, 6, fullRoom("__jicofo-health-check-1@muc.meet.jitsi", focus))),
			kinds{"user": 2, "recorder": 1}, kinds{"user": 1},
		},
		{
			"a room ends with its occupants", change(synced(1, 1, occupancy.Delta{Room: room, Gone: true})),
			kinds{"user": 2, "recorder": 1}, kinds{"user": 4, "recorder": 1, "focus": 1},
		},
		{
			"changes found by a resync count", again(synced(1, 1, fullRoom("zoo@muc.meet.jitsi", person("eve", 25)))),
			kinds{"user": 3, "recorder": 1}, kinds{"user": 4, "recorder": 1, "focus": 1},
		},
		{
			"occupants of a first snapshot after Forget haven't joined", func() {
				mainOf(d).Forget(muc)
				if _, err := d.Totals(muc); err == nil {
					t.Error("got totals of a forgotten domain")
				}
				again(synced(1, 1, fullRoom("zoo@muc.meet.jitsi", person("fay", 26))))()
			},
			kinds{"user": 3, "recorder": 1}, kinds{"user": 4, "recorder": 1, "focus": 1},
		},
	} {
		step.do()
		totals, err := d.Totals(muc)
		check(t, err)
		joins, leaves := kinds{}, kinds{}
		for _, k := range occupancy.Kinds() {
			joins[k], leaves[k] = totals.Joins(k), totals.Leaves(k)
		}
		none := func(_ occupancy.Kind, n uint64) bool { return n == 0 }
		maps.DeleteFunc(joins, none)
		maps.DeleteFunc(leaves, none)
		same(t, step.name, []kinds{step.joins, step.leaves}, []kinds{joins, leaves})
	}
}

func TestSizes_FollowRooms(t *testing.T) {
	d := meeting(t)
	for _, step := range []struct {
		name string
		in   occupancy.Batch
		want map[int]int // rooms of at most so many people
	}{
		{"Jicofo's room of two people", synced(1, 3), map[int]int{0: 0, 1: 0, 2: 1, 3: 1}},
		{"a third person comes", synced(1, 4, roomUpdate("daily@muc.meet.jitsi", nil, person("cyd", 11))), map[int]int{0: 0, 1: 0, 2: 0, 3: 1}},
		{"a room with focus alone", synced(2, 5, fullRoom("zoo@muc.meet.jitsi", focus)), map[int]int{0: 1, 1: 1, 2: 1, 3: 2}},
		{
			"a health check is no room", synced(3, 6, fullRoom("__jicofo-health-check-1@muc.meet.jitsi", focus)),
			map[int]int{0: 1, 1: 1, 2: 1, 3: 2},
		},
		{
			"a room ends", synced(2, 2, occupancy.Delta{Room: "daily@muc.meet.jitsi", Gone: true}),
			map[int]int{0: 1, 1: 1, 2: 1, 3: 1},
		},
	} {
		apply(t, d, at(20), step.in)
		totals, _ := d.Totals(muc)
		got := maps.Collect(totals.Sizes.AtMost())
		maps.DeleteFunc(got, func(bound, _ int) bool { return bound > 3 })
		same(t, step.name, step.want, got)
	}
}

func TestSizes_Bounds(t *testing.T) {
	for people, want := range map[int]int{0: 0, 5: 5, 6: 10, 10: 10, 11: 20, 499: 500, 500: 500, 501: 0} {
		d := newDirectory(muc)
		mainOf(d).Begin(muc, jitsi)
		room := page(1, people)
		apply(t, d, at(0), synced(1, people, room))
		totals, _ := d.Totals(muc)
		got := 0 // stays so for a room that is larger than all sizes
		for bound, rooms := range totals.Sizes.AtMost() {
			if rooms == 1 {
				got = bound
				break
			}
		}
		if got != want {
			t.Errorf("%d people: got size %d want %d", people, got, want)
		}
	}
}

func TestTotals_FollowRooms(t *testing.T) {
	d := meeting(t)
	list := func() (names []string) {
		for _, g := range listed(d, occupancy.ByName) {
			name, _, _ := strings.Cut(g.Address, "@")
			names = append(names, name)
			if !g.Exists || g.Type != occupancy.RoomMain {
				t.Errorf("got %+v in a list", g)
			}
		}
		return names
	}
	apply(t, d, at(20), synced(4, 6,
		fullRoom("zoo@muc.meet.jitsi", occupancy.Occupant{ID: "rec", RealJID: "recorder@hidden.meet.jitsi/j"}),
		fullRoom("\u0640@muc.meet.jitsi", person("eve", 1)), // PRECIS has no such address, Prosody does
		fullRoom("__jicofo-health-check-1@muc.meet.jitsi", focus)))
	same(t, "rooms", []string{"daily", "zoo", "\u0640"}, list())
	got, err := d.Totals(muc)
	if err != nil || got.Rooms != 3 || got.Counts.People() != 3 || got.Counts.All() != 5 || got.Counts.Of(occupancy.KindRecorder) != 1 || got.Counts.Of("other") != 0 {
		t.Errorf("got totals %+v, %v", got, err)
	}
	apply(t, d, at(21), synced(3, 5, occupancy.Delta{Room: "zoo@muc.meet.jitsi", Gone: true}))
	same(t, "after a room ended", []string{"daily", "\u0640"}, list())
	if got, _ := d.Totals(muc); got.Rooms != 2 || got.Counts.All() != 4 {
		t.Errorf("after a room ended: got totals %+v", got)
	}
}

func TestStats_LargestRoom(t *testing.T) {
	d := fourRooms(t)
	apply(t, d, at(20), synced(6, 8, fullRoom("e@muc.meet.jitsi", focus), fullRoom("__jicofo-health-check-1@muc.meet.jitsi", focus)))
	got, err := d.Stats(occupancy.Query{Domain: muc.String()})
	check(t, err)
	if len(got) != 1 || got[0].Rooms != 5 {
		t.Errorf("got %+v, want 5 rooms of one domain", got)
	}
	if g := got[0].Largest; g.Address != "a@muc.meet.jitsi" || g.Participants != 2 {
		t.Errorf("got the largest room %+v, want the first of those with two people", g)
	}
	if got, err := d.Stats(occupancy.Query{}); reasonOf(err) != occupancy.ReasonConnecting {
		t.Errorf("got %+v, %v although one of the domains can't be read", got, err)
	}
	want := []occupancy.RoomType{occupancy.RoomMain, occupancy.RoomLobby}
	for i, domain := range d.Domains() {
		if domain.Type != want[i] || !domain.JID.Equal([]jid.JID{muc, lobby}[i]) {
			t.Errorf("got %+v, want %s", domain, want[i])
		}
	}
}
