package component_test

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"mellium.im/xmpp/jid"

	"ppch/component"
	"ppch/component/occupancy"
	"ppch/component/protocol"
	"ppch/prosody"
	"ppch/prosody/prosodytest"
)

// withModule is a Prosody with the Lua module on its MUC domains, and hidden rooms as in Jitsi.
var withModule = prosodytest.Options{Module: true, HideRooms: true, DomainMapper: true}

func watchAll(c *component.Config) {
	c.MUCDomains = []jid.JID{jid.MustParse("muc.meet.jitsi"), jid.MustParse("breakout.meet.jitsi"), jid.MustParse("lobby.meet.jitsi")}
}

func TestRoom_ModuleCountsPeople(t *testing.T) {
	t.Parallel()
	srv := prosodytest.New(t, withModule)
	ctx := timeout(t, 60*time.Second)
	cast := prosodytest.NewCast(t, srv)
	c := readyOn(t, srv, watchAll)
	planning := srv.Room("planning")
	must(cast.Open(ctx, planning))(t)
	must(cast.User(ctx, planning, "Ada"))(t)
	forger := must(cast.User(ctx, planning, "Eve", "<features><feature var='http://jitsi.org/protocol/jibri'/></features>", "<email>inbound-sip-jibri@x</email>"))(t)
	must(cast.Caller(ctx, planning, "+49 30 123"))(t)
	must(cast.Recorder(ctx, planning))(t)
	must(cast.Transcriber(ctx, planning))(t)
	must(cast.Hidden(ctx, planning))(t)

	want := map[occupancy.Kind]int{
		occupancy.KindUser: 2, occupancy.KindSIP: 1, occupancy.KindFocus: 1,
		occupancy.KindRecorder: 1, occupancy.KindTranscriber: 1, occupancy.KindHidden: 1,
	}
	got := filled(t, c, planning, 7) // three people and four others
	if got.Participants != 3 || !got.Exact || got.Source != occupancy.SourceModule || time.Since(got.AsOf) > 10*time.Second {
		t.Errorf("got %+v want three people, exact, by the module", got)
	}
	for kind, n := range want {
		if got.Counts[kind] != n {
			t.Errorf("%s got %d want %d", kind, got.Counts[kind], n)
		}
	}
	check(t, forger.Leave(ctx))
	eventually(t, 5*time.Second, "two people", func() bool {
		got, err := c.Room(ctx, jid.MustParse(planning))
		return err == nil && got.Participants == 2
	})
	summary, err := c.Directory().RoomSummary(jid.MustParse(planning))
	if room, _ := c.Room(ctx, jid.MustParse(planning)); err != nil || summary.Fingerprint != room.Fingerprint || summary.Participants != 2 || summary.Address != planning {
		t.Errorf("got the summary %+v, %v of %+v", summary, err, room)
	}
	for _, domain := range []string{"muc.meet.jitsi", "breakout.meet.jitsi", "lobby.meet.jitsi"} {
		if page, err := c.Directory().Rooms(occupancy.Query{Domain: domain}); err != nil || time.Since(page.AsOf) > 10*time.Second {
			t.Errorf("%s: got %+v, %v want it listed", domain, page, err)
		}
	}
	if got, err := c.Room(ctx, jid.MustParse(srv.Room("nowhere"))); err != nil || got.Exists || got.Source != occupancy.SourceModule {
		t.Errorf("got %+v, %v want a room that does not exist", got, err)
	}
}

func TestRoom_RecorderByJitsisDefaultIsNotCounted(t *testing.T) {
	t.Parallel()
	srv := prosodytest.New(t, prosodytest.Options{Module: true, HideRooms: true, JitsiDefaults: true})
	ctx := timeout(t, 60*time.Second)
	cast := prosodytest.NewCast(t, srv)
	c := readyOn(t, srv, watchAll)
	standup := srv.Room("standup")
	must(cast.Open(ctx, standup))(t)
	must(cast.Recorder(ctx, standup))(t)
	must(cast.Transcriber(ctx, standup))(t)
	got := filled(t, c, standup, 3) // focus and two machines
	if got.Participants != 0 || !got.Exact || got.Counts[occupancy.KindRecorder] != 1 || got.Counts[occupancy.KindTranscriber] != 1 {
		t.Errorf("got %+v want a recorder, a transcriber and no person", got)
	}
}

