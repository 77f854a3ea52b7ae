package prosody_test

import (
	"strings"
	"testing"
	"time"

	"ppch/prosody/prosodytest"
)

// meeting returns a room with focus in it, and a subscriber with a complete replica.
func meeting(t *testing.T, o prosodytest.Options) (*prosodytest.Server, *prosodytest.Cast, *follower, string) {
	t.Helper()
	srv := start(t, o)
	cast := newCast(t, srv)
	room := srv.Room("alpha")
	must(cast.Open(within(t), room))(t)
	f := follow(t, srv).untilSynced()
	return srv, cast, f, room
}

func TestModule_JoinAndLeave(t *testing.T) {
	t.Parallel()
	srv, cast, f, room := meeting(t, prosodytest.Options{})
	before := time.Now().UnixMilli()
	ada := must(cast.User(within(t), room, "Ada"))(t)
	o := f.occupant(room, ada.Nick(), nil)
	if o.name() != "Ada" || o.role() != "participant" || o.affiliation() != "none" || o.jid() != ada.JID() {
		t.Errorf("got %q", o)
	}
	if joined := number(t, o.joined()); joined < before-1 || joined > time.Now().UnixMilli()+1 {
		t.Errorf("joined %d, but it was %d", joined, before)
	}
	if focus := f.occupant(room, "focus", nil); focus.affiliation() != "owner" || focus.jid() != focusAccount {
		t.Errorf("got %q", focus)
	}
	if created := number(t, f.replica.fact(room, "created")); created > before || created < before-60_000 {
		t.Errorf("created %d, but it was before %d", created, before)
	}
	check(t, ada.Leave(within(t)))
	f.gone(room, ada.Nick())
	must(ada.Join(within(t), room, ada.Nick()))(t)
	if again := f.occupant(room, ada.Nick(), nil); again.joined() <= o.joined() {
		t.Errorf("rejoined at %s, want later than %s", again.joined(), o.joined())
	}
	check(t, ada.Drop())
	f.gone(room, ada.Nick())
	f.matches(srv)
}

func TestModule_RoomEndsWithLastOccupant(t *testing.T) {
	t.Parallel()
	srv, cast, f, _ := meeting(t, prosodytest.Options{})
	room := srv.Room("beta")
	focus := must(cast.Open(within(t), room))(t)
	f.occupant(room, "focus", nil)
	created := f.replica.fact(room, "created")
	check(t, focus.Leave(within(t)))
	f.until("room gone", func(r *replica) bool { return r.rooms[room] == nil })
	must(cast.Open(within(t), room))(t)
	f.occupant(room, "focus", nil)
	if again := f.replica.fact(room, "created"); again <= created {
		t.Errorf("created %s, and before that %s", again, created)
	}
}

func TestModule_RoomRecreatedWithinTick(t *testing.T) {
	t.Parallel()
	srv, cast, f, room := meeting(t, prosodytest.Options{ModuleConstants: map[string]string{"tick": "1"}})
	ada := must(cast.User(within(t), room, "Ada"))(t)
	f.occupant(room, ada.Nick(), nil)
	created := f.replica.fact(room, "created")
	check(t, cast.Focus.Destroy(within(t), room, ""))
	must(cast.Open(within(t), room))(t)
	f.until("the other room", func(r *replica) bool { return r.fact(room, "created") != created })
	f.matches(srv)
	if len(f.last.Gone) > 0 {
		t.Errorf("got %+v, want the new room without <gone>", f.last)
	}
}

func TestModule_RejoinWithinTick(t *testing.T) {
	t.Parallel()
	_, cast, f, room := meeting(t, prosodytest.Options{ModuleConstants: map[string]string{"tick": "1"}})
	ada := must(cast.User(within(t), room, "Ada"))(t)
	o := f.occupant(room, ada.Nick(), nil)
	check(t, ada.Leave(within(t)))
	must(ada.Join(within(t), room, ada.Nick(), prosodytest.DisplayName("Ada")))(t)
	f.occupant(room, ada.Nick(), func(again occupant) bool { return again.joined() > o.joined() })
}

