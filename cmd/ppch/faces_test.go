package main

import (
	"context"
	"encoding/json"
	"fmt"
	"maps"
	"net/http"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"ppch/prosody/prosodytest"
)

// twoJitsis is a Prosody with the MUC domains of two Jitsis.
var twoJitsis = prosodytest.Options{
	Module: true, HideRooms: true, DomainMapper: true, Accounts: map[string]string{"boss@auth.meet.jitsi": "secret"},
	GlobalConfig: `Component "conference.b.example" "muc" { modules_enabled = { "room_participants_api" }; room_participants_components = { "ppch.meet.jitsi" } }`,
}

// opened are rooms by the JIDs that focus and clients join.
var opened = []string{
	"planning@muc.meet.jitsi", "my%20room@muc.meet.jitsi", "%d0%bf%d1%80%d0%b8%d0%b2%d0%b5%d1%82@muc.meet.jitsi", "%f0%9f%8e%89@muc.meet.jitsi",
	"c@muc.meet.jitsi", "c%2b%2b@muc.meet.jitsi", "a%2fb@muc.meet.jitsi", "b@muc.a.meet.jitsi", "q%26a@muc.meet.jitsi", "qa@muc.meet.jitsi", "a%3eb@muc.meet.jitsi",
	"standup%20%5bteam%20a%5d@muc.meet.jitsi", "standup%20team%20a@muc.meet.jitsi", "100%25%20sure@muc.meet.jitsi", "%2541@muc.meet.jitsi", "a!(b)*@muc.meet.jitsi",
	"%e2%80%aegnp.exe@muc.meet.jitsi", "plan%e2%80%8dning@muc.meet.jitsi", "h%cc%b1@muc.meet.jitsi", "%20a%20%20b@muc.meet.jitsi", "all@muc.meet.jitsi", "-x@muc.meet.jitsi",
	"daily@muc.täst.meet.jitsi", "c%2b%2b@muc.täst.meet.jitsi", "daily@muc.会议.meet.jitsi", "daily@muc.te+nant.meet.jitsi", "daily@muc.acme.meet.jitsi",
	"привет@muc.meet.jitsi", "a+b@muc.meet.jitsi", "ab@muc.meet.jitsi", "daily@conference.b.example", "my%20room@conference.b.example",
	"[acme]daily@conference.b.example", "[täst]%d0%bf@conference.b.example", "7d1f@breakout.meet.jitsi", "a%2fb@breakout.meet.jitsi",
}

// Rooms with difficult names, on a real Prosody with two Jitsis. The API, batches, event streams, terminal, chat and forms find
// each by its name, its JID and all other forms that they show.
func TestNames_ListedNamesFindTheirRooms(t *testing.T) {
	t.Parallel()
	srv := prosodytest.New(t, twoJitsis)
	ctx, cancel := context.WithTimeout(t.Context(), 2*time.Minute)
	defer cancel()
	cast := castOn(t, srv)
	for _, room := range opened {
		must(cast.Open(ctx, room))(t)
	}
	env := envFor(srv)
	env["MUC_DOMAIN"] += ",conference.b.example"
	env["PPCH_ADMIN_JIDS"] = "boss@auth.meet.jitsi"
	s := runService(t, env).ready()
	var listed []struct {
		Name string `json:"room_name"`
		JID  string `json:"room_jid"`
	}
	eventually(t, 20*time.Second, "all rooms are listed", func() bool {
		var l struct{ Rooms json.RawMessage }
		return json.Unmarshal([]byte(s.get("/api/rooms?type=all&limit=1000", "X-API-Key", testKey).body), &l) == nil &&
			json.Unmarshal(l.Rooms, &listed) == nil && len(listed) == len(opened)
	})
	f := faces{t: t, s: s, terminal: asks(t, s), admin: must(srv.Login(ctx, "boss@auth.meet.jitsi/desk"))(t), to: srv.Domains.Component}
	defer f.admin.Close()
	eventually(t, 20*time.Second, "the admin is answered", func() bool { return f.chat("status") != "" })

	rows := f.rows("rooms", "--type", "all")
	lines := map[string]string{} // what chat shows, by the JID in the same row of the form
	for _, r := range f.form() {
		lines[r[1]] = r[0]
	}
	byName := map[string]string{}
	for _, r := range listed {
		byName[r.Name] = r.JID
	}
	shown := f.dashboard(slices.Sorted(maps.Keys(byName))...)
	var atTerminal []string
	for _, r := range listed {
		for _, name := range []string{r.Name, r.JID, shown[r.Name], lines[r.JID]} {
			f.api(name, r.JID)
			f.stream(name, r.JID)
			f.atTerminal(name, r.JID)
			f.inChat(name, lines[r.JID])
		}
		atTerminal = append(atTerminal, r.JID)
	}
	slices.Sort(atTerminal)
	var found []string
	for _, row := range rows {
		found = append(found, f.addressOf(row))
	}
	slices.Sort(found)
	if !slices.Equal(found, atTerminal) {
		t.Errorf("what ppch rooms shows leads to\n%q want\n%q", found, atTerminal)
	}
	f.batch(byName)
}

