package main

import (
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"syscall"
	"testing"
	"time"
)

// Without rights, the error says what to do, and nothing is written.
func TestInstall_WithoutRights(t *testing.T) {
	t.Parallel()
	program := buildProgram(t)
	unprivileged := func(cmd *exec.Cmd) {}
	if os.Geteuid() == 0 {
		unprivileged = func(cmd *exec.Cmd) {
			cmd.SysProcAttr = &syscall.SysProcAttr{Credential: &syscall.Credential{Uid: 65534, Gid: 65534}}
		}
	}
	for _, tt := range []struct {
		name, forbidden string
		mode            fs.FileMode
		want            string
	}{
		{"a directory for modules that can't be written", "jitsi/cfg/prosody/prosody-plugins-custom", 0o555, "permission denied: nothing was changed: run this as root (sudo)"},
		{"a conf.d that can't be written", "jitsi/cfg/prosody/config/conf.d", 0o555, "permission denied: nothing was changed: run this as root (sudo)"},
		{"a .env that can't be read", "jitsi/.env", 0, "permission denied: run this as root or as its owner"},
		{"the directory of .env that can't be written", "jitsi", 0o555, "permission denied: nothing was changed: run this as root (sudo)"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			root := jitsiTree(t, "docker-stable-9457")
			for _, path := range []string{filepath.Dir(filepath.Dir(program)), filepath.Dir(program), filepath.Dir(root), root} {
				check(t, os.Chmod(path, 0o755))
			}
			if err := exec.Command("chown", "-R", "65534:65534", root).Run(); err != nil && os.Geteuid() == 0 {
				t.Fatal(err)
			}
			before := everything(t, root)
			forbidden := filepath.Join(root, tt.forbidden)
			info := must(os.Stat(forbidden))(t)
			check(t, os.Chmod(forbidden, tt.mode))
			t.Cleanup(func() { _ = os.Chmod(forbidden, info.Mode()) })
			cmd := exec.Command(program, "jitsi", "install", "--dir", filepath.Join(root, "jitsi"))
			cmd.Env = []string{}
			unprivileged(cmd)
			var errs strings.Builder
			cmd.Stderr = &errs
			if err := cmd.Run(); err == nil || !strings.Contains(errs.String(), tt.want) {
				t.Errorf("got %v and %q want %q", err, errs.String(), tt.want)
			}
			_ = os.Chmod(forbidden, info.Mode())
			same(t, "something was written", before, everything(t, root))
		})
	}
}

// Only root can give a file to the container's user, and Jitsi does not start if that user can't read it.
func TestInstall_WithoutRootSecretIsReadable(t *testing.T) {
	t.Parallel()
	if os.Geteuid() != 0 {
		t.Skip("only root can become a third user")
	}
	program := buildProgram(t)
	root := jitsiTree(t, "docker-stable-11031")
	put(t, filepath.Join(root, "jitsi", ".env"), "CONFIG="+root+"/cfg\nJITSI_IMAGE_VERSION=stable-11146\nHTTP_PORT=80\n")
	for _, path := range []string{filepath.Dir(filepath.Dir(program)), filepath.Dir(program), filepath.Dir(root), root} {
		check(t, os.Chmod(path, 0o755))
	}
	if out, err := exec.Command("chown", "-R", "65534:65534", root).CombinedOutput(); err != nil {
		t.Fatalf("%v %s", err, out)
	}
	cmd := exec.Command(program, "jitsi", "install", "--dir", filepath.Join(root, "jitsi"))
	cmd.SysProcAttr = &syscall.SysProcAttr{Credential: &syscall.Credential{Uid: 65534, Gid: 65534}}
	out, err := cmd.CombinedOutput()
	if err != nil || !strings.Contains(string(out), "ppch.cfg.lua, which has a secret, is readable by every user, because Prosody's container runs as user 1000: run this as root to restrict it.") {
		t.Errorf("got %v and\n%s", err, out)
	}
	if info := must(os.Stat(filepath.Join(root, "cfg", "prosody", "config", "conf.d", "ppch.cfg.lua")))(t); info.Mode().Perm() != 0o644 {
		t.Errorf("got the mode %s want 0644", info.Mode())
	}
}

