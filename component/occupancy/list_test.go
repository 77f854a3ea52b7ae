package occupancy_test

import (
	"errors"
	"fmt"
	"maps"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"ppch/component/occupancy"
)

// nodes returns the localparts of rooms.
func nodes(rooms []occupancy.RoomSummary) (names []string) {
	for _, g := range rooms {
		name, _, _ := strings.Cut(g.Address, "@")
		names = append(names, name)
	}
	return names
}

// fourRooms returns a Directory of b with 1, c with 2, a with 2 and d with 1 people; a and b have the same age, c is older, that of d is unknown.
func fourRooms(t *testing.T) *occupancy.Directory {
	d := newDirectory(muc, lobby)
	mainOf(d).Begin(muc, jitsi)
	room := func(node string, created int, present ...occupancy.Occupant) occupancy.Delta {
		delta := fullRoom(node+"@muc.meet.jitsi", present...)
		if created > 0 {
			delta.Facts = &occupancy.RoomFacts{CreatedAt: at(created)}
		}
		return delta
	}
	apply(t, d, at(9), synced(4, 6,
		room("b", 5, person("ann", 1)), room("c", 4, person("bob", 1), person("cyd", 1)),
		room("a", 5, person("dan", 1), person("eve", 1)), room("d", 0, person("fay", 1))))
	return d
}

func TestRooms_Order(t *testing.T) {
	d := fourRooms(t)
	for by, want := range map[occupancy.Order][]string{
		occupancy.ByName:         {"a", "b", "c", "d"},
		occupancy.ByParticipants: {"a", "c", "b", "d"},
		occupancy.ByCreation:     {"a", "b", "c", "d"},
	} {
		same(t, fmt.Sprintf("order %d", by), want, nodes(listed(d, by)))
		slices.Reverse(want)
		page, err := d.Rooms(occupancy.Query{Domain: muc.String(), By: by, Backwards: true, Limit: 10})
		if diff := cmp.Diff(want, nodes(page.Rooms)); diff != "" || err != nil || page.Last != nil || !page.AsOf.Equal(at(9)) {
			t.Errorf("order %d backwards: -want +got:\n%s", by, diff)
		}
	}
}

func TestRooms_OrderFollowsChanges(t *testing.T) {
	d := fourRooms(t)
	before := nodes(listed(d, occupancy.ByName))
	_ = listed(d, occupancy.ByParticipants)
	apply(t, d, at(10), synced(4, 7, occupancy.Delta{Room: "d@muc.meet.jitsi", Present: []occupancy.Occupant{person("gus", 1)}}))
	same(t, "by name", before, nodes(listed(d, occupancy.ByName)))
	same(t, "by participants", []string{"a", "c", "d", "b"}, nodes(listed(d, occupancy.ByParticipants)))
}

func TestRooms_Pages(t *testing.T) {
	d := fourRooms(t) // a c b d
	after := func(people int64, node string) *occupancy.Position {
		return &occupancy.Position{Key: -people, Address: node + "@muc.meet.jitsi"}
	}
	for _, c := range []struct {
		name string
		q    occupancy.Query
		want []string
		last *occupancy.Position
	}{
		{"the first", occupancy.Query{Limit: 2}, []string{"a", "c"}, after(2, "c")},
		{"the last, which is full", occupancy.Query{After: after(2, "c"), Limit: 2}, []string{"b", "d"}, nil},
		{"after a room that has ended", occupancy.Query{After: after(2, "bb"), Limit: 2}, []string{"c", "b"}, after(1, "b")},
		{"backwards", occupancy.Query{Backwards: true, Limit: 2}, []string{"d", "b"}, after(1, "b")},
		{"backwards from the middle", occupancy.Query{Backwards: true, After: after(1, "b"), Limit: 2}, []string{"c", "a"}, nil},
		{"no limit", occupancy.Query{}, []string{"a", "c", "b", "d"}, nil},
		{"rooms that Keep excludes make no next page", occupancy.Query{Limit: 2, Keep: func(g occupancy.RoomSummary) bool { return g.Participants == 2 }}, []string{"a", "c"}, nil},
		{"Keep excludes all", occupancy.Query{Limit: 2, Keep: func(occupancy.RoomSummary) bool { return false }}, nil, nil},
		{"after the end", occupancy.Query{After: after(1, "d"), Limit: 2}, nil, nil},
		{"before the beginning", occupancy.Query{After: after(2, "a"), Backwards: true, Limit: 2}, nil, nil},
		{"those of a type", occupancy.Query{Type: occupancy.RoomMain}, []string{"a", "c", "b", "d"}, nil},
	} {
		t.Run(c.name, func(t *testing.T) {
			if c.q.Type == "" {
				c.q.Domain = muc.String()
			}
			c.q.By = occupancy.ByParticipants
			page, err := d.Rooms(c.q)
			if diff := cmp.Diff(c.last, page.Last); err != nil || !slices.Equal(nodes(page.Rooms), c.want) || diff != "" {
				t.Errorf("got %q, %v, want %q; last: -want +got:\n%s", nodes(page.Rooms), err, c.want, diff)
			}
		})
	}
}

