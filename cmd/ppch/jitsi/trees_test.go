package jitsi_test

import (
	"bytes"
	"errors"
	"flag"
	"fmt"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"testing"

	"github.com/google/go-cmp/cmp"
	"golang.org/x/tools/txtar"

	"ppch/cmd/ppch/jitsi"
	"ppch/component/componenttest"
	"ppch/prosody"
)

var update = flag.Bool("update", false, "update the golden files in testdata/trees")

// tree is a Jitsi installation in a temporary folder.
type tree struct {
	root    string
	archive *txtar.Archive
	options jitsi.Options
}

// directive matches a line in an archive's comment: an option, or a change to a file.
var directive = regexp.MustCompile(`(?m)^([a-z-]+): (.*)$`)

// layOut extracts one of testdata/trees. It sets HOME, so tests that use it can't be parallel.
func layOut(t *testing.T, name string) *tree {
	t.Helper()
	archive := must(txtar.ParseFile(filepath.Join("testdata", "trees", name+".txtar")))(t)
	root := must(filepath.EvalSymlinks(t.TempDir()))(t)
	t.Setenv("HOME", root)
	tr := &tree{root: root, archive: archive, options: jitsi.Options{Dir: filepath.Join(root, "jitsi"), Lookup: os.LookupEnv}}
	for _, f := range archive.Files {
		if path, ok := strings.CutPrefix(f.Name, "tree/"); ok {
			write(t, filepath.Join(root, path), strings.ReplaceAll(string(f.Data), "{root}", root))
		}
	}
	for _, m := range directive.FindAllStringSubmatch(string(archive.Comment), -1) {
		path := filepath.Join(root, m[2])
		switch m[1] {
		case "dir":
			tr.options.Dir = path
		case "env-file":
			tr.options.EnvFile = path
		case "component-domain":
			tr.options.Component = m[2]
		case "component-interface":
			tr.options.Interface = m[2]
		case "component-port":
			tr.options.Port, _ = strconv.Atoi(m[2])
		case "crlf":
			write(t, path, strings.ReplaceAll(read(t, path), "\n", "\r\n"))
		case "bom":
			write(t, path, "\uFEFF"+read(t, path))
		case "chomp":
			write(t, path, strings.TrimRight(read(t, path), "\r\n"))
		}
	}
	return tr
}

func write(t *testing.T, path, text string) {
	t.Helper()
	check(t, os.MkdirAll(filepath.Dir(path), 0o755))
	target, link := strings.CutPrefix(text, "symlink: ")
	var err error
	switch {
	case link:
		err = os.Symlink(strings.TrimSpace(target), path)
	case filepath.Base(path) != ".keep":
		err = errors.Join(os.WriteFile(path, []byte(text), 0o644), os.Chmod(path, 0o644))
	}
	check(t, err)
}

func read(t *testing.T, path string) string {
	t.Helper()
	b := must(os.ReadFile(path))(t)
	return string(b)
}

// snapshot returns the whole tree: content of files, targets of links, modes and owners.
func (tr *tree) snapshot(t *testing.T) map[string]string {
	t.Helper()
	all := map[string]string{}
	err := filepath.WalkDir(tr.root, func(path string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		info, err := d.Info()
		if err != nil {
			return err
		}
		st := info.Sys().(*syscall.Stat_t)
		what := fmt.Sprintf("%s %d:%d\n", info.Mode(), st.Uid, st.Gid)
		switch {
		case info.Mode()&fs.ModeSymlink != 0:
			target, err := os.Readlink(path)
			if err != nil {
				return err
			}
			what += target
		case info.Mode().IsRegular():
			what += read(t, path)
		}
		all[strings.TrimPrefix(path, tr.root)] = what
		return nil
	})
	check(t, err)
	return all
}

// install plans an installation and applies it.
func (tr *tree) install(t *testing.T) *jitsi.Plan {
	t.Helper()
	p := must(jitsi.Install(tr.options))(t)
	check(t, p.Apply(t.Context()))
	return p
}

func (tr *tree) uninstall(t *testing.T) *jitsi.Plan {
	t.Helper()
	p := must(jitsi.Uninstall(tr.options))(t)
	check(t, p.Apply(t.Context()))
	return p
}

// secrets matches random secrets. A tree's own consist of one repeated digit.
var secrets = regexp.MustCompile(`\b([0-9a-f]{64}|[0-9a-f]{32})\b`)

// plain returns a text without anything that differs between runs or users.
func (tr *tree) plain(text string) string {
	text = secrets.ReplaceAllStringFunc(text, func(s string) string {
		if strings.Trim(s, s[:1]) == "" {
			return s
		}
		return fmt.Sprintf("{%d random bytes}", len(s)/2)
	})
	text = regexp.MustCompile(`(?m)^Note: .* is readable by every user, .*\n`).ReplaceAllString(text, "")
	lines := fmt.Sprintf("version 2.0.0, %d lines", bytes.Count(prosody.Module, []byte("\n")))
	return strings.NewReplacer(lines, "{version and lines}", "\r\n", "{CR}\n", "\uFEFF", "{BOM}", tr.root, "{root}").Replace(text)
}

func render(p *jitsi.Plan) string {
	var b strings.Builder
	fmt.Fprintf(&b, "%s\n%s", p.Title, p.Diff())
	for _, note := range p.Notes {
		fmt.Fprintln(&b, "Note:", note)
	}
	for _, next := range p.Next {
		fmt.Fprintln(&b, "  "+next)
	}
	fmt.Fprintln(&b, p.Access)
	self, _ := os.Executable() // the installer names the program if it isn't in PATH
	return strings.ReplaceAll(b.String(), self, "/usr/local/bin/ppch")
}

