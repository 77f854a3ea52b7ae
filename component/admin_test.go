package component_test

import (
	"bytes"
	"context"
	"encoding/xml"
	"errors"
	"fmt"
	"io"
	"net"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"mellium.im/xmpp/jid"

	"ppch/component"
	"ppch/component/componenttest"
	"ppch/prosody/prosodytest"
)

// The accounts on the servers of these tests: an admin, and another one.
const (
	bossJID  = "boss@auth.meet.jitsi"
	clerkJID = "clerk@auth.meet.jitsi"
)

func adminIs(entries ...string) func(*component.Config) {
	return func(c *component.Config) {
		for _, e := range entries {
			c.Admins = append(c.Admins, jid.MustParse(e))
		}
		c.Version = "2.0.0-test"
	}
}

// scene is a Prosody with a component and people in rooms, an admin and a guest.
type scene struct {
	ctx   context.Context
	srv   *prosodytest.Server
	c     *component.Component
	cast  *prosodytest.Cast
	boss  *prosodytest.Client
	guest *prosodytest.Client
}

func newScene(t *testing.T, o prosodytest.Options, adjust ...func(*component.Config)) *scene {
	t.Helper()
	o.Accounts = map[string]string{bossJID: "secret", clerkJID: "secret"}
	s := &scene{ctx: timeout(t, 120*time.Second), srv: prosodytest.New(t, o)}
	s.cast = must(s.srv.Cast(s.ctx))(t)
	t.Cleanup(func() { s.cast.Close() })
	s.c = on(t, s.srv, append([]func(*component.Config){watchAll, adminIs(bossJID)}, adjust...)...)
	ready(t, s.c)
	eventually(t, 20*time.Second, "the admin is verified", func() bool { return s.c.Diagnostics().Admins[0].Local })
	s.boss = s.login(t, bossJID+"/desk")
	s.guest = must(s.srv.Guest(s.ctx))(t)
	t.Cleanup(func() { s.guest.Close() })
	return s
}

func (s *scene) login(t *testing.T, jid string) *prosodytest.Client {
	t.Helper()
	c := must(s.srv.Login(s.ctx, jid))(t)
	t.Cleanup(func() { c.Close() })
	return c
}

// populate opens rooms: planning with two people and a recorder, a tenant's, and one in another script.
func (s *scene) populate(t *testing.T) {
	t.Helper()
	planning := s.srv.Room("planning")
	for _, room := range []string{planning, asClientsWrite(s.srv.Room("[acme]stand%20up")), s.srv.Room("%d0%bc%d0%b8%d1%80")} {
		must(s.cast.Open(s.ctx, room))(t)
		must(s.cast.User(s.ctx, room, "Ada <&'\">"))(t)
	}
	must(s.cast.User(s.ctx, planning, "Grace"))(t)
	must(s.cast.Recorder(s.ctx, planning))(t)
	eventually(t, 10*time.Second, "all of them are there", func() bool {
		r, err := s.c.Room(s.ctx, jid.MustParse(planning))
		return err == nil && len(r.Occupants) == 4
	})
}

// ask sends an IQ to the component and returns the answer as XML. The payload begins with the type of the IQ.
func (s *scene) ask(t *testing.T, who *prosodytest.Client, payload string) string {
	t.Helper()
	typ, inner, _ := strings.Cut(payload, " ")
	answer, err := who.IQ(s.ctx, s.srv.Domains.Component, typ, inner)
	if answer.XML == "" {
		t.Fatalf("%s: %v", payload, err)
	}
	return answer.XML
}

// has fails the test unless an answer contains all texts, in this order.
func has(t *testing.T, what, answer string, texts ...string) {
	t.Helper()
	rest := answer
	for _, text := range texts {
		_, after, ok := strings.Cut(rest, text)
		if !ok {
			t.Errorf("%s: got\n%s\nwant in it, in this order: %q; %q is missing", what, answer, texts, text)
			return
		}
		rest = after
	}
}

const (
	discoInfo  = "get <query xmlns='http://jabber.org/protocol/disco#info'%s/>"
	discoItems = "get <query xmlns='http://jabber.org/protocol/disco#items'%s/>"
	run        = "set <command xmlns='http://jabber.org/protocol/commands' node='%s'/>"
)

