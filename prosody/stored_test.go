package prosody_test

import (
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"ppch/prosody/prosodytest"
)

// onDisk keeps rooms in files, which outlive Prosody; Jitsi keeps them in memory, which outlives mod_muc.
const onDisk = "storage = \"internal\"\n"

// persistent creates rooms that stay when empty, like a meeting with breakout rooms.
func persistent(t *testing.T, srv *prosodytest.Server, names ...string) {
	t.Helper()
	for _, name := range names {
		lua(t, srv, `local room = `+muc+`.create_room("`+srv.Room(name)+`"); room:set_subject("", "About `+name+`"); room:set_persistent(true); room:save(true); return "";`)
	}
}

// live returns the rooms that mod_muc has in memory.
func live(t *testing.T, srv *prosodytest.Server) []string {
	t.Helper()
	return slices.DeleteFunc(held(t, srv, srv.Domains.MUC), func(line string) bool { return strings.Contains(line, "/") })
}

func TestStoredRooms_SentAfterRestart(t *testing.T) {
	t.Parallel()
	srv := start(t, prosodytest.Options{HostConfig: eachMUC(onDisk)})
	cast := newCast(t, srv)
	persistent(t, srv, "standing", "planning")
	must(cast.Open(within(t), srv.Room("passing")))(t)
	people := newComponent(t, srv, srv.Domains.Cast)
	must(people.JoinAs(within(t), "ada@cast.meet.jitsi/one", srv.Room("planning"), "ada", prosodytest.DisplayName("Ada"), "<jitsi_participant_raisedHand>1</jitsi_participant_raisedHand>"))(t)
	check(t, srv.Restart(within(t)))

	f := follow(t, srv).untilSynced()
	// A component's users don't leave when the server stops: Prosody still has them in the room.
	if got, want := sortedKeys(f.replica.rooms), []string{srv.Room("planning"), srv.Room("standing")}; !slices.Equal(got, want) {
		t.Fatalf("got %q, want %q", got, want)
	}
	ada, there := f.replica.occupant(srv.Room("planning"), "ada")
	if !there || ada.name() != "Ada" || ada.jid() != "ada@cast.meet.jitsi/one" || ada.role() != "participant" || ada.marks() != "hand" || ada.joined() != "" {
		t.Errorf("got %q", ada)
	}
	if got := f.replica.fact(srv.Room("standing"), "subject"); got != "About standing" {
		t.Errorf("subject: got %q", got)
	}
	if got := live(t, srv); len(got) > 0 {
		t.Errorf("mod_muc restored %q, want none", got)
	}
	// Prosody's own answers agree. They restore the rooms, which must send nothing new.
	for room, want := range map[string]string{"planning": "1", "standing": "0"} {
		st := must(f.client.IQ(within(t), srv.Room(room), "get", discoInfo))(t)
		if !st.Has("<value>" + want + "</value>") {
			t.Errorf("%s: Prosody says %s", room, st.XML)
		}
	}
	f.quiet(500 * time.Millisecond)
	f.matches(srv)
}

// After mod_muc is reloaded and the module is loaded again, people are in rooms that mod_muc has moved to storage.
func TestStoredRooms_SentAfterReload(t *testing.T) {
	t.Parallel()
	for how, config := range map[string]string{"in memory": "", "on disk": onDisk, "on disk, as earlier versions did": onDisk + "new_muc_storage_format = false"} {
		t.Run(how, func(t *testing.T) {
			t.Parallel()
			srv, cast, f, room := meeting(t, prosodytest.Options{HostConfig: eachMUC(config)})
			ada := must(cast.User(within(t), room, "Ada"))(t)
			must(cast.User(within(t), room, "Bo"))(t)
			before := held(t, srv, srv.Domains.MUC)
			for _, command := range []string{`module:reload("muc", "muc.meet.jitsi")`, `module:unload("` + name + `", "muc.meet.jitsi")`, `module:load("` + name + `", "muc.meet.jitsi")`} {
				must(srv.Shell(within(t), command))(t)
			}
			f.subscribe()
			f.untilSynced()
			if got := f.replica.held(); !slices.Equal(got, before) {
				t.Errorf("got %q, want %q", got, before)
			}
			if got := live(t, srv); len(got) > 0 {
				t.Errorf("mod_muc restored %q, want none", got)
			}
			check(t, ada.Update(within(t), prosodytest.DisplayName("Ada L.")))
			f.occupant(room, ada.Nick(), func(o occupant) bool { return o.name() == "Ada L." })
			check(t, ada.Leave(within(t)))
			f.gone(room, ada.Nick())
			f.matches(srv)
			check(t, cast.Focus.Destroy(within(t), room, ""))
			f.until("the room gone", func(r *replica) bool { return len(r.rooms) == 0 })
		})
	}
}

func TestStoredRooms_DoNotEvictOthers(t *testing.T) {
	t.Parallel()
	srv := start(t, prosodytest.Options{HostConfig: eachMUC(onDisk + "muc_room_cache_size = 3\nroom_participants_heartbeat = 1")})
	var rooms []string
	for i := range 12 {
		rooms = append(rooms, sprint("room", i))
	}
	persistent(t, srv, rooms...)
	check(t, srv.Restart(within(t)))
	cast := newCast(t, srv)
	must(cast.Open(within(t), srv.Room("alpha")))(t)
	must(cast.Open(within(t), srv.Room("beta")))(t)
	f := follow(t, srv).untilSynced()
	if len(f.replica.rooms) != 14 {
		t.Errorf("got %q", sortedKeys(f.replica.rooms))
	}
	// Longer than a round of the audit.
	f.quiet(13 * time.Second)
	if got, want := live(t, srv), []string{srv.Room("alpha"), srv.Room("beta")}; !slices.Equal(got, want) {
		t.Errorf("in memory are %q, want %q", got, want)
	}
	// The audit finds a room that is deleted from storage without an event.
	check(t, os.Remove(storedFile(srv, "config/room7.dat")))
	f.until("room7 gone", func(r *replica) bool { return r.rooms[srv.Room("room7")] == nil })
}

