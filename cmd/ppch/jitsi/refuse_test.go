package jitsi_test

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"ppch/cmd/ppch/jitsi"
)

// An unsafe installation is refused before anything is written, with a remedy.
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
		{"a file", "debian", func(tr *tree) { tr.options.Dir += "/prosody.cfg.lua" }, "is a file: use its directory", false},
		{"an empty directory", "debian", func(tr *tree) { tr.options.Dir = tr.root }, "has neither docker-compose.yml (docker-jitsi-meet) nor prosody.cfg.lua", true},
		{"PPCH's own folder", "docker-stable-9457", func(tr *tree) {
			tr.put("jitsi/prosody/mod_room_participants_api.lua", "")
		}, "is PPCH's own folder: use that of docker-jitsi-meet", true},
		{"docker-jitsi-meet's CONFIG", "docker-stable-9457", func(tr *tree) { tr.options.Dir += "/cfg" }, "use the directory with its docker-compose.yml", true},
		{"its Prosody's configuration", "docker-stable-8719", func(tr *tree) { tr.options.Dir = tr.root + "/.jitsi-meet-cfg/prosody/config" }, "use the directory with its docker-compose.yml", true},
		{"a compose file of something else", "docker-stable-9457", func(tr *tree) { tr.put("jitsi/docker-compose.yml", "services:\n  db:\n    image: postgres\n") }, "no service in", true},
		{"an invalid compose file", "docker-stable-9457", func(tr *tree) { tr.put("jitsi/docker-compose.yml", "services: [") }, `fix the compose files until "docker compose config" works`, false},
		{"a configuration in a volume", "docker-stable-9457", func(tr *tree) {
			tr.put("jitsi/docker-compose.yml", "services:\n  prosody:\n    image: jitsi/prosody\n    volumes: ['config:/config']\nvolumes:\n  config:\n")
		}, "Run in {root}/jitsi:\n      mkdir -p prosody-config prosody-plugins && docker compose cp prosody:/config/. prosody-config\nThen replace its volumes at these paths in docker-compose.yml by\n    volumes:\n      - ./prosody-config:/config:Z\n      - ./prosody-plugins:/prosody-plugins-custom:Z\nand run this again", false},
		{"no .env", "docker-stable-9457", func(tr *tree) { tr.remove(env) }, "copy env.example to .env and run ./gen-passwords.sh first", false},
		{"a .env that Compose refuses", "docker-stable-9457", func(tr *tree) { tr.put(env, "A='never ends\n") }, ".env: line 2: unterminated quoted value: Docker Compose fails as well", false},
		{"a .env that is a directory", "docker-stable-9457", func(tr *tree) { tr.remove(env); tr.put(env+"/x", "") }, "is a directory", false},
		{"a .env that is a pipe", "docker-stable-9457", func(tr *tree) { tr.remove(env); tr.pipe(env) }, ".env is a pipe or a device, not a file", false},
		{"a .env that never ends", "docker-stable-9457", func(tr *tree) { tr.remove(env); tr.link("/dev/zero", env) }, ".env is a pipe or a device, not a file", false},
		{"a huge .env", "docker-stable-9457", func(tr *tree) { tr.put(env, strings.Repeat("# x\n", 5<<20)) }, ".env is too large: 20971520 bytes", false},
		{"a compose file that is a pipe", "docker-stable-9457", func(tr *tree) { tr.remove("jitsi/docker-compose.yml"); tr.pipe("jitsi/docker-compose.yml") }, "docker-compose.yml is a pipe or a device", false},
		{"a COMPOSE_FILE that doesn't exist", "docker-stable-9457", func(tr *tree) {
			tr.put(env, tr.get(env)+"COMPOSE_FILE=docker-compose.yml:jibri.yml\n")
		}, "COMPOSE_FILE names {root}/jitsi/jibri.yml, which doesn't exist: remove it from COMPOSE_FILE or add the file", false},
		{"a .ppch that is a link", "docker-stable-9457", func(tr *tree) { tr.link("cfg", "jitsi/.ppch") }, "{root}/jitsi/.ppch is a link or a file, but must be a directory: move it away", false},
		{"a conf.d that is a file", "docker-stable-11146", func(tr *tree) { tr.put("cfg/prosody/config/conf.d", "") }, "conf.d", false},
		{"a missing CONFIG", "docker-stable-9457", func(tr *tree) { tr.put(env, "CONFIG=~/elsewhere\n") }, "if another user runs docker compose, run this as that user or with sudo", false},
		{"modules that a compose file sets", "docker-stable-11031", func(tr *tree) {
			tr.put("jitsi/docker-compose.override.yml", "services:\n  prosody:\n    environment:\n      XMPP_MUC_MODULES: muc_size\n")
		}, "XMPP_MUC_MODULES in {root}/jitsi/.env has no effect", false},
		{"modules that the environment sets", "docker-stable-11146", func(tr *tree) {
			tr.options.Lookup = func(name string) (string, bool) { return "muc_size", name == "XMPP_MUC_MODULES" }
		}, "XMPP_MUC_MODULES in {root}/jitsi/.env has no effect", false},
		{"an invalid component name", "docker-stable-9457", func(tr *tree) { tr.options.Component = "ppch.meet_jitsi" }, "use lower-case letters, digits, hyphens and dots, such as ppch.meet.example.com", false},
		{"a component name of Jitsi's", "docker-stable-9457", func(tr *tree) { tr.options.Component = "focus.meet.example.com" }, "Jitsi uses focus.meet.example.com", false},
		{"a component name of rooms", "debian", func(tr *tree) { tr.options.Component = "lobby.meet.example.com" }, "Jitsi uses lobby.meet.example.com", false},
		{"an invalid port", "docker-stable-9457", func(tr *tree) { tr.options.Port = 65536 }, "65536 is not a port", false},
		{"a port on which Prosody doesn't listen", "docker-stable-11031", func(tr *tree) { tr.options.Port = 5347 }, "bot.cfg.lua:1 sets component_ports without 5347", false},
		{"an interface on which Prosody doesn't listen", "docker-stable-11031", func(tr *tree) {
			tr.put("cfg/prosody/config/conf.d/bot.cfg.lua", "component_interfaces = { \"127.0.0.1\" }\n")
		}, `bot.cfg.lua:1 sets component_interfaces without "*"`, false},
		{"a component in another file", "docker-stable-9457", func(tr *tree) {
			tr.put(confd+"mine.cfg.lua", "Component \"ppch.meet.example.com\"\n    component_secret = \"s\"\n")
		}, "mine.cfg.lua:1 already has ppch.meet.example.com: move it to", false},
		{"an incomplete file by hand", "docker-stable-9457", func(tr *tree) {
			tr.put(confd+"ppch.cfg.lua", "Component \"ppch.meet.example.com\"\n")
		}, "It lacks:\n  component_ports = { 5347 }\n  component_interfaces = { \"*\" }\n      component_secret = \"…\"\nAdd these lines", false},
		{"a file by hand that isn't Lua", "docker-stable-9457", func(tr *tree) { tr.put(confd+"ppch.cfg.lua", "component_ports = {\n\nComponent") }, "ppch.cfg.lua: unexpected end of file: fix it or move it away", false},
		{"two secrets", "docker-by-hand", func(tr *tree) { tr.put(env, tr.get(env)+"PPCH_COMPONENT_SECRET=another\n") }, "differs from PPCH_COMPONENT_SECRET in .env: make them equal", false},
		{"a missing secret file", "docker-stable-9457", func(tr *tree) { tr.put(env, tr.get(env)+"\nPPCH_COMPONENT_SECRET_FILE=gone\n") }, "PPCH_COMPONENT_SECRET_FILE in {root}/jitsi/.env: stat", false},
		{"a newer module", "docker-ppch-1", func(tr *tree) {
			tr.put("cfg/prosody/prosody-plugins-custom/mod_room_participants_api.lua", "local version = \"99.1.0\";\n")
		}, "has version 99.1.0, newer than", false},
		{"a damaged journal", "docker-stable-9457", func(tr *tree) { tr.put("jitsi/.ppch/install.json", "{") }, "install.json is damaged", false},
		{"a journal of another format", "docker-stable-9457", func(tr *tree) { tr.put("jitsi/.ppch/install.json", `{"format":2}`) }, "has format 2, not 1: use the ppch that wrote it", false},
		{"a Prosody that doesn't read conf.d", "debian", func(tr *tree) { tr.put("etc/prosody/prosody.cfg.lua", "VirtualHost \"x\"\n") }, "add this line at its end, then run this again\n  Include \"conf.d/*.cfg.lua\"", false},
		{"a Prosody without Jitsi", "debian", func(tr *tree) { tr.put(lua, "VirtualHost \"x\"\n") }, `the Component "conference.…" "muc" for its rooms`, true},
		{"a Jitsi that isn't Lua", "debian", func(tr *tree) { tr.put(lua, tr.get(lua)+"}\n") }, "meet.example.com.cfg.lua:54: can't be parsed as Lua 5.1", true},
		{"computed modules", "debian", func(tr *tree) {
			tr.put(lua, strings.Replace(tr.get(lua), `modules_enabled = { "muc_hide_all"; "muc_meeting_id" }`, "modules_enabled = my_modules", 1))
		}, `add "room_participants_api" to modules_enabled of Component "breakout.meet.example.com" yourself`, false},
		{"no directory for modules", "debian", func(tr *tree) { tr.remove("usr/share/jitsi-meet/prosody-plugins") }, "no directory in plugin_paths exists", false},
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
			same(t, "something was written", before, tr.snapshot(t))
		})
	}
}

// put, get and remove access a file by its path in the tree.
func (tr *tree) put(path, text string) {
	path = filepath.Join(tr.root, path)
	if err := errors.Join(os.MkdirAll(filepath.Dir(path), 0o755), os.WriteFile(path, []byte(text), 0o644)); err != nil {
		panic(err)
	}
}

// pipe and link create special files.
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
	if err := p.Apply(t.Context()); err == nil || !strings.Contains(err.Error(), ".env has changed since the plan was made: run this again") {
		t.Errorf("got %v want an error", err)
	}
	same(t, "something was written", before, tr.snapshot(t))
}
