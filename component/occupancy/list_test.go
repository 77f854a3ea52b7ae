package occupancy_test

import (
	"fmt"
	"maps"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"mellium.im/xmpp/jid"

	"ppch/component/occupancy"
)

// listed returns all rooms in an order.
func listed(d *occupancy.Directory, by occupancy.Order) []occupancy.Glance {
	l := d.Listing(by)
	rooms, _, _ := d.Page(l, occupancy.Page{Limit: l.Len()})
	return rooms
}

// nodes returns the localparts of rooms.
func nodes(rooms []occupancy.Glance) (names []string) {
	for _, g := range rooms {
		name, _, _ := strings.Cut(g.Address, "@")
		names = append(names, name)
	}
	return names
}

// three returns a Directory of b with 1, c with 2 and a with 2 people, a and b of the same age, c older, and d of none.
func three(t *testing.T) *occupancy.Directory {
	d := occupancy.NewDirectory(muc, lobby)
	d.Begin(muc, jitsi)
	room := func(node string, created int, present ...occupancy.Occupant) occupancy.Delta {
		delta := whole(node+"@muc.meet.jitsi", present...)
		if created > 0 {
			delta.Facts = &occupancy.RoomFacts{CreatedAt: at(created)}
		}
		return delta
	}
	apply(t, d, at(9), synced(4, 6,
		room("b", 5, somebody("ann", 1)), room("c", 4, somebody("bob", 1), somebody("cyd", 1)),
		room("a", 5, somebody("dan", 1), somebody("eve", 1)), room("d", 0, somebody("fay", 1))))
	return d
}

func TestListingsAreSorted(t *testing.T) {
	d := three(t)
	for by, want := range map[occupancy.Order][]string{
		occupancy.ByName:         {"a", "b", "c", "d"},
		occupancy.ByParticipants: {"a", "c", "b", "d"},
		occupancy.ByCreation:     {"a", "b", "c", "d"},
	} {
		if diff := cmp.Diff(want, nodes(listed(d, by))); diff != "" {
			t.Errorf("order %d: -want +got:\n%s", by, diff)
		}
		l := d.Listing(by)
		slices.Reverse(want)
		rooms, _, _ := d.Page(l, occupancy.Page{From: l.Len() - 1, Backwards: true, Limit: 10})
		if diff := cmp.Diff(want, nodes(rooms)); diff != "" {
			t.Errorf("order %d backwards: -want +got:\n%s", by, diff)
		}
	}
}

func TestAListingIsMadeAnewOnlyAfterAChange(t *testing.T) {
	d := three(t)
	name, people := d.Listing(occupancy.ByName), d.Listing(occupancy.ByParticipants)
	if d.Listing(occupancy.ByName) != name || d.Listing(occupancy.ByParticipants) != people {
		t.Error("a listing was made anew although nothing has changed")
	}
	apply(t, d, at(10), synced(4, 7, occupancy.Delta{Room: "d@muc.meet.jitsi", Present: []occupancy.Occupant{somebody("gus", 1)}}))
	if d.Listing(occupancy.ByName) != name {
		t.Error("who is in a room has changed the order by name")
	}
	if d.Listing(occupancy.ByParticipants) == people {
		t.Error("the order by participants is old")
	}
	if diff := cmp.Diff([]string{"a", "c", "d", "b"}, nodes(listed(d, occupancy.ByParticipants))); diff != "" {
		t.Errorf("-want +got:\n%s", diff)
	}
	d.Forget(muc)
	if l := d.Listing(occupancy.ByName); l.Len() != 0 {
		t.Errorf("got %d rooms of a domain that was forgotten", l.Len())
	}
}

