package jitsi_test

import (
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"ppch/cmd/ppch/jitsi"
	"ppch/component/componenttest"
)

const (
	compose = "jitsi/docker-compose.yml"
	debconf = "etc/prosody/prosody.cfg.lua"
)

// replace replaces a part of a file, which must exist.
func (tr *tree) replace(t *testing.T, path, old, changed string) {
	t.Helper()
	text := tr.get(path)
	if !strings.Contains(text, old) {
		t.Fatalf("%s has no %q:\n%s", path, old, text)
	}
	tr.put(path, strings.Replace(text, old, changed, 1))
}

// refused checks that an installation fails with these texts.
func (tr *tree) refused(t *testing.T, words ...string) {
	t.Helper()
	_, err := jitsi.Install(tr.options)
	for _, want := range words {
		if want = strings.ReplaceAll(want, "{root}", tr.root); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("got %v want %q in it", err, want)
		}
	}
}

// COMPOSE_FILE is relative to --dir, not to the working directory.
func TestInstall_ComposeFileIsRelativeToDir(t *testing.T) {
	for _, separator := range []string{"", ","} {
		tr := layOut(t, "docker-stable-9457")
		line := "\nCOMPOSE_FILE=docker-compose.yml:jibri.yml\n"
		if separator != "" {
			line = "\nCOMPOSE_FILE=docker-compose.yml" + separator + "jibri.yml\nCOMPOSE_PATH_SEPARATOR=" + separator + "\n"
		}
		tr.put(env, tr.get(env)+line)
		tr.put("jitsi/jibri.yml", "services:\n  prosody:\n    environment:\n      XMPP_DOMAIN: from.jibri.yml\n")
		p := tr.install(t)
		if want := "-f docker-compose.yml -f jibri.yml -f ~/ppch/docker-compose.yml"; !strings.Contains(render(p), want) {
			t.Errorf("got %s want %q", render(p), want)
		}
		if got := tr.get(env); !strings.Contains(got, "PPCH_COMPONENT_DOMAIN=ppch.from.jibri.yml\n") {
			t.Errorf("got %s want the domain from jibri.yml", got)
		}
	}
	tr := layOut(t, "docker-stable-9457")
	tr.put(env, tr.get(env)+"\nCOMPOSE_FILE=docker-compose.yml:gone.yml\n")
	tr.refused(t, "{root}/jitsi/gone.yml, which doesn't exist")
}

// With COMPOSE_FILE no file needs a default name.
func TestInstall_ComposeFileMayHaveAnyName(t *testing.T) {
	tr := layOut(t, "docker-stable-9457")
	check(t, os.Rename(tr.at(compose), tr.at("jitsi/meet.yml")))
	tr.put(env, tr.get(env)+"\nCOMPOSE_FILE=meet.yml\n")
	tr.install(t)
}

// Jitsi's own URL becomes the URL of meetings, unless one is set or Jitsi's is unusable.
func TestInstall_MeetURLIsJitsisPublicURL(t *testing.T) {
	for _, tt := range []struct{ name, before, want string }{
		{"Jitsi's", "PUBLIC_URL=https://meet.example.com:8443/\n", "https://meet.example.com:8443"},
		{"one of the operator", "PUBLIC_URL=https://meet.example.com\nPPCH_MEET_URL=https://other.example.com\n", "https://other.example.com"},
		{"none", "", ""},
		{"no URL", "PUBLIC_URL=meet.example.com\n", ""},
	} {
		t.Run(tt.name, func(t *testing.T) {
			tr := layOut(t, "docker-stable-11146")
			text := tr.get(compose)
			begin, rest, _ := strings.Cut(text, "        environment:\n")
			_, end, _ := strings.Cut(rest, "        networks:\n")
			tr.put(compose, begin+"        env_file: .env\n        networks:\n"+end)
			tr.put(env, tr.get(env)+tt.before)
			tr.install(t)
			_, after, found := strings.Cut("\n"+tr.get(env), "\nPPCH_MEET_URL=")
			got, _, _ := strings.Cut(after, "\n")
			if got != tt.want || found != (tt.want != "") {
				t.Errorf("got PPCH_MEET_URL=%s (%t) want %s", got, found, tt.want)
			}
		})
	}
}

