package component_test

import (
	"fmt"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"ppch/component/componenttest"
	"ppch/prosody/prosodytest"
)

var sessionPattern = regexp.MustCompile(`sessionid='([^']*)'`)

// step continues a command, or begins it with an empty session.
func (s *scene) step(t *testing.T, node, session, action string, fields ...string) (answer, sid string) {
	t.Helper()
	x := "set <command xmlns='http://jabber.org/protocol/commands' node='" + node + "'"
	if session != "" {
		x += " sessionid='" + session + "'"
	}
	if action != "" {
		x += " action='" + action + "'"
	}
	x += "><x xmlns='jabber:x:data' type='submit'>"
	for i := 0; i+1 < len(fields); i += 2 {
		x += "<field var='" + fields[i] + "'><value>" + prosodytest.Escape(fields[i+1]) + "</value></field>"
	}
	answer = s.ask(t, s.boss, x+"</x></command>")
	if m := sessionPattern.FindStringSubmatch(answer); m != nil {
		sid = m[1]
	}
	return answer, sid
}

func TestAdmin_RunsEachCommand(t *testing.T) {
	t.Parallel()
	s := newScene(t, withModule)
	s.populate(t)

	answer, sid := s.step(t, "rooms", "", "")
	has(t, "list rooms", answer, "status='executing'", "<complete/>", "type='form'", "var='domain'", "muc.meet.jitsi", "var='text'", "var='people'")
	answer, _ = s.step(t, "rooms", sid, "complete", "domain", "*")
	has(t, "all rooms", answer, "3 rooms", "<reported>", "мир", "acme/stand up", "<value>1<", "planning", "<value>2<", "planning@muc.meet.jitsi")
	for filter, want := range map[string][]string{
		"text=PLAN":                             {"1 room<", "planning"},
		"text=Мир":                              {"1 room<", "мир"},
		"tenant=acme":                           {"1 room<", "acme/stand up"},
		"people=2":                              {"1 room<", "planning"},
		"people=3":                              {"0 rooms<"},
		"domain=lobby.meet.jitsi":               {"0 rooms<"},
		"after=[acme]stand%20up@muc.meet.jitsi": {"3 rooms", "planning"},
		"people=many":                           {"bad-request", "isn't a number", "bad-payload"},
		"domain=auth.meet.jitsi":                {"bad-request", "isn't watched", "bad-payload"},
	} {
		_, sid := s.step(t, "rooms", "", "")
		field, value, _ := strings.Cut(filter, "=")
		answer, _ := s.step(t, "rooms", sid, "complete", field, value)
		has(t, filter, strings.ReplaceAll(answer, "&apos;", "'"), want...)
	}

	_, sid = s.step(t, "room", "", "")
	answer, _ = s.step(t, "room", sid, "next", "text", "plan")
	has(t, "which room", answer, "status='executing'", "<prev/>", "<complete/>", "list-single", "planning — 2 people", "planning@muc.meet.jitsi")
	answer, _ = s.step(t, "room", sid, "prev")
	has(t, "back", answer, "status='executing'", "<next/>", "var='text'")
	s.step(t, "room", sid, "next", "text", "planning")
	answer, _ = s.step(t, "room", sid, "complete", "room", "planning@muc.meet.jitsi")
	has(t, "who is in a room", answer, "status='completed'", "var='participants'", "<value>2<", "<reported>", "Ada &lt;&amp;&apos;&quot;&gt;", "Grace", "focus")
	answer, _ = s.step(t, "room", sid, "complete", "room", "planning@muc.meet.jitsi")
	has(t, "a replay", answer, "bad-request", "bad-sessionid")

	answer, _ = s.step(t, "statistics", "", "")
	has(t, "statistics", answer, "completed", "muc.meet.jitsi", "<value>3<", "<value>4<", "focus 3, recorder 1, user 4", "lobby.meet.jitsi")
	answer, _ = s.step(t, "domains", "", "")
	has(t, "domains", answer, "completed", "connected to", "muc.meet.jitsi", "<value>ok<", "<value>module<", "breakout.meet.jitsi", "lobby.meet.jitsi")
	answer, _ = s.step(t, "diagnostics", "", "")
	has(t, "diagnostics", answer, "completed", "component ppch.meet.jitsi", "<value>up<", "MUC domain muc.meet.jitsi", "version 2.", "epoch ", "batch ", "lag ", "heartbeat", "admin boss@auth.meet.jitsi", "<value>ok<", "PPCH 2.0.0-test")

	_, sid = s.step(t, "rooms", "", "")
	answer, _ = s.step(t, "rooms", sid, "cancel")
	has(t, "a canceled command", answer, "status='canceled'")
}

