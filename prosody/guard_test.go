package prosody_test

import (
	"errors"
	"strings"
	"testing"
	"time"

	"ppch/prosody/prosodytest"
)

func TestDisco_AnnouncesFeature(t *testing.T) {
	t.Parallel()
	srv := start(t, prosodytest.Options{HostModules: map[string][]string{"muc.meet.jitsi": {name}}})
	component := newComponent(t, srv, srv.Domains.Component)
	for domain, want := range map[string]bool{srv.Domains.MUC: true, srv.Domains.Lobby: false, srv.Domains.Main: false} {
		st := must(component.IQ(within(t), domain, "get", discoInfo))(t)
		if got := st.Has("var='" + namespace + "'"); got != want {
			t.Errorf("%s: got feature %v, want %v: %s", domain, got, want, st.XML)
		}
	}
	_, err := component.IQ(within(t), srv.Domains.Lobby, "set", subscribe)
	wantCondition(t, err, "service-unavailable")
}

func TestSubscribe_HiddenFromStrangers(t *testing.T) {
	t.Parallel()
	srv := start(t, prosodytest.Options{})
	cast := newCast(t, srv)
	must(cast.Open(within(t), srv.Room("alpha")))(t)
	guest := must(srv.Guest(within(t)))(t)
	other := newComponent(t, srv, srv.Domains.Cast)
	component := newComponent(t, srv, srv.Domains.Component)
	cases := []struct {
		what, from string
		client     *prosodytest.Client
		to, typ    string
		payload    string
	}{
		{"a guest", "", guest, srv.Domains.MUC, "set", subscribe},
		{"a guest who ends it for others", "", guest, srv.Domains.MUC, "set", unsubscribe},
		{"the focus, who owns every room", "", cast.Focus, srv.Domains.MUC, "set", subscribe},
		{"a component that is not on the list", other.JID(), other, srv.Domains.MUC, "set", subscribe},
		{"a user of the component", "user@" + component.JID(), component, srv.Domains.MUC, "set", subscribe},
		{"a resource of the component", component.JID() + "/x", component, srv.Domains.MUC, "set", subscribe},
		{"the component, by a get", component.JID(), component, srv.Domains.MUC, "get", subscribe},
		{"the component, in a namespace to come", component.JID(), component, srv.Domains.MUC, "set", strings.Replace(subscribe, ":1", ":2", 1)},
		{"the component, of a domain without the module", component.JID(), component, srv.Domains.InternalMUC, "set", subscribe},
		{"the component, with a batch of its own", component.JID(), component, srv.Domains.MUC, "set", "<batch xmlns='" + namespace + "'/>"},
	}
	for _, c := range cases {
		_, err := c.client.IQFrom(within(t), c.from, c.to, c.typ, c.payload)
		var refused *prosodytest.StanzaError
		if !errors.As(err, &refused) || refused.Condition != "service-unavailable" {
			t.Errorf("%s: got %v, want service-unavailable", c.what, err)
			continue
		}
		_, err = c.client.IQFrom(within(t), c.from, c.to, c.typ, strings.Replace(c.payload, namespace, "urn:example", 1))
		if unknown, ok := errors.AsType[*prosodytest.StanzaError](err); !ok || unknown.Condition != refused.Condition || unknown.Type != refused.Type || unknown.Text != refused.Text {
			t.Errorf("%s: got %v, but an unknown namespace %v", c.what, refused, err)
		}
	}
	for who, c := range map[string]*prosodytest.Client{"guest": guest, "other": other, "component": component} {
		if st, ok := c.Received(func(st prosodytest.Stanza) bool { return st.Has(namespace) && st.Type == "set" }); ok {
			t.Errorf("%s received %s", who, st.XML)
		}
	}
}

