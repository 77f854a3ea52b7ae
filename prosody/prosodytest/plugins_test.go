package prosodytest_test

import (
	"io"
	"net/http"
	"strings"
	"testing"

	"ppch/prosody/prosodytest"
)

func TestHideRooms_RefusesOutsiders(t *testing.T) {
	s := prosodytest.New(t, prosodytest.Options{HideRooms: true})
	cast := newCast(t, s)
	ctx, room := within(t), s.Room("alpha")
	must(cast.Open(ctx, room))(t)
	inside := must(cast.User(ctx, room, "Ada"))(t)
	component, outside := newComponent(t, s), newGuest(t, s)

	for who, c := range map[string]*prosodytest.Client{"component": component, "guest": outside} {
		_, err := c.IQ(ctx, room, "get", discoInfo)
		wantCondition(t, err, "forbidden")
		if st := must(c.IQ(ctx, s.Domains.MUC, "get", discoItems))(t); st.Has("<item") {
			t.Errorf("%s sees the rooms: %s", who, st.XML)
		}
		_, err = c.IQ(ctx, s.Room("missing"), "get", discoInfo)
		wantCondition(t, err, "item-not-found")
		must(c.IQ(ctx, s.Domains.MUC, "get", discoInfo))(t)
	}
	if st := must(inside.IQ(ctx, room, "get", discoInfo))(t); !st.Has("muc#roominfo_occupants") {
		t.Errorf("an occupant got no number of occupants: %s", st.XML)
	}
}

func TestHideRooms_OffShowsCount(t *testing.T) {
	s := prosodytest.New(t, prosodytest.Options{})
	cast := newCast(t, s)
	ctx, room := within(t), s.Room("alpha")
	must(cast.Open(ctx, room))(t)
	must(cast.User(ctx, room, "Ada"))(t)
	component := newComponent(t, s)
	wantOccupants(ctx, t, component, room, "2")
	_, err := component.IQ(ctx, s.Room("missing"), "get", discoInfo)
	wantCondition(t, err, "item-not-found")
}

func TestDomainMapper_TranslatesTenants(t *testing.T) {
	s := prosodytest.New(t, prosodytest.Options{DomainMapper: true})
	cast := newCast(t, s)
	ctx := within(t)
	const public, internal = "alpha@muc.ten.meet.jitsi", "[ten]alpha@muc.meet.jitsi"
	if got := s.TenantRoom("ten", "alpha"); got != public {
		t.Fatalf("got %s, want %s", got, public)
	}
	must(cast.Open(ctx, public))(t)
	component := newComponent(t, s)

	// The room's own name is the internal one, and a component must use it.
	st := must(component.IQ(ctx, internal, "get", discoInfo))(t)
	if st.From != internal {
		t.Errorf("direct answer: got from %s, want %s", st.From, internal)
	}
	_, err := component.IQ(ctx, public, "get", discoInfo)
	wantCondition(t, err, "not-allowed")

	// Stanzas routed to the component come from the public name.
	must(component.JoinAs(ctx, "spy@ppch.meet.jitsi/x", internal, "spy"))(t)
	user := must(cast.User(ctx, public, "Ada"))(t)
	must(component.Expect(ctx, presenceOf(public+"/"+user.Nick(), "")))(t)
	must(user.Expect(ctx, presenceOf(public+"/spy", "")))(t)
	if _, ok := user.Received(func(st prosodytest.Stanza) bool { return strings.HasPrefix(st.From, "[ten]") }); ok {
		t.Error("a client was shown the internal name")
	}

	// Rooms without a tenant are not mapped.
	must(cast.Open(ctx, s.Room("beta")))(t)
	plain := must(cast.User(ctx, s.Room("beta"), "Bo"))(t)
	must(cast.Focus.Expect(ctx, presenceOf(s.Room("beta")+"/"+plain.Nick(), "")))(t)
}

func TestDomainMapper_AnswersForTenantDomain(t *testing.T) {
	s := prosodytest.New(t, prosodytest.Options{DomainMapper: true})
	ctx := within(t)
	guest, component := newGuest(t, s), newComponent(t, s)
	const tenant = "muc.ten.meet.jitsi"
	for range 2 { // the answer must remove the record of its id
		st := must(guest.IQ(ctx, tenant, "get", discoInfo))(t)
		if st.From != tenant {
			t.Errorf("got from %s, want %s", st.From, tenant)
		}
	}
	st := must(component.IQ(ctx, s.Domains.MUC, "get", discoInfo))(t)
	if st.From != s.Domains.MUC {
		t.Errorf("component: got from %s, want %s", st.From, s.Domains.MUC)
	}
}

func TestRoomSize_HTTP(t *testing.T) {
	s := prosodytest.New(t, prosodytest.Options{HostModules: map[string][]string{"meet.jitsi": {"prosodytest_room_size"}}})
	cast := newCast(t, s)
	ctx, room := within(t), s.Room("alpha")
	must(cast.Open(ctx, room))(t)
	must(cast.User(ctx, room, "Ada"))(t)
	must(cast.User(ctx, room, "Bob"))(t)
	for path, want := range map[string]string{
		"/room-size?room=alpha&domain=meet.jitsi": `{"participants":2}`,
		"/room?room=alpha&domain=meet.jitsi":      `"display_name":"Ada"`,
		"/room-census":                            `"participants":2`,
	} {
		resp := must(http.Get("http://" + s.HTTPAddr() + path))(t)
		body := string(must(io.ReadAll(resp.Body))(t))
		_ = resp.Body.Close()
		if resp.StatusCode != http.StatusOK || !strings.Contains(body, want) || strings.Contains(body, "focus") {
			t.Errorf("%s: got %s %s, want %s and no focus", path, resp.Status, body, want)
		}
	}
	resp := must(http.Get("http://" + s.HTTPAddr() + "/room-size?room=beta&domain=meet.jitsi"))(t)
	if _ = resp.Body.Close(); resp.StatusCode != http.StatusNotFound {
		t.Errorf("a missing room: got %s", resp.Status)
	}
}
