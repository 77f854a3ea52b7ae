package jitsi_test

import (
	"crypto/sha256"
	"flag"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"

	"github.com/google/go-cmp/cmp"

	"ppch/cmd/ppch/jitsi"
	"ppch/cmd/ppch/jitsi/folder"
)

var races = flag.Int("races", 30, "number of races between root and the owner of a tree")

// stranger owns the tree in these tests.
const stranger = 65534

// strangersTree lays out a tree that a stranger owns, and victim, a folder outside it with files that only root may read.
// The stranger can enter victim but not change it.
func strangersTree(t *testing.T, name string) (tr *tree, victim string) {
	t.Helper()
	if os.Geteuid() != 0 {
		t.Skip("needs root")
	}
	tr = layOut(t, name)
	err := filepath.WalkDir(tr.root, func(path string, _ fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		return os.Lchown(path, stranger, stranger)
	})
	check(t, err)
	victim = filepath.Join(t.TempDir(), "victim")
	for _, dir := range []string{"", "conf.d", "prosody/config/conf.d", "prosody/prosody-plugins-custom"} {
		check(t, os.MkdirAll(filepath.Join(victim, dir), 0o755))
	}
	for _, file := range []string{"secret", "conf.d/ppch.cfg.lua", "prosody/config/conf.d/ppch.cfg.lua", "mod_room_participants_api.lua"} {
		check(t, os.WriteFile(filepath.Join(victim, file), []byte("XMPP_DOMAIN=of.root\nPPCH_COMPONENT_SECRET=of-root\n"), 0o600))
	}
	for dir := tr.root; dir != os.TempDir() && dir != "/"; dir = filepath.Dir(dir) {
		check(t, os.Chmod(dir, 0o755))
	}
	check(t, os.Chmod(filepath.Dir(victim), 0o755))
	return tr, victim
}

func (tr *tree) at(path string) string { return filepath.Join(tr.root, path) }

type planner func(jitsi.Options) (*jitsi.Plan, error)

func (tr *tree) apply(t *testing.T, plan planner) error {
	p, err := plan(tr.options)
	if err != nil {
		return err
	}
	return p.Apply(t.Context())
}

// refuses checks that a plan fails with an error, and changes no file in the tree or outside.
func (tr *tree) refuses(t *testing.T, plan planner, victim, want string) {
	t.Helper()
	before, others := tr.snapshot(t), (&tree{root: victim}).snapshot(t)
	want = strings.NewReplacer("{root}", tr.root, "{victim}", victim).Replace(want)
	if err := tr.apply(t, plan); err == nil || !strings.Contains(err.Error(), want) {
		t.Errorf("got %v want %q", err, want)
	}
	same(t, "files outside changed", others, (&tree{root: victim}).snapshot(t))
	same(t, "files inside changed", before, tr.snapshot(t))
}

func TestInstall_RootInAnotherUsersTree(t *testing.T) {
	for _, name := range treeNames(t) {
		t.Run(name, func(t *testing.T) {
			tr, victim := strangersTree(t, name)
			if strings.HasPrefix(name, "debian") {
				// The packages' links and their directory for modules belong to root.
				check(t, filepath.WalkDir(tr.root, func(path string, _ fs.DirEntry, _ error) error { return os.Lchown(path, 0, 0) }))
			}
			before, others := tr.snapshot(t), (&tree{root: victim}).snapshot(t)
			tr.install(t)
			tr.uninstall(t)
			same(t, "not restored", before, tr.snapshot(t))
			same(t, "files outside changed", others, (&tree{root: victim}).snapshot(t))
		})
	}
}

