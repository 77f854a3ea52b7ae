package main

import (
	"maps"
	"strings"
	"testing"

	"ppch/component/componenttest"
	"ppch/prosody"
	"ppch/prosody/prosodytest"
)

// The doctor names each problem with its remedy, whether it asks a running service or connects itself.
func TestDoctor_NamesEachProblem(t *testing.T) {
	t.Parallel()
	well := prosodytest.New(t, jitsiLike)
	blackhole := swallows(t)
	for _, tt := range []struct {
		name  string
		world func(t *testing.T) prosodytest.Options // nil for one without problems
		env   func(t *testing.T, srv *prosodytest.Server) variables
		check string   // the one that fails
		want  []string // in its result
		alone bool     // without a running service only
	}{
		{
			name:  "no component port",
			world: func(*testing.T) prosodytest.Options { return prosodytest.Options{Module: true, NoComponentPort: true} },
			check: "port", want: []string{"nothing listens at 127.0.0.1:", "component_ports = { 5347 }", "conf.d/ppch.cfg.lua", "/etc/prosody", "ppch jitsi install"},
		},
		{
			name: "interface loopback only",
			env: func(_ *testing.T, srv *prosodytest.Server) variables {
				return variables{"PROSODY_URL": "xmpp://" + strings.Replace(srv.ComponentAddr(), "127.0.0.1", "127.0.0.2", 1)}
			},
			check: "port", want: []string{"on loopback only", `component_interfaces = { "*" }`},
		},
		{
			name: "no Component",
			env: func(*testing.T, *prosodytest.Server) variables {
				return variables{"PPCH_COMPONENT_DOMAIN": "other.meet.jitsi"}
			},
			check: "component", want: []string{"no external component other.meet.jitsi", `Component "other.meet.jitsi"`, "PPCH_COMPONENT_DOMAIN"},
		},
		{
			name: "a VirtualHost instead of a Component",
			env: func(_ *testing.T, srv *prosodytest.Server) variables {
				return variables{"PPCH_COMPONENT_DOMAIN": srv.Domains.Auth}
			},
			check: "component", want: []string{"no external component auth.meet.jitsi", "A VirtualHost or another kind of Component with that name does not count"},
		},
		{
			name: "wrong secret",
			env: func(*testing.T, *prosodytest.Server) variables {
				return variables{"PPCH_COMPONENT_SECRET": "not the secret at all"}
			},
			check: "secret", want: []string{"rejects the secret of ppch.meet.jitsi", "PPCH_COMPONENT_SECRET", "component_secret"},
		},
		{
			name: "conflict",
			env: func(t *testing.T, srv *prosodytest.Server) variables {
				must(srv.Component(t.Context(), srv.Domains.Cast))(t)
				return variables{"PPCH_COMPONENT_DOMAIN": srv.Domains.Cast}
			},
			check: "conflict", want: []string{"another connection uses the name cast.meet.jitsi", "kick_old", "stop the other program"},
		},
		{
			name: "wrong MUC domain",
			env: func(*testing.T, *prosodytest.Server) variables {
				return variables{"MUC_DOMAIN": "conference.meet.jitsi,breakout.meet.jitsi"}
			},
			check: "muc-domains", want: []string{"conference.meet.jitsi: Prosody has no such MUC service, but muc.meet.jitsi", "MUC_DOMAIN=muc.meet.jitsi,breakout.meet.jitsi"},
		},
		{
			name: "module on wrong host",
			world: func(*testing.T) prosodytest.Options {
				return prosodytest.Options{HideRooms: true, HostModules: map[string][]string{"internal-muc.meet.jitsi": {prosody.ModuleName}}}
			},
			check: "module", want: []string{"muc.meet.jitsi, breakout.meet.jitsi: the Lua module is not loaded there, but on internal-muc.meet.jitsi", "XMPP_MUC_MODULES=room_participants_api"},
		},
		{
			name: "module not allow-listed",
			world: func(*testing.T) prosodytest.Options {
				return prosodytest.Options{Module: true, GlobalConfig: `room_participants_components = { "other.meet.jitsi" }`}
			},
			check: "allow-list", want: []string{"does not list ppch.meet.jitsi", `room_participants_components = { "ppch.meet.jitsi" }`},
		},
		{
			name: "module too old",
			world: func(t *testing.T) prosodytest.Options {
				return prosodytest.Options{Module: true, PluginPaths: []string{moduleOf(t, `module:add_feature("urn:ppch:occupancy:0");`)}}
			},
			check: "module", want: []string{"it uses urn:ppch:occupancy:0, this PPCH uses urn:ppch:occupancy:1", "copy prosody/mod_room_participants_api.lua"},
		},
		{
			name:  "hidden rooms without module",
			world: func(*testing.T) prosodytest.Options { return prosodytest.Options{HideRooms: true} },
			check: "module", want: []string{"the Lua module is not loaded there", "XMPP_MUC_MODULES=room_participants_api", "XMPP_BREAKOUT_MUC_MODULES", "modules_enabled"},
		},
		{
			name: "wrong network: unknown name",
			env: func(*testing.T, *prosodytest.Server) variables {
				return variables{"PROSODY_URL": "xmpp://prosody.invalid"}
			},
			check: "dns", want: []string{"the name prosody.invalid does not resolve", "docker network ls | grep jitsi"},
		},
		{
			name: "wrong network: refused",
			env: func(t *testing.T, _ *prosodytest.Server) variables {
				return variables{"PROSODY_URL": "xmpp://" + freeAddress(t)}
			},
			check: "port", want: []string{"nothing listens at 127.0.0.1:", "PROSODY_URL"},
		},
		{
			name: "wrong network: unreachable",
			env: func(*testing.T, *prosodytest.Server) variables {
				return variables{"PROSODY_URL": "xmpp://[fe80::1]:5347"}
			},
			check: "port", want: []string{"the network of [fe80::1]:5347 is unreachable", "PROSODY_URL"},
		},
		{
			name: "wrong network: dropped packets",
			env: func(*testing.T, *prosodytest.Server) variables {
				return variables{"PROSODY_URL": "xmpp://" + blackhole}
			},
			check: "port", want: []string{"does not respond", "firewall"}, alone: true, // the service waits longer than the test
		},
		{
			name: "API key placeholder",
			env: func(*testing.T, *prosodytest.Server) variables {
				return variables{"PPCH_API_KEY": "change-me-in-production"}
			},
			check: "configuration", want: []string{"invalid settings", "PPCH_API_KEY: is still an example's placeholder", "openssl rand -hex 16"}, alone: true,
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
			t.Run("by itself", func(t *testing.T) { fails(t, withoutService(t, env), tt.check, tt.want) })
			if tt.alone {
				return
			}
			t.Run("by the service", func(t *testing.T) {
				s := runService(t, env)
				s.get("/readyz")
				env := maps.Clone(env)
				maps.Copy(env, healthcheckOf(t, s, "127.0.0.1"))
				fails(t, env, tt.check, tt.want)
			})
		})
	}
}