func TestModule_Rename(t *testing.T) {
	t.Parallel()
	srv, cast, f, room := meeting(t, prosodytest.Options{})
	ada := must(cast.User(within(t), room, "Ada"))(t)
	old := ada.Nick()
	o := f.occupant(room, old, nil)
	check(t, ada.Rename(within(t), "other"))
	renamed := f.occupant(room, "other", nil)
	f.gone(room, old)
	if renamed.joined() != o.joined() || renamed.jid() != o.jid() {
		t.Errorf("got %q, was %q", renamed, o)
	}
	f.matches(srv)
}

func TestModule_TwoSessionsUnderOneNick(t *testing.T) {
	t.Parallel()
	srv, _, f, room := meeting(t, prosodytest.Options{})
	people := newComponent(t, srv, srv.Domains.Cast)
	first := must(people.JoinAs(within(t), "ada@cast.meet.jitsi/one", room, "ada", prosodytest.DisplayName("One")))(t)
	o := f.occupant(room, "ada", nil)
	second := must(people.JoinAs(within(t), "ada@cast.meet.jitsi/two", room, "ada", prosodytest.DisplayName("Two")))(t)
	f.matches(srv)

	// The first session is the primary one. When it leaves, the second replaces it.
	check(t, first.Leave(within(t)))
	left := f.occupant(room, "ada", func(o occupant) bool { return o.jid() == "ada@cast.meet.jitsi/two" && o.name() == "Two" })
	if left.joined() != o.joined() {
		t.Errorf("joined %s, before that %s", left.joined(), o.joined())
	}

	// One of two sessions changes its nick: a new occupant without a join event.
	third := must(people.JoinAs(within(t), "ada@cast.meet.jitsi/three", room, "ada"))(t)
	check(t, third.Rename(within(t), "third"))
	if o := f.occupant(room, "third", nil); o.joined() < left.joined() {
		t.Errorf("joined %q after %q", o.joined(), left.joined())
	}
	f.occupant(room, "ada", nil)
	check(t, second.Leave(within(t)))
	f.gone(room, "ada")
	f.matches(srv)
}

func TestModule_KickAndBan(t *testing.T) {
	t.Parallel()
	srv, cast, f, room := meeting(t, prosodytest.Options{GuestDomain: true})
	people := newComponent(t, srv, srv.Domains.Cast)
	enter := func() *prosodytest.Occupant {
		o := must(cast.User(within(t), room, "Ada"))(t)
		f.occupant(room, o.Nick(), nil)
		return o
	}
	bare := func(o *prosodytest.Occupant) string {
		jid, _, _ := strings.Cut(o.JID(), "/")
		return jid
	}
	kicked := enter()
	check(t, cast.Focus.Kick(within(t), room, kicked.Nick(), "x"))
	f.gone(room, kicked.Nick())

	banned := enter()
	check(t, cast.Focus.Ban(within(t), room, bare(banned), "x"))
	f.gone(room, banned.Nick())

	// Ban a whole domain.
	must(people.JoinAs(within(t), "a@cast.meet.jitsi/x", room, "a"))(t)
	must(people.JoinAs(within(t), "b@cast.meet.jitsi/x", room, "b"))(t)
	f.occupant(room, "b", nil)
	check(t, cast.Focus.Ban(within(t), room, "cast.meet.jitsi", "x"))
	f.gone(room, "a")
	f.gone(room, "b")

	// An error answer to a stanza from the room.
	failing := enter()
	check(t, failing.Send("<presence type='error' to='"+failing.JIDInRoom()+"'><error type='cancel'><gone xmlns='urn:ietf:params:xml:ns:xmpp-stanzas'/></error></presence>"))
	f.gone(room, failing.Nick())

	// Make the room members-only.
	outsider, member := enter(), enter()
	check(t, cast.Focus.SetAffiliation(within(t), room, bare(member), "member", ""))
	configure(t, cast.Focus, room, "muc#roomconfig_membersonly", "1")
	f.gone(room, outsider.Nick())
	f.until("members only", func(r *replica) bool { return r.fact(room, "members") == "1" })
	if o := f.occupant(room, member.Nick(), nil); o.affiliation() != "member" {
		t.Errorf("got %q", o)
	}
	f.matches(srv)

	check(t, cast.Focus.Destroy(within(t), room, "bye"))
	f.until("room gone", func(r *replica) bool { return r.rooms[room] == nil })
}

