package prosody_test

import (
	"bufio"
	"crypto/sha1"
	"encoding/hex"
	"net"
	"regexp"
	"testing"
	"time"

	"ppch/prosody/prosodytest"
)

// status returns the module's status message.
func status(t testing.TB, srv *prosodytest.Server, host string) string {
	t.Helper()
	return lua(t, srv, `local _, text = prosody.hosts["`+host+`"].modules.`+name+`.module:get_status(); return text;`)
}

func TestWindow_EndsWithoutAcknowledgement(t *testing.T) {
	t.Parallel()
	srv := start(t, prosodytest.Options{HostConfig: eachMUC("room_participants_heartbeat = 1"), ModuleConstants: map[string]string{"window_limit": "3", "ack_timeout": "2", "page_limit": "10"}})
	check(t, srv.Populate(within(t), 20, 10))
	cast := newCast(t, srv)
	f := follow(t, srv)
	var stanzas []prosodytest.Stanza
	for range 3 {
		st, b, err := f.take(within(t))
		check(t, err)
		f.apply(b)
		stanzas = append(stanzas, st)
	}
	for i := range 10 {
		must(cast.Open(within(t), srv.Room(sprint("r", i))))(t)
	}
	f.silent(700 * time.Millisecond) // not even a heartbeat, so that the component notices
	eventually(t, "subscription dropped", func() bool { return srv.LogContains("no acknowledgement in time") })
	if got := status(t, srv, f.domain); got != "muc.meet.jitsi: 0 subscribers" {
		t.Errorf("status: %s", got)
	}
	for _, st := range stanzas { // too late
		f.ack(st)
	}
	f.silent(300 * time.Millisecond)
	f.subscribe()
	f.untilSynced()
	f.matches(srv)
}

func TestWindow_OpensWithEachAcknowledgement(t *testing.T) {
	t.Parallel()
	srv := start(t, prosodytest.Options{ModuleConstants: map[string]string{"window_limit": "2", "page_limit": "10"}})
	check(t, srv.Populate(within(t), 20, 10))
	f := follow(t, srv)
	var stanzas []prosodytest.Stanza
	take := func() {
		st, b, err := f.take(within(t))
		check(t, err)
		f.apply(b)
		stanzas = append(stanzas, st)
	}
	take()
	take()
	f.silent(100 * time.Millisecond)
	// An unknown id, or one acknowledged before, doesn't open the window.
	check(t, f.client.Send("<iq type='result' id='future' from='"+f.client.JID()+"' to='"+f.domain+"'/>"))
	f.silent(100 * time.Millisecond)
	f.ack(stanzas[0])
	take()
	f.ack(stanzas[0])
	f.silent(100 * time.Millisecond)
	f.ack(stanzas[2]) // also acknowledges the one before
	take()
	take()
	f.ack(stanzas[1])
	f.silent(100 * time.Millisecond)
	f.ack(stanzas[4])
	f.untilSynced()
	f.matches(srv)
}

// An acknowledgement is due for each quarter of the window, and after a second.
func TestWindow_AcknowledgementsAreFew(t *testing.T) {
	t.Parallel()
	srv := start(t, prosodytest.Options{HostConfig: eachMUC("room_participants_heartbeat = 2"), ModuleConstants: map[string]string{"window_limit": "16", "page_limit": "10"}})
	check(t, srv.Populate(within(t), 20, 10))
	f := follow(t, srv)
	var got []string
	for !f.replica.synced {
		st, b, err := f.take(within(t))
		check(t, err)
		f.apply(b)
		f.ack(st)
		got = append(got, st.Name)
	}
	for i, name := range got {
		if due := i%4 == 0; due != (name == "iq") {
			t.Errorf("batch %d is in a %s", i+1, name)
		}
	}
	for range 2 {
		st, b, err := f.take(within(t)) // a heartbeat
		check(t, err)
		f.apply(b)
		f.ack(st)
		if st.Name != "iq" {
			t.Errorf("a heartbeat in a %s", st.Name)
		}
	}
}

func TestSubscription_EndsOnError(t *testing.T) {
	t.Parallel()
	srv, cast, f, room := meeting(t, prosodytest.Options{ModuleConstants: map[string]string{"window_limit": "2"}})
	ada := must(cast.User(within(t), room, "Ada"))(t)
	st, _, err := f.take(within(t))
	check(t, err)
	check(t, f.client.Send("<iq type='error' id='"+st.ID+"' from='"+st.To+"' to='"+st.From+"'><error type='cancel'><service-unavailable xmlns='urn:ietf:params:xml:ns:xmpp-stanzas'/></error></iq>"))
	eventually(t, "subscription dropped", func() bool { return srv.LogContains("it refused a batch") })
	check(t, ada.Leave(within(t)))
	f.silent(200 * time.Millisecond)
}

