package jitsi_test

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"ppch/cmd/ppch/jitsi"
	"ppch/prosody"
)

const (
	env    = "jitsi/.env"
	conf   = "jitsi/cfg/prosody/config/conf.d/ppch.cfg.lua"
	module = "jitsi/cfg/prosody/prosody-plugins-custom/mod_room_participants_api.lua"
	host   = "etc/prosody/conf.avail/meet.example.com.cfg.lua"
)

// Only the user's later edits remain after uninstalling.
func TestUninstall_KeepsLaterEdits(t *testing.T) {
	for _, tt := range []struct {
		name, tree, path string
		edit             func(string) string
		want             func(before string) string // "" for no file
		note             string
	}{
		{"a variable added", "docker-stable-9457", env,
			func(s string) string { return s + "NEW=1\n" },
			func(s string) string { return s + "NEW=1\n" }, ".env was edited after the installation: removing only what was added"},
		{"a module added", "docker-stable-9457", env,
			func(s string) string {
				return strings.Replace(s, "room_participants_api\"", "room_participants_api,mine\"", 1)
			},
			func(s string) string { return strings.Replace(s, "muc_census\"", "muc_census,mine\"", 1) }, ".env was edited"},
		{"the module removed by hand", "docker-stable-9457", env,
			func(s string) string { return strings.Replace(s, ",room_participants_api\"", "\"", 1) },
			func(s string) string { return s }, ".env was edited"},
		{"a line of ours changed", "docker-stable-9457", env,
			func(s string) string {
				return strings.Replace(s, "PROSODY_URL=xmpp://prosody:5347", "PROSODY_URL=xmpp://elsewhere", 1)
			},
			func(s string) string { return s + "PROSODY_URL=xmpp://elsewhere\n" }, "PROSODY_URL in .env was changed after the installation and stays."},
		{"a line of ours removed", "docker-stable-9457", env,
			func(s string) string { return strings.Replace(s, "PROSODY_URL=xmpp://prosody:5347\n", "", 1) },
			func(s string) string { return s }, ".env was edited"},
		{"lines reordered", "docker-stable-9457", env,
			func(s string) string {
				all := strings.SplitAfter(s, "\n")
				return strings.Join(append(all[12:], all[:12]...), "")
			},
			func(s string) string { return s }, ".env was edited"},
		{"an option added to the component", "docker-stable-9457", conf,
			func(s string) string { return s + "    modules_enabled = { \"mine\" }\n" },
			func(string) string { return "\n\n\n    modules_enabled = { \"mine\" }\n" }, "your lines stay:"},
		{"a blank line added", "docker-stable-9457", conf,
			func(s string) string { return s + "\n" },
			func(string) string { return "" }, ""},
		{"a syntax error", "docker-stable-9457", conf,
			func(s string) string { return s + "}\n" },
			func(string) string { return "edited" }, "your changes can't be separated from ours, so it stays"},
		{"another module", "docker-stable-9457", module,
			func(s string) string { return s + "-- mine\n" },
			func(string) string { return "edited" }, "it stays, but nothing loads it"},
		{"Jitsi's own configuration", "debian", host,
			func(s string) string { return s + "-- mine\n" },
			func(s string) string { return s + "-- mine\n" }, "removing only the module's name"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			tr := layOut(t, tt.tree)
			before := ""
			if _, err := os.Stat(filepath.Join(tr.root, tt.path)); err == nil {
				before = tr.get(tt.path)
			}
			snapshot := tr.snapshot(t)
			tr.install(t)
			edited := tt.edit(tr.get(tt.path))
			if edited == tr.get(tt.path) {
				t.Fatal("the edit changed nothing")
			}
			tr.put(tt.path, edited)

			p := tr.uninstall(t)
			if notes := strings.Join(p.Notes, "\n"); !strings.Contains(notes, tt.note) {
				t.Errorf("got the notes %q want %q", notes, tt.note)
			}
			got := ""
			if _, err := os.Stat(filepath.Join(tr.root, tt.path)); err == nil {
				got = tr.get(tt.path)
			}
			want := tt.want(before)
			if want == "edited" {
				want = edited
			}
			same(t, fmt.Sprintf("%s differs", tt.path), lineByLine(want), lineByLine(got))
			after := tr.snapshot(t)
			for path := range snapshot {
				if path != "/"+tt.path && after[path] != snapshot[path] {
					t.Errorf("%s got\n%s want\n%s", path, after[path], snapshot[path])
				}
			}
		})
	}
}

// lineByLine returns the lines without line feeds, and without empty ones.
func lineByLine(text string) (all []string) {
	for line := range strings.Lines(text) {
		if line = strings.TrimRight(line, "\n"); line != "" {
			all = append(all, line)
		}
	}
	return all
}

