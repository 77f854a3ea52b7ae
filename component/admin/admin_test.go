package admin_test

import (
	"fmt"
	"regexp"
	"strings"
	"testing"
	"unicode/utf8"

	"ppch/component/componenttest"
	"ppch/component/occupancy"
)

func items(node, set string) string {
	if set != "" {
		set = "<set xmlns='http://jabber.org/protocol/rsm'>" + set + "</set>"
	}
	return "<query xmlns='http://jabber.org/protocol/disco#items' node='" + node + "'>" + set + "</query>"
}

var nodes = regexp.MustCompile(` node="([^"]*)"`)

func TestPage_IsBounded(t *testing.T) {
	s := newStage(t)
	// Longer than any address, and escaping makes five or six bytes of each character.
	for i := range 300 {
		room := fmt.Sprintf("%04d", i) + strings.Repeat("&#39;", 200)
		s.rooms[room] = []occupancy.Occupant{{ID: strings.Repeat("'", 1000), Name: strings.Repeat("<&", 1000)}}
	}
	s.set(t)
	seen := make(map[string]bool)
	after := ""
	for range 100 {
		got := s.ask(t, "get", items("muc.meet.jitsi", "<max>200</max>"+after))
		if len(got) > 400<<10 {
			t.Fatalf("a page is %d bytes", len(got))
		}
		page := nodes.FindAllStringSubmatch(got, -1)[1:]
		if len(page) == 0 {
			break
		}
		for _, n := range page {
			seen[n[1]] = true
		}
		after = "<after>" + page[len(page)-1][1] + "</after>"
	}
	if len(seen) != 300 {
		t.Errorf("got %d rooms want all of them", len(seen))
	}
	// Backwards, the first items are left out.
	got := s.ask(t, "get", items("muc.meet.jitsi", "<max>200</max><before/>"))
	if !strings.Contains(got, ">0299") && !strings.Contains(got, `node="0299`) || len(got) > 400<<10 {
		t.Errorf("the last page is %d bytes and lacks the last room", len(got))
	}
}

func TestCommands_RepliesAreBounded(t *testing.T) {
	s := newStage(t)
	long := strings.Repeat("&", 900)
	for i := range 300 {
		s.rooms[fmt.Sprintf("%04d", i)+long] = nil
	}
	var crowd []occupancy.Occupant
	for i := range 5000 {
		crowd = append(crowd, occupancy.Occupant{ID: fmt.Sprint(i, strings.Repeat("<", 900)), Name: strings.Repeat("\"", 900), RealJID: strings.Repeat("'", 3000)})
	}
	s.rooms["crowd"] = crowd
	s.set(t)
	session := regexp.MustCompile(`sessionid="([^"]*)"`)
	command := func(node, attributes, fields string) string {
		return s.ask(t, "set", "<command xmlns='http://jabber.org/protocol/commands' node='"+node+"'"+attributes+"><x xmlns='jabber:x:data' type='submit'>"+fields+"</x></command>")
	}
	for name, fields := range map[string]string{
		"rooms": "<field var='domain'><value>*</value></field>",
		"room":  "<field var='text'><value>0</value></field>",
		"watch": "<field var='text'><value></value></field>",
	} {
		sid := session.FindStringSubmatch(command(name, "", ""))[1]
		got := command(name, " sessionid='"+sid+"'", fields)
		if len(got) > 400<<10 || !strings.Contains(got, "300 rooms") && !strings.Contains(got, "301 rooms") {
			t.Errorf("%s: got %d bytes %.200s", name, len(got), got)
		}
	}
	sid := session.FindStringSubmatch(command("room", "", ""))[1]
	command("room", " sessionid='"+sid+"'", "<field var='text'><value>crowd</value></field>")
	got := command("room", " sessionid='"+sid+"'", "<field var='room'><value>crowd@muc.meet.jitsi</value></field>")
	if len(got) > 400<<10 || !strings.Contains(got, "5000 occupants; these are the first 100") {
		t.Errorf("got %d bytes %.300s", len(got), got)
	}
	for _, body := range []string{"rooms", "room crowd", "help", "status"} {
		if got := s.send(t, chat(boss, body)); len(got) > 100<<10 {
			t.Errorf("%s: got %d bytes", body, len(got))
		}
	}
}