// Rooms returns an error unless all domains are readable, so an empty page means that there are no rooms.
func TestRooms_FailUnlessAllDomainsAreReadable(t *testing.T) {
	d := fourRooms(t)
	for _, c := range []struct {
		name string
		q    occupancy.Query
		want occupancy.Reason // or nothing
	}{
		{"the domain", occupancy.Query{Domain: muc.String()}, ""},
		{"its type", occupancy.Query{Type: occupancy.RoomMain}, ""},
		{"another domain", occupancy.Query{Domain: lobby.String()}, occupancy.ReasonConnecting},
		{"another type", occupancy.Query{Type: occupancy.RoomLobby}, occupancy.ReasonConnecting},
		{"all of them", occupancy.Query{}, occupancy.ReasonConnecting},
	} {
		if _, err := d.Rooms(c.q); reasonOf(err) != c.want {
			t.Errorf("%s: got %v, want %q", c.name, err, c.want)
		}
	}
	for _, q := range []occupancy.Query{{Domain: "muc.example.com"}, {Type: occupancy.RoomBreakout}} {
		if _, err := d.Rooms(q); !errors.Is(err, occupancy.ErrNotWatched) {
			t.Errorf("%+v: got %v, want ErrNotWatched", q, err)
		}
	}
}

// Rooms start, end and change between pages. Each room that exists throughout, in the same place, appears once.
func TestRooms_WalkFindsEachRoomOnce(t *testing.T) {
	for _, by := range []occupancy.Order{occupancy.ByName, occupancy.ByCreation} {
		d := newDirectory(muc)
		mainOf(d).Begin(muc, jitsi)
		random := rand.New(rand.NewPCG(1, uint64(by)))
		rooms, people := map[int]int{}, 0
		change := func() {
			room := random.IntN(400)
			delta := fullRoom(fmt.Sprintf("r%d@muc.meet.jitsi", room))
			if n, ok := rooms[room]; ok && room%2 == 1 {
				delta = occupancy.Delta{Room: delta.Room, Gone: true}
				people -= n
				delete(rooms, room)
			} else {
				people -= rooms[room]
				rooms[room] = random.IntN(5)
				people += rooms[room]
				for i := range rooms[room] {
					delta.Present = append(delta.Present, person(fmt.Sprint(i), 1))
				}
				delta.Facts = &occupancy.RoomFacts{CreatedAt: at(room % 7)}
			}
			check(t, mainOf(d).Apply(muc, synced(len(rooms), people, delta), at(2)))
		}
		check(t, mainOf(d).Apply(muc, synced(0, 0), at(1)))
		for range 2000 {
			change()
		}
		before := maps.Clone(rooms)
		appeared := map[string]int{}
		for q := (occupancy.Query{By: by, Limit: 7}); ; {
			page, err := d.Rooms(q)
			check(t, err)
			for _, g := range page.Rooms {
				appeared[g.Address]++
			}
			if page.Last == nil {
				break
			}
			q.After = page.Last
			for range 10 {
				change()
			}
		}
		for room := 0; room < 400; room += 2 {
			if _, lived := before[room]; !lived {
				continue
			}
			if n := appeared[fmt.Sprintf("r%d@muc.meet.jitsi", room)]; n != 1 {
				t.Errorf("order %d: r%d, which existed throughout, appeared %d times", by, room, n)
			}
		}
	}
}