// Every kind of occupant in package occupancy, on a real Prosody.
func TestRoom_KindsOnProsody(t *testing.T) {
	t.Parallel()
	for name, jitsiDefaults := range map[string]bool{"as docker-jitsi-meet is configured": false, "as Debian's packages are": true} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			srv := prosodytest.New(t, prosodytest.Options{Module: true, HideRooms: true, JitsiDefaults: jitsiDefaults})
			ctx := timeout(t, 60*time.Second)
			cast := prosodytest.NewCast(t, srv)
			standup := srv.Room("standup")
			focus := must(cast.Open(ctx, standup))(t)
			want := map[string]occupancy.Kind{focus.Nick(): occupancy.KindFocus}
			enter := func(kind occupancy.Kind, o *prosodytest.Occupant) { want[o.Nick()] = kind }
			enter(occupancy.KindUser, must(cast.User(ctx, standup, "Ada"))(t))
			enter(occupancy.KindUser, must(cast.User(ctx, standup, "Eve", "<features><feature var='http://jitsi.org/protocol/transcriber'/></features>"))(t))
			enter(occupancy.KindSIP, must(cast.Caller(ctx, standup, "+49 30 123"))(t))
			enter(occupancy.KindSIP, must(cast.TrustedCaller(ctx, standup, "+49 30 456"))(t))
			enter(occupancy.KindTranscriber, must(cast.TrustedTranscriber(ctx, standup))(t))
			enter(occupancy.KindTranscriber, must(cast.Transcriber(ctx, standup))(t))
			enter(occupancy.KindRecorder, must(cast.Recorder(ctx, standup))(t))
			enter(occupancy.KindSIPVideo, must(cast.RoomSystem(ctx, standup, "Room 1"))(t))
			hidden := occupancy.KindHidden
			if jitsiDefaults {
				hidden = occupancy.KindUser // no setting has its domain
			}
			enter(hidden, must(cast.Hidden(ctx, standup))(t))
			enter(occupancy.KindVisitor, must(cast.Visitor(ctx, standup, "Val"))(t))

			c := readyOn(t, srv, watchAll)
			room := filled(t, c, standup, len(want))
			got := map[string]occupancy.Kind{}
			for _, record := range room.Occupants {
				o := record.Occupant()
				got[o.ID] = o.Kind
			}
			same(t, "kinds", want, got)
		})
	}
}

// Debian's packages let operators choose the name of Jicofo's account, which is also its nick.
func TestRoom_JicofoUnderAnotherNameIsNotCounted(t *testing.T) {
	t.Parallel()
	srv := prosodytest.New(t, prosodytest.Options{
		Module: true, HideRooms: true, JitsiDefaults: true,
		Accounts: map[string]string{"jicofo@auth.meet.jitsi": "secret"},
		GlobalConfig: `Component "focus.meet.jitsi" { target_address = "jicofo@auth.meet.jitsi" }
admins = { "jicofo@auth.meet.jitsi" }`,
	})
	ctx := timeout(t, 60*time.Second)
	jicofo := must(srv.Login(ctx, "jicofo@auth.meet.jitsi/x"))(t)
	defer jicofo.Close()
	cast := prosodytest.NewCast(t, srv)
	c := readyOn(t, srv, watchAll)
	standup := srv.Room("standup")
	must(jicofo.Join(ctx, standup, "jicofo",
		"<conference-properties xmlns='http://jitsi.org/protocol/focus'><property key='visitor-count' value='7'/></conference-properties>"))(t)
	must(cast.User(ctx, standup, "Ada"))(t)
	must(cast.TrustedTranscriber(ctx, standup))(t)
	got := filled(t, c, standup, 3) // Jicofo, Ada and a transcriber
	if got.Participants != 1 || got.Counts[occupancy.KindFocus] != 1 || got.Counts[occupancy.KindTranscriber] != 1 {
		t.Errorf("got %d people and %v want Ada, focus and a transcriber", got.Participants, got.Counts)
	}
	if got.Visitors == nil || *got.Visitors != 7 {
		t.Errorf("got %v visitors want the number that Jicofo sends", got.Visitors)
	}
}

