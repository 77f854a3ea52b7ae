package main

import (
	"fmt"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	"ppch/prosody/prosodytest"
)

// A real Prosody reads the installed files as Jitsi's does, and the service counts.
func TestInstall_WorksWithProsody(t *testing.T) {
	t.Parallel()
	for _, tree := range []string{"docker-stable-8719", "docker-stable-11146"} {
		t.Run(tree, func(t *testing.T) {
			t.Parallel()
			srv := prosodytest.New(t, prosodytest.Options{HideRooms: true, DomainMapper: true})
			root := jitsiTree(t, tree)
			config := filepath.Join(root, "cfg")
			if tree == "docker-stable-8719" {
				config = filepath.Join(root, ".jitsi-meet-cfg")
				env := filepath.Join(root, "jitsi", ".env")
				put(t, env, strings.Replace(ofFile(t, env), "~", root, 1)) // a test has no home
			}
			installFor(t, srv, filepath.Join(root, "jitsi"))
			env := variablesOf(t, filepath.Join(root, "jitsi", ".env"))
			startAsContainerDoes(t, srv, filepath.Join(config, "prosody"), env)
			countsOn(t, srv, env)
		})
	}
	t.Run("Debian's packages", func(t *testing.T) {
		t.Parallel()
		srv := prosodytest.New(t, prosodytest.Options{HideRooms: true, DomainMapper: true, JitsiDefaults: true})
		debianise(t, srv)
		before := everything(t, srv.Dir())
		installFor(t, srv, srv.Dir())
		check(t, srv.Restart(t.Context()))
		countsOn(t, srv, variablesOf(t, filepath.Join(srv.Dir(), "ppch.env")))

		check(t, srv.Stop())
		must(command(t, nil, "jitsi", "uninstall", "--dir", srv.Dir()))(t)
		configuration := func(all map[string]string) map[string]string {
			kept := map[string]string{}
			for path, text := range all {
				if strings.HasPrefix(path, "/conf.") || strings.HasPrefix(path, "/plugins") || strings.HasSuffix(path, ".lua") {
					kept[path] = text
				}
			}
			return kept
		}
		same(t, "the configuration is not as it was before", configuration(before), configuration(everything(t, srv.Dir())))
	})
}

// installFor stops srv and installs, with the port of srv.
func installFor(t *testing.T, srv *prosodytest.Server, dir string) {
	t.Helper()
	check(t, srv.Stop())
	_, port, _ := net.SplitHostPort(srv.ComponentAddr())
	// The test's Prosody already has a component with the usual name.
	must(command(t, nil, "jitsi", "install", "--dir", dir, "--component-domain", "count.meet.jitsi",
		"--component-port", port, "--component-interface", "127.0.0.1"))(t)
}

var ports = regexp.MustCompile(`component_(ports|interfaces) = \{.*\}\n`)

// startAsContainerDoes starts Prosody as the containers of docker-jitsi-meet do: with component_ports = { } before conf.d is
// included, which was copied, with plugins from the host first, and with the modules that variables name.
func startAsContainerDoes(t *testing.T, srv *prosodytest.Server, volumes string, env variables) {
	t.Helper()
	copied := filepath.Join(srv.Dir(), "run")
	check(t, os.CopyFS(copied, os.DirFS(filepath.Join(volumes, "config"))))
	// The only rendered template is the test's.
	_ = os.Remove(filepath.Join(copied, "conf.d", "jitsi-meet.cfg.lua"))
	_ = os.Remove(filepath.Join(srv.Dir(), "plugins", "mod_room_participants_api.lua"))

	path := filepath.Join(srv.Dir(), "prosody.cfg.lua")
	text := ports.ReplaceAllString(ofFile(t, path), "")
	text = strings.Replace(text, "plugin_paths = { ", fmt.Sprintf("component_ports = { }\nplugin_paths = { %q, ", filepath.Join(volumes, "prosody-plugins-custom")), 1)
	text = strings.Replace(text, `modules_enabled = { "`, "modules_enabled = { "+luaList(env["GLOBAL_MODULES"])+`"`, 1)
	for _, rooms := range []string{"MUC", "BREAKOUT_MUC", "LOBBY_MUC"} {
		text = strings.Replace(text, `modules_enabled = { "prosodytest_hide_rooms"`, "modules_enabled = { "+luaList(env["XMPP_"+rooms+"_MODULES"])+` "prosodytest_hide_rooms"`, 1)
		text = strings.Replace(text, ` "prosodytest_hide_rooms" }`, ` "prosodytest_hide_rooms"; }`, 1)
	}
	put(t, path, text+fmt.Sprintf("\nInclude %q\n", copied+"/conf.d/*.cfg.lua"))
	check(t, srv.Restart(t.Context()))
}

