package prosody_test

import (
	"strings"
	"testing"
	"time"

	"ppch/prosody/prosodytest"
)

// why reads until the occupant has left, and returns the reason.
func (f *follower) why(room, nick string) string {
	f.t.Helper()
	f.until("why "+nick+" left "+room, func(r *replica) bool {
		_, left := r.left[room+"/"+nick]
		return left
	})
	return f.replica.left[room+"/"+nick]
}

func wantReason(t *testing.T, f *follower, room, nick, want string) {
	t.Helper()
	if got := f.why(room, nick); got != want {
		t.Errorf("%s left because of %q want %q", nick, got, want)
	}
}

func TestReason_OfWhoLeaves(t *testing.T) {
	t.Parallel()
	srv := start(t, prosodytest.Options{})
	cast := newCast(t, srv)
	alpha := srv.Room("alpha")
	focus := must(cast.Open(within(t), alpha))(t)
	admin := focus.Client
	f := follow(t, srv).untilSynced()

	must(cast.User(within(t), alpha, "stays"))(t)
	join := func() (*prosodytest.Client, *prosodytest.Occupant) {
		c := must(srv.Guest(within(t)))(t)
		o := must(c.Join(within(t), alpha, prosodytest.Nick()))(t)
		f.occupant(alpha, o.Nick(), nil)
		return c, o
	}

	_, o := join()
	check(t, o.Leave(within(t)))
	wantReason(t, f, alpha, o.Nick(), "left")

	_, o = join()
	check(t, admin.Kick(within(t), alpha, o.Nick(), "noise"))
	wantReason(t, f, alpha, o.Nick(), "kicked")

	c, o := join()
	bare, _, _ := strings.Cut(c.JID(), "/")
	check(t, admin.Ban(within(t), alpha, bare, "noise"))
	wantReason(t, f, alpha, o.Nick(), "banned")

	c, o = join()
	check(t, c.Drop())
	wantReason(t, f, alpha, o.Nick(), "disconnected")

	// A client can't say that its connection was lost.
	c, o = join()
	check(t, c.Send("<presence to='"+o.JIDInRoom()+"' type='unavailable'><status>Disconnected: Replaced by new connection</status></presence>"))
	wantReason(t, f, alpha, o.Nick(), "left")

	// The last one out.
	beta := srv.Room("beta")
	c = must(srv.Guest(within(t)))(t)
	must(cast.Open(within(t), beta))(t)
	o = must(c.Join(within(t), beta, "last"))(t)
	f.occupant(beta, "last", nil)
	check(t, admin.Send("<presence from='"+admin.JID()+"' to='"+beta+"/focus' type='unavailable'/>"))
	wantReason(t, f, beta, "focus", "left")
	check(t, c.Drop())
	wantReason(t, f, beta, o.Nick(), "disconnected")
	if f.replica.rooms[beta] != nil {
		t.Error("the room didn't end")
	}
}

func TestReason_DestroyedRoomNamesAnother(t *testing.T) {
	t.Parallel()
	srv := start(t, prosodytest.Options{})
	cast := newCast(t, srv)
	f := follow(t, srv)
	alpha := srv.Room("alpha")
	must(cast.Open(within(t), alpha))(t)
	ada := must(cast.User(within(t), alpha, "Ada"))(t)
	f.occupant(alpha, ada.Nick(), nil)
	must(srv.Shell(within(t), `> (function () prosody.hosts["muc.meet.jitsi"].modules.muc.get_room_from_jid("`+alpha+`"):destroy("`+srv.Room("beta")+`", "over"); end)()`))(t)
	wantReason(t, f, alpha, ada.Nick(), "room-destroyed")
	if got := f.replica.ended[alpha]; got.Reason != "room-destroyed" || got.Alternate != srv.Room("beta") {
		t.Errorf("got %+v", got)
	}
}

// The same account with the same resource again: Prosody ends the older connection.
func TestReason_ReplacedByItsOwnClient(t *testing.T) {
	t.Parallel()
	srv := start(t, prosodytest.Options{Accounts: map[string]string{"phone@auth.meet.jitsi": "secret"}})
	cast := newCast(t, srv)
	alpha := srv.Room("alpha")
	must(cast.Open(within(t), alpha))(t)
	f := follow(t, srv).untilSynced()
	const account = "phone@auth.meet.jitsi/line1"
	older := must(srv.Login(within(t), account))(t)
	o := must(older.Join(within(t), alpha, "phone"))(t)
	f.occupant(alpha, "phone", nil)
	newer := must(srv.Login(within(t), account))(t)
	wantReason(t, f, alpha, o.Nick(), "replaced")
	if older.JID() != account || newer.JID() != account {
		t.Errorf("got %s and %s want the same connection twice", older.JID(), newer.JID())
	}
}