func TestPages(t *testing.T) {
	d := three(t)
	l := d.Listing(occupancy.ByParticipants) // a c b d
	for _, c := range []struct {
		name string
		page occupancy.Page
		want []string
		last int
		more bool
	}{
		{"the first", occupancy.Page{Limit: 2}, []string{"a", "c"}, 1, true},
		{"the last, which is full", occupancy.Page{From: 2, Limit: 2}, []string{"b", "d"}, 3, false},
		{"what isn't wanted makes no next page", occupancy.Page{Limit: 2, Keep: func(g occupancy.Glance) bool { return g.Participants == 2 }}, []string{"a", "c"}, 1, false},
		{"nothing is wanted", occupancy.Page{Limit: 2, Keep: func(occupancy.Glance) bool { return false }}, nil, -1, false},
		{"behind the end", occupancy.Page{From: 4, Limit: 2}, nil, 3, false},
		{"before the beginning", occupancy.Page{From: -1, Backwards: true, Limit: 2}, nil, 0, false},
	} {
		t.Run(c.name, func(t *testing.T) {
			rooms, last, more := d.Page(l, c.page)
			if got := nodes(rooms); !slices.Equal(got, c.want) || last != c.last || more != c.more {
				t.Errorf("got %q, last %d, more %t, want %q, %d, %t", got, last, more, c.want, c.last, c.more)
			}
		})
	}
}

func TestWhereARoomWouldStand(t *testing.T) {
	l := three(t).Listing(occupancy.ByName)
	for _, c := range []struct {
		address         string
		after, backward int
	}{
		{"b@muc.meet.jitsi", 2, 0},
		{"bb@muc.meet.jitsi", 2, 1},
		{"", 0, -1},
		{"z", 4, 3},
	} {
		p := occupancy.Position{Address: c.address}
		if got, back := l.After(p, false), l.After(p, true); got != c.after || back != c.backward {
			t.Errorf("%s: got %d and %d backwards, want %d and %d", c.address, got, back, c.after, c.backward)
		}
	}
	if got := l.Position(1); got != (occupancy.Position{Address: "b@muc.meet.jitsi"}) {
		t.Errorf("got %+v", got)
	}
}

// Rooms come and go and change between any two pages. Those that live throughout, and keep their place, are told once each.
func TestAWalkMissesNoRoomThatLivesThroughout(t *testing.T) {
	for _, by := range []occupancy.Order{occupancy.ByName, occupancy.ByCreation} {
		d := occupancy.NewDirectory(muc)
		d.Begin(muc, jitsi)
		random := rand.New(rand.NewPCG(1, uint64(by)))
		rooms, people := map[int]int{}, 0
		change := func() {
			room := random.IntN(400)
			delta := whole(fmt.Sprintf("r%d@muc.meet.jitsi", room))
			if n, ok := rooms[room]; ok && room%2 == 1 {
				delta = occupancy.Delta{Room: delta.Room, Gone: true}
				people -= n
				delete(rooms, room)
			} else {
				people -= rooms[room]
				rooms[room] = random.IntN(5)
				people += rooms[room]
				for i := range rooms[room] {
					delta.Present = append(delta.Present, somebody(fmt.Sprint(i), 1))
				}
				delta.Facts = &occupancy.RoomFacts{CreatedAt: at(room % 7)}
			}
			must(t, d.Apply(muc, synced(len(rooms), people, delta), at(2)))
		}
		must(t, d.Apply(muc, synced(0, 0), at(1)))
		for range 2000 {
			change()
		}
		before := maps.Clone(rooms)
		told := map[string]int{}
		l := d.Listing(by)
		for from, more := 0, true; more; {
			var page []occupancy.Glance
			page, from, more = d.Page(l, occupancy.Page{From: from, Limit: 7})
			for _, g := range page {
				told[g.Address]++
			}
			if len(page) > 0 {
				p := l.Position(from)
				l = d.Listing(by)
				from = l.After(p, false)
			}
			for range 10 {
				change()
			}
		}
		for room := 0; room < 400; room += 2 {
			if _, lived := before[room]; !lived {
				continue
			}
			if n := told[fmt.Sprintf("r%d@muc.meet.jitsi", room)]; n != 1 {
				t.Errorf("order %d: r%d, which lived throughout, was told %d times", by, room, n)
			}
		}
	}
}

