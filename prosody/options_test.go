package prosody_test

import (
	"testing"

	"ppch/prosody/prosodytest"
)

// Prosody's getters log what they can't read. The module then has its default, a limit, or the valid items.
func TestOptions_InvalidAreLogged(t *testing.T) {
	t.Parallel()
	const others = `
room_participants_components = { "a/b", "x@y", "ppch.meet.jitsi", {} }
room_participants_email = "perhaps"
room_participants_hidden_domains = { "x@y", "hidden.example" }
recorder_prefixes = 7
transcriber_prefixes = { 7, {}, "a\nb", "", false }
room_participants_heartbeat = `
	type heartbeat struct{ value, want, log string }
	for _, values := range [][3]heartbeat{
		{
			{`"soon"`, "5", "Config option 'room_participants_heartbeat' not understood, expecting a number"},
			{"60", "10", "Config option 'room_participants_heartbeat' out of bounds"}, {"0/0", "10", ""},
		},
		{{"{}", "5", ""}, {"-1", "1", "Config option 'room_participants_heartbeat' out of bounds"}, {"{ 2, 3 }", "2", ""}},
	} {
		srv := prosodytest.New(t, prosodytest.Options{MUCModules: []string{name}, HostConfig: map[string]string{
			"muc.meet.jitsi": others + values[0].value, "breakout.meet.jitsi": others + values[1].value, "lobby.meet.jitsi": others + values[2].value,
		}})
		client := newComponent(t, srv, srv.Domains.Component)
		for i, domain := range []string{srv.Domains.MUC, srv.Domains.Breakout, srv.Domains.Lobby} {
			f := followAs(t, client, domain)
			if got := f.subscribe(); got.Heartbeat != values[i].want || got.Hidden != "hidden.example" {
				t.Errorf("heartbeat %s: got %+v, want heartbeat %s", values[i].value, got, values[i].want)
			}
			f.untilSynced()
			if !srv.LogContains(values[i].log) {
				t.Errorf("heartbeat %s: the log lacks %q", values[i].value, values[i].log)
			}
		}
		for _, want := range []string{
			"'room_participants_components': a/b is not a domain", "'room_participants_components': x@y is not a domain",
			"'room_participants_hidden_domains': x@y is not a domain", "'room_participants_email' not understood, expecting true/false",
		} {
			if !srv.LogContains(want) {
				t.Errorf("the log lacks %q", want)
			}
		}
	}
}

func TestOptions_InSubscribed(t *testing.T) {
	t.Parallel()
	srv := start(t, prosodytest.Options{
		Components: []string{"one.example", "two.example"},
		// Jitsi sets its options globally; a domain's own section has precedence.
		GlobalConfig: `recorder_prefixes = { "recorder@hidden.meet.jitsi", "other@x" }
transcriber_prefixes = "transcriber@hidden.meet.jitsi"
room_participants_heartbeat = 9
room_participants_components = { "ONE.example" }`,
		HostConfig: map[string]string{"lobby.meet.jitsi": `room_participants_components = "two.example"
room_participants_heartbeat = "1.5"`},
	})
	one, two := newComponent(t, srv, "one.example"), newComponent(t, srv, "two.example")
	got := followAs(t, one, srv.Domains.MUC).subscribe()
	want := subscribed{
		Epoch: got.Epoch, Version: got.Version, Heartbeat: "9", Recorders: "other@x recorder@hidden.meet.jitsi",
		Transcribers: "transcriber@hidden.meet.jitsi", Hidden: "hidden.meet.jitsi", Cache: "10000", At: got.At,
	}
	if got != want || got.Version == "" || got.At <= 0 {
		t.Errorf("got %+v, want %+v", got, want)
	}
	if got := followAs(t, two, srv.Domains.Lobby).subscribe(); got.Heartbeat != "1.5" {
		t.Errorf("got %+v", got)
	}
	for domain, c := range map[string]*prosodytest.Client{srv.Domains.MUC: two, srv.Domains.Lobby: one} {
		_, err := c.IQ(within(t), domain, "set", subscribe)
		wantCondition(t, err, "service-unavailable")
	}
}