func TestSubscription_EndsOnDisconnect(t *testing.T) {
	t.Parallel()
	srv, cast, f, room := meeting(t, prosodytest.Options{HostConfig: eachMUC("room_participants_heartbeat = 10")})
	check(t, f.client.Drop())
	at := time.Now()
	eventually(t, "subscription dropped", func() bool { return srv.LogContains("ended: disconnected") })
	if took := time.Since(at); took > 2*time.Second { // else a timeout found it
		t.Errorf("took %v", took)
	}
	must(cast.User(within(t), room, "Ada"))(t)
	// The next connection receives nothing before it subscribes.
	next := newComponent(t, srv, srv.Domains.Component)
	must(cast.User(within(t), room, "Bo"))(t)
	time.Sleep(200 * time.Millisecond)
	if st, ok := next.Received(func(prosodytest.Stanza) bool { return true }); ok {
		t.Errorf("got %s", st.XML)
	}
	g := followAs(t, next, srv.Domains.MUC).untilSynced()
	g.matches(srv)
	// A refused connection must not end the subscription.
	if _, err := srv.Component(within(t), srv.Domains.Component); err == nil {
		t.Fatal("a second component of the same name was accepted")
	}
	cy := must(cast.User(within(t), room, "Cy"))(t)
	g.occupant(room, cy.Nick(), nil)
}

func TestHeartbeat_Interval(t *testing.T) {
	t.Parallel()
	_, _, f, _ := meeting(t, prosodytest.Options{HostConfig: eachMUC("room_participants_heartbeat = 1")})
	for range 4 {
		at := time.Now()
		if b := f.next(); len(b.Rooms)+len(b.Gone) > 0 || b.Total != "1" || b.Occupants != "1" {
			t.Errorf("got %+v", b)
		}
		if d := time.Since(at); d < 300*time.Millisecond || d > 1200*time.Millisecond {
			t.Errorf("a heartbeat after %v", d)
		}
	}
}

// A component that stops reading fills its own socket only.
func TestWindow_FrozenComponent(t *testing.T) {
	t.Parallel()
	srv := start(t, prosodytest.Options{ModuleConstants: map[string]string{"window_limit": "4", "ack_timeout": "1"}})
	check(t, srv.Populate(within(t), 500, 10))
	frozen := must(net.Dial("tcp", srv.ComponentAddr()))(t)
	defer func() { _ = frozen.Close() }()
	check(t, frozen.(*net.TCPConn).SetReadBuffer(4096))
	must(frozen.Write([]byte("<stream:stream to='ppch.meet.jitsi' xmlns='jabber:component:accept' xmlns:stream='http://etherx.jabber.org/streams'>")))(t)
	r := bufio.NewReader(frozen)
	id := regexp.MustCompile(`id=['"]([^'"]+)`).FindStringSubmatch(readUntil(t, r, "jabber:component:accept", '>'))
	if id == nil {
		t.Fatal("no stream id")
	}
	hash := sha1.Sum([]byte(id[1] + srv.Secret()))
	must(frozen.Write([]byte("<handshake>" + hex.EncodeToString(hash[:]) + "</handshake>")))(t)
	readUntil(t, r, "handshake", '>')
	must(frozen.Write([]byte("<iq type='set' id='1' from='ppch.meet.jitsi' to='muc.meet.jitsi'>" + subscribe + "</iq>")))(t)
	cast := newCast(t, srv)
	for i := range 20 {
		must(cast.Open(within(t), srv.Room(sprint("r", i))))(t)
	}
	eventually(t, "subscription dropped", func() bool { return srv.LogContains("no acknowledgement in time") })
}

// readUntil reads parts up to delim until one contains text.
func readUntil(t testing.TB, r *bufio.Reader, text string, delim byte) string {
	t.Helper()
	for {
		part := must(r.ReadString(delim))(t)
		if regexp.MustCompile(regexp.QuoteMeta(text)).MatchString(part) {
			return part
		}
	}
}

// Without acknowledgements, nicks that come and go must not accumulate.
// muc_vcard is off, because Prosody 13 would query each for a vCard and keep that.
func TestQueue_BoundedWithoutAcknowledgement(t *testing.T) {
	t.Parallel()
	srv, _, f, room := meeting(t, prosodytest.Options{HostConfig: eachMUC("muc_vcard = false"), ModuleConstants: map[string]string{"window_limit": "2", "ack_timeout": "60"}})
	churn := func(n int) {
		lua(t, srv, `
			local room = `+muc+`.get_room_from_jid("`+room+`");
			local st = require "util.stanza";
			for i = 1, `+sprint(n)+` do
				local o = room:new_occupant("x@meet.jitsi", room.jid.."/"..require "util.id".medium());
				o:set_session("x@meet.jitsi/x", st.presence());
				room:save_occupant(o);
				local event = { room = room, nick = o.nick, occupant = o, stanza = st.presence(), origin = {} };
				prosody.events.fire_event("nothing");
				prosody.hosts["muc.meet.jitsi"].events.fire_event("muc-occupant-joined", event);
				o.role = nil;
				room:save_occupant(o);
				prosody.hosts["muc.meet.jitsi"].events.fire_event("muc-occupant-left", event);
			end return "";`)
	}
	memory := func() float64 {
		out := lua(t, srv, `collectgarbage(); collectgarbage(); return ("%d"):format(math.floor(collectgarbage("count")));`)
		return float64(number(t, out))
	}
	churn(5000)
	before := memory()
	for range 50 {
		churn(1000) // Prosody's event loop turns in between
	}
	// The next turn drops what waits for it.
	eventually(t, "the memory grows by 1,500 KiB at most", func() bool { return memory()-before <= 1500 })
	f.matches(srv)
}