func node(n string) string { return " node='" + prosodytest.Escape(n) + "'" }

// orderly returns a stanza with its attributes sorted: Prosody writes them in any order.
func orderly(t *testing.T, stanza string) string {
	t.Helper()
	d := xml.NewDecoder(strings.NewReader(stanza))
	var b strings.Builder
	for {
		tok, err := d.RawToken()
		if errors.Is(err, io.EOF) {
			return b.String()
		}
		check(t, err)
		if start, ok := tok.(xml.StartElement); ok {
			slices.SortFunc(start.Attr, func(a, b xml.Attr) int {
				return strings.Compare(a.Name.Space+a.Name.Local, b.Name.Space+b.Name.Local)
			})
		}
		fmt.Fprintf(&b, "%T%s\n", tok, tok)
	}
}

// conversation sends everything that other users can send to a component and returns the answers without the component's name.
func conversation(t *testing.T, s *scene, who *prosodytest.Client, component string) []string {
	t.Helper()
	who.Forget()
	stanzas := slices.Concat(componenttest.AdminQuestions(), componenttest.AdminOthers)
	for _, h := range componenttest.Hostile {
		if len(h.XML) < 20_000 {
			stanzas = append(stanzas, h.XML)
		}
	}
	for i, x := range stanzas {
		check(t, who.Send(componenttest.Fill(x, component, fmt.Sprint("c", i))))
	}
	// The component handles one stanza after the other: after this answer, all others have come.
	if _, err := who.IQ(s.ctx, component, "get", "<last xmlns='urn:example:last'/>"); err == nil {
		t.Fatal("an unknown question got an answer")
	}
	time.Sleep(300 * time.Millisecond) // for what comes by another way
	var got []string
	for {
		st, ok := who.Received(func(prosodytest.Stanza) bool { return true })
		if !ok {
			slices.Sort(got)
			return got
		}
		if st.Type != "error" {
			t.Errorf("got %s want errors alone", st.XML)
		}
		got = append(got, orderly(t, strings.ReplaceAll(st.XML, component, "COMPONENT")))
	}
}

func TestAdmin_InvisibleToOthers(t *testing.T) {
	t.Parallel()
	o := withModule
	o.Components = []string{"idle.meet.jitsi"}
	s := newScene(t, o)
	s.populate(t)
	idle := on(t, s.srv, func(c *component.Config) { c.Domain = jid.MustParse("idle.meet.jitsi") })
	eventually(t, 20*time.Second, "the idle component is connected", func() bool { return idle.Main().Connected })
	for name, who := range map[string]*prosodytest.Client{
		"a guest": s.guest, "another account": s.login(t, clerkJID+"/desk"),
	} {
		want, got := conversation(t, s, who, "idle.meet.jitsi"), conversation(t, s, who, s.srv.Domains.Component)
		if len(want) < len(componenttest.AdminQuestions()) {
			t.Fatalf("%s: %d answers of the idle component are too few", name, len(want))
		}
		same(t, name, want, got)
	}
	if n := s.c.Diagnostics().Refused; n != 0 {
		t.Errorf("%d stanzas of others counted as those of an admin", n)
	}
}