// Traps of the tree's owner that would make root read, write or give away other files.
func TestInstall_RootIsNotLedOutOfAnotherUsersTree(t *testing.T) {
	const confd, plugins = "jitsi/cfg/prosody/config/conf.d", "jitsi/cfg/prosody/prosody-plugins-custom"
	for _, tt := range []struct {
		name string
		trap func(tr *tree, victim string)
		want string
	}{
		{"a link for .env", func(tr *tree, victim string) { tr.remove(env); tr.link(victim+"/secret", env) }, "is a link of user 65534 to {victim}/secret and is not followed: root follows only its own links"},
		{"a link for .env inside of the tree", func(tr *tree, victim string) {
			check(t, os.Rename(tr.at(env), tr.at("jitsi/other")))
			tr.link("other", env)
		}, "is a link of user 65534"},
		{"a link for conf.d", func(tr *tree, victim string) { tr.remove(confd); tr.link(victim+"/conf.d", confd) }, "conf.d is a link of user 65534"},
		{"a link for ppch.cfg.lua", func(tr *tree, victim string) {
			tr.link(victim+"/secret", confd+"/ppch.cfg.lua")
		}, "ppch.cfg.lua is a link of user 65534"},
		{"a link for the module's directory", func(tr *tree, victim string) { tr.remove(plugins); tr.link(victim, plugins) }, "prosody-plugins-custom is a link of user 65534"},
		{"a link for the module", func(tr *tree, victim string) {
			tr.link(victim+"/secret", plugins+"/mod_room_participants_api.lua")
		}, "mod_room_participants_api.lua is a link of user 65534"},
		{"a link for CONFIG", func(tr *tree, victim string) { tr.remove("jitsi/cfg"); tr.link(victim, "jitsi/cfg") }, "cfg is a link of user 65534"},
		{"a CONFIG of root's", func(tr *tree, victim string) {
			tr.put(env, "CONFIG="+victim+"\n")
		}, "{victim}, named by the service prosody in {root}/jitsi, is not in a folder of user 65534, the owner of {root}/jitsi: to let root write there, add --allow-dir {victim}"},
		{"a directory for modules of root's", func(tr *tree, victim string) {
			tr.put("jitsi/docker-compose.yml", strings.Replace(tr.get("jitsi/docker-compose.yml"), "${CONFIG}/prosody/prosody-plugins-custom", victim, 1))
		}, "add --allow-dir {victim}"},
		{"a secret that only root can read", func(tr *tree, victim string) {
			tr.put(env, "CONFIG=./cfg\nPPCH_COMPONENT_SECRET_FILE="+victim+"/secret\n")
		}, "permission denied for user 65534, the owner of {root}/jitsi"},
		{"an env_file that only root can read", func(tr *tree, victim string) {
			tr.put("jitsi/docker-compose.yml", strings.Replace(tr.get("jitsi/docker-compose.yml"), "        environment:", "        env_file: "+victim+"/secret\n        environment:", 1))
		}, "permission denied for user 65534"},
		{"a compose file that only root can read", func(tr *tree, victim string) {
			tr.put("jitsi/docker-compose.yml", "include:\n  - path: real.yml\n    env_file: "+victim+"/secret\n")
			tr.put("jitsi/real.yml", "services:\n  prosody:\n    image: jitsi/prosody\n    environment:\n      - XMPP_DOMAIN=${XMPP_DOMAIN}\n    volumes: ['./cfg/prosody/config:/config','./cfg/p:/prosody-plugins-custom']\n")
		}, "permission denied"},
		{"a COMPOSE_FILE that only root can read", func(tr *tree, victim string) {
			tr.put(env, tr.get(env)+"COMPOSE_FILE=docker-compose.yml:"+victim+"/secret\n")
		}, "permission denied for user 65534, the owner of {root}/jitsi: let this user read it"},
		{"a hard link", func(tr *tree, victim string) {
			tr.remove(env)
			check(t, os.Link(victim+"/secret", tr.at(env)))
		}, ".env is a hard link to a file of user 0"},
		{"a journal that is a link", func(tr *tree, victim string) {
			tr.link(victim, "jitsi/.ppch")
		}, ".ppch"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			tr, victim := strangersTree(t, "docker-stable-9457")
			tt.trap(tr, victim)
			check(t, filepath.WalkDir(tr.root, func(path string, d fs.DirEntry, _ error) error {
				if info, err := d.Info(); err == nil && info.Mode().IsRegular() && info.Sys().(*syscall.Stat_t).Nlink > 1 {
					return nil // root's file
				}
				return os.Lchown(path, stranger, stranger)
			}))
			tr.refuses(t, jitsi.Install, victim, tt.want)
		})
	}
}