func TestStatesOfRoomsTellThemApart(t *testing.T) {
	d := occupancy.NewDirectory(muc, lobby)
	d.Begin(muc, jitsi)
	d.Begin(lobby, jitsi)
	states := map[occupancy.State]string{}
	see := func(what string, again string) {
		t.Helper()
		g, _ := d.Glance(daily)
		if before := states[g.State]; before != again {
			t.Errorf("%s: got the state of %q want that of %q", what, before, again)
		}
		states[g.State] = what
	}
	apply(t, d, at(1), synced(0, 0))
	see("no room", "")
	apply(t, d, at(2), synced(1, 1, whole("daily@muc.meet.jitsi", somebody("ann", 1))))
	see("ann", "")
	apply(t, d, at(3), synced(1, 1))
	see("still ann", "ann")
	must(t, d.Apply(lobby, synced(1, 1, whole("daily@lobby.meet.jitsi", somebody("bob", 1))), at(4)))
	see("bob waits in the lobby", "")
	must(t, d.Apply(lobby, synced(1, 2, occupancy.Delta{Room: "daily@lobby.meet.jitsi", Present: []occupancy.Occupant{somebody("cyd", 1)}}), at(5)))
	see("two wait", "")
	must(t, d.Apply(lobby, synced(0, 0, occupancy.Delta{Room: "daily@lobby.meet.jitsi", Gone: true}), at(6)))
	see("nobody waits", "still ann")
	apply(t, d, at(7), synced(0, 0, occupancy.Delta{Room: "daily@muc.meet.jitsi", Gone: true}))
	see("no room any more", "no room")

	lone := occupancy.Room{JID: daily, Exists: true, Participants: 3, Source: occupancy.SourceDisco, AsOf: at(1)}
	more, later := lone, lone
	more.Participants, later.AsOf = 4, at(2)
	if occupancy.StateOf(lone) != occupancy.StateOf(later) || occupancy.StateOf(lone) == occupancy.StateOf(more) {
		t.Error("the state of a room that no directory tells of doesn't follow what it tells")
	}
}

func TestSurveyAndDomains(t *testing.T) {
	d := three(t)
	apply(t, d, at(20), synced(6, 8, whole("e@muc.meet.jitsi", focus), whole("__jicofo-health-check-1@muc.meet.jitsi", focus)))
	got, ok := d.Survey(muc)
	if diff := cmp.Diff(map[int]int{0: 1, 1: 2, 2: 2}, got.Sizes); !ok || diff != "" {
		t.Errorf("-want +got:\n%s", diff)
	}
	want := []occupancy.WatchedDomain{{JID: muc, Type: occupancy.RoomMain}, {JID: lobby, Type: occupancy.RoomLobby}}
	if diff := cmp.Diff(want, d.Domains(), sameJID); diff != "" {
		t.Errorf("-want +got:\n%s", diff)
	}
}

func TestAnEventTellsWhoElseTellsOfItsRoom(t *testing.T) {
	d := occupancy.NewDirectory(muc, lobby)
	d.Begin(muc, jitsi)
	d.Begin(lobby, jitsi)
	apply(t, d, at(1), synced(1, 1, whole("daily@muc.meet.jitsi", somebody("ann", 1))))
	must(t, d.Apply(lobby, synced(0, 0), at(1)))
	s := d.Subscribe(8)
	defer s.Close()
	must(t, d.Apply(lobby, synced(1, 1, whole("daily@lobby.meet.jitsi", somebody("bob", 1))), at(2)))
	apply(t, d, at(3), synced(1, 0, occupancy.Delta{Room: "daily@muc.meet.jitsi", Left: []string{"ann"}}))
	for _, want := range []jid.JID{daily, daily, {}} {
		if e := <-s.Events(); !e.Parent.Equal(want) {
			t.Errorf("%s of %s: got parent %q want %q", e.Kind, e.Room, e.Parent, want)
		}
	}
}