// A file system in memory, with every size from too small to large enough.
const fillUp = `
set -eu
program=$1 tree=$2 work=$3
used=$(du -sk --apparent-size "$tree" | cut -f1)
outcomes=
for room in $(seq 8 12 176); do
	mount -t tmpfs -o size=$((used + 192))k none "$work"
	cp -r "$tree/." "$work"
	free=$(df -k --output=avail "$work" | tail -1)
	if [ "$free" -gt "$room" ]; then head -c $(((free - room) * 1024)) /dev/zero >"$work/ballast"; fi
	before=$(cd "$work" && find . -type f -exec sha256sum {} + | sort; find "$work" -type d | sort)
	if "$program" jitsi install --dir "$work/jitsi" >/dev/null 2>"$work.errors"; then
		outcomes="$outcomes done"
	else
		grep -q "no space left on device: nothing was changed: free disk space" "$work.errors" || { cat "$work.errors"; exit 1; }
		after=$(cd "$work" && find . -type f -exec sha256sum {} + | sort; find "$work" -type d | sort)
		[ "$before" = "$after" ] || { echo "with $room KiB of room something was written"; exit 1; }
		outcomes="$outcomes full"
	fi
	umount "$work"
done
echo $outcomes
`

func TestInstall_FullDisk(t *testing.T) {
	t.Parallel()
	program := buildProgram(t)
	t.Run("a file size limit", func(t *testing.T) {
		root := jitsiTree(t, "docker-ppch-1")
		long := filepath.Join(root, "ppch", ".env")
		put(t, long, strings.Repeat("# a long story\n", 20000))
		before := everything(t, root)
		// The Lua module still fits, the new version of this file doesn't.
		cmd := exec.Command("prlimit", "--fsize=200000", program, "jitsi", "install", "--dir", filepath.Join(root, "jitsi"), "--env-file", long)
		out, err := cmd.CombinedOutput()
		if err == nil || !strings.Contains(string(out), "file too large: nothing was changed: free disk space") {
			t.Errorf("got %v and\n%s", err, out)
		}
		same(t, "something was written", before, everything(t, root))
	})
	t.Run("a full file system", func(t *testing.T) {
		if err := exec.Command("unshare", "-rm", "mount", "-t", "tmpfs", "none", t.TempDir()).Run(); err != nil {
			t.Skip("no file system can be made here:", err)
		}
		root, work := jitsiTree(t, "docker-ppch-1"), t.TempDir()
		env := filepath.Join(root, "jitsi", ".env")
		put(t, env, strings.Replace(ofFile(t, env), root, "..", 1))
		out, err := exec.Command("unshare", "-rm", "sh", "-c", fillUp, "sh", program, root, work).CombinedOutput()
		outcomes := string(out)
		if err != nil || !regexp.MustCompile(`^full( full)*( done)+\n$`).MatchString(outcomes) {
			t.Errorf("got %v and %s want it full, then done", err, outcomes)
		}
		t.Log(outcomes)
	})
}

// SIGKILL at any moment, many times.
func TestInstall_CompletesAfterKills(t *testing.T) {
	t.Parallel()
	program := buildProgram(t)
	root := jitsiTree(t, "docker-ppch-1")
	dir := filepath.Join(root, "jitsi")
	before := everything(t, root)
	began := time.Now()
	if out, err := exec.Command(program, "jitsi", "install", "--dir", dir).CombinedOutput(); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	whole := time.Since(began)
	for _, args := range [][]string{{"jitsi", "uninstall", "--dir", dir}, {"jitsi", "install", "--dir", dir}} {
		const times = 30
		for i := range times {
			cmd := exec.Command(program, args...)
			check(t, cmd.Start())
			time.Sleep(whole * time.Duration(i) / times)
			_ = cmd.Process.Kill()
			_ = cmd.Wait()
		}
		out, err := exec.Command(program, args...).CombinedOutput()
		if err != nil && !strings.Contains(string(out), "is uninstalled already") {
			t.Fatalf("%v got %v\n%s", args, err, out)
		}
	}
	env := variablesOf(t, filepath.Join(dir, ".env"))
	conf := ofFile(t, filepath.Join(root, "cfg", "prosody", "config", "conf.d", "ppch.cfg.lua"))
	if !strings.Contains(conf, `component_secret = "`+env["PPCH_COMPONENT_SECRET"]+`"`) || env["PPCH_COMPONENT_SECRET"] == "" {
		t.Errorf("Prosody and PPCH have different secrets:\n%s\n%v", conf, env)
	}
	must(command(t, nil, "jitsi", "uninstall", "--dir", dir))(t)
	same(t, "it is not as before", before, everything(t, root))
}