// "env_file: .env" passes every variable, including those that the installation adds.
func TestInstall_EnvFileHandsVariablesOn(t *testing.T) {
	tr := layOut(t, "docker-stable-11146")
	text := tr.get(compose)
	begin, rest, _ := strings.Cut(text, "        environment:\n")
	_, end, _ := strings.Cut(rest, "        networks:\n")
	tr.put(compose, begin+"        env_file: .env\n        networks:\n"+end)
	tr.put(env, tr.get(env)+"XMPP_DOMAIN=meet.example.com\nXMPP_MUC_DOMAIN=muc.meet.example.com\n")
	p := tr.install(t)
	got := tr.get(env)
	for _, want := range []string{
		"\nXMPP_MUC_MODULES=room_participants_api\nXMPP_BREAKOUT_MUC_MODULES=room_participants_api\nXMPP_LOBBY_MUC_MODULES=room_participants_api\n",
		"\nMUC_DOMAIN=muc.meet.example.com,breakout.meet.example.com,lobby.meet.example.com\n",
	} {
		if !strings.Contains(got, want) {
			t.Errorf("got %s want %q (notes: %q)", got, want, p.Notes)
		}
	}
}

// If no variable reaches the container, the error shows the line to add.
func TestInstall_SaysWhichLineHandsAVariableOn(t *testing.T) {
	tr := layOut(t, "docker-stable-11146")
	for _, line := range []string{"GLOBAL_MODULES", "XMPP_BREAKOUT_MUC_MODULES", "XMPP_MUC_MODULES"} {
		tr.replace(t, compose, "            - "+line+"\n", "")
	}
	tr.refused(t, "no compose file passes XMPP_MUC_MODULES or GLOBAL_MODULES to Prosody",
		"add to environment: of the service prosody in docker-compose.yml\n      - XMPP_MUC_MODULES\n      - XMPP_BREAKOUT_MUC_MODULES\n")
	tr.replace(t, compose, "            - XMPP_DOMAIN\n", "            - XMPP_DOMAIN\n            - XMPP_MUC_MODULES\n            - XMPP_BREAKOUT_MUC_MODULES\n")
	tr.install(t)
}