func TestState_ChangesWithRoom(t *testing.T) {
	d := newDirectory(muc, lobby)
	mainOf(d).Begin(muc, jitsi)
	mainOf(d).Begin(lobby, jitsi)
	states := map[occupancy.Fingerprint]string{}
	see := func(what string, again string) {
		t.Helper()
		g, _ := d.RoomSummary(daily)
		if before := states[g.Fingerprint]; before != again {
			t.Errorf("%s: got the state of %q want that of %q", what, before, again)
		}
		states[g.Fingerprint] = what
	}
	apply(t, d, at(1), synced(0, 0))
	see("no room", "")
	apply(t, d, at(2), synced(1, 1, fullRoom("daily@muc.meet.jitsi", person("ann", 1))))
	see("ann", "")
	apply(t, d, at(3), synced(1, 1))
	see("still ann", "ann")
	check(t, mainOf(d).Apply(lobby, synced(1, 1, fullRoom("daily@lobby.meet.jitsi", person("bob", 1))), at(4)))
	see("bob waits in the lobby", "")
	check(t, mainOf(d).Apply(lobby, synced(1, 2, occupancy.Delta{Room: "daily@lobby.meet.jitsi", Present: []occupancy.Occupant{person("cyd", 1)}}), at(5)))
	see("two wait", "")
	check(t, mainOf(d).Apply(lobby, synced(0, 0, occupancy.Delta{Room: "daily@lobby.meet.jitsi", Gone: true}), at(6)))
	see("the lobby is empty", "still ann")
	apply(t, d, at(7), synced(0, 0, occupancy.Delta{Room: "daily@muc.meet.jitsi", Gone: true}))
	see("no room any more", "no room")

	lone := occupancy.Room{JID: daily, Exists: true, Participants: 3, Source: occupancy.SourceDisco, AsOf: at(1)}
	more, later := lone, lone
	more.Participants, later.AsOf = 4, at(2)
	if occupancy.FingerprintOf(lone) != occupancy.FingerprintOf(later) || occupancy.FingerprintOf(lone) == occupancy.FingerprintOf(more) {
		t.Error("the state of a room from elsewhere doesn't follow its content")
	}
}

// Numbers changes only with what a reader without names sees.
func TestGlance_NumbersIgnoreNames(t *testing.T) {
	d := meeting(t)
	facts := occupancy.RoomFacts{Subject: "Plans", Breakouts: []occupancy.Breakout{{JID: "b1@breakout.meet.jitsi", Name: "One"}}}
	send := func(delta occupancy.Delta, occupants int) {
		delta.Room = daily.String()
		apply(t, d, at(20), synced(1, occupants, delta))
	}
	send(occupancy.Delta{Facts: &facts}, 3)
	named := person("ann", 1)
	named.Name = "Ann"
	muted := named
	muted.Flags = occupancy.FlagHandRaised | occupancy.FlagAudioMuted | occupancy.FlagVideoMuted
	renamed, wordier := facts, facts
	renamed.Breakouts = []occupancy.Breakout{{JID: "b1@breakout.meet.jitsi", Name: "Two"}}
	wordier.Subject = "Other plans"
	locked := wordier
	locked.Password = true
	for _, c := range []struct {
		what    string
		delta   occupancy.Delta
		numbers bool
	}{
		{"a name", occupancy.Delta{Present: []occupancy.Occupant{named}}, false},
		{"a hand and both mutes", occupancy.Delta{Present: []occupancy.Occupant{muted}}, false},
		{"the name of a breakout room", occupancy.Delta{Facts: &renamed}, false},
		{"the subject", occupancy.Delta{Facts: &wordier}, false},
		{"the password", occupancy.Delta{Facts: &locked}, true},
		{"a leave", occupancy.Delta{Left: []string{named.ID}}, true},
	} {
		before, _ := d.RoomSummary(daily)
		occupants := 3
		if c.what == "a leave" {
			occupants = 2
		}
		send(c.delta, occupants)
		after, _ := d.RoomSummary(daily)
		if after.Fingerprint == before.Fingerprint || after.AnonymousFingerprint != before.AnonymousFingerprint != c.numbers {
			t.Errorf("%s: state changed %t, numbers changed %t, want true and %t", c.what, after.Fingerprint != before.Fingerprint, after.AnonymousFingerprint != before.AnonymousFingerprint, c.numbers)
		}
		if room, _ := d.Room(daily); room.AnonymousFingerprint != after.AnonymousFingerprint || room.Fingerprint != after.Fingerprint {
			t.Errorf("%s: the room and its summary differ", c.what)
		}
	}
}