func TestModule_RolesAndAffiliations(t *testing.T) {
	t.Parallel()
	srv, cast, f, room := meeting(t, prosodytest.Options{})
	ada := must(cast.User(within(t), room, "Ada"))(t)
	bare, _, _ := strings.Cut(ada.JID(), "/")
	for _, step := range []struct {
		do   func() error
		want [2]string
	}{
		{func() error { return cast.Focus.SetRole(within(t), room, ada.Nick(), "visitor", "") }, [2]string{"visitor", "none"}},
		{func() error { return cast.Focus.SetRole(within(t), room, ada.Nick(), "moderator", "") }, [2]string{"moderator", "none"}},
		{func() error { return cast.Focus.SetRole(within(t), room, ada.Nick(), "participant", "") }, [2]string{"participant", "none"}},
		{func() error { return cast.Focus.SetAffiliation(within(t), room, bare, "owner", "") }, [2]string{"moderator", "owner"}},
		{func() error { return cast.Focus.SetAffiliation(within(t), room, bare, "member", "") }, [2]string{"participant", "member"}},
	} {
		check(t, step.do())
		f.occupant(room, ada.Nick(), func(o occupant) bool { return [2]string{o.role(), o.affiliation()} == step.want })
	}
	f.matches(srv)
}

func TestModule_RoomFacts(t *testing.T) {
	t.Parallel()
	srv, cast, f, room := meeting(t, prosodytest.Options{})
	fact := func(name, want string) {
		t.Helper()
		f.until(name+" is "+want, func(r *replica) bool { return r.fact(room, name) == want })
	}
	check(t, cast.Focus.Send("<message type='groupchat' to='"+room+"'><subject>Q &amp; A\n&lt;now&gt; \\ 'x'</subject></message>"))
	fact("subject", `Q & A <now> \ 'x'`)
	check(t, cast.Focus.Send("<message type='groupchat' to='"+room+"'><subject/></message>"))
	fact("subject", "")
	configure(t, cast.Focus, room, "muc#roomconfig_roomsecret", "sesame")
	fact("password", "1")
	configure(t, cast.Focus, room, "muc#roomconfig_roomsecret", "")
	fact("password", "")

	// Only focus reports the number of visitors.
	visitors := "<conference-properties xmlns='http://jitsi.org/protocol/focus'><property key='visitor-count' value='%d'/></conference-properties>"
	ada := must(cast.User(within(t), room, "Ada", strings.Replace(visitors, "%d", "9999", 1)))(t)
	focus := must(cast.Focus.Join(within(t), room, "focus"))(t)
	check(t, focus.Update(within(t), strings.Replace(visitors, "%d", "12", 1)))
	fact("visitors", "12")
	check(t, focus.Leave(within(t)))
	fact("visitors", "")
	f.occupant(room, ada.Nick(), nil)
	impostor := must(must(srv.Guest(within(t)))(t).Join(within(t), room, "focus", strings.Replace(visitors, "%d", "9999", 1)))(t)
	f.occupant(room, "focus", func(o occupant) bool { return o.jid() == impostor.JID() })
	fact("visitors", "")
}