// Ports and interfaces of other components are kept.
func TestInstall_KeepsPortsOfOtherComponents(t *testing.T) {
	const bot = "\nComponent \"bot.example.com\"\n    component_secret = \"of the bot\"\n"
	const conf = "etc/prosody/conf.d/ppch.cfg.lua"
	for _, tt := range []struct {
		name, tree string
		change     func(t *testing.T, tr *tree)
		refused    string
		conf       string
		has, lacks []string
	}{
		{"a port in prosody.cfg.lua", "debian", func(_ *testing.T, tr *tree) {
			tr.put(debconf, "component_ports = { 5275 }\n"+tr.get(debconf))
		}, "", conf, nil, []string{"component_ports"}},
		{"a port other than the chosen one", "debian", func(_ *testing.T, tr *tree) {
			tr.put(debconf, "component_ports = { 5275, 5280 }\n"+tr.get(debconf))
			tr.options.Port = 5347
		}, "prosody.cfg.lua:1 sets component_ports without 5347: add it there, or choose one of its ports with --component-port", "", nil, nil},
		{"a port under a condition", "debian", func(_ *testing.T, tr *tree) {
			tr.put(debconf, "if os.getenv(\"BOT\") then component_ports = { 5275 } end\n"+tr.get(debconf))
			tr.options.Port = 5347
		}, "prosody.cfg.lua:1 sets component_ports without 5347", "", nil, nil},
		{"interfaces in prosody.cfg.lua", "debian", func(_ *testing.T, tr *tree) {
			tr.put(debconf, "component_interfaces = { \"127.0.0.1\", \"10.0.0.1\" }\n"+tr.get(debconf))
		}, "", conf, []string{"component_ports = { 5347 }"}, []string{"component_interface"}},
		{"the old spelling", "debian", func(_ *testing.T, tr *tree) {
			tr.put(debconf, "component_interface = \"10.0.0.1\"\n"+tr.get(debconf))
		}, "prosody.cfg.lua:1 sets component_interface without \"127.0.0.1\": add it there", "", nil, nil},
		{"a component that relies on the defaults", "debian", func(_ *testing.T, tr *tree) {
			tr.put(debconf, tr.get(debconf)+bot)
			tr.options.Port = 5350
		}, "", conf, []string{"component_ports = { 5350, 5347 }"}, []string{"component_interface"}},
		{"a component that relies on the defaults, and another interface", "debian", func(_ *testing.T, tr *tree) {
			tr.put(debconf, tr.get(debconf)+bot)
			tr.options.Interface = "10.0.0.1"
		}, "", conf, []string{`component_interfaces = { "10.0.0.1", "127.0.0.1", "::1" }`}, nil},
		{"an empty list before conf.d is read", "debian", func(_ *testing.T, tr *tree) {
			tr.put(debconf, "component_ports = { }\n"+tr.get(debconf))
		}, "", conf, []string{"component_ports = { 5347 }"}, nil},
		{"an empty list after conf.d was read", "debian", func(_ *testing.T, tr *tree) {
			tr.replace(t, debconf, "\nVirtualHost \"localhost\"\n", "")
			tr.put(debconf, tr.get(debconf)+"component_ports = { }\n")
		}, "sets component_ports without 5347", "", nil, nil},
		{"GLOBAL_CONFIG", "docker-stable-11146", func(_ *testing.T, tr *tree) {
			tr.put(env, tr.get(env)+`GLOBAL_CONFIG='component_ports = { 5275 }\ncomponent_interfaces = { "*" }'`+"\n")
		}, "", "cfg/prosody/config/conf.d/ppch.cfg.lua", nil, []string{"component_ports", "component_interfaces"}},
		{"GLOBAL_CONFIG without our interface", "docker-stable-11146", func(_ *testing.T, tr *tree) {
			tr.put(env, tr.get(env)+`GLOBAL_CONFIG='component_interfaces = { "127.0.0.1" }'`+"\n")
		}, `GLOBAL_CONFIG in {root}/jitsi/.env:1 sets component_interfaces without "*": add it there`, "", nil, nil},
		{"a generated prosody.cfg.lua", "docker-stable-8719", func(t *testing.T, tr *tree) {
			tr.replace(t, ".jitsi-meet-cfg/prosody/config/prosody.cfg.lua", "component_ports = { }", "component_ports = { 5275 }")
		}, "", ".jitsi-meet-cfg/prosody/config/conf.d/ppch.cfg.lua", []string{"component_ports = { 5347, 5275 }"}, nil},
	} {
		t.Run(tt.name, func(t *testing.T) {
			tr := layOut(t, tt.tree)
			tt.change(t, tr)
			if tt.refused != "" {
				tr.refused(t, tt.refused)
				return
			}
			tr.install(t)
			got := tr.get(tt.conf)
			componenttest.Has(t, got, tt.has...)
			componenttest.HasNo(t, got, tt.lacks...)
		})
	}
}

// PPCH uses the port that is kept.
func TestInstall_UsesThePortThatIsThere(t *testing.T) {
	tr := layOut(t, "debian")
	tr.put(debconf, "component_ports = { 5275 }\n"+tr.get(debconf))
	tr.install(t)
	if got := tr.get("etc/prosody/ppch.env"); !strings.Contains(got, "PROSODY_URL=xmpp://127.0.0.1:5275\n") {
		t.Errorf("got %s want the port 5275", got)
	}
}

func TestInstall_OfTwoJitsisOneIsChosen(t *testing.T) {
	tr := layOut(t, "debian")
	for _, path := range []string{"etc/prosody/conf.avail/", "etc/prosody/conf.d/"} {
		tr.put(path+"other.example.org.cfg.lua", strings.ReplaceAll(tr.get(host), "meet.example.com", "other.example.org"))
	}
	tr.refused(t, "{root}/etc/prosody/conf.d has 2 Jitsis, meet.example.com, other.example.org: choose one with --domain, such as --domain meet.example.com")
	tr.options.Domain = "third.example.org"
	tr.refused(t, "--domain: {root}/etc/prosody/conf.d has no Jitsi third.example.org: use one of meet.example.com, other.example.org")
	tr.options.Domain = "other.example.org"
	before := tr.snapshot(t)
	tr.install(t)
	if got := tr.get("etc/prosody/ppch.env"); !strings.Contains(got, "MUC_DOMAIN=conference.other.example.org,") {
		t.Errorf("got %s want the rooms of other.example.org", got)
	}
	if tr.get(host) != text(before["/"+host]) {
		t.Errorf("the other Jitsi got\n%s want it unchanged", tr.get(host))
	}
	tr.options.Domain = "" // the first run has chosen
	if p := tr.install(t); !p.Empty() {
		t.Errorf("the second time got %s want no changes", p.Diff())
	}
	tr.uninstall(t)

	docker := layOut(t, "docker-stable-9457")
	docker.options.Domain = "other.example.org"
	docker.refused(t, "--domain: the Jitsi in {root}/jitsi is meet.example.com, not other.example.org")
}

