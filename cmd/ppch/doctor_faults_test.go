package main

import (
	"maps"
	"strings"
	"testing"

	"ppch/prosody"
	"ppch/prosody/prosodytest"
)

// Each way in which the wiring fails is named with its mend, whether the service runs and is asked, or the doctor looks by itself.
func TestTheDoctorNamesEachFaultOfTheWiring(t *testing.T) {
	t.Parallel()
	well := prosodytest.New(t, jitsiLike)
	blackhole := swallows(t)
	for _, tt := range []struct {
		name  string
		world func(t *testing.T) prosodytest.Options // nil for the one that is well
		env   func(t *testing.T, srv *prosodytest.Server) variables
		link  string   // the one that is broken
		says  []string // of it
		alone bool     // no service would start, or it makes no difference
	}{
		{
			name:  "no component port",
			world: func(*testing.T) prosodytest.Options { return prosodytest.Options{Module: true, NoComponentPort: true} },
			link:  "port", says: []string{"nothing listens at 127.0.0.1:", "component_ports = { 5347 }", "conf.d/ppch.cfg.lua", "/etc/prosody", "ppch jitsi install"},
		},
		{
			name: "interface loopback only",
			env: func(_ *testing.T, srv *prosodytest.Server) variables {
				return variables{"PROSODY_URL": "xmpp://" + strings.Replace(srv.ComponentAddr(), "127.0.0.1", "127.0.0.2", 1)}
			},
			link: "port", says: []string{"on loopback alone", `component_interfaces = { "*" }`},
		},
		{
			name: "no Component",
			env: func(*testing.T, *prosodytest.Server) variables {
				return variables{"PPCH_COMPONENT_DOMAIN": "other.meet.jitsi"}
			},
			link: "component", says: []string{"no external component other.meet.jitsi", `Component "other.meet.jitsi"`, "PPCH_COMPONENT_DOMAIN"},
		},
		{
			name: "a VirtualHost instead of a Component",
			env: func(_ *testing.T, srv *prosodytest.Server) variables {
				return variables{"PPCH_COMPONENT_DOMAIN": srv.Domains.Auth}
			},
			link: "component", says: []string{"no external component auth.meet.jitsi", "A VirtualHost or another Component of that name is none"},
		},
		{
			name: "wrong secret",
			env: func(*testing.T, *prosodytest.Server) variables {
				return variables{"PPCH_COMPONENT_SECRET": "not the secret at all"}
			},
			link: "secret", says: []string{"refuses the secret of ppch.meet.jitsi", "PPCH_COMPONENT_SECRET", "component_secret"},
		},
		{
			name: "conflict",
			env: func(t *testing.T, srv *prosodytest.Server) variables {
				must(srv.Component(t.Context(), srv.Domains.Cast))(t)
				return variables{"PPCH_COMPONENT_DOMAIN": srv.Domains.Cast}
			},
			link: "conflict", says: []string{"another connection has the name cast.meet.jitsi", "kick_old", "stop the other program"},
		},
		{
			name: "wrong MUC domain",
			env: func(*testing.T, *prosodytest.Server) variables {
				return variables{"MUC_DOMAIN": "conference.meet.jitsi,breakout.meet.jitsi"}
			},
			link: "muc-domains", says: []string{"conference.meet.jitsi: Prosody has no such MUC service, but muc.meet.jitsi", "MUC_DOMAIN=muc.meet.jitsi,breakout.meet.jitsi"},
		},
		{
			name: "module on wrong host",
			world: func(*testing.T) prosodytest.Options {
				return prosodytest.Options{HideRooms: true, HostModules: map[string][]string{"internal-muc.meet.jitsi": {prosody.ModuleName}}}
			},
			link: "module", says: []string{"muc.meet.jitsi, breakout.meet.jitsi: the Lua module isn't loaded there, but on internal-muc.meet.jitsi", "XMPP_MUC_MODULES=room_participants_api"},
		},
		{
			name: "module not allow-listed",
			world: func(*testing.T) prosodytest.Options {
				return prosodytest.Options{Module: true, GlobalConfig: `room_participants_components = { "other.meet.jitsi" }`}
			},
			link: "allow-list", says: []string{"doesn't list ppch.meet.jitsi", `room_participants_components = { "ppch.meet.jitsi" }`},
		},
		{
			name: "module too old",
			world: func(t *testing.T) prosodytest.Options {
				return prosodytest.Options{Module: true, PluginPaths: []string{moduleOf(t, `module:add_feature("urn:ppch:occupancy:0");`)}}
			},
			link: "module", says: []string{"it speaks urn:ppch:occupancy:0, and this PPCH urn:ppch:occupancy:1", "copy prosody/mod_room_participants_api.lua"},
		},
		{
			name:  "hidden rooms without module",
			world: func(*testing.T) prosodytest.Options { return prosodytest.Options{HideRooms: true} },
			link:  "module", says: []string{"the Lua module isn't loaded there", "XMPP_MUC_MODULES=room_participants_api", "XMPP_BREAKOUT_MUC_MODULES", "modules_enabled"},
		},
		{
			name: "wrong network: the name is not known",
			env: func(*testing.T, *prosodytest.Server) variables {
				return variables{"PROSODY_URL": "xmpp://prosody.invalid"}
			},
			link: "dns", says: []string{"the name prosody.invalid is not known", "docker network ls | grep jitsi"},
		},
		{
			name: "wrong network: refused",
			env: func(t *testing.T, _ *prosodytest.Server) variables {
				return variables{"PROSODY_URL": "xmpp://" + freeAddress(t)}
			},
			link: "port", says: []string{"nothing listens at 127.0.0.1:", "PROSODY_URL"},
		},
		{
			name: "wrong network: no way there",
			env: func(*testing.T, *prosodytest.Server) variables {
				return variables{"PROSODY_URL": "xmpp://[fe80::1]:5347"}
			},
			link: "port", says: []string{"there is no way to [fe80::1]:5347", "PROSODY_URL"},
		},
		{
			name: "wrong network: swallowed",
			env: func(*testing.T, *prosodytest.Server) variables {
				return variables{"PROSODY_URL": "xmpp://" + blackhole}
			},
			link: "port", says: []string{"gives no sign of life", "firewall"}, alone: true, // the service waits longer than the test
		},
		{
			name: "API key placeholder",
			env: func(*testing.T, *prosodytest.Server) variables {
				return variables{"PPCH_API_KEY": "change-me-in-production"}
			},
			link: "configuration", says: []string{"1 of the settings is wrong", "PPCH_API_KEY: is still an example's placeholder", "openssl rand -hex 16"}, alone: true,
		},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			srv := well
			if tt.world != nil {
				srv = prosodytest.New(t, tt.world(t))
			}
			env := envFor(srv)
			if tt.env != nil {
				maps.Copy(env, tt.env(t, srv))
			}
			t.Run("by itself", func(t *testing.T) { faulty(t, nobody(t, env), tt.link, tt.says) })
			if tt.alone {
				return
			}
			t.Run("by the service", func(t *testing.T) {
				s := runService(t, env)
				s.get("/readyz")
				env := maps.Clone(env)
				maps.Copy(env, healthcheckOf(t, s, "127.0.0.1"))
				faulty(t, env, tt.link, tt.says)
			})
		})
	}
}