// fails requires that this check fails, and no other except the service if it does not run.
func fails(t *testing.T, env variables, check string, contains []string) {
	t.Helper()
	got, status := diagnose(t, env)
	found := got.of(check, "error")
	if status != 1 || len(found) == 0 {
		t.Fatalf("got exit status %d and %+v want %s to fail", status, got, check)
	}
	componenttest.Has(t, found[0], contains...)
	reached := false
	for _, c := range got.Checks {
		reached = reached || c.Name == check
		switch {
		case c.Name == check, c.Name == "service" && strings.HasPrefix(c.Found, "nothing listens at http://127.0.0.1:"):
		case c.Status == "error":
			t.Errorf("got %s failing too: %s", c.Name, c.Found)
		case reached && c.Status == "ok" && check != "muc-domains" && c.Name != "clock":
			t.Errorf("got %s ok after the failed check: %s", c.Name, c.Found)
		}
	}
}

func TestDoctor_HiddenRooms(t *testing.T) {
	t.Parallel()
	srv := prosodytest.New(t, prosodytest.Options{HideRooms: true})
	meeting(t, castOn(t, srv), srv.Room("planning"))
	env := envFor(srv)
	s := runService(t, env).ready()
	s.room("planning")
	maps.Copy(env, healthcheckOf(t, s, "127.0.0.1"))
	got, status := diagnose(t, env)
	found, mode := got.of("module", "error"), got.of("mode", "unchecked")
	if status != 1 || len(found) != 2 || !strings.HasPrefix(found[0], "muc.meet.jitsi: the Lua module is not loaded there; rooms are hidden, so their occupants can't be counted\n") {
		t.Errorf("got exit status %d and %q", status, found)
	}
	if len(mode) != 2 || mode[0] != "muc.meet.jitsi: existence for now: needs module" {
		t.Errorf("got the modes %q", mode)
	}
}
