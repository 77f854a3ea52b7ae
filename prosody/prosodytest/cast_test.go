package prosodytest_test

import (
	"context"
	"fmt"
	"strings"
	"testing"

	"ppch/prosody/prosodytest"
)

func TestCast_RealJIDOfEachKind(t *testing.T) {
	s := prosodytest.New(t, prosodytest.Options{HideRooms: true})
	cast := newCast(t, s)
	room := s.Room("alpha")
	must(cast.Open(within(t), room))(t)

	type enter func(ctx context.Context, room, name string) (*prosodytest.Occupant, error)
	nameless := func(f func(context.Context, string) (*prosodytest.Occupant, error)) enter {
		return func(ctx context.Context, room, _ string) (*prosodytest.Occupant, error) { return f(ctx, room) }
	}
	for name, tc := range map[string]struct {
		enter                  enter
		jid, role, affiliation string
		has                    []string
	}{
		"web user": {
			func(ctx context.Context, room, name string) (*prosodytest.Occupant, error) {
				return cast.User(ctx, room, name)
			},
			"@meet.jitsi/", "participant", "none", []string{">Ada<"},
		},
		"caller by telephone": {cast.Caller, "@meet.jitsi/", "participant", "none", []string{"<initiator", "protocol/jigasi", ">Ada<"}},
		"caller by a gateway that logs in": {
			cast.TrustedCaller, "jigasi@auth.meet.jitsi/", "moderator", "owner", []string{"<initiator", "protocol/jigasi", ">Ada<"},
		},
		"recorder":               {nameless(cast.Recorder), "recorder@hidden.meet.jitsi/", "participant", "none", []string{"protocol/jibri"}},
		"transcriber":            {nameless(cast.Transcriber), "transcriber@hidden.meet.jitsi/", "participant", "none", []string{"protocol/transcriber"}},
		"hidden user":            {nameless(cast.Hidden), "hidden@hidden.meet.jitsi/", "participant", "none", nil},
		"people at a SIP system": {cast.RoomSystem, "recorder@hidden.meet.jitsi/", "participant", "none", []string{"inbound-sip-jibri@", ">Ada<"}},
		"visitor":                {cast.Visitor, "@meet.jitsi/", "visitor", "none", []string{">Ada<"}},
	} {
		t.Run(name, func(t *testing.T) {
			ctx := within(t)
			o := must(tc.enter(ctx, room, "Ada"))(t)
			st := must(cast.Focus.Expect(ctx, func(st prosodytest.Stanza) bool {
				return presenceOf(o.JIDInRoom(), "")(st) && st.Item().Role == tc.role
			}))(t)
			item := st.Item()
			if !strings.Contains(item.JID, tc.jid) || item.Affiliation != tc.affiliation {
				t.Errorf("got %+v, want JID with %s, affiliation %s", item, tc.jid, tc.affiliation)
			}
			for _, want := range tc.has {
				if !st.Has(want) {
					t.Errorf("presence %s lacks %s", st.XML, want)
				}
			}
			check(t, o.Leave(ctx))
		})
	}
}

func TestCast_CallersShareOneAccount(t *testing.T) {
	s := prosodytest.New(t, prosodytest.Options{})
	cast := newCast(t, s)
	ctx := within(t)
	must(cast.Open(ctx, s.Room("alpha")))(t)
	a := must(cast.TrustedCaller(ctx, s.Room("alpha"), "Ada"))(t)
	b := must(cast.TrustedCaller(ctx, s.Room("alpha"), "Bo"))(t)
	aBare, _, _ := strings.Cut(a.JID(), "/")
	bBare, _, _ := strings.Cut(b.JID(), "/")
	if aBare != bBare || a.Nick() == b.Nick() {
		t.Errorf("got %s and %s, want one account and two nicks", a.JID(), b.JID())
	}
}

func TestCrowd_ThousandMembers(t *testing.T) {
	s := prosodytest.New(t, prosodytest.Options{})
	cast := newCast(t, s)
	ctx := within(t)
	rooms := make([]string, 50)
	for i := range rooms {
		rooms[i] = s.Room(fmt.Sprint("room", i))
		must(cast.Open(ctx, rooms[i]))(t)
	}
	crowd := must(s.Crowd(ctx))(t)
	defer func() { check(t, crowd.Close()) }()

	members := must(crowd.Join(ctx, 20, rooms...))(t)
	if len(members) != 1000 {
		t.Fatalf("got %d members, want 1000", len(members))
	}
	// Focus is the twenty-first.
	wantOccupants(ctx, t, cast.Focus, rooms[49], "21")
	check(t, crowd.Update(members[0], "<jitsi_participant_raisedHand/>"))
	must(cast.Focus.Expect(ctx, func(st prosodytest.Stanza) bool {
		return st.From == members[0].Room+"/"+members[0].Nick && st.Has("raisedHand")
	}))(t)
	check(t, crowd.Leave(ctx, members...))
	wantOccupants(ctx, t, cast.Focus, rooms[0], "1")

	_, err := crowd.Join(ctx, 1, s.Room("closed"))
	wantCondition(t, err, "not-allowed")
	must(crowd.Join(ctx, 1, rooms[0]))(t) // one refusal is no end
}

func wantOccupants(ctx context.Context, t *testing.T, c *prosodytest.Client, room, want string) {
	t.Helper()
	st := must(c.IQ(ctx, room, "get", discoInfo))(t)
	if !st.Has("<value>" + want + "</value>") {
		t.Errorf("got %s, want %s occupants", st.XML, want)
	}
}