// text returns a file's content from a snapshot.
func text(snapshot string) string {
	_, text, _ := strings.Cut(snapshot, "\n")
	return text
}

// A Prosody for visitors has rooms with their own names, and no breakout rooms or lobbies.
func TestInstall_VisitorsHaveTheirOwnRooms(t *testing.T) {
	for variables, want := range map[string]string{
		"": "muc.v0.meet.jitsi",
		"PROSODY_VISITOR_INDEX=2\nVISITORS_XMPP_DOMAIN=watch.example.com\nPROSODY_VISITORS_MUC_PREFIX=rooms\n": "rooms.v2.watch.example.com",
	} {
		tr := layOut(t, "docker-stable-11146")
		tr.replace(t, compose, "            - XMPP_DOMAIN\n", "            - XMPP_DOMAIN\n            - PROSODY_MODE\n            - PROSODY_VISITOR_INDEX\n            - PROSODY_VISITORS_MUC_PREFIX\n            - VISITORS_XMPP_DOMAIN\n")
		tr.put(env, tr.get(env)+"PROSODY_MODE=visitors\n"+variables)
		tr.install(t)
		got := tr.get(env)
		_, domain, _ := strings.Cut(want, ".")
		componenttest.Has(t, got, "\nMUC_DOMAIN="+want+"\n", "\nPPCH_COMPONENT_DOMAIN=ppch."+domain+"\n", "\nXMPP_MUC_MODULES=room_participants_api\n")
		componenttest.HasNo(t, got, "breakout.", "lobby.", "XMPP_BREAKOUT_MUC_MODULES", "XMPP_LOBBY_MUC_MODULES")
	}
}

// A brewery is for bridges, not for people.
func TestInstall_RefusesABrewery(t *testing.T) {
	tr := layOut(t, "docker-stable-11146")
	tr.replace(t, compose, "            - XMPP_DOMAIN\n", "            - XMPP_DOMAIN\n            - PROSODY_MODE\n")
	tr.put(env, tr.get(env)+"PROSODY_MODE=brewery\n")
	tr.refused(t, "the service prosody has PROSODY_MODE=brewery", "has no meetings")

	// If there is also a Prosody with rooms, the brewery is ignored, even with the default name.
	tr = layOut(t, "docker-stable-11146")
	service := tr.get(compose)
	_, service, _ = strings.Cut(service, "    prosody:\n")
	service, _, _ = strings.Cut(service, "\nnetworks:")
	service = strings.Replace(service, "            - XMPP_DOMAIN\n", "            - XMPP_DOMAIN=of.people\n", 1)
	tr.replace(t, compose, "            - XMPP_DOMAIN\n", "            - XMPP_DOMAIN\n            - PROSODY_MODE=brewery\n")
	tr.replace(t, compose, "\nnetworks:", "\n    people:\n"+service+"\nnetworks:")
	tr.install(t)
	if got := tr.get(env); !strings.Contains(got, "PROSODY_URL=xmpp://people:5347\n") {
		t.Errorf("got %s want the service people", got)
	}
}

// Before Jitsi's first start, the error begins with the remedy.
func TestInstall_BeforeJitsisFirstStart(t *testing.T) {
	tr := layOut(t, "docker-stable-11146")
	tr.remove("cfg")
	if _, err := jitsi.Install(tr.options); err == nil || !strings.HasPrefix(err.Error(), "start Jitsi once with \"docker compose up -d\" in "+tr.root+"/jitsi, then run this again: ") {
		t.Errorf("got %v want it to begin with the remedy", err)
	}
	tr.remove(env)
	if _, err := jitsi.Install(tr.options); err == nil || !strings.HasPrefix(err.Error(), "copy env.example to .env and run ./gen-passwords.sh first: ") {
		t.Errorf("got %v want it to begin with the remedy", err)
	}
}