// People in a lobby are in no meeting, under any name of the lobby's domain.
func TestRoom_LobbyUnderAnotherNameIsNoMeeting(t *testing.T) {
	t.Parallel()
	srv := prosodytest.New(t, prosodytest.Options{
		Module: true, HostConfig: map[string]string{"meet.jitsi": `main_muc = "muc.meet.jitsi"; lobby_muc = "breakout.meet.jitsi"`},
	})
	ctx := timeout(t, 60*time.Second)
	cast := prosodytest.NewCast(t, srv)
	c := readyOn(t, srv, watchAll)
	waiting := "standup@" + srv.Domains.Breakout
	must(cast.Open(ctx, waiting))(t)
	must(cast.User(ctx, waiting, "Ada"))(t)
	eventually(t, 5*time.Second, "Ada in a lobby", func() bool {
		got, err := c.Room(ctx, jid.MustParse(waiting))
		return err == nil && got.Participants == 1 && got.Type == occupancy.RoomLobby
	})
}

func TestRoom_PrefixHidesNoOneElseOnItsDomain(t *testing.T) {
	t.Parallel()
	srv := prosodytest.New(t, prosodytest.Options{
		Module: true, HideRooms: true, JitsiDefaults: true,
		GlobalConfig: `recorder_prefixes = { "recorder@recorder.meet.jitsi", "jibri@auth.meet.jitsi", "recorder@cast.meet.jitsi" }`,
	})
	ctx := timeout(t, 60*time.Second)
	cast := prosodytest.NewCast(t, srv)
	people := must(srv.Component(ctx, srv.Domains.Cast))(t)
	defer people.Close()
	c := readyOn(t, srv, watchAll)
	standup := srv.Room("standup")
	must(cast.Open(ctx, standup))(t)
	must(cast.Recorder(ctx, standup))(t)
	must(cast.TrustedCaller(ctx, standup, "+49 30 123"))(t)
	must(people.JoinAs(ctx, "bob@cast.meet.jitsi/web", standup, "bob"))(t)
	got := filled(t, c, standup, 4) // focus, a recorder, a caller and Bob
	if got.Participants != 2 || got.Counts[occupancy.KindSIP] != 1 || got.Counts[occupancy.KindUser] != 1 || got.Counts[occupancy.KindRecorder] != 1 {
		t.Errorf("got %d people and %v want a caller, Bob and a recorder", got.Participants, got.Counts)
	}
}

func TestFollow_ReplicaReturnsAfterARestart(t *testing.T) {
	t.Parallel()
	srv := prosodytest.New(t, withModule)
	ctx := timeout(t, 90*time.Second)
	cast := must(srv.Cast(ctx))(t)
	c := readyOn(t, srv, watchAll)
	for i := range 50 {
		must(cast.Open(ctx, srv.Room(fmt.Sprintf("room%d", i))))(t)
	}
	last := jid.MustParse(srv.Room("room49"))
	eventually(t, 5*time.Second, "the last room", func() bool {
		got, err := c.Room(ctx, last)
		return err == nil && got.Exists
	})
	check(t, srv.Kill())
	_ = cast.Close()
	killed := time.Now()
	time.Sleep(2 * time.Second)
	if got, err := c.Room(ctx, last); err != nil || !got.Exists || got.AsOf.After(killed.Add(time.Second)) {
		t.Errorf("got %+v, %v want the last state, with its age", got, err)
	}
	check(t, srv.Restart(ctx))
	eventually(t, 10*time.Second, "no room", func() bool {
		got, err := c.Room(ctx, last)
		return err == nil && !got.Exists
	})
}