// The operator may name folders that the tree's owner may not.
func TestInstall_RootWritesWhereTheOperatorSays(t *testing.T) {
	tr, victim := strangersTree(t, "docker-stable-9457")
	check(t, os.Remove(filepath.Join(victim, "prosody/config/conf.d/ppch.cfg.lua")))
	tr.put(env, "CONFIG="+victim+"\n")
	tr.options.AllowDirs, tr.options.EnvFile = []string{victim}, filepath.Join(victim, "ppch.env")
	before := (&tree{root: victim}).snapshot(t)
	tr.install(t)
	for _, path := range []string{"prosody/config/conf.d/ppch.cfg.lua", "ppch.env"} {
		if _, err := os.Stat(filepath.Join(victim, path)); err != nil {
			t.Errorf("got %v want the file", err)
		}
	}
	tr.options.AllowDirs, tr.options.EnvFile = nil, "" // the journal has them

	// A journal is not valid for another directory.
	check(t, os.Rename(tr.at("jitsi"), tr.at("aside")))
	check(t, os.CopyFS(tr.at("jitsi"), os.DirFS(tr.at("aside"))))
	if _, err := jitsi.Uninstall(tr.options); err == nil {
		t.Error("the journal of another directory got no error")
	}
	check(t, os.RemoveAll(tr.at("jitsi")))
	check(t, os.Rename(tr.at("aside"), tr.at("jitsi")))

	tr.uninstall(t)
	same(t, "not restored", before, (&tree{root: victim}).snapshot(t))
}

// The journal determines which files are restored and removed. Root trusts only its own, and only for expected files.
func TestUninstall_RootBelievesNoForgedJournal(t *testing.T) {
	forged := func(victim string) string {
		secret := sha256.Sum256(must(os.ReadFile(victim + "/secret"))(t))
		return fmt.Sprintf(`{"format":1,"dirs":[%q],"files":[{"path":%q,"kind":"conf","before":null,"after":"%x"}]}`, victim+"/conf.d", victim+"/secret", secret)
	}
	for _, tt := range []struct {
		name  string
		forge func(t *testing.T, tr *tree, victim string)
		want  string
	}{
		{"of the tree's owner", func(t *testing.T, tr *tree, victim string) {
			tr.put("jitsi/.ppch/install.json", forged(victim))
			tr.give("jitsi/.ppch", stranger, stranger)
			tr.give("jitsi/.ppch/install.json", stranger, stranger)
		}, ".ppch belongs to user 65534, but root trusts only its own journal: run this as that user"},
		{"of the tree's owner in root's directory", func(t *testing.T, tr *tree, victim string) {
			tr.put("jitsi/.ppch/install.json", forged(victim))
			tr.give("jitsi/.ppch/install.json", stranger, stranger)
		}, "install.json belongs to user 65534"},
		{"writable by others", func(t *testing.T, tr *tree, victim string) {
			tr.put("jitsi/.ppch/install.json", forged(victim))
			check(t, os.Chmod(tr.at("jitsi/.ppch/install.json"), 0o666))
		}, "install.json is writable by other users"},
		{"of root, with a file that no installation writes", func(t *testing.T, tr *tree, victim string) {
			tr.put("jitsi/.ppch/install.json", forged(victim))
		}, "names {victim}/secret, which an installation in {root}/jitsi doesn't write"},
		{"of root, with settings elsewhere", func(t *testing.T, tr *tree, victim string) {
			tr.put("jitsi/.ppch/install.json", strings.Replace(forged(victim), `"conf"`, `"env"`, 1))
		}, "add --env-file {victim}/secret"},
		{"of root, with a directory that no installation makes", func(t *testing.T, tr *tree, victim string) {
			tr.put("jitsi/.ppch/install.json", fmt.Sprintf(`{"format":1,"dirs":[%q],"files":[]}`, victim+"/conf.d"))
		}, "names {victim}/conf.d, which an installation"},
		{"with a backup of the tree's owner", func(t *testing.T, tr *tree, victim string) {
			tr.install(t)
			backups, _ := filepath.Glob(tr.at("jitsi/.ppch/backup/*"))
			check(t, os.Chown(backups[0], stranger, stranger))
		}, "belongs to user 65534, but root trusts only"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			tr, victim := strangersTree(t, "docker-stable-9457")
			tt.forge(t, tr, victim)
			tr.refuses(t, jitsi.Uninstall, victim, tt.want)
		})
	}
}

