package prosodytest_test

import (
	"context"
	"errors"
	"io"
	"strings"
	"testing"
	"time"

	"ppch/prosody/prosodytest"
)

func TestClient_GuestJoinsRoom(t *testing.T) {
	s := prosodytest.New(t, prosodytest.Options{})
	cast := newCast(t, s)
	ctx := within(t)
	guest := newGuest(t, s)

	_, err := guest.Join(ctx, s.Room("alpha"), "12345678")
	wantCondition(t, err, "not-allowed") // restrict_room_creation

	must(cast.Open(ctx, s.Room("alpha")))(t)
	o := must(guest.Join(ctx, s.Room("alpha"), "12345678", prosodytest.DisplayName(`Ada "<&>`)))(t)
	seen := must(cast.Focus.Expect(ctx, presenceOf(o.JIDInRoom(), "")))(t)
	if got := seen.Item().JID; got != guest.JID() {
		t.Errorf("real JID: got %s, want %s", got, guest.JID())
	}
	var presence struct {
		Nick string `xml:"http://jabber.org/protocol/nick nick"`
	}
	check(t, seen.Decode(&presence))
	if want := `Ada "<&>`; presence.Nick != want {
		t.Errorf("display name: got %q, want %q", presence.Nick, want)
	}

	check(t, o.Update(ctx, "<jitsi_participant_raisedHand>1</jitsi_participant_raisedHand>"))
	seen = must(cast.Focus.Expect(ctx, presenceOf(o.JIDInRoom(), "")))(t)
	if !seen.Has("raisedHand") || seen.Has("jabber.org/protocol/nick") {
		t.Errorf("presence was not replaced: %s", seen.XML)
	}
	check(t, o.Rename(ctx, "87654321"))
	must(cast.Focus.Expect(ctx, presenceOf(s.Room("alpha")+"/12345678", "unavailable")))(t)
	must(cast.Focus.Expect(ctx, presenceOf(s.Room("alpha")+"/87654321", "")))(t)
	if o.Nick() != "87654321" {
		t.Errorf("got nick %s, want the new one", o.Nick())
	}
	check(t, o.Leave(ctx))
	must(cast.Focus.Expect(ctx, presenceOf(o.JIDInRoom(), "unavailable")))(t)
}

func TestClient_GuestDomainAndResource(t *testing.T) {
	s := prosodytest.New(t, prosodytest.Options{GuestDomain: true})
	c := closing(t, must(s.GuestAt(within(t), s.Domains.Guest+"/a b&c"))(t))
	if !strings.HasSuffix(c.JID(), "@guest.meet.jitsi/a b&c") {
		t.Errorf("got JID %s, want the guest domain and the resource", c.JID())
	}
}

func TestClient_LoginNeedsAnAccount(t *testing.T) {
	s := prosodytest.New(t, prosodytest.Options{Accounts: map[string]string{"joe@auth.meet.jitsi": `o"\ü&`}})
	if _, err := s.Login(within(t), "unknown@auth.meet.jitsi"); err == nil {
		t.Error("a login without an account succeeded")
	}
	c := closing(t, must(s.Login(within(t), "joe@auth.meet.jitsi/desk"))(t))
	if got, want := c.JID(), "joe@auth.meet.jitsi/desk"; got != want {
		t.Errorf("got JID %s, want %s", got, want)
	}
}

func TestClient_Moderation(t *testing.T) {
	s := prosodytest.New(t, prosodytest.Options{})
	cast := newCast(t, s)
	ctx, room := within(t), s.Room("alpha")
	must(cast.Open(ctx, room))(t)
	kicked := must(cast.User(ctx, room, "Kit"))(t)
	banned := must(cast.User(ctx, room, "Bo"))(t)
	rest := must(cast.User(ctx, room, "Ro"))(t)

	check(t, cast.Focus.Kick(ctx, room, kicked.Nick(), "out & away"))
	st := must(kicked.Expect(ctx, presenceOf(kicked.JIDInRoom(), "unavailable")))(t)
	if !st.HasStatus(307) || st.Item().Reason != "out & away" {
		t.Errorf("got %s, want status 307 and the reason", st.XML)
	}
	bare, _, _ := strings.Cut(banned.JID(), "/")
	check(t, cast.Focus.Ban(ctx, room, bare, ""))
	if st := must(banned.Expect(ctx, presenceOf(banned.JIDInRoom(), "unavailable")))(t); !st.HasStatus(301) {
		t.Errorf("got %s, want status 301", st.XML)
	}
	_, err := banned.Join(ctx, room, "again")
	wantCondition(t, err, "forbidden")
	wantCondition(t, rest.Destroy(ctx, room, ""), "forbidden")

	check(t, cast.Focus.Destroy(ctx, room, "over"))
	if st := must(rest.Expect(ctx, presenceOf(rest.JIDInRoom(), "unavailable")))(t); !st.Has("<destroy") {
		t.Errorf("got %s, want <destroy>", st.XML)
	}
	_, err = rest.IQ(ctx, room, "get", discoInfo)
	wantCondition(t, err, "item-not-found")
}

