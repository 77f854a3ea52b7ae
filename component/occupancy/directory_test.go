package occupancy_test

import (
	"errors"
	"slices"
	"testing"

	"github.com/google/go-cmp/cmp"
	"mellium.im/xmpp/jid"

	"ppch/component/occupancy"
)

func TestDirectory_ApplyEvents(t *testing.T) {
	const room = "daily@muc.meet.jitsi"
	for _, c := range []struct {
		name   string
		in     []occupancy.Batch
		events []string
		nicks  []string
	}{
		{
			name:   "a heartbeat changes nothing",
			in:     []occupancy.Batch{synced(1, 3)},
			events: []string{}, nicks: []string{"ann", "bob", "focus"},
		},
		{
			name:   "an occupant joins",
			in:     []occupancy.Batch{synced(1, 4, roomUpdate(room, nil, person("cyd", 11)))},
			events: []string{"joined daily cyd 3"}, nicks: []string{"ann", "bob", "cyd", "focus"},
		},
		{
			name:   "a repeated change has no effect",
			in:     []occupancy.Batch{synced(1, 4, roomUpdate(room, nil, person("cyd", 11))), synced(1, 4, roomUpdate(room, nil, person("cyd", 11)))},
			events: []string{"joined daily cyd 3"}, nicks: []string{"ann", "bob", "cyd", "focus"},
		},
		{
			name:   "an occupant leaves, and leaves again",
			in:     []occupancy.Batch{synced(1, 2, roomUpdate(room, []string{"bob", "bob"})), synced(1, 2, roomUpdate(room, []string{"bob"}))},
			events: []string{"left daily bob 1"}, nicks: []string{"ann", "focus"},
		},
		{
			name:   "an occupant changes nick and another leaves in one batch",
			in:     []occupancy.Batch{synced(1, 2, roomUpdate(room, []string{"ann", "bob"}, person("anne", 1)))},
			events: []string{"left daily ann 1", "left daily bob 0", "joined daily anne 1"}, nicks: []string{"anne", "focus"},
		},
		{
			name:   "an occupant chooses a name",
			in:     []occupancy.Batch{synced(1, 3, roomUpdate(room, nil, withName(person("ann", 1), "Ann")))},
			events: []string{"updated daily ann 2"}, nicks: []string{"ann", "bob", "focus"},
		},
		{
			name:   "a person turns out to be a visitor, and doesn't count any more",
			in:     []occupancy.Batch{synced(1, 3, roomUpdate(room, nil, occupancy.Occupant{ID: "bob", RealJID: "q-bob@meet.jitsi/web", Role: "visitor", JoinedAt: at(2)}))},
			events: []string{"updated daily bob 1"}, nicks: []string{"ann", "bob", "focus"},
		},
		{
			name:   "another joining time is a leave and a join",
			in:     []occupancy.Batch{synced(1, 3, roomUpdate(room, nil, person("bob", 12)))},
			events: []string{"left daily bob 1", "joined daily bob 2"}, nicks: []string{"ann", "bob", "focus"},
		},
		{
			name:   "a missing joining time is no leave",
			in:     []occupancy.Batch{synced(1, 3, roomUpdate(room, nil, occupancy.Occupant{ID: "bob", RealJID: "q-bob@meet.jitsi/web"}))},
			events: []string{"updated daily bob 2"}, nicks: []string{"ann", "bob", "focus"},
		},
		{
			name:   "a recorder comes, and the number of people stays",
			in:     []occupancy.Batch{synced(1, 4, roomUpdate(room, nil, occupancy.Occupant{ID: "rec", RealJID: "recorder@hidden.meet.jitsi/j"}))},
			events: []string{"joined daily rec 2"}, nicks: []string{"ann", "bob", "focus", "rec"},
		},
		{
			name:   "a room sent whole, unchanged",
			in:     []occupancy.Batch{synced(1, 3, fullRoom(room, person("bob", 2), focus, person("ann", 1)))},
			events: []string{}, nicks: []string{"ann", "bob", "focus"},
		},
		{
			name:   "a room sent whole keeps facts that are not sent",
			in:     []occupancy.Batch{synced(1, 3, occupancy.Delta{Room: room, New: true, Present: []occupancy.Occupant{focus, person("ann", 1), person("bob", 2)}})},
			events: []string{}, nicks: []string{"ann", "bob", "focus"},
		},
		{
			name:   "a room sent whole, changed",
			in:     []occupancy.Batch{synced(1, 3, fullRoom(room, focus, withName(person("bob", 2), "Bob"), person("cyd", 11)))},
			events: []string{"left daily ann 1", "updated daily bob 1", "joined daily cyd 2"}, nicks: []string{"bob", "cyd", "focus"},
		},
		{
			name: "a room sent whole in two deltas",
			in: []occupancy.Batch{synced(1, 3,
				fullRoom(room, focus, person("ann", 1)),
				roomUpdate(room, nil, person("bob", 2)))},
			events: []string{"left daily bob 1", "joined daily bob 2"}, nicks: []string{"ann", "bob", "focus"},
		},
		{
			name:   "a room gets a subject",
			in:     []occupancy.Batch{synced(1, 3, occupancy.Delta{Room: room, Facts: &occupancy.RoomFacts{CreatedAt: at(0), Subject: "Plans"}})},
			events: []string{"room-updated daily  2"}, nicks: []string{"ann", "bob", "focus"},
		},
		{
			name:   "facts sent again",
			in:     []occupancy.Batch{synced(1, 3, occupancy.Delta{Room: room, Facts: &occupancy.RoomFacts{CreatedAt: at(0)}})},
			events: []string{}, nicks: []string{"ann", "bob", "focus"},
		},
		{
			name:   "a room ends after all occupants have left",
			in:     []occupancy.Batch{synced(0, 0, occupancy.Delta{Room: room, Gone: true}), synced(0, 0, occupancy.Delta{Room: room, Gone: true})},
			events: []string{"left daily ann 1", "left daily bob 0", "left daily focus 0", "room-ended daily  0"}, nicks: []string{},
		},
		{
			name: "a room ends and starts again in one batch",
			in:   []occupancy.Batch{synced(1, 1, occupancy.Delta{Room: room, Gone: true}, fullRoom(room, person("ann", 13)))},
			events: []string{
				"left daily ann 1", "left daily bob 0", "left daily focus 0", "room-ended daily  0",
				"room-started daily  0", "joined daily ann 1",
			},
			nicks: []string{"ann"},
		},
		{
			name: "a room ends and starts again between two batches",
			in: []occupancy.Batch{
				synced(2, 4, occupancy.Delta{Room: "weekly@muc.meet.jitsi", New: true, Facts: &occupancy.RoomFacts{Stamp: at(11)}, Present: []occupancy.Occupant{person("eve", 12)}}),
				synced(2, 4, occupancy.Delta{Room: "weekly@muc.meet.jitsi", New: true, Facts: &occupancy.RoomFacts{Stamp: at(13)}, Present: []occupancy.Occupant{person("eve", 14)}}),
			},
			events: []string{
				"room-started weekly  0", "joined weekly eve 1",
				"left weekly eve 0", "room-ended weekly  0", "room-started weekly  0", "joined weekly eve 1",
			},
			nicks: []string{"ann", "bob", "focus"},
		},
		{
			name:   "another room",
			in:     []occupancy.Batch{synced(2, 4, fullRoom("[acme]b@muc.meet.jitsi", person("eve", 11)))},
			events: []string{"room-started [acme]b  0", "joined [acme]b eve 1"}, nicks: []string{"ann", "bob", "focus"},
		},
		{
			name:   "a health check of Jicofo's is counted and kept quiet",
			in:     []occupancy.Batch{synced(2, 4, fullRoom("__jicofo-health-check-1@muc.meet.jitsi", focus)), synced(1, 3, occupancy.Delta{Room: "__jicofo-health-check-1@muc.meet.jitsi", Gone: true})},
			events: []string{}, nicks: []string{"ann", "bob", "focus"},
		},
	} {
		t.Run(c.name, func(t *testing.T) {
			d := meeting(t)
			s := d.Subscribe(100)
			apply(t, d, at(20), c.in...)
			same(t, "events", c.events, drain(s))
			same(t, "occupants", c.nicks, nicks(t, d, daily))
			if got, ok := confirmed(d, muc); !ok || !got.Equal(at(20)) {
				t.Errorf("got as of %s, %t; want the time of the last batch", got, ok)
			}
		})
	}
}