// Jitsi's util.lib.lua reads both options by get_option_inherited_set(name, defaults), which adds the global set, or else the
// default, to a domain's own set. So an empty set on the domain changes nothing.
func TestPrefixes_JitsiDefaultsAndMerging(t *testing.T) {
	t.Parallel()
	const (
		recorders    = "jibria@recorder. jibrib@recorder. recorder@recorder."
		transcribers = "transcriber@recorder. transcribera@recorder. transcriberb@recorder."
	)
	for _, c := range []struct{ name, global, breakout, lobby, wantMain, wantBreakout, wantLobby string }{
		{"no global set", "", `{ "own@x" }`, `{}`, recorders, "jibria@recorder. jibrib@recorder. own@x recorder@recorder.", recorders},
		{"a global set", `{ "all@x" }`, `{ "own@x" }`, `{}`, "all@x", "all@x own@x", "all@x"},
		{"an empty global set", `{}`, `"own@x"`, `{}`, "", "own@x", ""},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			set := func(value string) string {
				if value == "" {
					return ""
				}
				return "recorder_prefixes = " + value
			}
			srv := start(t, prosodytest.Options{
				JitsiDefaults: true,
				GlobalConfig:  set(c.global),
				HostConfig:    map[string]string{"breakout.meet.jitsi": set(c.breakout), "lobby.meet.jitsi": set(c.lobby)},
			})
			client := newComponent(t, srv, srv.Domains.Component)
			for domain, want := range map[string]string{srv.Domains.MUC: c.wantMain, srv.Domains.Breakout: c.wantBreakout, srv.Domains.Lobby: c.wantLobby} {
				got := followAs(t, client, domain).subscribe()
				if got.Recorders != want || got.Transcribers != transcribers {
					t.Errorf("%s: got recorders %q and transcribers %q, want %q and %q", domain, got.Recorders, got.Transcribers, want, transcribers)
				}
			}
		})
	}
}

// Jitsi has visitors_ignore_list on its main virtual host, where mod_visitors reads it; mod_visitors_component reads it
// with module:context(muc_mapper_domain_base).
func TestHiddenDomains_FromOptionOrJitsisList(t *testing.T) {
	t.Parallel()
	for _, c := range []struct{ name, global, main, muc, want string }{
		{"nothing is named", "", "", "", ""},
		{"by prefixes alone", `recorder_prefixes = { "recorder@hidden.meet.jitsi" }`, "", "", ""},
		{"by Jitsi's list", "", `visitors_ignore_list = { "hidden.meet.jitsi" }`, "", "hidden.meet.jitsi"},
		{"by Jitsi's list, without the domain mapper's option", "muc_mapper_domain_base = nil", `visitors_ignore_list = { "hidden.meet.jitsi" }`, "", "hidden.meet.jitsi"},
		{"by a list that isn't the main host's", "", "", `visitors_ignore_list = { "hidden.meet.jitsi" }`, ""},
		{"by our option", `room_participants_hidden_domains = "HIDDEN.meet.jitsi"`, "", "", "hidden.meet.jitsi"},
		{"by both", "", `visitors_ignore_list = { "one.example", "two.example", 7, "a b" }`, `room_participants_hidden_domains = { "three.example", "one.example" }`, "one.example three.example two.example"},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			srv := start(t, prosodytest.Options{
				JitsiDefaults: true,
				GlobalConfig:  c.global,
				HostConfig:    map[string]string{"meet.jitsi": c.main, "muc.meet.jitsi": c.muc},
			})
			if got := followAs(t, newComponent(t, srv, srv.Domains.Component), srv.Domains.MUC).subscribe(); got.Hidden != c.want {
				t.Errorf("got %q, want %q", got.Hidden, c.want)
			}
		})
	}
}