func treeNames(t *testing.T) (names []string) {
	t.Helper()
	paths, err := filepath.Glob(filepath.Join("testdata", "trees", "*.txtar"))
	if err != nil || len(paths) < 6 {
		t.Fatalf("got %v, %v want at least 6 trees", paths, err)
	}
	for _, path := range paths {
		names = append(names, strings.TrimSuffix(filepath.Base(path), ".txtar"))
	}
	return names
}

func TestInstall_Golden(t *testing.T) {
	for _, name := range treeNames(t) {
		t.Run(name, func(t *testing.T) {
			tr := layOut(t, name)
			before := tr.snapshot(t)
			p := tr.install(t)
			after := tr.snapshot(t)

			got := &txtar.Archive{Files: []txtar.File{{Name: "want/output", Data: []byte(tr.plain(render(p)))}}}
			for _, path := range slices.Sorted(maps.Keys(after)) {
				_, text, _ := strings.Cut(after[path], "\n")
				_, was, _ := strings.Cut(before[path], "\n")
				if text == was || strings.Contains(path, "/.ppch/") {
					continue
				}
				if text == string(prosody.Module) {
					text = "{the Lua module}\n"
				}
				got.Files = append(got.Files, txtar.File{Name: "want" + path, Data: []byte(tr.plain(text))})
			}
			want := slices.DeleteFunc(slices.Clone(tr.archive.Files), func(f txtar.File) bool { return strings.HasPrefix(f.Name, "tree/") })
			if *update {
				files := slices.DeleteFunc(slices.Clone(tr.archive.Files), func(f txtar.File) bool { return strings.HasPrefix(f.Name, "want/") })
				a := &txtar.Archive{Comment: tr.archive.Comment, Files: append(files, got.Files...)}
				check(t, os.WriteFile(filepath.Join("testdata", "trees", name+".txtar"), txtar.Format(a), 0o644))
			} else if diff := cmp.Diff(string(txtar.Format(&txtar.Archive{Files: want})), string(txtar.Format(got))); diff != "" {
				t.Errorf("testdata/trees/%s.txtar (-want +got):\n%s", name, diff)
			}
		})
	}
}

func TestInstall_TwiceChangesNothing(t *testing.T) {
	for _, name := range treeNames(t) {
		t.Run(name, func(t *testing.T) {
			tr := layOut(t, name)
			tr.install(t)
			once := tr.snapshot(t)
			// Without the flags of the first run.
			tr.options = jitsi.Options{Dir: tr.options.Dir, EnvFile: tr.options.EnvFile, Lookup: tr.options.Lookup}
			p := tr.install(t)
			if !p.Empty() || p.Diff() != "" {
				t.Errorf("the second time got\n%s want no changes", p.Diff())
			}
			if diff := cmp.Diff(once, tr.snapshot(t)); diff != "" {
				t.Errorf("the second time changed (-once +twice):\n%s", diff)
			}
		})
	}
}

func TestUninstall_RestoresEverything(t *testing.T) {
	for _, name := range treeNames(t) {
		t.Run(name, func(t *testing.T) {
			tr := layOut(t, name)
			before := tr.snapshot(t)
			tr.install(t)
			if p := tr.uninstall(t); len(p.Notes) > 0 {
				t.Errorf("got the notes %q want none", p.Notes)
			}
			same(t, "not restored", before, tr.snapshot(t))
			if _, err := jitsi.Uninstall(tr.options); err == nil || !strings.Contains(err.Error(), "is uninstalled already") {
				t.Errorf("the second time got %v want \"is uninstalled already\"", err)
			}
		})
	}
}

// A user's lines are those of the original file.
func TestInstall_KeepsUserLines(t *testing.T) {
	for _, name := range treeNames(t) {
		t.Run(name, func(t *testing.T) {
			tr := layOut(t, name)
			before := tr.snapshot(t)
			tr.install(t)
			after := tr.snapshot(t)
			// Items that may have been added at either end of a list.
			added := strings.NewReplacer(`, "`+prosody.ModuleName+`";`, "", ` "`+prosody.ModuleName+`";`, "", ","+prosody.ModuleName, "", prosody.ModuleName, "")
			for path, text := range before {
				if strings.Contains(path, prosody.ModuleName) {
					continue // the module as a whole is replaced
				}
				rest := added.Replace(after[path])
				for line := range strings.Lines(added.Replace(text)) {
					line = strings.TrimRight(line, "\r\n")
					_, behind, ok := strings.Cut(rest, line)
					if !ok && !strings.Contains(line, "change-me") {
						t.Fatalf("%s: the line %q is missing or out of order:\n%s", path, line, after[path])
					} else if ok {
						rest = behind
					}
				}
			}
		})
	}
}

func TestPlan_HidesSecrets(t *testing.T) {
	for _, name := range treeNames(t) {
		t.Run(name, func(t *testing.T) {
			tr := layOut(t, name)
			p := tr.install(t)
			shown := render(p) + render(tr.uninstall(t))
			componenttest.HasNo(t, shown, "of the turn server", "of the bot", "of focus", "it costs", "change-me", "chosen by hand")
			if found := secrets.FindString(shown); found != "" {
				t.Errorf("got %q in\n%s", found, shown)
			}
			if !bytes.Contains([]byte(shown), []byte("[hidden, new]")) {
				t.Errorf("got %s want new secrets marked", shown)
			}
		})
	}
}

// must returns v, and ends the test if there is an error.
func must[T any](v T, err error) func(testing.TB) T { return componenttest.Must(v, err) }

// check ends the test if there is an error.
var check = componenttest.Check

// same reports how got differs from want.
var same = componenttest.Same