func TestDirectory_ResyncReplacesReplica(t *testing.T) {
	d := meeting(t)
	s := d.Subscribe(100)
	mainOf(d).Begin(muc, jitsi)
	apply(t, d, at(20),
		occupancy.Batch{Deltas: []occupancy.Delta{fullRoom("new@muc.meet.jitsi", focus)}},
		occupancy.Batch{Deltas: []occupancy.Delta{fullRoom("daily@muc.meet.jitsi", focus, person("ann", 1))}},
		occupancy.Batch{Deltas: []occupancy.Delta{roomUpdate("daily@muc.meet.jitsi", []string{"ann"}, person("dan", 15))}},
	)
	if got := drain(s); len(got) > 0 {
		t.Errorf("got events %q of a snapshot that isn't complete", got)
	}
	if got, want := nicks(t, d, daily), []string{"ann", "bob", "focus"}; !slices.Equal(got, want) {
		t.Errorf("got %q before the snapshot is complete, want %q", got, want)
	}
	if got, _ := confirmed(d, muc); !got.Equal(at(10)) {
		t.Errorf("got as of %s before the snapshot is complete", got)
	}
	apply(t, d, at(21), synced(2, 3))
	want := []string{
		"left daily ann 1", "left daily bob 0", "joined daily dan 1",
		"room-started new  0", "joined new focus 0",
	}
	same(t, "events", want, drain(s))
	if got, _ := confirmed(d, muc); !got.Equal(at(21)) {
		t.Errorf("got as of %s", got)
	}
}

