package main

import (
	"bytes"
	"encoding/json"
	"maps"
	"net"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/sethvargo/go-envconfig"

	"ppch/prosody"
	"ppch/prosody/prosodytest"
)

// diagnosis is what "ppch doctor --json" writes.
type diagnosis struct {
	OK     bool `json:"ok"`
	Checks []struct {
		Name, Status, Found string
		Mend                *string
	} `json:"checks"`
}

// of returns what was found by the checks of a name that have a status, each with its mend.
func (d diagnosis) of(name, status string) (found []string) {
	for _, c := range d.Checks {
		if c.Name == name && c.Status == status {
			text := c.Found
			if c.Mend != nil {
				text += "\n" + *c.Mend
			}
			found = append(found, text)
		}
	}
	return found
}

// diagnose asks the doctor about env.
func diagnose(t *testing.T, env variables, args ...string) (diagnosis, int) {
	t.Helper()
	cmd := newCommand(envconfig.MapLookuper(env))
	var out, errs bytes.Buffer
	cmd.SetOut(&out)
	cmd.SetErr(&errs)
	cmd.SetArgs(append([]string{"doctor", "--json"}, args...))
	began := time.Now()
	err := cmd.ExecuteContext(t.Context())
	if took := time.Since(began); took > 15*time.Second {
		t.Errorf("it took %s", took)
	}
	var d diagnosis
	if e := json.Unmarshal(out.Bytes(), &d); e != nil || errs.Len() > 0 || strings.Count(out.String(), "\n") != 1 {
		t.Fatalf("got %q, %q, %v want one object in a line", out.String(), errs.String(), e)
	}
	for name, secret := range map[string]string{"key": env["PPCH_API_KEY"], "secret": env["PPCH_COMPONENT_SECRET"]} {
		if len(secret) > 8 && strings.Contains(out.String(), secret) {
			t.Errorf("got the %s in %s", name, out.String())
		}
	}
	status := 0
	if err != nil {
		status = exitStatus(err)
	}
	if d.OK != (status == 0) {
		t.Errorf("got ok %t and exit status %d", d.OK, status)
	}
	return d, status
}

// nobody is the environment's port of a service that doesn't run.
func nobody(t *testing.T, env variables) variables {
	env = maps.Clone(env)
	env["PPCH_PORT"] = strconv.Itoa(must(prosodytest.FreePort())(t))
	return env
}