func TestReason_MovedIntoABreakoutRoom(t *testing.T) {
	t.Parallel()
	srv := start(t, prosodytest.Options{})
	cast := newCast(t, srv)
	alpha, breakout := srv.Room("alpha"), "b1@"+srv.Domains.Breakout
	focus := must(cast.Open(within(t), alpha))(t)
	must(focus.JoinAs(within(t), focus.JID(), breakout, "focus"))(t)
	main := follow(t, srv).untilSynced()
	other := followAs(t, main.client, srv.Domains.Breakout).untilSynced()
	ada := must(srv.Guest(within(t)))(t)
	in := must(ada.Join(within(t), alpha, "ada"))(t)
	main.occupant(alpha, "ada", nil)
	// lib-jitsi-meet leaves one room, then enters the other.
	check(t, ada.Send("<presence to='"+in.JIDInRoom()+"' type='unavailable'><status>switch_room</status></presence>"))
	wantReason(t, main, alpha, "ada", "moved")
	must(ada.Join(within(t), breakout, "ada"))(t)
	if o := other.occupant(breakout, "ada", nil); o.movedFrom() != alpha {
		t.Errorf("moved from %q want %s", o.movedFrom(), alpha)
	}
	// Another connection has moved from nowhere.
	bob := must(srv.Guest(within(t)))(t)
	must(bob.Join(within(t), breakout, "bob"))(t)
	if o := other.occupant(breakout, "bob", nil); o.movedFrom() != "" {
		t.Errorf("moved from %q", o.movedFrom())
	}
	// Where it moved from is a fact of the stay.
	check(t, ada.Send("<presence to='"+breakout+"/ada'>"+prosodytest.DisplayName("Ada")+"</presence>"))
	other.occupant(breakout, "ada", func(o occupant) bool { return o.name() == "Ada" && o.movedFrom() == alpha })
}

func TestReason_MovedBetweenBreakoutRooms(t *testing.T) {
	t.Parallel()
	srv := start(t, prosodytest.Options{})
	cast := newCast(t, srv)
	one, two := "b1@"+srv.Domains.Breakout, "b2@"+srv.Domains.Breakout
	must(cast.Open(within(t), one))(t)
	must(cast.Open(within(t), two))(t)
	f := followAs(t, newComponent(t, srv, srv.Domains.Component), srv.Domains.Breakout).untilSynced()
	ada := must(srv.Guest(within(t)))(t)
	in := must(ada.Join(within(t), one, "ada"))(t)
	f.occupant(one, "ada", nil)
	for range 3 { // there, back, and there
		check(t, ada.Send("<presence to='"+in.JIDInRoom()+"' type='unavailable'><status>switch_room</status></presence>"))
		wantReason(t, f, one, "ada", "moved")
		in = must(ada.Join(within(t), two, "ada"))(t)
		if o := f.occupant(two, "ada", nil); o.movedFrom() != one {
			t.Errorf("moved from %q want %s", o.movedFrom(), one)
		}
		one, two = two, one
		delete(f.replica.left, one+"/ada")
	}
	f.matches(srv)
}

func TestConnection_HibernatingThenGone(t *testing.T) {
	t.Parallel()
	srv := start(t, prosodytest.Options{HostModules: map[string][]string{"meet.jitsi": {"smacks"}, "muc.meet.jitsi": {name}}, GlobalConfig: "smacks_hibernation_time = 2"})
	cast := newCast(t, srv)
	alpha := srv.Room("alpha")
	must(cast.Open(within(t), alpha))(t)
	f := follow(t, srv).untilSynced()
	ada := must(srv.Guest(within(t)))(t)
	check(t, ada.Send("<enable xmlns='urn:xmpp:sm:3' resume='true'/>"))
	must(ada.Join(within(t), alpha, "ada"))(t)
	if o := f.occupant(alpha, "ada", nil); o.connection() != "" {
		t.Errorf("connection %q", o.connection())
	}
	check(t, ada.Drop())
	f.occupant(alpha, "ada", func(o occupant) bool { return o.connection() == "hibernating" })
	wantReason(t, f, alpha, "ada", "disconnected")
}

func TestConnection_StaleIsFoundByTheAudit(t *testing.T) {
	t.Parallel()
	srv := start(t, prosodytest.Options{HostConfig: map[string]string{"muc.meet.jitsi": "room_participants_heartbeat = 1"}})
	cast := newCast(t, srv)
	alpha := srv.Room("alpha")
	must(cast.Open(within(t), alpha))(t)
	f := follow(t, srv).untilSynced()
	ada := must(srv.Guest(within(t)))(t)
	must(ada.Join(within(t), alpha, "ada"))(t)
	f.occupant(alpha, "ada", nil)
	lua(t, srv, `prosody.full_sessions["`+ada.JID()+`"] = nil; return "";`)
	deadline := time.Now().Add(60 * time.Second)
	for f.replica.rooms[alpha].occupants["ada"].connection() != "stale" {
		if time.Now().After(deadline) {
			t.Fatal("never stale")
		}
		f.next()
	}
}