func TestAdmin_CommandSessionIsOfItsOwner(t *testing.T) {
	t.Parallel()
	s := newScene(t, withModule, adminIs(clerkJID))
	eventually(t, 10*time.Second, "both are verified", func() bool { return s.c.Diagnostics().Admins[1].Local })
	_, sid := s.step(t, "rooms", "", "")
	thief := &scene{ctx: s.ctx, srv: s.srv, boss: s.login(t, clerkJID+"/desk")}
	for _, action := range []string{"complete", "cancel", "prev", "execute"} {
		answer, _ := thief.step(t, "rooms", sid, action, "domain", "*")
		has(t, action, answer, "bad-request", "bad-sessionid")
	}
	answer, _ := s.step(t, "rooms", sid, "complete", "domain", "*")
	has(t, "the owner", answer, "completed")
}

func TestAdmin_TenThousandOpenCommands(t *testing.T) {
	t.Parallel()
	s := newScene(t, withModule)
	ids := make(map[string]bool)
	const total, batch = 10_000, 50
	for range total / batch {
		for i := range batch {
			if err := s.boss.Send(fmt.Sprintf("<iq type='set' id='open%d' to='%s'><command xmlns='http://jabber.org/protocol/commands' node='rooms'/></iq>", i, s.srv.Domains.Component)); err != nil {
				t.Fatal(err)
			}
		}
		for range batch {
			st := must(s.boss.Expect(s.ctx, func(st prosodytest.Stanza) bool { return strings.HasPrefix(st.ID, "open") }))(t)
			m := sessionPattern.FindStringSubmatch(st.XML)
			if m == nil || ids[m[1]] {
				t.Fatalf("got %s want a new session", st.XML)
			}
			ids[m[1]] = true
		}
	}
	_, sid := s.step(t, "rooms", "", "")
	answer, _ := s.step(t, "rooms", sid, "complete", "domain", "*")
	has(t, "the last session", answer, "completed")
}

func TestAdmin_ResyncOnceAMinute(t *testing.T) {
	t.Parallel()
	s := newScene(t, withModule)
	s.populate(t)
	resync := func(domain string) string {
		_, sid := s.step(t, "resync", "", "")
		answer, _ := s.step(t, "resync", sid, "complete", "domain", domain)
		return answer
	}
	before := s.c.Diagnostics().Domains[0]
	has(t, "a resync", resync("muc.meet.jitsi"), "completed", "resyncing ")
	eventually(t, 10*time.Second, "the resync is complete", func() bool {
		d := s.c.Diagnostics().Domains[0]
		// Present data stays available meanwhile.
		if r, err := s.c.Room(s.ctx, room("planning")); err != nil || r.Participants != 2 {
			t.Fatalf("got %+v, %v meanwhile", r, err)
		}
		return d.Sync != nil && d.Sync.Epoch != before.Sync.Epoch && d.AsOf.After(before.AsOf)
	})
	for range 20 {
		has(t, "another resync", resync("muc.meet.jitsi"), "completed", "type='warn'", "recently")
	}
	has(t, "another domain", resync("lobby.meet.jitsi"), "resyncing ")
	has(t, "a domain that isn't watched", resync("auth.meet.jitsi"), "bad-request", "use muc.meet.jitsi, breakout.meet.jitsi, lobby.meet.jitsi", "bad-payload")
	has(t, "no domain means the main one", resync(""), "completed", "muc.meet.jitsi")
	_, sid := s.step(t, "resync", "", "")
	answer := s.ask(t, s.boss, "set <command xmlns='http://jabber.org/protocol/commands' node='resync' sessionid='"+sid+"' action='complete'/>")
	has(t, "no form means the main one", answer, "completed", "muc.meet.jitsi")
	if n := s.c.Diagnostics().Domains[0].Resyncs; n != before.Resyncs+1 {
		t.Errorf("got %d resyncs want one", n-before.Resyncs)
	}
}