func TestDirectory_UnchangedResyncHasNoEvents(t *testing.T) {
	d := meeting(t)
	before, _ := d.Room(daily)
	s := d.Subscribe(100)
	mainOf(d).Begin(muc, jitsi)
	apply(t, d, at(20), synced(1, 3, fullRoom("daily@muc.meet.jitsi", focus, person("bob", 2), person("ann", 1))))
	if got := drain(s); len(got) > 0 {
		t.Errorf("got events %q", got)
	}
	if after, _ := d.Room(daily); after.Version != before.Version {
		t.Errorf("got version %d, was %d", after.Version, before.Version)
	}
}

func TestDirectory_ReclassifiesOnPrefixChange(t *testing.T) {
	d := meeting(t)
	s := d.Subscribe(100)
	mainOf(d).Begin(muc, occupancy.SystemAccounts{Recorders: []string{"q-bob@"}})
	apply(t, d, at(20), synced(1, 3, fullRoom("daily@muc.meet.jitsi", focus, person("bob", 2), person("ann", 1))))
	same(t, "events", []string{"updated daily bob 1"}, drain(s))
}

func TestDirectory_BeginDropsUnfinishedResync(t *testing.T) {
	d := meeting(t)
	mainOf(d).Begin(muc, jitsi)
	apply(t, d, at(20), occupancy.Batch{Deltas: []occupancy.Delta{fullRoom("other@muc.meet.jitsi", focus)}})
	mainOf(d).Begin(muc, jitsi)
	apply(t, d, at(21), synced(0, 0))
	if r, err := d.Room(jid.MustParse("other@muc.meet.jitsi")); err != nil || r.Exists {
		t.Errorf("got %+v, %v", r, err)
	}
}