func TestAdmin_Browses(t *testing.T) {
	t.Parallel()
	s := newScene(t, withModule)
	s.populate(t)
	for _, tt := range []struct {
		name, question string
		want           []string
	}{
		{"the component", fmt.Sprintf(discoInfo, ""), []string{
			"category='component'", "http://jabber.org/protocol/commands", "http://jabber.org/protocol/disco#info", "http://jabber.org/protocol/rsm",
			"jabber:iq:last", "jabber:iq:version", "urn:xmpp:ping", "urn:xmpp:time", "FORM_TYPE", "urn:ppch:facts:1", "var='rooms'", "<value>3<", "var='participants'", "<value>4<",
		}},
		{"the MUC domains", fmt.Sprintf(discoItems, ""), []string{"breakout.meet.jitsi — 0 rooms", "lobby.meet.jitsi — 0 rooms", "muc.meet.jitsi — 3 rooms, 4 people"}},
		{"tenants and rooms", fmt.Sprintf(discoItems, node("muc.meet.jitsi")), []string{"tenant acme — 1 room, 1 person", "мир — 1 person", "planning — 2 people"}},
		{"a tenant's rooms", fmt.Sprintf(discoItems, node("muc.meet.jitsi/[acme]")), []string{"acme/stand up — 1 person"}},
		{"a tenant", fmt.Sprintf(discoInfo, node("muc.meet.jitsi/[acme]")), []string{"hierarchy", "var='rooms'", "<value>1<"}},
		{"a domain", fmt.Sprintf(discoInfo, node("muc.meet.jitsi")), []string{"var='mode'", "<value>module<", "var='rooms'", "<value>3<", "var='participants'", "<value>4<"}},
		{"who is in a room", fmt.Sprintf(discoItems, node("planning@muc.meet.jitsi")), []string{" — "}},
		{"a room", fmt.Sprintf(discoInfo, node("planning@muc.meet.jitsi")), []string{"var='participants'", "<value>2<", "var='exact'", "<value>true<", "focus 1, recorder 1, user 2"}},
		{"an occupant", fmt.Sprintf(discoInfo, node("planning@muc.meet.jitsi/focus")), []string{"type='leaf'", "<value>focus<", "focus@auth.meet.jitsi/focus"}},
		{"inside an occupant", fmt.Sprintf(discoItems, node("planning@muc.meet.jitsi/focus")), []string{"type='result'"}},
		{"the commands", fmt.Sprintf(discoItems, node("http://jabber.org/protocol/commands")), []string{"node='diagnostics'", "node='domains'", "node='resync'", "node='room'", "node='rooms'", "node='statistics'", "node='unwatch'", "node='watch'"}},
		{"a node that isn't there", fmt.Sprintf(discoItems, node("planning@muc.meet.jitsi/nowhere")), []string{"item-not-found"}},
		{"a domain that isn't watched", fmt.Sprintf(discoInfo, node("auth.meet.jitsi")), []string{"item-not-found"}},
		{"a tenant that isn't there", fmt.Sprintf(discoInfo, node("muc.meet.jitsi/[nowhere]")), []string{"item-not-found"}},
		{"a room that isn't there", fmt.Sprintf(discoInfo, node("nowhere@muc.meet.jitsi")), []string{"item-not-found"}},
		{"a node full of specials", fmt.Sprintf(discoInfo, node("<&'\">@@//[]\u202e")), []string{"item-not-found"}},
		{"uptime", "get <query xmlns='jabber:iq:last'/>", []string{"seconds='"}},
		{"the version", "get <query xmlns='jabber:iq:version'/>", []string{"<name>PPCH</name><version>2.0.0-test<"}},
		{"the time", "get <time xmlns='urn:xmpp:time'/>", []string{"<tzo>", "<utc>20"}},
		{"a ping", "get <ping xmlns='urn:xmpp:ping'/>", []string{"type='result'"}},
		{"something unknown", "get <x xmlns='urn:example:unknown'/>", []string{"service-unavailable"}},
	} {
		has(t, tt.name, s.ask(t, s.boss, tt.question), tt.want...)
	}
}

// page asks for one page of a node's items and returns the nodes in it.
func page(t *testing.T, s *scene, of, set string) (nodes []string, xml string) {
	t.Helper()
	xml = s.ask(t, s.boss, "get <query xmlns='http://jabber.org/protocol/disco#items'"+node(of)+"><set xmlns='http://jabber.org/protocol/rsm'>"+set+"</set></query>")
	for _, m := range regexp.MustCompile(`<item [^>]*node='([^']*)'|<item [^>]*node="([^"]*)"`).FindAllStringSubmatch(xml, -1) {
		nodes = append(nodes, m[1]+m[2])
	}
	return nodes, xml
}