func luaList(names string) (list string) {
	for _, name := range strings.FieldsFunc(names, func(r rune) bool { return r == ',' }) {
		list += fmt.Sprintf("%q; ", name)
	}
	return list
}

// debianise makes the test's Prosody one of Debian's packages: Jitsi's hosts are in conf.avail, with a link in conf.d.
func debianise(t *testing.T, srv *prosodytest.Server) {
	t.Helper()
	path := filepath.Join(srv.Dir(), "prosody.cfg.lua")
	global, hosts, ok := strings.Cut(ports.ReplaceAllString(ofFile(t, path), ""), "\nVirtualHost ")
	if !ok {
		t.Fatal("got no VirtualHost")
	}
	plugins := filepath.Join(srv.Dir(), "plugins")
	_ = os.Remove(filepath.Join(plugins, "mod_room_participants_api.lua"))
	put(t, path, global+"\nInclude \"conf.d/*.cfg.lua\"\n")
	hosts = strings.Replace("VirtualHost "+hosts, "\n", "\nmain_muc = \"muc.meet.jitsi\"\nbreakout_rooms_muc = \"breakout.meet.jitsi\"\nlobby_muc = \"lobby.meet.jitsi\"\n", 1)
	put(t, filepath.Join(srv.Dir(), "conf.avail", "meet.jitsi.cfg.lua"), fmt.Sprintf("plugin_paths = { %q }\n%s", plugins, hosts))
	check(t, os.MkdirAll(filepath.Join(srv.Dir(), "conf.d"), 0o755))
	// Jitsi's packages use an absolute path.
	check(t, os.Symlink(filepath.Join(srv.Dir(), "conf.avail", "meet.jitsi.cfg.lua"), filepath.Join(srv.Dir(), "conf.d", "meet.jitsi.cfg.lua")))
}

// countsOn runs the service with its installed settings and checks rooms of each kind.
func countsOn(t *testing.T, srv *prosodytest.Server, written variables) {
	t.Helper()
	env := variables{"PPCH_PORT": "0"}
	for name, value := range written {
		if strings.HasPrefix(name, "PPCH_") || name == "MUC_DOMAIN" {
			env[name] = value
		}
	}
	env["PROSODY_URL"] = "xmpp://" + srv.ComponentAddr() // the container's name does not resolve here
	if want := "muc.meet.jitsi,breakout.meet.jitsi,lobby.meet.jitsi"; env["MUC_DOMAIN"] != want {
		t.Errorf("MUC_DOMAIN got %q want %q", env["MUC_DOMAIN"], want)
	}
	cast := castOn(t, srv)
	for _, domain := range []string{"muc", "breakout", "lobby"} {
		meeting(t, cast, "planning@"+domain+".meet.jitsi", "Ada", "Grace")
	}
	must(cast.Recorder(t.Context(), "planning@muc.meet.jitsi"))(t)
	s := runService(t, env).ready()
	for _, room := range []string{"planning", "planning@breakout.meet.jitsi", "planning@lobby.meet.jitsi"} {
		var a answer
		eventually(t, 10*time.Second, "its domain is loaded", func() bool {
			a = s.get("/api/rooms/"+room+"/participants", "X-API-Key", env["PPCH_API_KEY"])
			return a.status != http.StatusServiceUnavailable // readiness covers only the main domain
		})
		if a.status != 200 || a.data["source"] != "module" || a.data["participant_count"] != 2.0 {
			t.Errorf("%s got %d %s want 2 people by the module", room, a.status, a.body)
		}
	}
}