// Jitsi's own modules write into a room's data without an event.
func TestModule_RoomFactsWithoutEvents(t *testing.T) {
	t.Parallel()
	srv, cast, f, room := meeting(t, prosodytest.Options{HostConfig: eachMUC("room_participants_heartbeat = 10")})
	lua(t, srv, `
		local room = `+muc+`.get_room_from_jid("`+room+`");
		room._data.meetingId = "m-1";
		room._data.lobbyroom = "alpha@lobby.meet.jitsi";
		room._data.breakout_rooms = { ["b@breakout.meet.jitsi"] = "Group <1>", ["c@breakout.meet.jitsi"] = { "odd" }, [1] = true };
		room.created_timestamp = "1790000000";
		return "";`)
	ada := must(cast.User(within(t), room, "Ada"))(t) // makes the module check the room
	f.occupant(room, ada.Nick(), nil)
	known := f.replica.rooms[room]
	for name, want := range map[string]string{"meeting": "m-1", "lobby": "alpha@lobby.meet.jitsi", "created": "1790000000000"} {
		if known.facts[name] != want {
			t.Errorf("%s: got %q, want %q", name, known.facts[name], want)
		}
	}
	if len(known.breakouts) != 3 || known.breakouts["b@breakout.meet.jitsi"] != "Group <1>" {
		t.Errorf("got %v", known.breakouts)
	}
	// A configuration form that changes none of mod_muc's options fires no event.
	lua(t, srv, muc+`.get_room_from_jid("`+room+`")._data.meetingId = "m-3"; return "";`)
	must(cast.Focus.IQ(within(t), room, "set", "<query xmlns='http://jabber.org/protocol/muc#owner'><x xmlns='jabber:x:data' type='submit'/></query>"))(t)
	at := time.Now()
	f.until("meeting id", func(r *replica) bool { return r.fact(room, "meeting") == "m-3" })
	lua(t, srv, muc+`.get_room_from_jid("`+room+`")._data.breakout_rooms = nil; return "";`)
	check(t, ada.Update(within(t), prosodytest.DisplayName("Ada L.")))
	f.until("no breakout rooms", func(r *replica) bool { return len(r.rooms[room].breakouts) == 0 })
	if took := time.Since(at); took > 30*time.Second { // else the audit, once a minute, found it
		t.Errorf("took %v", took)
	}
}

func TestModule_Lobby(t *testing.T) {
	t.Parallel()
	srv := start(t, prosodytest.Options{})
	component := newComponent(t, srv, srv.Domains.Component)
	f := followAs(t, component, srv.Domains.Lobby).untilSynced()
	lobby := "alpha@" + srv.Domains.Lobby
	// Like Jitsi's lobby it begins without occupants and stays when empty.
	lua(t, srv, `prosody.hosts["lobby.meet.jitsi"].modules.muc.create_room("`+lobby+`"):set_persistent(true); return "";`)
	f.until("lobby", func(r *replica) bool { return r.rooms[lobby] != nil && len(r.rooms[lobby].occupants) == 0 })
	ada := must(srv.Guest(within(t)))(t)
	waiting := must(ada.Join(within(t), lobby, "ada"))(t)
	f.occupant(lobby, "ada", nil)
	check(t, waiting.Leave(within(t)))
	f.gone(lobby, "ada")
	if f.replica.rooms[lobby] == nil {
		t.Error("the empty lobby is gone, want it kept")
	}
	lua(t, srv, `prosody.hosts["lobby.meet.jitsi"].modules.muc.get_room_from_jid("`+lobby+`"):destroy(); return "";`)
	f.until("lobby gone", func(r *replica) bool { return r.rooms[lobby] == nil })
}

func TestModule_SkipsHealthCheckRooms(t *testing.T) {
	t.Parallel()
	srv, cast, f, _ := meeting(t, prosodytest.Options{})
	must(cast.Open(within(t), srv.Room("__jicofo-health-check-1")))(t)
	must(cast.Open(within(t), srv.Room("beta")))(t)
	f.occupant(srv.Room("beta"), "focus", nil)
	if len(f.replica.rooms) != 2 {
		t.Errorf("got %v", sortedKeys(f.replica.rooms))
	}
	f.matches(srv)
}

