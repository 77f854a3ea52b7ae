package main

import (
	"bytes"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/compose-spec/compose-go/v2/dotenv"
	"golang.org/x/tools/txtar"

	"ppch/prosody/prosodytest"
)

// jitsiTree lays out one of the Jitsis of package jitsi's tests.
func jitsiTree(t *testing.T, name string) (root string) {
	t.Helper()
	archive := must(txtar.ParseFile(filepath.Join("jitsi", "testdata", "trees", name+".txtar")))(t)
	root = must(filepath.EvalSymlinks(t.TempDir()))(t)
	for _, f := range archive.Files {
		path, ok := strings.CutPrefix(f.Name, "tree/")
		if !ok {
			continue
		}
		put(t, filepath.Join(root, path), strings.ReplaceAll(string(f.Data), "{root}", root))
	}
	return root
}

func put(t *testing.T, path, text string) {
	t.Helper()
	check(t, os.MkdirAll(filepath.Dir(path), 0o755))
	check(t, os.WriteFile(path, []byte(text), 0o644))
}

// everything returns the contents of all files below root.
func everything(t *testing.T, root string) map[string]string {
	t.Helper()
	all := map[string]string{}
	err := filepath.WalkDir(root, func(path string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		text := d.Type().String()
		if d.Type().IsRegular() {
			b, err := os.ReadFile(path)
			if err != nil {
				return err
			}
			text += string(b)
		}
		all[strings.TrimPrefix(path, root)] = text
		return nil
	})
	check(t, err)
	return all
}

// variablesOf reads a .env file as Docker Compose does.
func variablesOf(t *testing.T, path string) variables {
	t.Helper()
	return must(dotenv.Read(path))(t)
}

func TestInstall_DryRun(t *testing.T) {
	t.Parallel()
	root := jitsiTree(t, "docker-stable-9457")
	before := everything(t, root)
	out, err := command(t, nil, "jitsi", "install", "--dir", filepath.Join(root, "jitsi"), "--dry-run")
	if err != nil || !strings.Contains(out, "\n+component_ports = { 5347 }\n") || !strings.Contains(out, "Nothing was written") {
		t.Errorf("got %s, %v want the diff", out, err)
	}
	same(t, "something was written", before, everything(t, root))
}

func TestInstall_NeedsDirectory(t *testing.T) {
	t.Parallel()
	for _, name := range []string{"install", "uninstall"} {
		if _, err := command(t, nil, "jitsi", name); err == nil || !strings.Contains(err.Error(), `required flag(s) "dir" not set`) {
			t.Errorf("%s got %v want an error for the missing --dir", name, err)
		}
		out, err := command(t, nil, "jitsi", name, "--dir", t.TempDir())
		if err == nil || !strings.HasPrefix(err.Error(), "jitsi "+name+": ") || out != "" {
			t.Errorf("%s of an empty directory got %q, %v want an error", name, out, err)
		}
	}
}

// On a terminal, which the program script provides, the installer asks.
func TestInstall_AsksOnTerminal(t *testing.T) {
	t.Parallel()
	script, program := prosodytest.Installed(t, "script"), buildProgram(t)
	for _, tt := range []struct {
		answer, flags string
		writes, asks  bool
	}{{"n", "", false, true}, {"", "", false, true}, {"y", "", true, true}, {"n", " --yes", true, false}} {
		dir := filepath.Join(jitsiTree(t, "docker-stable-9457"), "jitsi")
		cmd := exec.Command(script, "-qec", program+" jitsi install --dir "+dir+tt.flags, "/dev/null")
		cmd.Stdin = strings.NewReader(tt.answer + "\n")
		out, err := cmd.CombinedOutput()
		_, statErr := os.Stat(filepath.Join(dir, ".ppch"))
		if (err == nil) != tt.writes || (statErr == nil) != tt.writes || bytes.Contains(out, []byte("Write this? [y/N]")) != tt.asks {
			t.Errorf("%q%s got %v, %v and\n%s\nwant it written %t", tt.answer, tt.flags, err, statErr, out, tt.writes)
		}
	}
}

// Compose finds settings in another folder only if each command names them.
func TestInstall_NextCommandsNameEnvFile(t *testing.T) {
	t.Parallel()
	root := jitsiTree(t, "docker-stable-11146")
	env := filepath.Join(root, "etc", "ppch.env")
	put(t, env, "")
	out := must(command(t, nil, "jitsi", "install", "--dir", filepath.Join(root, "jitsi"), "--env-file", env, "--dry-run"))(t)
	for _, want := range []string{"up -d ", "exec ppch /ppch rooms ", "exec ppch /ppch doctor "} {
		if want = "docker compose --env-file " + env + " " + want; !strings.Contains(out, want) {
			t.Errorf("got %s want %s in it", out[strings.LastIndex(out, "Next steps"):], want)
		}
	}
}

// A PPCH that still runs keeps Jitsi's network in use.
func TestUninstall_NextCommandsStopPPCH(t *testing.T) {
	t.Parallel()
	root := jitsiTree(t, "docker-stable-11146")
	jitsi := filepath.Join(root, "jitsi")
	for _, env := range []string{filepath.Join(root, "etc", "ppch.env"), filepath.Join(jitsi, ".env")} {
		if !strings.HasPrefix(env, jitsi) {
			put(t, env, "")
		}
		must(command(t, nil, "jitsi", "install", "--dir", jitsi, "--env-file", env, "--yes"))(t)
		out := must(command(t, nil, "jitsi", "uninstall", "--dir", jitsi, "--yes"))(t)
		want := "docker compose --env-file " + env + " down"
		if strings.HasPrefix(env, jitsi) {
			want = "-f ~/ppch/docker-compose.yml rm -sf ppch"
		}
		if !strings.Contains(out, want) || !strings.Contains(out, "--force-recreate prosody") {
			t.Errorf("%s: got %s want %s in it, and a restart of Prosody", env, out, want)
		}
	}
}

// Lobbies and breakout rooms are on by default, even if the compose file has no switch for them.
func TestInstall_WatchesLobbyAndBreakout(t *testing.T) {
	t.Parallel()
	root := jitsiTree(t, "docker-stable-11146")
	path := filepath.Join(root, "jitsi", "docker-compose.yml")
	text := regexp.MustCompile(`(?m)^.*ENABLE_(LOBBY|BREAKOUT_ROOMS).*\n`).ReplaceAllString(ofFile(t, path), "")
	put(t, path, text)
	out, err := command(t, nil, "jitsi", "install", "--dir", filepath.Join(root, "jitsi"), "--dry-run")
	if want := "MUC_DOMAIN=muc.meet.jitsi,breakout.meet.jitsi,lobby.meet.jitsi\n"; err != nil || !strings.Contains(out, want) {
		t.Errorf("got %s, %v want %s in it", out, err, want)
	}
}