func TestClient_RawBytesReachComponent(t *testing.T) {
	s := prosodytest.New(t, prosodytest.Options{})
	ctx := within(t)
	component, guest := newComponent(t, s), newGuest(t, s)
	for name, tc := range map[string]struct{ in, want string }{
		"text before the payload": {
			"<iq type='get' id='a1' to='ppch.meet.jitsi'>rude<query xmlns='urn:x'/></iq>", ">rude<query xmlns='urn:x'/></iq>",
		},
		"result with only text": {
			"<iq type='result' id='a2' to='ppch.meet.jitsi'>rude</iq>", ">rude</iq>",
		},
		"quotes of both kinds around tag ends": {
			`<message id='a3' to="ppch.meet.jitsi"><body x='">' y="'/>">]]&gt;</body></message>`, "</body></message>",
		},
	} {
		t.Run(name, func(t *testing.T) {
			check(t, guest.Send(tc.in))
			st := must(component.Expect(ctx, func(st prosodytest.Stanza) bool { return st.From == guest.JID() }))(t)
			if !strings.HasSuffix(st.XML, tc.want) {
				t.Errorf("got %s, want it to end in %s", st.XML, tc.want)
			}
		})
	}
	check(t, guest.Send("<iq <<<"))
	<-guest.Ended()
	var broken *prosodytest.StreamError
	if err := guest.Err(); !errors.As(err, &broken) || broken.Condition() != "not-well-formed" {
		t.Errorf("got %v, want not-well-formed", err)
	}
}

func TestComponent_ReportsRefusal(t *testing.T) {
	for name, tc := range map[string]struct {
		resolve           string
		first, second, by string
	}{
		"the second one, Prosody's default": {"", "", "conflict", "ppch.meet.jitsi"},
		"the first one, with kick_old":      {"kick_old", "conflict", "", "ppch.meet.jitsi"},
		"one without a host":                {"", "", "host-unknown", "nowhere.meet.jitsi"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := prosodytest.New(t, prosodytest.Options{ConflictResolve: tc.resolve})
			ctx := within(t)
			first := newComponent(t, s)
			second, err := s.Component(ctx, tc.by)
			if err == nil {
				closing(t, second)
			}
			if got := conditionOf(err); got != tc.second {
				t.Errorf("second: got %q (%v), want %q", got, err, tc.second)
			}
			if tc.first == "" {
				must(first.IQ(ctx, s.Domains.Main, "get", ping))(t)
				return
			}
			<-first.Ended()
			if got := conditionOf(first.Err()); got != tc.first {
				t.Errorf("first: got %q (%v), want %q", got, first.Err(), tc.first)
			}
		})
	}
}

func conditionOf(err error) string {
	if end, ok := errors.AsType[*prosodytest.StreamError](err); ok {
		return end.Condition()
	}
	return ""
}

func TestClient_DropLeavesRooms(t *testing.T) {
	s := prosodytest.New(t, prosodytest.Options{})
	cast := newCast(t, s)
	ctx := within(t)
	must(cast.Open(ctx, s.Room("alpha")))(t)
	guest := newGuest(t, s)
	o := must(guest.Join(ctx, s.Room("alpha"), "12345678"))(t)
	check(t, guest.Drop())
	must(cast.Focus.Expect(ctx, presenceOf(o.JIDInRoom(), "unavailable")))(t)
	if err := guest.Send("<presence/>"); err == nil {
		t.Error("a dropped client could send")
	}
	check(t, guest.Drop())
}

func TestClient_ExpectEndsWithStream(t *testing.T) {
	s := prosodytest.New(t, prosodytest.Options{})
	guest := newGuest(t, s)
	time.AfterFunc(50*time.Millisecond, func() { _ = s.Kill() })
	_, err := guest.Expect(within(t), func(prosodytest.Stanza) bool { return false })
	if !errors.Is(err, io.EOF) && !strings.Contains(err.Error(), "reset") {
		t.Errorf("got %v, want the end of the stream", err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := s.Guest(ctx); !errors.Is(err, context.Canceled) {
		t.Errorf("got %v, want canceled", err)
	}
}

func TestClient_InboxDropsOldest(t *testing.T) {
	s := prosodytest.New(t, prosodytest.Options{})
	ctx := within(t)
	component, guest := newComponent(t, s), newGuest(t, s)
	one := "<message to='" + guest.JID() + "' from='ppch.meet.jitsi' type='chat'><body>x</body></message>"
	check(t, component.Send(strings.Replace(one, "<body>", "<first/><body>", 1)+strings.Repeat(one, 5000)+strings.Replace(one, "<body>", "<last/><body>", 1)))
	must(guest.Expect(ctx, func(st prosodytest.Stanza) bool { return st.Has("<last") }))(t)
	if got := guest.Lost(); got != 1024 {
		t.Errorf("got %d dropped, want a quarter of 4096", got)
	}
	if st, ok := guest.Received(func(st prosodytest.Stanza) bool { return st.Has("<first") }); ok {
		t.Errorf("got %s, want it dropped", st.XML)
	}
	guest.Forget()
	if st, ok := guest.Received(func(prosodytest.Stanza) bool { return true }); ok {
		t.Errorf("got %s, want an empty inbox", st.XML)
	}
}