// Debian's packages keep Prosody's default of 100 rooms, too few for a busy Jitsi.
func TestInstall_SaysThatTheRoomCacheIsSmall(t *testing.T) {
	const says = "Add below Component \"conference.meet.example.com\" in conf.avail/meet.example.com.cfg.lua:\n      muc_room_cache_size = 10000"
	for change, want := range map[string]bool{
		"": true, "muc_room_cache_size = 10000\n": false, "Component \"elsewhere.example.com\" \"muc\"\n    muc_room_cache_size = 10000\n": true,
	} {
		tr := layOut(t, "debian")
		tr.put(host, strings.Replace(tr.get(host), "\nVirtualHost", change+"\nVirtualHost", 1))
		if notes := strings.Join(must(jitsi.Install(tr.options))(t).Notes, "\n"); strings.Contains(notes, says) != want {
			t.Errorf("%q: got the notes %q want %q in them %t", change, notes, says, want)
		}
	}
	tr := layOut(t, "debian")
	tr.replace(t, host, "    restrict_room_creation = true\n    storage", "    muc_room_cache_size = 500\n    storage")
	if notes := strings.Join(must(jitsi.Install(tr.options))(t).Notes, "\n"); strings.Contains(notes, "muc_room_cache_size") {
		t.Errorf("got the notes %q want none about the cache", notes)
	}
}

// New files with secrets are for their owner only. A note reports a world-readable .env.
func TestInstall_SecretsAreForTheirOwnerAlone(t *testing.T) {
	tr := layOut(t, "docker-stable-9457")
	const says = ".env has mode 0644, so every user of this machine can read its secrets: chmod o-r "
	if notes := strings.Join(must(jitsi.Install(tr.options))(t).Notes, "\n"); !strings.Contains(notes, says+tr.at(env)) {
		t.Errorf("got the notes %q want %q", notes, says)
	}
	check(t, os.Chmod(tr.at(env), 0o600))
	if p := tr.install(t); strings.Contains(strings.Join(p.Notes, "\n"), "has mode") {
		t.Errorf("got the notes %q", p.Notes)
	}
	for _, path := range []string{env, conf, "jitsi/.ppch/install.json"} {
		if got := rightsOf(t, tr.at(path)); !strings.HasPrefix(got, "0600 ") {
			t.Errorf("%s got %s want 0600", path, got)
		}
	}
}

// Pipes may never end, devices may react to being opened, and NUL bytes are not text.
func TestInstall_ReadsFilesOnly(t *testing.T) {
	pipe := func(t *testing.T, path string) { check(t, syscall.Mkfifo(path, 0o600)) }
	nul := func(t *testing.T, path string) { check(t, os.WriteFile(path, []byte("-- \x00\n"), 0o600)) }
	device := func(t *testing.T, path string) {
		if err := syscall.Mknod(path, syscall.S_IFCHR|0o600, 1<<8|5); err != nil {
			t.Skip("can't make a device:", err)
		}
	}
	for _, path := range []string{env, compose, conf, module, "jitsi/.ppch/install.json", "jitsi/docker-compose.override.yml", "jitsi/base.yml"} {
		for name, tt := range map[string]struct {
			make func(*testing.T, string)
			want string
		}{
			"a pipe": {pipe, "is a pipe or a device, not a file"}, "a device": {device, "is a pipe or a device, not a file"}, "NUL": {nul, "is not a text file: byte 3 is NUL"},
		} {
			t.Run(path+" "+name, func(t *testing.T) {
				if filepath.Base(path) == "base.yml" && name == "NUL" {
					t.Skip("Compose reads this file and has its own error")
				}
				tr := layOut(t, "docker-stable-9457")
				tr.remove(path)
				check(t, os.MkdirAll(filepath.Dir(tr.at(path)), 0o700))
				tt.make(t, tr.at(path))
				if filepath.Base(path) == "base.yml" {
					tr.put("jitsi/docker-compose.override.yml", "include: [base.yml]\n")
				}
				tr.refused(t, tt.want)
			})
		}
	}
}