// A user edits .env and PPCH is installed again in a newer version. After uninstalling only the edit remains.
func TestInstall_AgainAfterAnEdit(t *testing.T) {
	tr := layOut(t, "docker-stable-9457")
	before := tr.snapshot(t)
	tr.install(t)
	tr.put(env, strings.Replace(tr.get(env), "\nMUC_DOMAIN=", "\nMINE=1\n#MUC_DOMAIN=", 1))
	tr.put(module, "-- an older version\n")

	tr.options.Component = "count.example.org"
	p := tr.install(t)
	if p.Empty() {
		t.Fatal("got an empty plan want the module, the component and MUC_DOMAIN written")
	}
	if got := tr.get(env); !strings.Contains(got, "\nMINE=1\n") || !strings.Contains(got, "\nMUC_DOMAIN=muc.meet.example.com,") || !strings.Contains(got, "\nPPCH_COMPONENT_DOMAIN=count.example.org\n") {
		t.Errorf(".env got\n%s", got)
	}
	sameSecret(t, tr.snapshot(t))

	tr.uninstall(t)
	after := tr.snapshot(t)
	if want := lineByLine(before["/"+env] + "\nMINE=1\n#MUC_DOMAIN=muc.meet.example.com,breakout.meet.example.com,lobby.meet.example.com\n"); cmp.Diff(want, lineByLine(after["/"+env])) != "" {
		t.Errorf(".env differs (-want +got):\n%s", cmp.Diff(want, lineByLine(after["/"+env])))
	}
	if _, ok := after["/"+conf]; ok {
		t.Errorf("got %s want it removed", conf)
	}
	if got := after["/"+module]; !strings.HasSuffix(got, "\n-- an older version\n") {
		t.Errorf("the module got %.80q want the user's own", got)
	}
}

// Keys and secrets in files are a deliberate choice.
func TestInstall_AddsNoKeyWhereOneIsInAFile(t *testing.T) {
	for _, variable := range []string{"PPCH_API_KEY_FILE", "PPCH_API_KEYS_FILE", "PPCH_COMPONENT_SECRET_FILE"} {
		tr := layOut(t, "docker-stable-9457")
		tr.put("jitsi/file", "in a file\n")
		tr.put(env, tr.get(env)+"\n"+variable+"=file\n")
		tr.install(t)
		added := strings.Replace(strings.TrimSuffix(variable, "_FILE"), "KEYS", "KEY", 1)
		if got := tr.get(env); strings.Contains(got, "\n"+added+"=") {
			t.Errorf("%s: got\n%s want no %s", variable, got, added)
		}
		if secret := strings.Contains(tr.get(conf), `"in a file"`); secret != (variable == "PPCH_COMPONENT_SECRET_FILE") {
			t.Errorf("%s: got %s", variable, tr.get(conf))
		}
	}
}

func TestBackup_HoldsTheOriginal(t *testing.T) {
	tr := layOut(t, "docker-stable-9457")
	want := tr.get(env)
	tr.install(t)
	backups := must(filepath.Glob(filepath.Join(tr.root, "jitsi", ".ppch", "backup", "*")))(t)
	if len(backups) != 1 || read(t, backups[0]) != want {
		t.Errorf("got the backups %q want the original .env", backups)
	}
	if info := must(os.Stat(filepath.Join(tr.root, "jitsi", ".ppch")))(t); info.Mode().Perm() != 0o700 {
		t.Errorf(".ppch got the mode %s want 0700, because it holds secrets", info.Mode())
	}
	write(t, backups[0], "something else\n")
	_, err := jitsi.Uninstall(tr.options)
	if err == nil || !strings.Contains(err.Error(), "was changed, its checksum differs") {
		t.Errorf("a changed backup got %v want an error", err)
	}
}

// Files as all kinds of editors leave them: everything except our lines stays, byte for byte.
func TestUninstall_RestoresOddEnvFiles(t *testing.T) {
	for name, odd := range map[string]string{
		"Latin-1":               "# f\xfcr uns\nTITLE=M\xfcller\n",
		"no line feed":          "TITLE='it is #1' # yes",
		"CRLF":                  "TITLE=1\r\n\r\n# two\r\n",
		"blanks and tabs":       "\t TITLE = 1 \t\n   \n",
		"twice the same":        "TITLE=1\nTITLE=2\nTITLE=1\n",
		"lines of many letters": "TITLE=" + strings.Repeat("x", 1<<20) + "\n",
		"commented out":         "#PPCH_API_KEY=1\n# XMPP_MUC_MODULES=a\n",
	} {
		t.Run(name, func(t *testing.T) {
			tr := layOut(t, "docker-stable-9457")
			text := "CONFIG=./cfg\n" + odd
			tr.put(env, text)
			before := tr.snapshot(t)
			tr.install(t)
			if got := tr.get(env); !strings.HasPrefix(got, text) || !strings.Contains(got[len(text):], "\nPPCH_COMPONENT_SECRET=") {
				t.Errorf("got %.2000q want the settings after %.200q", got, text)
			}
			tr.uninstall(t)
			same(t, "not restored", before, tr.snapshot(t))
		})
	}
}

// The module of an earlier release is updated, and restored by uninstalling.
func TestInstall_ReplacesOlderModule(t *testing.T) {
	tr := layOut(t, "docker-stable-9457")
	tr.put(module, "local version = \"1.9.3\";\n")
	before := tr.snapshot(t)
	p := tr.install(t)
	if want := "mod_room_participants_api.lua: version 1.9.3 to version 2.0.0"; !strings.Contains(render(p), want) {
		t.Errorf("got %s want %q", render(p), want)
	}
	if got := tr.get(module); got != string(prosody.Module) {
		t.Errorf("got %.80q want the module", got)
	}
	tr.uninstall(t)
	same(t, "not restored", before, tr.snapshot(t))
}