// Debian's jitsi-meet-prosody.postinst puts the chosen name of Jicofo's account into target_address of Component "focus.…" "client_proxy".
func TestFocus_FromJitsisProxy(t *testing.T) {
	t.Parallel()
	for target, want := range map[string]string{
		`"Jicofo@auth.meet.jitsi"`: "jicofo@auth.meet.jitsi",
		`"auth.meet.jitsi"`:        "",
		`{ "a@b" }`:                "",
		`"a b@c d"`:                "",
		`nil`:                      "",
	} {
		t.Run(target, func(t *testing.T) {
			t.Parallel()
			srv := start(t, prosodytest.Options{GlobalConfig: `Component "focus.meet.jitsi" { target_address = ` + target + ` }`})
			if got := follow(t, srv).subscribe(); got.Focus != want {
				t.Errorf("got %q, want %q", got.Focus, want)
			}
		})
	}
}

// In Jitsi the domains of lobbies and breakout rooms are configurable, by options of a virtual host.
func TestType_FromJitsisOptions(t *testing.T) {
	t.Parallel()
	for _, c := range []struct{ name, main, wantMain, wantBreakout, wantLobby string }{
		{"no options", "", "", "", ""},
		{"as Jitsi has them", `main_muc = "muc.meet.jitsi"; lobby_muc = "lobby.meet.jitsi"`, "main", "breakout", "lobby"},
		{"other domains", `main_muc = "lobby.meet.jitsi"; lobby_muc = "BREAKOUT.meet.jitsi"; breakout_rooms_muc = "muc.meet.jitsi"`, "breakout", "lobby", "main"},
		{"no domains", `main_muc = 7; lobby_muc = { "lobby.meet.jitsi" }; breakout_rooms_muc = "a b"`, "", "", ""},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			srv := start(t, prosodytest.Options{HostConfig: map[string]string{"meet.jitsi": c.main}})
			client := newComponent(t, srv, srv.Domains.Component)
			for domain, want := range map[string]string{srv.Domains.MUC: c.wantMain, srv.Domains.Breakout: c.wantBreakout, srv.Domains.Lobby: c.wantLobby} {
				if got := followAs(t, client, domain).subscribe(); got.Type != want {
					t.Errorf("%s: got type %q, want %q", domain, got.Type, want)
				}
			}
		})
	}
}

func TestSubscribers_ReceiveTheSame(t *testing.T) {
	t.Parallel()
	srv := start(t, prosodytest.Options{
		Components: []string{"ppch-2.meet.jitsi"},
		HostConfig: eachMUC(`room_participants_components = { "ppch.meet.jitsi", "ppch-2.meet.jitsi" }`),
	})
	cast := newCast(t, srv)
	room := srv.Room("alpha")
	must(cast.Open(within(t), room))(t)
	one := follow(t, srv)
	two := followAs(t, newComponent(t, srv, "ppch-2.meet.jitsi"), srv.Domains.MUC)
	one.untilSynced()
	two.untilSynced()
	ada := must(cast.User(within(t), room, "Ada"))(t)
	one.occupant(room, ada.Nick(), nil)
	two.occupant(room, ada.Nick(), nil)
	check(t, one.client.Drop())
	check(t, ada.Leave(within(t)))
	two.gone(room, ada.Nick())
	two.matches(srv)
}

// Prosody's own option limits the rooms in memory; a domain without it has mod_muc's default.
func TestRoomCache_FromMUCOptions(t *testing.T) {
	t.Parallel()
	srv := start(t, prosodytest.Options{HostConfig: map[string]string{
		"muc.meet.jitsi": "muc_room_cache_size = 500", "breakout.meet.jitsi": "muc_room_cache_size = 1000000000000",
	}})
	c := newComponent(t, srv, srv.Domains.Component)
	for domain, want := range map[string]string{srv.Domains.MUC: "500", srv.Domains.Breakout: "1073741824", srv.Domains.Lobby: "100"} {
		if got := followAs(t, c, domain).subscribe().Cache; got != want {
			t.Errorf("%s got %q want %q", domain, got, want)
		}
	}
}