func TestSubscription_IgnoresStrangers(t *testing.T) {
	t.Parallel()
	srv := start(t, prosodytest.Options{ModuleConstants: map[string]string{"window_limit": "2"}})
	cast := newCast(t, srv)
	room := srv.Room("alpha")
	must(cast.Open(within(t), room))(t)
	other, guest := newComponent(t, srv, srv.Domains.Cast), must(srv.Guest(within(t)))(t)
	f := follow(t, srv)
	first, b, err := f.take(within(t))
	check(t, err)
	f.apply(b)
	for _, typ := range []string{"result", "error"} {
		check(t, other.Send("<iq type='"+typ+"' id='"+first.ID+"' from='"+other.JID()+"' to='"+f.domain+"'/>"))
		check(t, guest.Send("<iq type='"+typ+"' id='"+first.ID+"' to='"+f.domain+"'/>"))
		check(t, f.client.Send("<iq type='"+typ+"' id='"+first.ID+"' from='user@"+f.client.JID()+"' to='"+f.domain+"'/>"))
	}
	_, err = other.IQ(within(t), f.domain, "set", unsubscribe)
	wantCondition(t, err, "service-unavailable")
	// The window of two has room for one more; the third waits for the real acknowledgement.
	must(cast.User(within(t), room, "Ada"))(t)
	second, b, err := f.take(within(t))
	check(t, err)
	f.apply(b)
	bo := must(cast.User(within(t), room, "Bo"))(t)
	f.silent(300 * time.Millisecond)
	f.ack(first)
	f.ack(second)
	f.occupant(room, bo.Nick(), nil)
}

func TestSubscription_SurvivesOddRequests(t *testing.T) {
	t.Parallel()
	srv := start(t, prosodytest.Options{})
	cast := newCast(t, srv)
	must(cast.Open(within(t), srv.Room("alpha")))(t)
	f := follow(t, srv).untilSynced()
	for _, typ := range []string{"result", "error"} {
		for _, payload := range []string{"", subscribe, "<batch xmlns='" + namespace + "' seq='9'/>"} {
			check(t, f.client.Send("<iq type='"+typ+"' id='of nothing' from='"+f.client.JID()+"' to='"+f.domain+"'>"+payload+"</iq>"))
		}
	}
	for _, odd := range []string{
		"<subscribe xmlns='" + namespace + "' epoch='x' page='-1'><room jid='a'/>text</subscribe>",
		"<subscribe xmlns='" + namespace + "'>" + strings.Repeat("<x/>", 1000) + "</subscribe>",
	} {
		st := must(f.client.IQ(within(t), f.domain, "set", odd))(t)
		if !st.Has("<subscribed") {
			t.Errorf("got %s", st.XML)
		}
	}
	f.subscribe()
	f.untilSynced()
	f.matches(srv)
}

func TestSubscribe_ReplacesEarlierSubscription(t *testing.T) {
	t.Parallel()
	srv := start(t, prosodytest.Options{ModuleConstants: map[string]string{"page_limit": "10"}})
	check(t, srv.Populate(within(t), 100, 10))
	cast := newCast(t, srv)
	room := srv.Room("alpha")
	must(cast.Open(within(t), room))(t)
	f := follow(t, srv)
	f.next() // one of about 100
	before := f.replica.epoch
	if f.subscribe(); f.replica.epoch == before {
		t.Errorf("the same epoch again: %s", before)
	}
	f.client.Forget()
	f.subscribe()
	f.untilSynced()
	ada := must(cast.User(within(t), room, "Ada"))(t)
	f.occupant(room, ada.Nick(), nil)
	if n := f.others[before]; n > 0 {
		t.Errorf("got %d batches of the first subscription, want none", n)
	}
	must(f.client.IQ(within(t), f.domain, "set", unsubscribe))(t)
	must(cast.User(within(t), room, "Bo"))(t)
	f.silent(200 * time.Millisecond)
}

// silent fails if any batch comes within d.
func (f *follower) silent(d time.Duration) {
	f.t.Helper()
	time.Sleep(d)
	if st, ok := f.client.Received(func(st prosodytest.Stanza) bool { return st.Has("<batch") }); ok {
		f.t.Fatalf("got %s, want no batch", st.XML)
	}
}

func TestBatch_IDsAreUnpredictable(t *testing.T) {
	t.Parallel()
	srv := start(t, prosodytest.Options{ModuleConstants: map[string]string{"window_limit": "2"}}) // each batch has one
	cast := newCast(t, srv)
	f := follow(t, srv)
	seen := map[string]bool{}
	for i := range 20 {
		st, b, err := f.take(within(t))
		check(t, err)
		f.apply(b)
		f.ack(st)
		if len(st.ID) < 20 || seen[st.ID] || seen[st.ID[:6]] || st.ID == f.replica.epoch {
			t.Errorf("id %q after %v", st.ID, sortedKeys(seen))
		}
		seen[st.ID], seen[st.ID[:6]] = true, true
		must(cast.Open(within(t), srv.Room(sprint("r", i))))(t)
	}
}