func TestAdmin_WithoutTheModule(t *testing.T) {
	t.Parallel()
	for name, o := range map[string]prosodytest.Options{
		"rooms are hidden": {HideRooms: true}, "rooms are open": {},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := newScene(t, o)
			must(s.cast.Open(s.ctx, s.srv.Room("planning")))(t)
			has(t, "the component", s.ask(t, s.boss, fmt.Sprintf(discoInfo, "")), "var='version'")
			for _, q := range []string{fmt.Sprintf(discoInfo, ""), fmt.Sprintf(discoInfo, node("muc.meet.jitsi"))} {
				if xml := s.ask(t, s.boss, q); strings.Contains(xml, "var='rooms'") || strings.Contains(xml, "var='participants'") {
					t.Errorf("%s: got a number in %s", q, xml)
				}
			}
			has(t, "the domains", s.ask(t, s.boss, fmt.Sprintf(discoItems, "")), "muc.meet.jitsi — without the module")
			answer, _ := s.step(t, "statistics", "", "")
			has(t, "statistics", answer, "type='warn'", "load the Lua module")
			answer, sid := s.step(t, "room", "", "")
			has(t, "a room", answer, "executing")
			s.step(t, "room", sid, "next", "text", "planning")
			answer, _ = s.step(t, "room", sid, "complete", "room", "planning@muc.meet.jitsi")
			if o.HideRooms {
				has(t, "a hidden room", answer, "type='warn'", "module-missing")
			} else {
				has(t, "an open room", answer, "type='warn'", "includes focus and recorders", "var='participants'", "<value>1<", "var='exact'", "<value>false<")
			}
		})
	}
}

// chatWith sends a message and returns the text of the answer.
func (s *scene) chatWith(t *testing.T, body string) string {
	t.Helper()
	if err := s.boss.Send("<message type='chat' id='c' to='" + s.srv.Domains.Component + "'><body>" + prosodytest.Escape(body) + "</body><thread>t1</thread></message>"); err != nil {
		t.Fatal(err)
	}
	st := must(s.boss.Expect(s.ctx, func(st prosodytest.Stanza) bool { return st.Name == "message" && st.Has("<thread>t1<") }))(t)
	return textOf(t, st)
}

func textOf(t *testing.T, st prosodytest.Stanza) string {
	t.Helper()
	var m struct {
		Body string `xml:"body"`
	}
	check(t, st.Decode(&m))
	return m.Body
}