// Long before a heartbeat is missing, an unloaded module is known to confirm nothing any more, and a reloaded one is followed again.
func TestFollow_UnloadAndReload(t *testing.T) {
	t.Parallel()
	o := withModule
	o.HostConfig = map[string]string{"muc.meet.jitsi": "room_participants_heartbeat = 10"} // missed after 25 s
	srv := prosodytest.New(t, o)
	ctx := timeout(t, 60*time.Second)
	cast := must(srv.Cast(ctx))(t)
	must(cast.Open(ctx, srv.Room("standup")))(t)
	c := readyOn(t, srv, watchAll)
	seen := func() bool {
		got, err := c.Room(ctx, jid.MustParse(srv.Room("standup")))
		return err == nil && got.Exists && got.Source == occupancy.SourceModule
	}
	eventually(t, 10*time.Second, "the room", seen)
	before := must(c.Room(ctx, jid.MustParse(srv.Room("standup"))))(t)
	must(srv.Shell(ctx, `module:reload("room_participants_api", "muc.meet.jitsi")`))(t)
	eventually(t, 10*time.Second, "the room as it is after a reload", func() bool {
		got, err := c.Room(ctx, jid.MustParse(srv.Room("standup")))
		return err == nil && got.Exists && got.AsOf.After(before.AsOf)
	})
	must(srv.Shell(ctx, `module:unload("room_participants_api", "muc.meet.jitsi")`))(t)
	eventually(t, 10*time.Second, "no answer from the replica", func() bool { return !seen() })
	must(srv.Shell(ctx, `module:load("room_participants_api", "muc.meet.jitsi")`))(t)
	eventually(t, 20*time.Second, "the room, by the module that is loaded again", seen)
}

func TestStoredRooms_ExactOrUnknownAfterARestart(t *testing.T) {
	t.Parallel()
	o := withModule
	o.HostConfig = map[string]string{"muc.meet.jitsi": "storage = \"internal\"\nroom_participants_heartbeat = 1"}
	srv := prosodytest.New(t, o)
	ctx := timeout(t, 60*time.Second)
	for _, name := range []string{"standing", "other"} {
		must(srv.Shell(ctx, `> (function () local room = prosody.hosts["muc.meet.jitsi"].modules.muc.create_room("`+srv.Room(name)+`"); room:set_persistent(true); room:save(true); end)()`))(t)
	}
	check(t, srv.Stop())
	// Whether a room with a broken file exists is unknown, and so is any other room.
	path := filepath.Join(srv.Dir(), "data", "muc%2emeet%2ejitsi", "config", "other.dat")
	good := must(os.ReadFile(path))(t)
	check(t, os.WriteFile(path, []byte("return {"), 0o600))
	check(t, srv.Restart(ctx))
	c := on(t, srv, watchAll)
	var unknown *occupancy.UnavailableError
	eventually(t, 20*time.Second, "one room is unknown", func() bool {
		_, err := c.Room(ctx, jid.MustParse(srv.Room("other")))
		return errors.As(err, &unknown) && unknown.Reason == occupancy.ReasonStorage
	})
	if got, err := c.Room(ctx, jid.MustParse(srv.Room("standing"))); err != nil || !got.Exists || !got.Exact || got.Participants != 0 {
		t.Errorf("got %+v, %v want an empty room that exists", got, err)
	}
	if _, err := c.Directory().Rooms(occupancy.Query{Domain: srv.Domains.MUC}); !errors.As(err, &unknown) || unknown.Reason != occupancy.ReasonStorage {
		t.Errorf("got the list with %v want the reason that it is incomplete", err)
	}
	if problem := c.Main().Problem; problem == nil || problem.Reason != occupancy.ReasonStorage {
		t.Errorf("got the problem %v", problem)
	}
	check(t, os.WriteFile(path, good, 0o600))
	ready(t, c)
	if got, err := c.Room(ctx, jid.MustParse(srv.Room("other"))); err != nil || !got.Exists || !got.Exact {
		t.Errorf("got %+v, %v want the room, whose file was fixed", got, err)
	}
	if got, err := c.Room(ctx, jid.MustParse(srv.Room("nowhere"))); err != nil || got.Exists || !got.Exact {
		t.Errorf("got %+v, %v want a room that does not exist", got, err)
	}
}