func TestAdmin_Paging(t *testing.T) {
	t.Parallel()
	s := newScene(t, withModule)
	var want []string
	for i := range 120 {
		room := s.srv.Room(fmt.Sprintf("room%03d", i))
		must(s.cast.Open(s.ctx, room))(t)
		want = append(want, room)
	}
	eventually(t, 10*time.Second, "all rooms are known", func() bool {
		_, xml := page(t, s, "muc.meet.jitsi", "<max>0</max>")
		return strings.Contains(xml, "<count>120</count>") && !strings.Contains(xml, "<item ") && !strings.Contains(xml, "<first")
	})
	var got []string
	for after := ""; ; {
		nodes, xml := page(t, s, "muc.meet.jitsi", "<max>50</max>"+after)
		if len(nodes) == 0 {
			break
		}
		has(t, "a page", xml, fmt.Sprintf("index='%d'", len(got)), nodes[0], "<last>"+nodes[len(nodes)-1], "<count>120<")
		got = append(got, nodes...)
		after = "<after>" + nodes[len(nodes)-1] + "</after>"
		if len(got) == 50 {
			// A room that ends between two pages doesn't affect the others.
			after = "<after>room049x@muc.meet.jitsi</after>"
		}
	}
	if !slices.Equal(got, want) {
		t.Errorf("got %d rooms %v want all 120 in order", len(got), got)
	}
	for set, slice := range map[string][]string{
		"<max>10</max><before/>":                                       want[110:],
		"<max>10</max><before>room110@muc.meet.jitsi</before>":         want[100:110],
		"<max>10</max><index>7</index>":                                want[7:17],
		"<max>10</max><index>500</index>":                              nil,
		"<max>100000</max>":                                            want,
		"<max>10</max><before>room003@muc.meet.jitsi</before>":         want[:3],
		"<max>10</max><after>zzz@muc.meet.jitsi</after>":               nil,
		"<max>2</max><after>&lt;&amp;&quot;\u202e</after>":             want[:2],
		"<max>3</max><after/>":                                         want[:3],
		"<max>3</max><unknown xmlns='x'/><after>room000@muc.x</after>": want[1:4],
	} {
		if nodes, xml := page(t, s, "muc.meet.jitsi", set); !slices.Equal(nodes, slice) {
			t.Errorf("%s: got %v (%s) want %v", set, nodes, xml, slice)
		}
	}
	for _, set := range []string{"<max>x</max>", "<max>-1</max>", "<max>99999999999</max>", "<index>1.5</index>", "<max/>"} {
		if _, xml := page(t, s, "muc.meet.jitsi", set); !strings.Contains(xml, "bad-request") {
			t.Errorf("%s: got %s want bad-request", set, xml)
		}
	}
	// Without a request for a page the answer is the first page, with its description.
	has(t, "no page asked for", s.ask(t, s.boss, fmt.Sprintf(discoItems, node("muc.meet.jitsi"))), "room000", "room049", "<set", "<count>120<")
}

// parting is a connection that splits the last long tag of a stanza, as any network may.
type parting struct{ net.Conn }

// Write implements net.Conn.
func (p parting) Write(b []byte) (int, error) {
	last := bytes.LastIndex(b, []byte(`"></item>`))
	if last < 0 {
		return p.Conn.Write(b)
	}
	n, err := p.Conn.Write(b[:last])
	if err != nil {
		return n, err
	}
	time.Sleep(50 * time.Millisecond)
	m, err := p.Conn.Write(b[last:])
	return n + m, err
}

func TestAdmin_SplitAnswerIsNotDelayed(t *testing.T) {
	t.Parallel()
	s := newScene(t, withModule, func(c *component.Config) {
		c.Dial = func(ctx context.Context, network, address string) (net.Conn, error) {
			nc, err := (&net.Dialer{}).DialContext(ctx, network, address)
			return parting{nc}, err
		}
	})
	for i := range 12 {
		must(s.cast.Open(s.ctx, s.srv.Room(fmt.Sprint(i, strings.Repeat("x", 900)))))(t)
	}
	eventually(t, 10*time.Second, "all rooms are known", func() bool {
		_, xml := page(t, s, "muc.meet.jitsi", "<max>0</max>")
		return strings.Contains(xml, "<count>12</count>")
	})
	for range 10 {
		asked := time.Now()
		s.ask(t, s.boss, fmt.Sprintf(discoItems, node("muc.meet.jitsi")))
		if took := time.Since(asked); took > 1500*time.Millisecond {
			t.Errorf("the list took %s", took)
		}
	}
}