// oldModule has a module of the right name that speaks a protocol of before.
func oldModule(t *testing.T) string {
	dir := t.TempDir()
	text := `module:add_feature("urn:ppch:occupancy:0");`
	if err := os.WriteFile(filepath.Join(dir, "mod_"+prosody.ModuleName+".lua"), []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	return dir
}

// jitsiLike is a Prosody as current Jitsi runs it, with the module where it belongs.
var jitsiLike = prosodytest.Options{Module: true, HideRooms: true, DomainMapper: true}

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
				return prosodytest.Options{Module: true, PluginPaths: []string{oldModule(t)}}
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
				return variables{"PROSODY_URL": "xmpp://127.0.0.1:" + strconv.Itoa(must(prosodytest.FreePort())(t))}
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
			link: "configuration", says: []string{"1 of the settings is wrong", "PPCH_API_KEY: is still the placeholder of an example", howToMakeAKey}, alone: true,
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

// swallows returns an address where connections are neither taken nor refused.
func swallows(t *testing.T) string {
	t.Helper()
	fd := must(socketWithoutRoom())(t)
	t.Cleanup(func() { _ = fd.Close() })
	l := must(net.FileListener(fd))(t)
	t.Cleanup(func() { _ = l.Close() })
	for range 3 { // nobody accepts, so these fill the queue
		c, err := net.DialTimeout("tcp", l.Addr().String(), 200*time.Millisecond)
		if err != nil {
			break
		}
		t.Cleanup(func() { _ = c.Close() })
	}
	return l.Addr().String()
}

// With a service that runs, and all in its place, every line is ✓ and the exit status 0; and nobody is thrown out.
func TestTheDoctorFindsNothingWhereAllIsWell(t *testing.T) {
	t.Parallel()
	o := jitsiLike
	o.ConflictResolve = "kick_old" // as "ppch jitsi install" writes it
	srv := prosodytest.New(t, o)
	env := envFor(srv)
	env["MUC_DOMAIN"] += "," + srv.Domains.Lobby
	env["PPCH_ADMIN_JIDS"] = "admin@" + srv.Domains.Auth
	s := runService(t, env).ready()
	since := s.get("/health").data["since"]
	maps.Copy(env, healthcheckOf(t, s, "0.0.0.0"))

	out, err := command(t, env, "doctor")
	lines := strings.Split(strings.TrimSpace(out), "\n")
	if err != nil || len(lines) != 15 {
		t.Errorf("got %d lines, %v:\n%s", len(lines), err, out)
	}
	for _, line := range lines {
		if !strings.HasPrefix(line, "✓ ") {
			t.Errorf("got the line %s", line)
		}
	}
	if got, status := diagnose(t, env); status != 0 || !got.OK || len(got.Checks) != 15 {
		t.Errorf("got exit status %d and %+v", status, got)
	}
	if health := s.get("/health"); health.data["since"] != since || health.data["status"] != "ok" {
		t.Errorf("got %s, want the stream of before, since %s", health.body, since)
	}

	t.Run("from elsewhere with nothing but a key", func(t *testing.T) {
		got, status := diagnose(t, variables{"PPCH_API_KEY": testKey}, "--url", s.url)
		if unchecked := append(got.of("configuration", "unchecked"), got.of("settings", "unchecked")...); status != 0 || len(unchecked) != 2 {
			t.Errorf("got exit status %d and %+v", status, got)
		}
	})
	t.Run("settings that were changed since", func(t *testing.T) {
		env := maps.Clone(env)
		env["MUC_DOMAIN"] = srv.Domains.MUC
		got, status := diagnose(t, env)
		if told := got.of("settings", "warning"); status != 0 || len(told) != 1 || !strings.Contains(told[0], "MUC_DOMAIN is muc.meet.jitsi,breakout.meet.jitsi,lobby.meet.jitsi there and muc.meet.jitsi here") {
			t.Errorf("got exit status %d and %+v", status, got)
		}
	})
	t.Run("a secret that was changed since", func(t *testing.T) {
		env := maps.Clone(env)
		env["PPCH_COMPONENT_SECRET"] = "not-the-secret-of-the-service"
		got, status := diagnose(t, env)
		settings, secret := got.of("settings", "ok"), got.of("secret", "ok")
		if status != 0 || len(settings) != 1 || !strings.Contains(settings[0], "secrets aren't compared") ||
			len(secret) != 1 || !strings.Contains(secret[0], "whether the one that is set here is the same isn't looked at") {
			t.Errorf("got exit status %d and %+v", status, got)
		}
	})
	t.Run("a key that was changed since", func(t *testing.T) {
		env := maps.Clone(env)
		env["PPCH_API_KEY"] = "Correct-Horse-Battery-Stable"
		got, status := diagnose(t, env)
		if told := got.of("service", "error"); status != 1 || len(told) != 1 || !strings.Contains(told[0], "its keys are others than PPCH_API_KEY") || len(got.of("port", "unchecked")) != 1 {
			t.Errorf("got exit status %d and %+v", status, got)
		}
	})
	if health := s.get("/health"); health.data["since"] != since {
		t.Errorf("got %s, want the stream of before, since %s", health.body, since)
	}
}

// Before the service is started all of Prosody's side can be looked at, and the name is free again afterwards.
func TestTheDoctorLooksByItselfWhereNoServiceRuns(t *testing.T) {
	t.Parallel()
	srv := prosodytest.New(t, jitsiLike)
	env := nobody(t, envFor(srv))
	env["PPCH_ADMIN_JIDS"] = "admin@" + srv.Domains.Auth + ",guest@elsewhere.example"
	for range 2 {
		got, status := diagnose(t, env)
		if told := got.of("service", "error"); status != 1 || len(told) != 1 || !strings.Contains(told[0], "docker compose up -d ppch") {
			t.Errorf("got exit status %d and %+v", status, got)
		}
		if told := got.of("admins", "warning"); len(told) != 1 || !strings.HasPrefix(told[0], "those of elsewhere.example are ignored") {
			t.Errorf("got %q of admins", told)
		}
		for _, c := range got.Checks {
			if c.Name == "dns" && c.Found != "127.0.0.1 is an address" {
				t.Errorf("got %s", c.Found)
			}
			if c.Name != "service" && c.Name != "settings" && c.Name != "admins" && c.Status != "ok" {
				t.Errorf("got %s %s: %s", c.Name, c.Status, c.Found)
			}
		}
	}
	must(srv.Component(t.Context(), srv.Domains.Component))(t)
}

func TestTheDoctorTellsWhatWorksButNotAsWellAsItCould(t *testing.T) {
	t.Parallel()
	old := t.TempDir()
	text := strings.Replace(string(prosody.Module), `local version = "`+prosody.ModuleVersion, `local version = "1.9\194\15531m`, 1)
	text = strings.Replace(text, `("%d"):format(floor(now() * 1000))`, `("%d"):format(floor((now() + 90) * 1000))`, 1)
	if err := os.WriteFile(filepath.Join(old, "mod_"+prosody.ModuleName+".lua"), []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	for _, tt := range []struct {
		name  string
		world prosodytest.Options
		link  string
		says  string
	}{
		{"rooms are open to disco", prosodytest.Options{}, "mode", "disco, so numbers are raw"},
		{"rooms are open to disco, without the module", prosodytest.Options{}, "module", "muc.meet.jitsi: the Lua module isn't loaded there"},
		{"another version of the module", prosodytest.Options{Module: true, PluginPaths: []string{old}}, "module", "and this PPCH brings " + prosody.ModuleVersion},
		{"Prosody's clock", prosodytest.Options{Module: true, PluginPaths: []string{old}}, "clock", "Prosody's is 1m30s ahead of the service's"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			srv := prosodytest.New(t, tt.world)
			cast := castOn(t, srv)
			meeting(t, cast, srv.Room("planning"))
			env := envFor(srv)
			env["MUC_DOMAIN"] = srv.Domains.MUC
			s := runService(t, env).ready()
			s.room("planning") // shows the mode
			maps.Copy(env, healthcheckOf(t, s, "127.0.0.1"))
			got, status := diagnose(t, env)
			if told := got.of(tt.link, "warning"); status != 0 || len(told) != 1 || !strings.Contains(told[0], tt.says) {
				t.Errorf("got exit status %d and %+v", status, got)
			}
			if out, err := command(t, env, "doctor"); err != nil || strings.Contains(out, "\u009b") || !strings.Contains(out, "\n! "+tt.link) {
				t.Errorf("got %q, %v want a line for people, without what moves a terminal", out, err)
			}
		})
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

func TestTheDoctorsExitStatusTellsAMistypedCommand(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		args []string
		want int
	}{
		{[]string{"doctor", "--quick"}, 2},
		{[]string{"doctor", "prosody"}, 2},
		{[]string{"doctor", "--url", "prosody:5347"}, 2},
		{[]string{"doctor"}, 1}, // with an empty environment
		{[]string{"healthcheck", "--quick"}, 1},
	} {
		if out, err := command(t, nil, tt.args...); err == nil || exitStatus(err) != tt.want {
			t.Errorf("%v: got exit status %d, %v and %s want %d", tt.args, exitStatus(err), err, out, tt.want)
		}
	}
}
