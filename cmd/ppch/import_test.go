package main

import (
	"encoding/json"
	"errors"
	"go/ast"
	goparser "go/parser"
	"go/token"
	"io"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

// goPackage is the output of "go list" for a package, without tests.
type goPackage struct {
	ImportPath, Dir string
	Standard        bool
	GoFiles         []string
	Imports         []string
}

// goList returns the packages of a pattern, with deps including their dependencies.
func goList(t *testing.T, deps bool, patterns ...string) (all []goPackage) {
	t.Helper()
	args := []string{"list", "-json=ImportPath,Dir,Standard,GoFiles,Imports"}
	if deps {
		args = append(args, "-deps")
	}
	cmd := exec.Command("go", append(args, patterns...)...)
	var errs strings.Builder
	cmd.Stderr = &errs
	out, err := cmd.Output()
	if err != nil {
		t.Fatalf("go list: %v\n%s", err, &errs)
	}
	for d := json.NewDecoder(strings.NewReader(string(out))); ; {
		var p goPackage
		if err := d.Decode(&p); errors.Is(err, io.EOF) {
			return all
		} else if err != nil {
			t.Fatal(err)
		}
		all = append(all, p)
	}
}

// depsOf returns the dependencies of a package outside the standard library.
func depsOf(t *testing.T, path string) (all []string) {
	t.Helper()
	for _, p := range goList(t, true, path) {
		if !p.Standard && p.ImportPath != path {
			all = append(all, p.ImportPath)
		}
	}
	return all
}

// house are the packages below api and component, with the packages of ours on which each depends.
var house = map[string][]string{
	"ppch/api":                     {"ppch/api/certificate", "ppch/api/events", "ppch/api/keys", "ppch/api/view", "ppch/api/web", "ppch/api/webhook", "ppch/component/history", "ppch/component/occupancy"},
	"ppch/api/apitest":             {"ppch/api/keys", "ppch/component/occupancy"},
	"ppch/api/certificate":         nil,
	"ppch/api/events":              {"ppch/api/keys", "ppch/api/view", "ppch/component/history", "ppch/component/occupancy"},
	"ppch/api/keys":                {"ppch/component/occupancy"},
	"ppch/api/view":                {"ppch/component/history", "ppch/component/occupancy"},
	"ppch/api/web":                 nil,
	"ppch/api/webhook":             {"ppch/api/keys", "ppch/component/history", "ppch/component/occupancy"},
	"ppch/component":               {"ppch/component/adhoc", "ppch/component/admin", "ppch/component/follow", "ppch/component/history", "ppch/component/occupancy", "ppch/component/protocol", "ppch/component/stream"},
	"ppch/component/admin":         {"ppch/component/adhoc", "ppch/component/history", "ppch/component/occupancy"},
	"ppch/component/adhoc":         nil,
	"ppch/component/componenttest": nil,
	"ppch/component/clustertest":   nil,
	"ppch/component/cluster":       {"ppch/component/follow", "ppch/component/occupancy", "ppch/component/protocol"},
	"ppch/component/bucket":        {"ppch/component/cluster", "ppch/component/follow", "ppch/component/occupancy", "ppch/component/protocol"},
	"ppch/component/follow":        {"ppch/component/occupancy", "ppch/component/protocol"},
	"ppch/component/protocol":      {"ppch/component/occupancy"},
	"ppch/component/stream":        nil,
	"ppch/component/history":       {"ppch/component/occupancy"},
	"ppch/component/occupancy":     nil,
}

func TestImports_APIAndComponent(t *testing.T) {
	t.Parallel()
	for _, p := range goList(t, false, "ppch/api/...", "ppch/component/...") {
		if _, ok := house[p.ImportPath]; !ok {
			t.Errorf("%s has no entry in the table of imports", p.ImportPath)
		}
	}
	for path, want := range house {
		deps := depsOf(t, path)
		ours := slices.DeleteFunc(slices.Clone(deps), func(p string) bool { return !strings.HasPrefix(p, "ppch/") })
		slices.Sort(ours)
		if !slices.Equal(ours, want) {
			t.Errorf("%s: of our own packages got %v want %v", path, ours, want)
		}
	}
}

func TestImports_Occupancy(t *testing.T) {
	t.Parallel()
	isText := func(path string) bool { return strings.HasPrefix(path, "golang.org/x/text/") }
	allowed := depsOf(t, "mellium.im/xmpp/jid")
	for _, dep := range depsOf(t, "ppch/component/occupancy") {
		if dep != "mellium.im/xmpp/jid" && !isText(dep) && !slices.Contains(allowed, dep) {
			t.Errorf("occupancy depends on %s", dep)
		}
	}
	self := goList(t, false, "ppch/component/occupancy")[0]
	for _, path := range self.Imports {
		// Our module path has no dot in its first part either, but the check above covers it.
		standard := !strings.Contains(strings.Split(path, "/")[0], ".")
		if !standard && path != "mellium.im/xmpp/jid" && !isText(path) {
			t.Errorf("got the import %s want only the standard library, jid and x/text", path)
		}
	}
}

// environment lists the functions of the standard library that read the environment.
var environment = map[string][]string{
	"os":      {"Getenv", "LookupEnv", "Environ", "ExpandEnv"},
	"syscall": {"Getenv", "Environ"},
}

// Package config reads the environment through a Lookuper, which tests replace.
func TestImports_OnlyConfigReadsTheEnvironment(t *testing.T) {
	t.Parallel()
	const envconfig = "github.com/sethvargo/go-envconfig"
	for _, p := range goList(t, false, "ppch/...") {
		if p.ImportPath != "ppch/cmd/ppch/config" && slices.Contains(p.Imports, envconfig) {
			t.Errorf("%s imports %s", p.ImportPath, envconfig)
		}
		if p.ImportPath == "ppch/prosody/prosodytest" {
			continue // PPCH_TEST_PROSODY selects the Prosody that it runs
		}
		for _, name := range p.GoFiles {
			for _, call := range readsOfEnvironment(t, filepath.Join(p.Dir, name)) {
				if p.ImportPath == "ppch/cmd/ppch/config" && strings.HasSuffix(call, ": os.Environ") {
					continue // for the names of unknown variables
				}
				t.Errorf("got %s want only cmd/ppch/config to read the environment", call)
			}
		}
	}
}

// Helpers of tests stay out of the program.
func TestImports_NoTestsInTheProgram(t *testing.T) {
	t.Parallel()
	for _, dep := range append(depsOf(t, "ppch/cmd/ppch"), goList(t, false, "ppch/cmd/ppch")[0].Imports...) {
		if strings.HasSuffix(dep, "test") && strings.HasPrefix(dep, "ppch/") || dep == "testing" {
			t.Errorf("the program imports %s", dep)
		}
	}
}

// Each package below cmd/ppch imports only the packages of ours that are listed here.
func TestImports_Program(t *testing.T) {
	t.Parallel()
	for path, want := range map[string][]string{
		"ppch/cmd/ppch/config":   {"ppch/api/certificate", "ppch/api/keys", "ppch/api/webhook", "ppch/component/cluster", "ppch/component/history", "ppch/component/occupancy"},
		"ppch/cmd/ppch/doctor":   {"ppch/api/view", "ppch/cmd/ppch/terminal", "ppch/component", "ppch/component/occupancy", "ppch/component/protocol", "ppch/prosody"},
		"ppch/cmd/ppch/jitsi":    {"ppch/cmd/ppch/config", "ppch/cmd/ppch/jitsi/folder", "ppch/prosody"},
		"ppch/cmd/ppch/terminal": {"ppch/api/view", "ppch/component/occupancy"},
	} {
		ours := slices.DeleteFunc(goList(t, false, path)[0].Imports, func(p string) bool { return !strings.HasPrefix(p, "ppch/") })
		slices.Sort(ours)
		if !slices.Equal(ours, want) {
			t.Errorf("%s: of our own packages got %v want %v", path, ours, want)
		}
	}
}

// readsOfEnvironment returns the uses of functions that read the environment, under any name of the package.
func readsOfEnvironment(t *testing.T, path string) (found []string) {
	t.Helper()
	files := token.NewFileSet()
	file := must(goparser.ParseFile(files, path, nil, goparser.SkipObjectResolution))(t)
	names := map[string]string{} // of packages, to their paths
	for _, imported := range file.Imports {
		path := strings.Trim(imported.Path.Value, `"`)
		name := path
		if imported.Name != nil {
			name = imported.Name.Name
		}
		names[name] = path
	}
	ast.Inspect(file, func(n ast.Node) bool {
		s, ok := n.(*ast.SelectorExpr)
		if !ok {
			return true
		}
		if pkg, ok := s.X.(*ast.Ident); ok && slices.Contains(environment[names[pkg.Name]], s.Sel.Name) {
			found = append(found, files.Position(s.Pos()).String()+": "+pkg.Name+"."+s.Sel.Name)
		}
		return true
	})
	return found
}

// If a program executes templates, the linker keeps every exported method, and the image grows by a fifth.
// Cobra contains one that is never called.
func TestImports_NoTemplates(t *testing.T) {
	t.Parallel()
	for _, p := range goList(t, true, "ppch/cmd/ppch") {
		if p.ImportPath == "github.com/spf13/cobra" {
			continue
		}
		for _, imported := range p.Imports {
			if imported == "text/template" || imported == "html/template" {
				t.Errorf("%s imports %s", p.ImportPath, imported)
			}
		}
	}
}