func TestModule_TenantRooms(t *testing.T) {
	t.Parallel()
	srv, cast, f, _ := meeting(t, prosodytest.Options{DomainMapper: true, HideRooms: true})
	must(cast.Open(within(t), srv.TenantRoom("acme", "daily")))(t)
	f.occupant("[acme]daily@muc.meet.jitsi", "focus", nil)
	f.matches(srv)
}

func TestSwappedRoom_StaysInReplica(t *testing.T) {
	t.Parallel()
	srv, cast, f, room := meeting(t, prosodytest.Options{HostConfig: eachMUC("muc_room_cache_size = 2")})
	ada := must(cast.User(within(t), room, "Ada"))(t)
	joined := f.occupant(room, ada.Nick(), nil).joined()
	for _, other := range []string{"beta", "gamma", "delta"} {
		must(cast.Open(within(t), srv.Room(other)))(t)
		f.occupant(srv.Room(other), "focus", nil)
	}
	if strings.Contains(strings.Join(held(t, srv, f.domain), "\n"), room) {
		t.Fatal("the room is still in memory")
	}
	if f.occupant(room, ada.Nick(), nil).joined() != joined {
		t.Error("the join time changed, but no occupant has left")
	}
	// Another subscriber receives the room as well.
	f.subscribe()
	f.untilSynced()
	f.occupant(room, ada.Nick(), nil)
	// Prosody restores it as a new object.
	check(t, ada.Update(within(t), prosodytest.DisplayName("Ada L.")))
	if o := f.occupant(room, ada.Nick(), func(o occupant) bool { return o.name() == "Ada L." }); o.joined() != joined {
		t.Errorf("joined %s, before that %s", o.joined(), joined)
	}
	check(t, ada.Leave(within(t)))
	f.gone(room, ada.Nick())
}

func TestAudit_FindsChangesWithoutEvents(t *testing.T) {
	t.Parallel()
	srv, cast, f, room := meeting(t, prosodytest.Options{HostConfig: eachMUC("room_participants_heartbeat = 1")})
	ada, bo := must(cast.User(within(t), room, "Ada"))(t), must(cast.User(within(t), room, "Bo"))(t)
	f.occupant(room, ada.Nick(), nil)
	f.occupant(room, bo.Nick(), nil)
	must(cast.Open(within(t), srv.Room("vanishing")))(t)
	f.occupant(srv.Room("vanishing"), "focus", nil)
	lua(t, srv, `
		local muc, st = `+muc+`, require "util.stanza";
		local room = muc.get_room_from_jid("`+room+`");
		local ghost = room:new_occupant("ghost@meet.jitsi", room.jid .. "/ghost");
		ghost:set_session("ghost@meet.jitsi/x", st.presence());
		room:save_occupant(ghost);
		local ada = room:get_occupant_by_nick("`+ada.JIDInRoom()+`");
		ada.role = "moderator";
		room:save_occupant(ada);
		local bo = room:get_occupant_by_nick("`+bo.JIDInRoom()+`");
		bo.role = nil;
		room:save_occupant(bo);
		room._data.meetingId = "m-2";
		local vanishing = muc.get_room_from_jid("vanishing@muc.meet.jitsi");
		muc.forget_room(vanishing); muc.delete_room(vanishing);
		local events = prosody.hosts["muc.meet.jitsi"].events;
		local fire = events.fire_event;
		events.fire_event = function () end;
		muc.track_room(require "core.modulemanager".get_module("muc.meet.jitsi", "muc").new_room("unheard@muc.meet.jitsi"));
		events.fire_event = fire;
		return "";`)
	f.occupant(room, "ghost", nil)
	f.gone(room, bo.Nick())
	f.occupant(room, ada.Nick(), func(o occupant) bool { return o.role() == "moderator" })
	f.until("meeting id", func(r *replica) bool { return r.fact(room, "meeting") == "m-2" })
	f.until("the vanished room gone", func(r *replica) bool { return r.rooms[srv.Room("vanishing")] == nil })
	f.until("the unheard room", func(r *replica) bool { return r.rooms[srv.Room("unheard")] != nil })
	f.matches(srv)
}
