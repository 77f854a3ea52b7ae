package jitsi_test

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"ppch/cmd/ppch/jitsi"
	"ppch/component/componenttest"
)

// rightsOf returns mode and owner of a file, as "0600 1000:1000".
func rightsOf(t *testing.T, path string) string {
	t.Helper()
	info := must(os.Stat(path))(t)
	st := info.Sys().(*syscall.Stat_t)
	return fmt.Sprintf("%04o %d:%d", info.Mode().Perm(), st.Uid, st.Gid)
}

// Prosody doesn't start if it can't read a file in conf.d, and no other user may read a file with a secret.
func TestInstall_FileOwnership(t *testing.T) {
	if os.Geteuid() != 0 {
		t.Skip("only root can give files away")
	}
	for _, tt := range []struct {
		name, tree  string
		before      func(tr *tree)
		conf, right string
	}{
		{"containers as uid 1000", "docker-stable-11146", func(*tree) {}, "cfg/prosody/config/conf.d", "0600 1000:1000"},
		{"containers as uid 1000, rootless Docker", "docker-stable-11146", func(tr *tree) {
			tr.put("cfg/storage/prosody/data/x", "")
			tr.give("cfg/storage/prosody/data", 100999, 100999)
		}, "cfg/prosody/config/conf.d", "0600 100999:100999"},
		{"containers as root, after /config was given to Prosody", "docker-stable-9457", func(tr *tree) {
			tr.give("jitsi/cfg/prosody/config", 101, 102)
		}, "jitsi/cfg/prosody/config/conf.d", "0600 101:102"},
		{"a user in a compose file", "docker-stable-11031", func(tr *tree) {
			tr.put("jitsi/docker-compose.override.yml", "services:\n  prosody:\n    user: '1234:1235'\n")
		}, "cfg/prosody/config/conf.d", "0600 1234:1235"},
		{"Debian, where Prosody's group may read", "debian", func(tr *tree) {
			tr.give("etc/prosody/prosody.cfg.lua", 0, 110)
		}, "etc/prosody/conf.d", "0640 0:110"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			tr := layOut(t, tt.tree)
			tt.before(tr)
			p := tr.install(t)
			if got := rightsOf(t, filepath.Join(tr.root, tt.conf, "ppch.cfg.lua")); got != tt.right {
				t.Errorf("ppch.cfg.lua got %s want %s", got, tt.right)
			}
			if notes := strings.Join(p.Notes, "\n"); strings.Contains(notes, "is readable by every user") || strings.Contains(notes, "can't") {
				t.Errorf("got the notes %s", notes)
			}
		})
	}
}

func (tr *tree) give(path string, uid, gid int) {
	if err := os.Chown(filepath.Join(tr.root, path), uid, gid); err != nil {
		panic(err)
	}
}

func TestInstall_FileModes(t *testing.T) {
	tr := layOut(t, "debian")
	tr.install(t)
	if got := rightsOf(t, filepath.Join(tr.root, "usr/share/jitsi-meet/prosody-plugins/mod_room_participants_api.lua")); !strings.HasPrefix(got, "0644 ") {
		t.Errorf("the module got %s want 0644", got)
	}
	if got := rightsOf(t, filepath.Join(tr.root, "etc/prosody/ppch.env")); !strings.HasPrefix(got, "0600 ") {
		t.Errorf("ppch.env got %s want 0600", got)
	}
}

func TestInstall_KeepsRightsAndLinks(t *testing.T) {
	tr := layOut(t, "docker-stable-9457")
	real := filepath.Join(tr.root, "jitsi", "cfg", "settings")
	path := filepath.Join(tr.root, "jitsi", ".env")
	check(t, os.Rename(path, real))
	check(t, os.Symlink("cfg/settings", path))
	check(t, os.Chmod(real, 0o604))
	if os.Geteuid() == 0 {
		tr.give("jitsi/cfg/settings", 1001, 1002)
	}
	before := rightsOf(t, real)
	tr.install(t)
	if got := rightsOf(t, real); got != before {
		t.Errorf("got %s want %s", got, before)
	}
	if target, err := os.Readlink(path); err != nil || target != "cfg/settings" {
		t.Errorf("the link got %q, %v want it unchanged", target, err)
	}
	if !strings.Contains(read(t, real), "\nPPCH_API_KEY=") {
		t.Errorf("got %s want the settings in it", read(t, real))
	}
}

// An unreadable file would keep Jitsi from starting, so a note shows how to fix it.
func TestInstall_NotesFilesProsodyCannotRead(t *testing.T) {
	if os.Geteuid() != 0 {
		t.Skip("needs files of another user")
	}
	tr := layOut(t, "docker-by-hand")
	path := filepath.Join(tr.root, "cfg/prosody/config/conf.d/ppch.cfg.lua")
	check(t, os.Chmod(path, 0o600))
	check(t, os.Chmod(filepath.Dir(path), 0o700))
	notes := strings.Join(must(jitsi.Install(tr.options))(t).Notes, "\n")
	componenttest.Has(t, notes, "Prosody (user 1000) can't read ", "ppch.cfg.lua: chown 1000 "+path, "Prosody (user 1000) can't enter ", "conf.d: chmod o+rx "+filepath.Dir(path))
}