func TestAdmin_Chat(t *testing.T) {
	t.Parallel()
	s := newScene(t, withModule)
	s.populate(t)
	for _, tt := range []struct {
		send string
		want []string
	}{
		{"help", []string{"rooms", "room NAME", "watch", "status"}},
		{"  ROOMS ", []string{"3 rooms", "мир — 1 person", "acme/stand up — 1 person", "planning — 2 people"}},
		{"rooms plan", []string{"1 room\n", "planning — 2 people"}},
		{"rooms zzz", []string{`no open room has "zzz" in its name`}},
		{"room Planning", []string{"planning — 2 people, as of 20", "Ada <&'\">", "Grace", "focus (focus)"}},
		{"room acme/Stand up", []string{"acme/stand up — 1 person"}},
		{"room nowhere else", []string{"there is no room nowhere else now"}},
		{"room ", []string{"which room? Send room NAME"}},
		{"room x@elsewhere.example", []string{"isn't watched"}},
		{"status", []string{"PPCH 2.0.0-test, connected to", "muc.meet.jitsi: ok, 3 rooms, 4 people"}},
		{"watch", []string{"which room?"}},
		{"unwatch", []string{"don't watch"}},
		{"dance <b>", []string{`unknown command "dance"; known are help, rooms, room, watch, unwatch and status`}},
		{"room " + strings.Repeat("x", 3000), []string{"can't be longer"}},
	} {
		has(t, tt.send, s.chatWith(t, tt.send), tt.want...)
	}
	for _, silent := range []string{
		"<message type='chat' to='{to}'><composing xmlns='http://jabber.org/protocol/chatstates'/></message>",
		"<message type='chat' to='{to}'><body> </body></message>",
		"<message type='groupchat' to='{to}'><body>help</body></message>",
		"<message type='headline' to='{to}'><body>help</body></message>",
		"<message type='error' to='{to}'><body>help</body></message>",
	} {
		check(t, s.boss.Send(componenttest.Fill(silent, s.srv.Domains.Component, "")))
	}
	has(t, "after what gets no answer", s.chatWith(t, "help"), "Commands:")
	if st, ok := s.boss.Received(func(st prosodytest.Stanza) bool { return st.Name == "message" }); ok {
		t.Errorf("got %s want silence", st.XML)
	}
}

func TestAdmin_WatchEndsWithTheClient(t *testing.T) {
	t.Parallel()
	planning := "planning@muc.meet.jitsi"
	for name, tt := range map[string]struct {
		begin func(*testing.T, *scene)
		end   func(*testing.T, *scene)
		all   bool
	}{
		"directed presence": {
			func(t *testing.T, s *scene) { s.boss.Send("<presence to='ppch.meet.jitsi'/>") },
			func(t *testing.T, s *scene) { s.boss.Send("<presence type='unavailable' to='ppch.meet.jitsi'/>") }, true,
		},
		"directed presence to a room's name": {
			func(t *testing.T, s *scene) { s.boss.Send("<presence to='planning@ppch.meet.jitsi'/>") },
			func(t *testing.T, s *scene) {
				s.boss.Send("<presence type='unavailable' to='planning@ppch.meet.jitsi'/>")
			}, false,
		},
		"chat": {
			func(t *testing.T, s *scene) {
				s.boss.Send("<message to='ppch.meet.jitsi'><body>watch Planning</body></message>")
			},
			func(t *testing.T, s *scene) {
				s.boss.Send("<message to='ppch.meet.jitsi'><body>unwatch planning</body></message>")
			}, false,
		},
		"a command": {
			func(t *testing.T, s *scene) {
				_, sid := s.step(t, "watch", "", "")
				s.step(t, "watch", sid, "next", "text", "planning")
				answer, _ := s.step(t, "watch", sid, "complete", "room", planning)
				has(t, "watch", answer, "completed", "watching planning")
			},
			func(t *testing.T, s *scene) {
				answer, _ := s.step(t, "unwatch", "", "")
				has(t, "unwatch", answer, "stopped watching")
			}, false,
		},
		"an error that comes back": {
			func(t *testing.T, s *scene) {
				s.boss.Send("<message to='ppch.meet.jitsi'><body>watch all</body></message>")
			},
			func(t *testing.T, s *scene) {
				s.boss.Send("<message type='error' to='ppch.meet.jitsi'><error/></message>")
			}, true,
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := newScene(t, withModule)
			must(s.cast.Open(s.ctx, planning))(t)
			must(s.cast.Open(s.ctx, s.srv.Room("other")))(t)
			tt.begin(t, s)
			has(t, "the beginning of it", s.chatWith(t, "help"), "watch")
			s.boss.Forget()

			report := func() string {
				st, err := s.boss.Expect(s.ctx, func(st prosodytest.Stanza) bool { return st.Name == "message" })
				return textOf(t, must(st, err)(t))
			}
			other := must(s.cast.User(s.ctx, s.srv.Room("other"), "Olga"))(t)
			if tt.all {
				has(t, "a join of another room", report(), "Olga joined other — 1 person")
			}
			ada := must(s.cast.User(s.ctx, planning, "Ada\n\u202eevil"))(t)
			has(t, "a join", report(), "Ada evil joined planning — 1 person")
			check(t, ada.Leave(s.ctx))
			has(t, "a leave", report(), "Ada evil left planning — 0 people")

			tt.end(t, s)
			s.chatWith(t, "help")
			s.boss.Forget()
			check(t, other.Leave(s.ctx))
			must(s.cast.User(s.ctx, planning, "Grace"))(t)
			time.Sleep(1500 * time.Millisecond)
			if st, ok := s.boss.Received(func(st prosodytest.Stanza) bool { return st.Name == "message" }); ok {
				t.Errorf("got %s want no more reports", st.XML)
			}
		})
	}
}