func TestShow_KeepsNamesOnTheirLine(t *testing.T) {
	s := newStage(t)
	s.rooms["a%0ab"] = []occupancy.Occupant{
		{ID: "1", Name: "Eve\nAda, for 2h\u2028\u202egnp.exe\u200b\x01"}, {ID: "2", Name: " \t\u202e "}, {ID: "3\n", Name: strings.Repeat("é", 200)},
	}
	s.set(t)
	got := s.send(t, chat(boss, "room a%0ab@muc.meet.jitsi"))
	if strings.Contains(got, "can") {
		got = s.send(t, chat(boss, "rooms"))
	}
	body := regexp.MustCompile(`(?s)<body>(.*)</body>`).FindStringSubmatch(got)[1]
	componenttest.HasNo(t, body, "\u202e", "\u2028", "\u200b", "\x01", "\nAda")
	if !utf8.ValidString(body) {
		t.Errorf("got %q", body)
	}
	info := s.ask(t, "get", items("a%0ab@muc.meet.jitsi", ""))
	componenttest.Has(t, info, "Eve Ada, for 2h gnp.exe — person", "2 — person", strings.Repeat("é", 64)+"… — person")
}

func TestShow_NamesTheOperatorsRule(t *testing.T) {
	s := newStage(t)
	s.directory.NotCounted = []occupancy.Rule{{Name: "bots", Pattern: "*@bots.example.com"}}
	s.rooms["planning"] = []occupancy.Occupant{{ID: "1", Name: "Minutes", RealJID: "m@bots.example.com/x"}, {ID: "2", Name: "Ada", RealJID: "a@meet.jitsi/x"}}
	s.set(t)
	if got := s.send(t, chat(boss, "room planning")); !strings.Contains(got, "planning — 1 person") || !strings.Contains(got, "Minutes (hidden by rule bots)") {
		t.Errorf("got %s", got)
	}
	if got := s.ask(t, "get", items("planning@muc.meet.jitsi", "")); !strings.Contains(got, "Minutes — hidden by rule bots") {
		t.Errorf("got %s", got)
	}
}

func TestHandler_UnknownIsNoNumber(t *testing.T) {
	s := newStage(t)
	s.set(t, "planning")
	info := func(node string) string {
		return s.ask(t, "get", "<query xmlns='http://jabber.org/protocol/disco#info' node='"+node+"'/>")
	}
	if got := info("muc.meet.jitsi"); !strings.Contains(got, `var="rooms"`) {
		t.Errorf("got %s want the number of rooms", got)
	}
	if got := info("lobby.meet.jitsi"); strings.Contains(got, `var="rooms"`) || !strings.Contains(got, "load the Lua module") {
		t.Errorf("got %s want no number and the remedy", got)
	}
	if got := info(""); !strings.Contains(got, `var="participants"`) {
		t.Errorf("got %s want the people in meetings, without the lobby", got)
	}
	if got := info("x@lobby.meet.jitsi"); !strings.Contains(got, "recipient-unavailable") || !strings.Contains(got, "module-missing") {
		t.Errorf("got %s want an error with the remedy", got)
	}
	s.directory.Shard(occupancy.DefaultShard).Forget(muc)
	if got := s.send(t, chat(boss, "rooms")); strings.Contains(got, "0 rooms") || strings.Contains(got, "0 people") {
		t.Errorf("got %s for unavailable rooms", got)
	}
	for _, node := range []string{"", "muc.meet.jitsi"} {
		if got := info(node); strings.Contains(got, `var="rooms"`) || strings.Contains(got, `var="participants"`) || !strings.Contains(got, "Problem") {
			t.Errorf("%s: got %s for unavailable rooms", node, got)
		}
	}
}