func TestStoredRooms_SkipsNonMeetings(t *testing.T) {
	t.Parallel()
	srv := start(t, prosodytest.Options{HostConfig: eachMUC(onDisk + "muc_tombstones = true")})
	cast := newCast(t, srv)
	persistent(t, srv, "standing", "destroyed", "__jicofo-health-check-1")
	must(cast.Open(within(t), srv.Room("destroyed")))(t)
	check(t, cast.Focus.Destroy(within(t), srv.Room("destroyed"), ""))
	lua(t, srv, `local store = `+muc+`.module:open_store("persistent", "map");
		for _, odd in ipairs { "elsewhere@muc.example", "muc.meet.jitsi", "", "@", "missing@muc.meet.jitsi", "x@muc.meet.jitsi/y" } do store:set(nil, odd, true); end return "";`)
	check(t, srv.Restart(within(t)))
	f := follow(t, srv).untilSynced()
	if got, want := sortedKeys(f.replica.rooms), []string{srv.Room("standing")}; !slices.Equal(got, want) {
		t.Errorf("got %q, want %q", got, want)
	}
	if f.last.Unseen != "" {
		t.Error("got unseen, want complete")
	}
}

func storedFile(srv *prosodytest.Server, name string) string {
	return filepath.Join(srv.Dir(), "data", "muc%2emeet%2ejitsi", name)
}

// An unreadable file may be a room with people in it: batches have unseen until it can be read.
func TestStoredRooms_UnreadableAreUnseen(t *testing.T) {
	t.Parallel()
	for file, rooms := range map[string]int{"persistent.dat": 0, "config/room1.dat": 2, "state/room1.dat": 2} {
		t.Run(file, func(t *testing.T) {
			t.Parallel()
			srv := prosodytest.New(t, prosodytest.Options{Module: true, HostConfig: eachMUC(onDisk + "room_participants_heartbeat = 1")})
			persistent(t, srv, "room0", "room1", "room2")
			people := newComponent(t, srv, srv.Domains.Cast)
			must(people.JoinAs(within(t), "ada@cast.meet.jitsi/one", srv.Room("room1"), "ada"))(t)
			check(t, srv.Stop())
			path := storedFile(srv, file)
			good := must(os.ReadFile(path))(t)
			check(t, os.WriteFile(path, []byte("return {"), 0o600))
			check(t, srv.Restart(within(t)))
			f := follow(t, srv).untilSynced()
			if f.last.Unseen != "1" || len(f.replica.rooms) != rooms {
				t.Errorf("got unseen=%q and %q", f.last.Unseen, sortedKeys(f.replica.rooms))
			}
			check(t, os.WriteFile(path, good, 0o600))
			f.until("all rooms", func(r *replica) bool { return len(r.rooms) == 3 })
			if f.next(); f.last.Unseen != "" {
				t.Error("still unseen")
			}
			if _, there := f.replica.occupant(srv.Room("room1"), "ada"); !there {
				t.Errorf("got\n%s", f.replica)
			}
		})
	}
}

// A server may have thousands of stored rooms: the module reads them as it sends them, in short turns.
func TestStoredRooms_ManyAreReadInTurns(t *testing.T) {
	t.Parallel()
	const rooms = 2000
	srv := start(t, prosodytest.Options{HostConfig: eachMUC(onDisk)})
	check(t, os.MkdirAll(storedFile(srv, "config"), 0o700))
	var index strings.Builder
	index.WriteString("return {\n")
	for i := range rooms {
		fmt.Fprintf(&index, "\t[\"room%d@muc.meet.jitsi\"] = true;\n", i)
		config := fmt.Sprintf("return {\n\t[\"_jid\"] = \"room%d@muc.meet.jitsi\";\n\t[\"_data\"] = { [\"persistent\"] = true };\n\t[\"ada@meet.jitsi\"] = \"owner\";\n};\n", i)
		check(t, os.WriteFile(storedFile(srv, fmt.Sprintf("config/room%d.dat", i)), []byte(config), 0o600))
	}
	check(t, os.WriteFile(storedFile(srv, "persistent.dat"), []byte(index.String()+"};\n"), 0o600))
	must(srv.Shell(within(t), `module:reload("`+name+`", "muc.meet.jitsi")`))(t)
	f := follow(t, srv)
	batches := 0
	for began := time.Now(); !f.replica.synced; batches++ {
		f.next()
		if time.Since(began) > 20*time.Second {
			t.Fatalf("not all in %s", time.Since(began))
		}
	}
	if len(f.replica.rooms) != rooms || batches < rooms/200 {
		t.Errorf("got %d rooms in %d batches", len(f.replica.rooms), batches)
	}
	if got := lua(t, srv, `return tostring(#require "util.iterators".to_array(`+muc+`.live_rooms()));`); got != "0" {
		t.Errorf("%s rooms were restored", got)
	}
}