func TestAdmin_WatchEndsOffline(t *testing.T) {
	t.Parallel()
	s := newScene(t, withModule)
	planning := s.srv.Room("planning")
	must(s.cast.Open(s.ctx, planning))(t)
	phone := s.login(t, bossJID+"/phone")
	phone.Send("<presence to='ppch.meet.jitsi'/>")
	must(phone.Expect(s.ctx, func(st prosodytest.Stanza) bool { return st.Has("watching") }))(t)
	s.boss.Send("<presence/>") // so that Prosody would deliver messages for the phone to the desk
	phone.Close()
	diagnostics := func() string {
		answer, _ := s.step(t, "diagnostics", "", "")
		return answer
	}
	eventually(t, 10*time.Second, "there are no watchers", func() bool { return strings.Contains(diagnostics(), "0 watchers") })
	must(s.cast.User(s.ctx, planning, "Ada"))(t)
	time.Sleep(1500 * time.Millisecond)
	if st, ok := s.boss.Received(func(st prosodytest.Stanza) bool { return st.Name == "message" }); ok {
		t.Errorf("the other client got %s", st.XML)
	}
}

func TestAdmin_HostileStanzas(t *testing.T) {
	t.Parallel()
	s := newScene(t, withModule)
	s.populate(t)
	up := s.c.Main().Since
	for i, tt := range slices.Concat(componenttest.Hostile, componenttest.HostileByAdmin) {
		id := fmt.Sprintf("hostile-%d", i)
		// The parser of Prosody 13 (expat since 2.6) parses a tag that came in two reads again only after twice as many bytes.
		padding := strings.Repeat(" ", len(tt.XML))
		if err := s.boss.Send(componenttest.Fill(tt.XML, s.srv.Domains.Component, id) + padding); err != nil {
			t.Fatalf("%s: %v", tt.Name, err)
		}
		if strings.Contains(tt.XML, "<iq type='get'") || strings.Contains(tt.XML, "<iq type='set'") {
			got, err := s.boss.Expect(timeout(t, 40*time.Second), func(st prosodytest.Stanza) bool { return strings.HasSuffix(st.ID, id) })
			if err != nil {
				t.Fatalf("%s: %v; the admin's stream: %v", tt.Name, err, s.boss.Err())
			}
			if tt.Condition != "" && !strings.Contains(got.XML, tt.Condition) {
				t.Errorf("%s: got %s want %s", tt.Name, got.XML, tt.Condition)
			}
		}
		has(t, tt.Name, s.ask(t, s.boss, "get <ping xmlns='urn:xmpp:ping'/>"), "type='result'")
		if !s.c.Main().Since.Equal(up) {
			t.Fatalf("%s: the stream was lost", tt.Name)
		}
	}
	if s.srv.LogContains("Error processing component stream") {
		t.Error("Prosody logs an error about our stanzas")
	}
}