// faces are all interfaces that take a room's name.
type faces struct {
	t        *testing.T
	s        *service
	terminal variables
	admin    *prosodytest.Client
	to       string
}

func (f faces) api(name, want string) {
	f.t.Helper()
	for _, path := range []string{"/participants", ""} {
		got := f.s.get("/api/rooms/"+url.PathEscape(name)+path, "X-API-Key", testKey)
		if got.status != http.StatusOK || got.data["room_jid"] != want {
			f.t.Errorf("%q got %d and %v want %s", name, got.status, got.data["room_jid"], want)
		}
	}
}

func (f faces) batch(byName map[string]string) {
	f.t.Helper()
	query := url.Values{"name": slices.Sorted(maps.Keys(byName))}
	var l struct {
		Rooms []struct {
			Name string `json:"room_name"`
			JID  string `json:"room_jid"`
		}
	}
	got := f.s.get("/api/rooms?"+query.Encode(), "X-API-Key", testKey)
	if err := json.Unmarshal([]byte(got.body), &l); err != nil || len(l.Rooms) != len(byName) {
		f.t.Errorf("got %d rooms, %v want %d", len(l.Rooms), err, len(byName))
	}
	for _, r := range l.Rooms {
		if byName[r.Name] != r.JID {
			f.t.Errorf("in a batch %q got %s want %s", r.Name, r.JID, byName[r.Name])
		}
	}
}

func (f faces) stream(name, want string) {
	f.t.Helper()
	st := f.s.stream("/api/rooms/" + url.PathEscape(name) + "/events?snapshot=true")
	defer st.Leave()
	if e := st.Until("snapshot"); !strings.Contains(fmt.Sprint(e.Data["rooms"]), "room_jid:"+want+" ") {
		f.t.Errorf("%q got the snapshot %v want %s", name, e.Data, want)
	}
}

// addressOf returns the JID of a room from the terminal.
func (f faces) addressOf(name string) string {
	f.t.Helper()
	out, err := command(f.t, f.terminal, "room", "--json", name)
	var r struct {
		JID string `json:"room_jid"`
	}
	if e := json.Unmarshal([]byte(out), &r); err != nil || e != nil {
		f.t.Errorf("ppch room %q got %s, %v", name, out, err)
	}
	return r.JID
}

func (f faces) atTerminal(name, want string) {
	f.t.Helper()
	if strings.HasPrefix(name, "-") {
		name = "/" + name // as it is shown there
	}
	if got := f.addressOf(name); got != want {
		f.t.Errorf("ppch room %q got %s want %s", name, got, want)
	}
}

// rows returns the names in a table.
func (f faces) rows(args ...string) (names []string) {
	f.t.Helper()
	out := must(command(f.t, f.terminal, args...))(f.t)
	lines := strings.Split(strings.TrimSpace(out), "\n")
	for _, line := range lines[1 : len(lines)-1] {
		_, after, _ := strings.Cut(strings.TrimSpace(line), "  ") // the number of people
		name, _, _ := strings.Cut(after, "  ")
		names = append(names, name)
	}
	return names
}