// faulty checks that the link, and no other but the service where that doesn't run, is found to be broken.
func faulty(t *testing.T, env variables, link string, says []string) {
	t.Helper()
	got, status := diagnose(t, env)
	told := got.of(link, "error")
	if status != 1 || len(told) == 0 {
		t.Fatalf("got exit status %d and %+v want %s to be wrong", status, got, link)
	}
	for _, want := range says {
		if !strings.Contains(told[0], want) {
			t.Errorf("got %s want %q in it", told[0], want)
		}
	}
	reached := false
	for _, c := range got.Checks {
		reached = reached || c.Name == link
		switch {
		case c.Name == link, c.Name == "service" && strings.HasPrefix(c.Found, "nothing listens at http://127.0.0.1:"):
		case c.Status == "error":
			t.Errorf("got %s wrong as well: %s", c.Name, c.Found)
		case reached && c.Status == "ok" && link != "muc-domains" && c.Name != "clock":
			t.Errorf("got %s well behind a broken link: %s", c.Name, c.Found)
		}
	}
}

func TestTheDoctorKnowsFromTheServiceThatRoomsAreHidden(t *testing.T) {
	t.Parallel()
	srv := prosodytest.New(t, prosodytest.Options{HideRooms: true})
	meeting(t, castOn(t, srv), srv.Room("planning"))
	env := envFor(srv)
	s := runService(t, env).ready()
	s.room("planning")
	maps.Copy(env, healthcheckOf(t, s, "127.0.0.1"))
	got, status := diagnose(t, env)
	told, mode := got.of("module", "error"), got.of("mode", "unchecked")
	if status != 1 || len(told) != 2 || !strings.HasPrefix(told[0], "muc.meet.jitsi: the Lua module isn't loaded there; and rooms are hidden, so nobody in them can be counted\n") {
		t.Errorf("got exit status %d and %q", status, told)
	}
	if len(mode) != 2 || mode[0] != "muc.meet.jitsi: existence for now: waits for module" {
		t.Errorf("got the modes %q", mode)
	}
}
