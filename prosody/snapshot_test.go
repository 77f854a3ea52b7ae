package prosody_test

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"ppch/prosody/prosodytest"
)

func TestSnapshot_Pages(t *testing.T) {
	t.Parallel()
	srv := start(t, prosodytest.Options{ModuleConstants: map[string]string{"page_limit": "20"}})
	check(t, srv.Populate(within(t), 30, 7))
	lua(t, srv, `local room = `+muc+`.get_room_from_jid("room1@muc.meet.jitsi");
		for i = 1, 333 do
			local o = room:new_occupant("big"..i.."@meet.jitsi", room.jid.."/big"..i);
			o:set_session("big"..i.."@meet.jitsi/x", require "util.stanza".presence());
			room:save_occupant(o);
		end return "";`)
	f := follow(t, srv)
	pages := 0
	for !f.replica.synced {
		b := f.next()
		if b.lines() > 20 || len(b.Rooms) > 20 {
			t.Errorf("a page of %d occupants, %d rooms", b.lines(), len(b.Rooms))
		}
		pages++
	}
	if least := (30*7 + 333) / 20; pages < least {
		t.Errorf("got %d pages, want %d or more", pages, least)
	}
	f.matches(srv)
	if got := f.replica.rooms["room1@muc.meet.jitsi"]; len(got.occupants) != 340 {
		t.Errorf("got %d occupants", len(got.occupants))
	}
	// Occupants from before the module was loaded have no join time.
	if o, _ := f.replica.occupant("room1@muc.meet.jitsi", "big1"); o.joined() != "" || o[1] != "+" {
		t.Errorf("got %q", o)
	}
	f.quiet(200 * time.Millisecond)
}

func TestSnapshot_Empty(t *testing.T) {
	t.Parallel()
	srv := start(t, prosodytest.Options{})
	f := follow(t, srv)
	if b := f.next(); b.Synced != "1" || b.Total != "0" || b.Occupants != "0" {
		t.Errorf("got %+v", b)
	}
}

func TestBatch_BoundedInBytes(t *testing.T) {
	t.Parallel()
	srv, cast, f, room := meeting(t, prosodytest.Options{ModuleConstants: map[string]string{"page_limit": "1000", "tick": "1"}})
	people := newComponent(t, srv, srv.Domains.Cast)
	long := strings.Repeat("<", 1024)
	for i := range 25 {
		jid := fmt.Sprintf("u%d@cast.meet.jitsi/%s", i, strings.Repeat("r", 1000))
		must(people.JoinAs(within(t), jid, room, fmt.Sprintf("%d-%s", i, strings.Repeat("n", 1000)),
			prosodytest.DisplayName(long), "<avatar-url>"+prosodytest.Escape(long)+"</avatar-url>"))(t)
	}
	must(cast.Open(within(t), srv.Room("beta")))(t)
	f.subscribe()
	for !f.replica.synced {
		b := f.next()
		n := 0
		for _, room := range b.Rooms {
			n += len(room.Text)
		}
		if n > 64<<10+8<<10 {
			t.Errorf("a batch of %d bytes", n)
		}
	}
	f.matches(srv)
}

// People join, leave and change between the pages: nothing is lost or sent
// twice, and the totals of each batch are right.
func TestSnapshot_ChangesMeanwhile(t *testing.T) {
	t.Parallel()
	srv := start(t, prosodytest.Options{ModuleConstants: map[string]string{"page_limit": "10", "window_limit": "2"}})
	check(t, srv.Populate(within(t), 60, 10))
	cast := newCast(t, srv)
	f := follow(t, srv)
	nick := func(r, o int) string { return fmt.Sprintf("room%d@muc.meet.jitsi/%08x", r, o) }
	for i := 1; !f.replica.synced; i++ {
		f.next()
		if i > 50 || i%4 != 0 {
			continue
		}
		// Change an occupant of a room sent or not sent yet; destroy a room; open a new one.
		lua(t, srv, `
			local muc = `+muc+`;
			local room = muc.get_room_from_jid("room`+sprint(i)+`@muc.meet.jitsi");
			room:set_role(true, "`+nick(i, 3)+`", nil);
			room:set_role(true, "`+nick(i, 4)+`", "moderator");
			muc.get_room_from_jid("room`+sprint(i+1)+`@muc.meet.jitsi"):destroy();
			return "";`)
		must(cast.Open(within(t), srv.Room(sprint("new", i))))(t)
	}
	f.matches(srv)
}

// Each change must arrive, independent of the others.
func TestModule_RandomChanges(t *testing.T) {
	t.Parallel()
	srv := start(t, prosodytest.Options{ModuleConstants: map[string]string{"page_limit": "10", "window_limit": "3", "tick": "0.005"}})
	cast := newCast(t, srv)
	var rooms []string
	for i := range 5 {
		rooms = append(rooms, srv.Room(sprint("r", i)))
		must(cast.Open(within(t), rooms[i]))(t)
	}
	crowd := must(srv.Crowd(within(t)))(t)
	defer func() { _ = crowd.Close() }()
	f := follow(t, srv)
	for round := range 6 {
		members := must(crowd.Join(within(t), 12, rooms...))(t)
		f.next()
		for i, m := range members {
			check(t, crowd.Update(m, fmt.Sprintf("<avatar-url>%d</avatar-url>", i)))
		}
		check(t, crowd.Leave(within(t), members[:40]...))
		check(t, cast.Focus.Destroy(within(t), rooms[round%5], ""))
		must(cast.Open(within(t), rooms[round%5]))(t)
		if round == 3 {
			f.subscribe()
		}
	}
	f.matches(srv)
}