// While root installs and uninstalls, the tree's owner replaces files, directories and staged files by links as fast as possible.
// Root may fail, but must not touch anything outside.
func TestInstall_RootRacesTheOwnerOfTheTree(t *testing.T) {
	tr, victim := strangersTree(t, "docker-stable-9457")
	others := (&tree{root: victim}).snapshot(t)
	const confd, plugins = "jitsi/cfg/prosody/config/conf.d", "jitsi/cfg/prosody/prosody-plugins-custom"
	var traps []func()
	for path, target := range map[string]string{
		env: "secret", confd: "conf.d", confd + "/ppch.cfg.lua": "secret", plugins: "", "jitsi/cfg": "",
		plugins + "/mod_room_participants_api.lua": "secret", "jitsi/.ppch": "", "jitsi/.ppch/install.json": "secret", "jitsi/.ppch/backup": "",
	} {
		traps = append(traps, swap(tr.at(path), filepath.Join(victim, target)))
	}
	for _, dir := range []string{confd, plugins, "jitsi", "jitsi/.ppch"} {
		traps = append(traps, replaceStaged(tr.at(dir), filepath.Join(victim, "secret")))
	}
	outcomes := map[string]int{}
	for run := range *races {
		var stop atomic.Bool
		var swapping sync.WaitGroup
		for _, trap := range []func(){traps[run%len(traps)], traps[(run+1+run/len(traps))%len(traps)]} {
			swapping.Go(func() {
				check(t, folder.As(stranger, stranger, func() error {
					for !stop.Load() {
						trap()
					}
					return nil
				}))
			})
		}
		for _, plan := range []planner{jitsi.Install, jitsi.Uninstall} {
			outcomes[fmt.Sprintf("failed %t", tr.apply(t, plan) != nil)]++
		}
		stop.Store(true)
		swapping.Wait()
		if diff := cmp.Diff(others, (&tree{root: victim}).snapshot(t)); diff != "" {
			t.Fatalf("run %d: files outside changed (-before +after):\n%s", run, diff)
		}
		tr.reset(t)
	}
	t.Log(outcomes)
	if len(outcomes) < 2 {
		t.Errorf("got %v want failures and successes, else there was no race", outcomes)
	}
}

// swap returns a function that replaces a file by a link for a moment.
func swap(path, target string) func() {
	aside := path + ".aside"
	return func() {
		_ = os.Rename(path, aside)
		_ = os.Symlink(target, path)
		_ = os.Remove(path)
		_ = os.Rename(aside, path)
	}
}

// replaceStaged returns a function that replaces staged files by links.
func replaceStaged(dir, target string) func() {
	return func() {
		f, err := os.Open(dir)
		if err != nil {
			return
		}
		defer f.Close()
		names, _ := f.Readdirnames(-1)
		for _, name := range names {
			if strings.HasPrefix(name, ".") && strings.Trim(name[len(name)-1:], "0123456789") == "" {
				_ = os.Remove(filepath.Join(dir, name))
				_ = os.Symlink(target, filepath.Join(dir, name))
			}
		}
	}
}

// reset lays out the tree again, owned by the stranger.
func (tr *tree) reset(t *testing.T) {
	t.Helper()
	check(t, os.RemoveAll(tr.at("jitsi")))
	for _, f := range tr.archive.Files {
		if path, found := strings.CutPrefix(f.Name, "tree/"); found {
			write(t, tr.at(path), strings.ReplaceAll(string(f.Data), "{root}", tr.root))
		}
	}
	check(t, filepath.WalkDir(tr.root, func(path string, _ fs.DirEntry, _ error) error { return os.Lchown(path, stranger, stranger) }))
}
