package prosody_test

import (
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"ppch/prosody/prosodytest"
)

// During a rename the replica always has the occupant: under the old nick until that leaves, then under the new one.
func TestModule_RenameStorm(t *testing.T) {
	t.Parallel()
	srv := start(t, prosodytest.Options{ModuleConstants: map[string]string{"tick": "0.001"}})
	cast := newCast(t, srv)
	room := srv.Room("renames")
	must(cast.Open(within(t), room))(t)
	ada := must(cast.User(within(t), room, "Ada"))(t)
	f := follow(t, srv).untilSynced()
	const renames = 3000
	var storm strings.Builder
	for i := range renames {
		fmt.Fprintf(&storm, "<presence to='%s/n%d'>%s</presence>", room, i, prosodytest.DisplayName("Ada"))
	}
	go func() { _ = ada.Send(storm.String()) }()
	for done := false; !done; _, done = f.replica.occupant(room, fmt.Sprintf("n%d", renames-1)) {
		if b := f.next(); len(b.Rooms) > 0 && f.replica.count() != 2 {
			t.Fatalf("at %v want focus and one person, got:\n%s", b.At, f.replica)
		}
	}
}

// mod_muc_breakout_rooms writes into the room's data without an event. The audit would take a minute.
func TestBreakoutRooms_CheckedOnEachHeartbeat(t *testing.T) {
	t.Parallel()
	srv := start(t, prosodytest.Options{})
	cast := newCast(t, srv)
	room := srv.Room("daily")
	must(cast.Open(within(t), room))(t)
	ada := must(cast.User(within(t), room, "Ada"))(t)
	f := follow(t, srv).untilSynced()
	set := func(breakouts string) {
		lua(t, srv, muc+`.get_room_from_jid("`+room+`")._data.breakout_rooms = `+breakouts+`; return "";`)
	}
	set(`{ ["b@breakout.meet.jitsi"] = "One" }`)
	check(t, ada.Update(within(t), prosodytest.DisplayName("Ada L."))) // any change of the room makes the module read them
	wantName := func(name string) {
		began := time.Now()
		f.until("the breakout room called "+name, func(r *replica) bool { return r.rooms[room].breakouts["b@breakout.meet.jitsi"] == name })
		if took := time.Since(began); took > 10*time.Second {
			t.Errorf("got %q after %s, want 10 s at most", name, took)
		}
	}
	wantName("One")
	set(`{ ["b@breakout.meet.jitsi"] = "Two" }`)
	wantName("Two")
	set("nil")
	wantName("")
}

// withBreakouts adds Jitsi's breakout rooms to the options.
func withBreakouts(o prosodytest.Options) prosodytest.Options {
	o.DomainMapper = true
	o.HostModules = map[string][]string{"meet.jitsi": {"prosodytest_breakout_rooms"}}
	if o.MUCModules == nil {
		// Like XMPP_MUC_MODULES, load the module on the meetings' domain only.
		o.HostModules["muc.meet.jitsi"] = []string{name}
	}
	o.HostConfig = map[string]string{"meet.jitsi": `main_muc = "muc.meet.jitsi"; breakout_rooms_muc = "breakout.meet.jitsi"`}
	return o
}

// Adding, renaming and removing a breakout room fires no event in Prosody. Only the request's message is visible.
func TestBreakoutRooms_ShowWithinASecond(t *testing.T) {
	t.Parallel()
	for how, c := range map[string]struct {
		o       prosodytest.Options
		address string
	}{
		"the module on the meetings' domain": {prosodytest.Options{}, "daily@muc.meet.jitsi"},
		"on every room domain":               {prosodytest.Options{MUCModules: []string{name}}, "daily@muc.meet.jitsi"},
		"globally, a tenant's room":          {prosodytest.Options{Modules: []string{"http", name}, MUCModules: []string{}}, "daily@muc.acme.meet.jitsi"},
	} {
		t.Run(how, func(t *testing.T) {
			t.Parallel()
			srv := start(t, withBreakouts(c.o))
			cast := newCast(t, srv)
			must(cast.Open(within(t), c.address))(t)
			ada := must(cast.User(within(t), c.address, "Ada"))(t)
			check(t, cast.Focus.SetRole(within(t), c.address, ada.Nick(), "moderator", ""))
			f := follow(t, srv).untilSynced()
			room := sortedKeys(f.replica.rooms)[0]
			f.quiet(2 * time.Second) // so that only the message triggers a check
			ask := func(attrs string) {
				check(t, ada.Send("<message to='breakout.meet.jitsi'><breakout_rooms type='features/breakout-rooms/"+attrs+"/></message>"))
			}
			shows := func(what string, want ...string) {
				t.Helper()
				began := time.Now()
				f.until(what, func(r *replica) bool {
					return slices.Equal(slices.Sorted(maps.Values(r.rooms[room].breakouts)), want)
				})
				if took := time.Since(began); took > time.Second {
					t.Errorf("%s: shown after %s", what, took)
				}
			}
			ask("add' subject='One'")
			shows("the first", "One")
			first := sortedKeys(f.replica.rooms[room].breakouts)[0]
			ask("add' subject='Two'")
			shows("the second", "One", "Two")
			ask("rename' subject='Group 1' breakoutRoomJid='" + first + "'")
			shows("the new name", "Group 1", "Two")
			ask("remove' breakoutRoomJid='" + first + "'")
			shows("the second alone", "Two")
		})
	}
}

