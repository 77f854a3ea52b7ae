package jitsi_test

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"ppch/cmd/ppch/jitsi"
	"ppch/prosody"
)

// Whenever an installation is killed, each file is either old or new, and it can be run again or undone.
func TestInstall_Killed(t *testing.T) {
	for _, name := range []string{"docker-stable-9457", "docker-ppch-1", "docker-stable-11146", "debian"} {
		for n, all := 0, 1; n <= all; n++ {
			for _, then := range []string{"run again", "undone"} {
				t.Run(fmt.Sprintf("%s after %d files, then %s", name, n, then), func(t *testing.T) {
					tr := layOut(t, name)
					before := tr.snapshot(t)
					p := must(jitsi.Install(tr.options))(t)
					all = must(p.ApplyFirst(n))(t)
					killed := tr.snapshot(t)
					startable(t, before, killed)

					if then == "undone" {
						tr.uninstall(t)
						same(t, "not restored", before, tr.snapshot(t))
						return
					}
					tr.install(t)
					after := tr.snapshot(t)
					for path, text := range withoutLeftovers(killed) {
						if text != before[path] && text != after[path] && !strings.Contains(path, "/.ppch") {
							t.Errorf("%s: when killed got\n%s want the old or the new file", path, text)
						}
					}
					sameSecret(t, after)
					if diff := cmp.Diff(after, withoutLeftovers(after)); diff != "" {
						t.Errorf("left over:\n%s", diff)
					}
					tr.uninstall(t)
					same(t, "not restored", before, tr.snapshot(t))
				})
			}
		}
	}
}

func TestUninstall_KilledCanBeRunAgain(t *testing.T) {
	for _, name := range []string{"docker-stable-9457", "docker-ppch-1", "debian"} {
		for n, all := 0, 1; n <= all; n++ {
			t.Run(fmt.Sprintf("%s after %d files", name, n), func(t *testing.T) {
				tr := layOut(t, name)
				before := tr.snapshot(t)
				tr.install(t)
				all = must(must(jitsi.Uninstall(tr.options))(t).ApplyFirst(n))(t)
				tr.uninstall(t)
				same(t, "not restored", before, tr.snapshot(t))
			})
		}
	}
}

func TestInstall_CanceledChangesNothing(t *testing.T) {
	tr := layOut(t, "docker-stable-11146")
	before := tr.snapshot(t)
	p := must(jitsi.Install(tr.options))(t)
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if err := p.Apply(ctx); !errors.Is(err, context.Canceled) || !strings.Contains(err.Error(), "nothing was changed") {
		t.Errorf("got %v want \"nothing was changed\"", err)
	}
	same(t, "got changes", before, tr.snapshot(t))
}

// A rename fails after others succeeded, because a directory has replaced a file.
func TestApply_RollsBackOnFailure(t *testing.T) {
	for _, again := range []bool{false, true} {
		t.Run(fmt.Sprintf("installed before %t", again), func(t *testing.T) {
			tr := layOut(t, "docker-ppch-1")
			env := filepath.Join(tr.root, "ppch", ".env")
			if again {
				tr.install(t)
				write(t, env, "PPCH_PORT=8890\n")
				tr.options.Component = "other.meet.jitsi" // so that several files change
			}
			before := tr.snapshot(t)
			p := must(jitsi.Install(tr.options))(t)
			if err := p.ApplyCalling(func() { block(t, env) }); err == nil {
				t.Error("got no error")
			}
			unblock(t, env)
			if diff := cmp.Diff(before, withoutBackups(tr.snapshot(t))); diff != "" && !again || again && cmp.Diff(withoutBackups(before), withoutBackups(tr.snapshot(t))) != "" {
				t.Errorf("not restored (-before +after):\n%s", diff)
			}
		})
	}
}

// block replaces a file by a directory, which a rename can't replace.
func block(t *testing.T, path string) {
	t.Helper()
	check(t, os.Rename(path, path+".away"))
	check(t, os.MkdirAll(filepath.Join(path, "full"), 0o755))
}

func unblock(t *testing.T, path string) {
	t.Helper()
	check(t, os.RemoveAll(path))
	check(t, os.Rename(path+".away", path))
}

// withoutLeftovers drops the staged files of a killed run: their names begin with a dot and end in digits.
func withoutLeftovers(all map[string]string) map[string]string {
	return without(all, func(path string) bool {
		base := filepath.Base(path)
		digits := strings.TrimRight(base, "0123456789")
		return strings.HasPrefix(base, ".") && len(base)-len(digits) > 6
	})
}

// withoutBackups drops the backups, because there may be more than needed.
func withoutBackups(all map[string]string) map[string]string {
	return without(all, func(path string) bool { return strings.Contains(path, "/.ppch/backup/") })
}

func without(all map[string]string, leave func(string) bool) map[string]string {
	kept := map[string]string{}
	for path, text := range all {
		if !leave(path) {
			kept[path] = text
		}
	}
	return kept
}

// startable checks that Prosody is configured to load the module only if module and component are installed.
func startable(t *testing.T, before, killed map[string]string) {
	t.Helper()
	module, component, loaded := false, false, false
	for path, text := range killed {
		switch {
		case strings.Contains(path, "/.ppch") || strings.Contains(filepath.Base(path), ".cfg.lua") && filepath.Base(path)[0] == '.':
		case strings.HasSuffix(path, "/mod_"+prosody.ModuleName+".lua"):
			module = strings.HasSuffix(text, string(prosody.Module))
		case strings.HasSuffix(path, "/ppch.cfg.lua"):
			component = true
		case text != before[path] && strings.Contains(text, prosody.ModuleName) && before[path] != "":
			loaded = true
		}
	}
	if loaded && (!module || !component) {
		t.Errorf("the module is enabled, but module installed is %t and component installed is %t", module, component)
	}
}

// sameSecret checks that Prosody and PPCH have the same secret.
func sameSecret(t *testing.T, all map[string]string) {
	t.Helper()
	var conf, env string
	for path, text := range all {
		if strings.HasSuffix(path, "conf.d/ppch.cfg.lua") {
			_, rest, _ := strings.Cut(text, `component_secret = "`)
			conf, _, _ = strings.Cut(rest, `"`)
		} else if _, rest, ok := strings.Cut(text, "\nPPCH_COMPONENT_SECRET="); ok && !strings.Contains(path, "/.ppch") {
			env, _, _ = strings.Cut(rest, "\n")
		}
	}
	if conf == "" || conf != env {
		t.Errorf("Prosody got the secret %q and PPCH %q", conf, env)
	}
}