// chat sends a message to the component and returns the reply, or nothing.
func (f faces) chat(body string) string {
	f.t.Helper()
	check(f.t, f.admin.Send("<message type='chat' to='"+f.to+"'><body>"+prosodytest.Escape(body)+"</body></message>"))
	ctx, cancel := context.WithTimeout(f.t.Context(), 5*time.Second)
	defer cancel()
	answer, err := f.admin.Expect(ctx, func(st prosodytest.Stanza) bool { return st.Name == "message" && st.Type == "chat" })
	if err != nil {
		return ""
	}
	var m struct {
		Body string `xml:"body"`
	}
	check(f.t, answer.Decode(&m))
	return m.Body
}

func (f faces) inChat(name, want string) {
	f.t.Helper()
	if got := f.chat("room " + name); name != "all" && !strings.HasPrefix(got, want+" — 0 people") {
		f.t.Errorf("in chat %q got %q want %s", name, got, want)
	}
	if name == "all" {
		return // means all rooms; the room is shown as /all
	}
	if got := f.chat("watch " + name); !strings.HasPrefix(got, "watching "+want+",") && !strings.HasPrefix(got, "already watching "+want) {
		f.t.Errorf("in chat, to watch %q got %q want %s", name, got, want)
	}
	f.chat("unwatch")
}

var (
	session = regexp.MustCompile(`sessionid=['"]([^'"]*)['"]`)
	item    = regexp.MustCompile(`(?s)<item>(.*?)</item>`)
	value   = regexp.MustCompile(`(?s)var=['"](name|jid)['"][^>]*><value>(.*?)</value>`)
)

// form returns name and JID of each room that the form of all rooms lists.
func (f faces) form() (rows [][2]string) {
	f.t.Helper()
	run := func(attributes, inner string) string {
		answer, err := f.admin.IQ(f.t.Context(), f.to, "set", "<command xmlns='http://jabber.org/protocol/commands' node='rooms'"+attributes+">"+inner+"</command>")
		check(f.t, err)
		return answer.XML
	}
	sid := session.FindStringSubmatch(run("", ""))[1]
	got := run(" sessionid='"+sid+"'", "<x xmlns='jabber:x:data' type='submit'><field var='domain'><value>*</value></field></x>")
	unescape := strings.NewReplacer("&lt;", "<", "&gt;", ">", "&#34;", `"`, "&#39;", "'", "&apos;", "'", "&quot;", `"`, "&amp;", "&")
	for _, row := range item.FindAllStringSubmatch(got, -1) {
		of := map[string]string{}
		for _, v := range value.FindAllStringSubmatch(row[1], -1) {
			of[v[1]] = unescape.Replace(v[2])
		}
		rows = append(rows, [2]string{of["name"], of["jid"]})
	}
	if len(rows) != len(opened) {
		f.t.Errorf("the form of all rooms got %d want %d: %s", len(rows), len(opened), got)
	}
	return rows
}

// dashboard returns what the dashboard shows for names of rooms.
func (f faces) dashboard(names ...string) map[string]string {
	f.t.Helper()
	dir := f.t.TempDir()
	check(f.t, os.CopyFS(dir, os.DirFS("../../api/web/dashboard")))
	script := `import {roomTitle} from "./format.js"; import {readFileSync, writeSync} from "node:fs";
		writeSync(1, JSON.stringify(Object.fromEntries(JSON.parse(readFileSync(0, "utf8")).map(name => [name, roomTitle(name).written]))));`
	for name, text := range map[string]string{"package.json": `{"type": "module"}`, "ask-titles.js": script} {
		check(f.t, os.WriteFile(filepath.Join(dir, name), []byte(text), 0o600))
	}
	cmd := exec.Command(prosodytest.Installed(f.t, "node"), filepath.Join(dir, "ask-titles.js"))
	in := must(json.Marshal(names))(f.t)
	cmd.Stdin, cmd.Stderr = strings.NewReader(string(in)), f.t.Output()
	var shown map[string]string
	check(f.t, json.Unmarshal(must(cmd.Output())(f.t), &shown))
	return shown
}
