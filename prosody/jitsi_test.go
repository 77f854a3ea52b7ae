package prosody_test

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"ppch/prosody/prosodytest"
)

// Whoever takes another name is there all the time: under the old one until that is told as left, and then under the new.
func TestRenamesInAStormAreToldWhole(t *testing.T) {
	t.Parallel()
	srv := start(t, prosodytest.Options{GlobalConfig: "room_participants_tick = 0.001"})
	cast := newCast(t, srv)
	room := srv.Room("renames")
	must(cast.Open(within(t), room))(t)
	ada := must(cast.User(within(t), room, "Ada"))(t)
	f := follow(t, srv)
	f.untilSynced()
	const renames = 3000
	var storm strings.Builder
	for i := range renames {
		fmt.Fprintf(&storm, "<presence to='%s/n%d'>%s</presence>", room, i, prosodytest.DisplayName("Ada"))
	}
	go func() { _ = ada.Send(storm.String()) }()
	for done := false; !done; _, done = f.copied.occupant(room, fmt.Sprintf("n%d", renames-1)) {
		if b := f.next(); len(b.Rooms) > 0 && f.copied.count() != 2 {
			t.Fatalf("at %v focus and one person are told as:\n%s", b.At, f.copied)
		}
	}
}

// mod_muc_breakout_rooms writes into the room's data and fires nothing. The audit alone would take a minute.
func TestARoomsBreakoutRoomsAreLookedAtOnEachBeat(t *testing.T) {
	t.Parallel()
	srv := start(t, prosodytest.Options{})
	cast := newCast(t, srv)
	room := srv.Room("daily")
	must(cast.Open(within(t), room))(t)
	ada := must(cast.User(within(t), room, "Ada"))(t)
	f := follow(t, srv)
	f.untilSynced()
	is := func(breakouts string) {
		lua(t, srv, muc+`.get_room_from_jid("`+room+`")._data.breakout_rooms = `+breakouts+`; return "";`)
	}
	is(`{ ["b@breakout.meet.jitsi"] = "One" }`)
	check(t, ada.Update(within(t), prosodytest.DisplayName("Ada L."))) // any change of the room shows them
	told := func(name string) {
		began := time.Now()
		f.until("the breakout room called "+name, func(r *replica) bool { return r.rooms[room].breakouts["b@breakout.meet.jitsi"] == name })
		if took := time.Since(began); took > 10*time.Second {
			t.Errorf("%q was told after %s", name, took)
		}
	}
	told("One")
	is(`{ ["b@breakout.meet.jitsi"] = "Two" }`)
	told("Two")
	is("nil")
	told("")
}
