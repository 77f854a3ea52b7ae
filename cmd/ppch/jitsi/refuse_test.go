package jitsi_test

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"github.com/google/go-cmp/cmp"

	"ppch/cmd/ppch/jitsi"
)

// What can't be done safely is refused before anything is written, with a word on what to do.
func TestInstall_Refuses(t *testing.T) {
	const (
		env   = "jitsi/.env"
		confd = "jitsi/cfg/prosody/config/conf.d/"
		lua   = "etc/prosody/conf.avail/meet.example.com.cfg.lua"
	)
	for _, tt := range []struct {
		name, tree string
		change     func(tr *tree)
		want       string
		notJitsi   bool
	}{
		{"no such directory", "debian", func(tr *tree) { tr.options.Dir += "x" }, "no such file or directory", false},
		{"a file", "debian", func(tr *tree) { tr.options.Dir += "/prosody.cfg.lua" }, "is a file: name the directory that it is in", false},
		{"an empty directory", "debian", func(tr *tree) { tr.options.Dir = tr.root }, "has neither docker-compose.yml (docker-jitsi-meet) nor prosody.cfg.lua", true},
		{"docker-jitsi-meet's CONFIG", "docker-stable-9457", func(tr *tree) { tr.options.Dir += "/cfg" }, "name the directory with its docker-compose.yml", true},
		{"its Prosody's configuration", "docker-stable-8719", func(tr *tree) { tr.options.Dir = tr.root + "/.jitsi-meet-cfg/prosody/config" }, "name the directory with its docker-compose.yml", true},
		{"a compose file of something else", "docker-stable-9457", func(tr *tree) { tr.put("jitsi/docker-compose.yml", "services:\n  db:\n    image: postgres\n") }, "none of the services", true},
		{"a compose file that is none", "docker-stable-9457", func(tr *tree) { tr.put("jitsi/docker-compose.yml", "services: [") }, `mend it until "docker compose config" works`, false},
		{"a configuration in a volume", "docker-stable-9457", func(tr *tree) {
			tr.put("jitsi/docker-compose.yml", "services:\n  prosody:\n    image: jitsi/prosody\n    volumes: ['config:/config']\nvolumes:\n  config:\n")
		}, "install by hand, as in prosody/README.md", false},
		{"no .env", "docker-stable-9457", func(tr *tree) { tr.remove(env) }, "copy env.example and run ./gen-passwords.sh first", false},
		{"a .env that Compose refuses", "docker-stable-9457", func(tr *tree) { tr.put(env, "A='never ends\n") }, ".env: line 2: unterminated quoted value: Docker Compose refuses that, too", false},
		{"a .env that is a directory", "docker-stable-9457", func(tr *tree) { tr.remove(env); tr.put(env+"/x", "") }, "is a directory", false},
		{"a .env that is a pipe", "docker-stable-9457", func(tr *tree) { tr.remove(env); tr.pipe(env) }, ".env is no file, but a pipe or a device", false},
		{"a .env that never ends", "docker-stable-9457", func(tr *tree) { tr.remove(env); tr.link("/dev/zero", env) }, ".env is no file, but a pipe or a device", false},
		{"a .env larger than all that people write", "docker-stable-9457", func(tr *tree) { tr.put(env, strings.Repeat("# x\n", 5<<20)) }, ".env is larger than any that is meant here: 20971520 bytes", false},
		{"a compose file that is a pipe", "docker-stable-9457", func(tr *tree) { tr.remove("jitsi/docker-compose.yml"); tr.pipe("jitsi/docker-compose.yml") }, "docker-compose.yml is no file, but a pipe", false},
		{"a conf.d that is a file", "docker-stable-11146", func(tr *tree) { tr.put("cfg/prosody/config/conf.d", "") }, "conf.d", false},
		{"a CONFIG that isn't there", "docker-stable-9457", func(tr *tree) { tr.put(env, "CONFIG=~/elsewhere\n") }, "if docker compose runs as another user, run this as that one, or with sudo", false},
		{"modules that a compose file sets", "docker-stable-11031", func(tr *tree) {
			tr.put("jitsi/docker-compose.override.yml", "services:\n  prosody:\n    environment:\n      XMPP_MUC_MODULES: muc_size\n")
		}, "XMPP_MUC_MODULES in {root}/jitsi/.env wouldn't reach Prosody", false},
		{"modules that the environment sets", "docker-stable-11146", func(tr *tree) {
			tr.options.Lookup = func(name string) (string, bool) { return "muc_size", name == "XMPP_MUC_MODULES" }
		}, "XMPP_MUC_MODULES in {root}/jitsi/.env wouldn't reach Prosody", false},
		{"a component's name that is none", "docker-stable-9457", func(tr *tree) { tr.options.Component = "ppch.meet_jitsi" }, "use small letters, digits, hyphens and dots, such as ppch.meet.example.com", false},
		{"a component's name that Jitsi has", "docker-stable-9457", func(tr *tree) { tr.options.Component = "focus.meet.example.com" }, "is a name of Jitsi's own", false},
		{"a component's name that rooms have", "debian", func(tr *tree) { tr.options.Component = "lobby.meet.example.com" }, "is a name of Jitsi's own", false},
		{"a port that is none", "docker-stable-9457", func(tr *tree) { tr.options.Port = 65536 }, "65536 is not a port", false},
		{"a port on which Prosody doesn't listen", "docker-stable-11031", func(tr *tree) { tr.options.Port = 5347 }, "bot.cfg.lua:1 sets component_ports without 5347", false},
		{"an interface on which Prosody doesn't listen", "docker-stable-11031", func(tr *tree) {
			tr.put("cfg/prosody/config/conf.d/bot.cfg.lua", "component_interfaces = { \"127.0.0.1\" }\n")
		}, `bot.cfg.lua:1 sets component_interfaces without "*"`, false},
		{"a component that another file has", "docker-stable-9457", func(tr *tree) {
			tr.put(confd+"mine.cfg.lua", "Component \"ppch.meet.example.com\"\n    component_secret = \"s\"\n")
		}, "mine.cfg.lua:1 has ppch.meet.example.com already: move it to", false},
		{"a file by hand that lacks things", "docker-stable-9457", func(tr *tree) {
			tr.put(confd+"ppch.cfg.lua", "Component \"ppch.meet.example.com\"\n")
		}, "It lacks:\n  component_ports = { 5347 }\n  component_interfaces = { \"*\" }\n      component_secret = \"…\"\nAdd that", false},
		{"a file by hand that isn't Lua", "docker-stable-9457", func(tr *tree) { tr.put(confd+"ppch.cfg.lua", "component_ports = {\n\nComponent") }, "ppch.cfg.lua: its end is missing: mend it, or move it away", false},
		{"two secrets", "docker-by-hand", func(tr *tree) { tr.put(env, tr.get(env)+"PPCH_COMPONENT_SECRET=another\n") }, "has another component_secret than .env: make them the same", false},
		{"a secret's file that isn't there", "docker-stable-9457", func(tr *tree) { tr.put(env, tr.get(env)+"\nPPCH_COMPONENT_SECRET_FILE=gone\n") }, "PPCH_COMPONENT_SECRET_FILE in {root}/jitsi/.env: stat", false},
		{"a newer module", "docker-ppch-1", func(tr *tree) {
			tr.put("cfg/prosody/prosody-plugins-custom/mod_room_participants_api.lua", "local version = \"99.1.0\";\n")
		}, "is of version 99.1.0, which is newer", false},
		{"a journal that is none", "docker-stable-9457", func(tr *tree) { tr.put("jitsi/.ppch/install.json", "{") }, "is not what this program writes", false},
		{"a journal of another version", "docker-stable-9457", func(tr *tree) { tr.put("jitsi/.ppch/install.json", `{"format":2}`) }, "is of another version of ppch", false},
		{"a Prosody that doesn't read conf.d", "debian", func(tr *tree) { tr.put("etc/prosody/prosody.cfg.lua", "VirtualHost \"x\"\n") }, `add the line  Include "conf.d/*.cfg.lua"`, false},
		{"a Prosody without Jitsi", "debian", func(tr *tree) { tr.put(lua, "VirtualHost \"x\"\n") }, `the Component "conference.…" "muc" for its rooms`, true},
		{"a Jitsi that isn't Lua", "debian", func(tr *tree) { tr.put(lua, tr.get(lua)+"}\n") }, "meet.example.com.cfg.lua:54: this is not the Lua that ppch can read", true},
		{"modules that are computed", "debian", func(tr *tree) {
			tr.put(lua, strings.Replace(tr.get(lua), `modules_enabled = { "muc_hide_all"; "muc_meeting_id" }`, "modules_enabled = my_modules", 1))
		}, `put "room_participants_api" into modules_enabled of Component "breakout.meet.example.com" yourself`, false},
		{"no directory for modules", "debian", func(tr *tree) { tr.remove("usr/share/jitsi-meet/prosody-plugins") }, "names no directory in plugin_paths that is there", false},
	} {
		t.Run(tt.name, func(t *testing.T) {
			tr := layOut(t, tt.tree)
			tt.change(tr)
			before := tr.snapshot(t)
			_, err := jitsi.Install(tr.options)
			want := strings.ReplaceAll(tt.want, "{root}", tr.root)
			if err == nil || !strings.Contains(err.Error(), want) || errors.Is(err, jitsi.ErrNotJitsi) != tt.notJitsi {
				t.Errorf("got %v want %q in it, and ErrNotJitsi %t", err, want, tt.notJitsi)
			}
			if diff := cmp.Diff(before, tr.snapshot(t)); diff != "" {
				t.Errorf("something was written (-before +after):\n%s", diff)
			}
		})
	}
}