// Anyone can send messages to the breakout domain. They cost a check of one room, and still reach their handler.
func TestBreakoutRooms_MessagesOfStrangersChangeNothing(t *testing.T) {
	t.Parallel()
	srv := start(t, withBreakouts(prosodytest.Options{}))
	cast := newCast(t, srv)
	room := srv.Room("daily")
	must(cast.Open(within(t), room))(t)
	ada := must(cast.User(within(t), room, "Ada"))(t)
	f := follow(t, srv).untilSynced()
	stranger := must(srv.Guest(within(t)))(t)
	for _, child := range []string{
		"<breakout_rooms type='features/breakout-rooms/add' subject='x'/>", "<breakout_rooms/>", "<x/><breakout_rooms/>", "<body>x</body>", "",
	} {
		for _, c := range []*prosodytest.Client{stranger, ada.Client} {
			check(t, c.Send(strings.Repeat("<message to='breakout.meet.jitsi'>"+child+"</message>", 50)))
			must(c.IQ(within(t), srv.Domains.Main, "get", discoInfo))(t)
		}
	}
	f.quiet(500 * time.Millisecond)
	f.matches(srv)
}

// plugin returns a folder with an empty plugin named like one of Jitsi's.
func plugin(t *testing.T, name string) string {
	t.Helper()
	dir := t.TempDir()
	check(t, os.WriteFile(filepath.Join(dir, "mod_"+name+".lua"), nil, 0o600))
	return dir
}

// Jicofo sends its conference's properties as soon as it has joined, and the number of visitors once there is one.
func TestVisitors_AreUnknownUntilFocusSaysSo(t *testing.T) {
	t.Parallel()
	for where, c := range map[string]struct {
		host, module string
		want         map[string]string // by the property
	}{
		"no visitors component": {"", "", map[string]string{"": "0", "0": "0", "12": "12", "-1": "", "x": "", "1e12": ""}},
		"a visitors component":  {"meet.jitsi", "visitors_component", map[string]string{"": "", "0": "0", "12": "12"}},
		"a visitor node":        {"muc.meet.jitsi", "fmuc", map[string]string{"": "", "0": "", "12": ""}},
	} {
		t.Run(where, func(t *testing.T) {
			t.Parallel()
			o := prosodytest.Options{MUCModules: []string{name}}
			if c.module != "" {
				o.PluginPaths, o.HostModules = []string{plugin(t, c.module)}, map[string][]string{c.host: {c.module}}
			}
			srv := start(t, o)
			cast := newCast(t, srv)
			room := srv.Room("alpha")
			focus := must(cast.Focus.Join(within(t), room, "focus"))(t)
			client := newComponent(t, srv, srv.Domains.Component)
			f := followAs(t, client, srv.Domains.MUC).untilSynced()
			if got, there := f.replica.rooms[room].facts["visitors"]; there {
				t.Errorf("before focus has said anything: got %q", got)
			}
			for _, value := range sortedKeys(c.want) {
				var properties []string
				if value != "" {
					properties = []string{"visitor-count", value}
				}
				check(t, focus.Update(within(t), prosodytest.ConferenceProperties(properties...)))
				// A later join shows that focus' presence was processed.
				ada := must(cast.User(within(t), room, "Ada"))(t)
				f.occupant(room, ada.Nick(), nil)
				if got := f.replica.fact(room, "visitors"); got != c.want[value] {
					t.Errorf("visitor-count %q: got %q, want %q", value, got, c.want[value])
				}
			}
			check(t, focus.Update(within(t), prosodytest.ConferenceProperties("visitor-count", "7")))
			check(t, focus.Update(within(t)))
			ada := must(cast.User(within(t), room, "Ada"))(t)
			f.occupant(room, ada.Nick(), nil)
			if got, there := f.replica.rooms[room].facts["visitors"]; there {
				t.Errorf("after focus has taken its properties back: got %q", got)
			}
			if got := f.subscribe().Visitors; (got == "here") != (c.module == "fmuc") {
				t.Errorf("subscribed: visitors %q", got)
			}
		})
	}
}