func TestDirectory_ApplyErrors(t *testing.T) {
	for _, c := range []struct {
		name   string
		domain jid.JID
		setup  func(*occupancy.Directory)
		in     occupancy.Batch
		want   error
	}{
		{name: "a domain that isn't watched", domain: jid.MustParse("muc.example.com"), in: synced(0, 0), want: occupancy.ErrNotWatched},
		{name: "a batch before any snapshot", domain: lobby, in: synced(0, 0), want: occupancy.ErrNotBegun},
		{name: "a batch of a domain that was forgotten", domain: muc, setup: func(d *occupancy.Directory) { mainOf(d).Forget(muc) }, in: synced(1, 3), want: occupancy.ErrNotBegun},
		{name: "a batch of a snapshot that was forgotten", domain: muc, setup: func(d *occupancy.Directory) { mainOf(d).Begin(muc, jitsi); mainOf(d).Forget(muc) }, in: synced(0, 0), want: occupancy.ErrNotBegun},
		{name: "a batch after a snapshot that wasn't right", domain: lobby, setup: func(d *occupancy.Directory) {
			mainOf(d).Begin(lobby, jitsi)
			_ = mainOf(d).Apply(lobby, synced(1, 1), at(11))
		}, in: synced(0, 0), want: occupancy.ErrNotBegun},
		{name: "more of a snapshot that is complete", domain: muc, in: occupancy.Batch{}, want: occupancy.ErrOutOfOrder},
		{name: "one room too many", domain: muc, in: synced(2, 3), want: occupancy.ErrTotals},
		{name: "one occupant too few", domain: muc, in: synced(1, 2), want: occupancy.ErrTotals},
		{name: "an occupant joins but was already counted", domain: muc, in: synced(1, 3, roomUpdate("daily@muc.meet.jitsi", nil, person("cyd", 11))), want: occupancy.ErrTotals},
		{name: "a snapshot that lacks an occupant", domain: muc, setup: func(d *occupancy.Directory) { mainOf(d).Begin(muc, jitsi) },
			in: synced(1, 3, fullRoom("daily@muc.meet.jitsi", focus)), want: occupancy.ErrTotals},
		{name: "a room of another domain", domain: muc, in: synced(2, 4, fullRoom("daily@lobby.meet.jitsi", focus)), want: occupancy.ErrForeign},
		{name: "a room without a node", domain: muc, in: synced(2, 4, fullRoom("muc.meet.jitsi", focus)), want: occupancy.ErrForeign},
		{name: "a room with a resource", domain: muc, in: synced(2, 4, fullRoom("a@muc.meet.jitsi/b", focus)), want: occupancy.ErrForeign},
	} {
		t.Run(c.name, func(t *testing.T) {
			d := meeting(t)
			if c.setup != nil {
				c.setup(d)
			}
			before, known := confirmed(d, c.domain)
			if err := mainOf(d).Apply(c.domain, c.in, at(20)); !errors.Is(err, c.want) {
				t.Errorf("got error %v, want %v", err, c.want)
			}
			if after, still := confirmed(d, c.domain); !after.Equal(before) || still != known {
				t.Errorf("got as of %s, %t; was %s, %t", after, still, before, known)
			}
		})
	}
}

func TestDirectory_ForgetMakesReadsFail(t *testing.T) {
	d := meeting(t)
	mainOf(d).Forget(muc)
	mainOf(d).Forget(muc)
	mainOf(d).Forget(jid.MustParse("muc.example.com"))
	if r, err := d.Room(daily); err == nil {
		t.Errorf("got %+v of a domain that was forgotten", r)
	}
	if g, err := d.RoomSummary(daily); err == nil {
		t.Errorf("got %+v of a domain that was forgotten", g)
	}
	if got, err := d.Stats(occupancy.Query{Domain: muc.String()}); err == nil {
		t.Errorf("got %v of a domain that was forgotten", got)
	}
	if page, err := d.Rooms(occupancy.Query{}); err == nil {
		t.Errorf("got %+v of a domain that was forgotten", page)
	}
	if got, err := d.Totals(muc); err == nil {
		t.Errorf("got %+v of a domain that was forgotten", got)
	}
	if got, ok := confirmed(d, muc); ok {
		t.Errorf("got as of %s of a domain that was forgotten", got)
	}
}

// The rooms of a replica don't change their type while clients follow them: they are forgotten and loaded again.
func TestDirectory_ModuleTypeOverridesName(t *testing.T) {
	d := meeting(t)
	events := d.Subscribe(10)
	defer events.Close()
	mainOf(d).Begin(muc, occupancy.SystemAccounts{Type: occupancy.RoomLobby})
	if _, err := d.Room(daily); err == nil {
		t.Error("the rooms of the other type are still there")
	}
	waiting := person("ann", 1)
	waiting.Affiliation = "owner"
	apply(t, d, at(20), synced(1, 1, fullRoom("daily@muc.meet.jitsi", waiting)))
	got, err := d.Room(daily)
	if err != nil || got.Type != occupancy.RoomLobby || got.Participants != 0 {
		t.Errorf("got %+v, %v want a lobby in which a moderator looks", got, err)
	}
	if diff := cmp.Diff([]string{"reset   0", "reset   0"}, drain(events)); diff != "" {
		t.Error(diff)
	}
	mainOf(d).Begin(muc, occupancy.SystemAccounts{})
	apply(t, d, at(30), synced(1, 1, fullRoom("daily@muc.meet.jitsi", waiting)))
	if got, err := d.Room(daily); err != nil || got.Type != occupancy.RoomMain {
		t.Errorf("got %+v, %v want the type by the name", got, err)
	}
}