// put, get and remove change a file of the tree, given by its path in it.
func (tr *tree) put(path, text string) {
	path = filepath.Join(tr.root, path)
	if err := errors.Join(os.MkdirAll(filepath.Dir(path), 0o755), os.WriteFile(path, []byte(text), 0o644)); err != nil {
		panic(err)
	}
}

// pipe and link put something else in the place of a file.
func (tr *tree) pipe(path string) {
	if err := syscall.Mkfifo(filepath.Join(tr.root, path), 0o600); err != nil {
		panic(err)
	}
}

func (tr *tree) link(target, path string) {
	if err := os.Symlink(target, filepath.Join(tr.root, path)); err != nil {
		panic(err)
	}
}

func (tr *tree) get(path string) string {
	b, err := os.ReadFile(filepath.Join(tr.root, path))
	if err != nil {
		panic(err)
	}
	return string(b)
}

func (tr *tree) remove(path string) {
	if err := os.RemoveAll(filepath.Join(tr.root, path)); err != nil {
		panic(err)
	}
}

func TestInstall_RefusesStalePlan(t *testing.T) {
	tr := layOut(t, "docker-stable-9457")
	p := must(jitsi.Install(tr.options))(t)
	tr.put("jitsi/.env", tr.get("jitsi/.env")+"\nNEW=1\n")
	before := tr.snapshot(t)
	if err := p.Apply(t.Context()); err == nil || !strings.Contains(err.Error(), ".env was changed in the meantime: run this again") {
		t.Errorf("got %v want it told", err)
	}
	if diff := cmp.Diff(before, tr.snapshot(t)); diff != "" {
		t.Errorf("something was written (-before +after):\n%s", diff)
	}
}