func TestDiscovery_OtherProtocolVersion(t *testing.T) {
	t.Parallel()
	for version, says := range map[string]string{"2": "update PPCH to the module's release", "0": "replace the module's file with the one from this PPCH", "x": "replace the module's file"} {
		t.Run(version, func(t *testing.T) {
			t.Parallel()
			text := strings.ReplaceAll(string(prosody.Module), protocol.Namespace, "urn:ppch:occupancy:"+version)
			o := withModule
			o.PluginPaths = []string{t.TempDir()}
			check(t, os.WriteFile(filepath.Join(o.PluginPaths[0], "mod_"+prosody.ModuleName+".lua"), []byte(text), 0o600))
			srv := prosodytest.New(t, o)
			ctx := timeout(t, 60*time.Second)
			cast := prosodytest.NewCast(t, srv)
			must(cast.Open(ctx, srv.Room("planning")))(t)
			c := on(t, srv)
			var unknown *occupancy.UnavailableError
			eventually(t, 20*time.Second, "the other version is found", func() bool {
				_, err := c.Room(ctx, jid.MustParse(srv.Room("planning")))
				return errors.As(err, &unknown) && unknown.Reason == occupancy.ReasonModuleVersion
			})
			if !strings.Contains(unknown.Remedy, "urn:ppch:occupancy:"+version+", but this PPCH speaks urn:ppch:occupancy:1: "+says) {
				t.Errorf("got %q want both versions, and %q", unknown.Remedy, says)
			}
			if problem := c.Main().Problem; problem == nil || problem.Reason != occupancy.ReasonModuleVersion {
				t.Errorf("got the problem %v", problem)
			}
		})
	}
}

// A client sees its join a moment before the module's batch arrives. An answer in between lacks the join, and its as_of is before it.
func TestRoom_AsOfIsBeforeAMissingJoin(t *testing.T) {
	t.Parallel()
	srv := prosodytest.New(t, withModule)
	ctx := timeout(t, 60*time.Second)
	cast := prosodytest.NewCast(t, srv)
	c := readyOn(t, srv, watchAll)
	lacking := 0
	for i := range 50 {
		room := srv.Room(fmt.Sprintf("room%d", i))
		must(cast.Open(ctx, room))(t)
		ada := must(cast.User(ctx, room, "Ada"))(t)
		joined := func(r occupancy.Room) time.Time {
			for _, record := range r.Occupants {
				o := record.Occupant()
				if o.ID == ada.Nick() {
					return o.JoinedAt
				}
			}
			return time.Time{}
		}
		first := must(c.Room(ctx, jid.MustParse(room)))(t)
		at := joined(first)
		if !at.IsZero() {
			continue
		}
		lacking++
		eventually(t, 5*time.Second, "Ada is shown", func() bool {
			got, err := c.Room(ctx, jid.MustParse(room))
			at = joined(got)
			return err == nil && !at.IsZero()
		})
		// Prosody's time is in milliseconds, and so is the clock offset.
		if first.AsOf.After(at.Add(2 * time.Millisecond)) {
			t.Errorf("%s: got no one as of %s, but Ada joined at %s", room, first.AsOf, at)
		}
	}
	t.Logf("%d of 50 answers came before the join's batch", lacking)
}
