// prosody-tests prints arguments for go test that select the tests which start a Prosody: another Prosody can't change the results of
// the others.
//
//	usage: go run .ci/prosody-tests.go DIR...
//
// A test starts a Prosody if it mentions prosodytest's New or Start, or a declaration of its package that does, directly or through
// others. Methods count by name alone, so that the selection may be too large but never too small.
package main

import (
	"fmt"
	"go/ast"
	"go/parser"
	"go/token"
	"os"
	"path/filepath"
	"slices"
	"strings"
)

// starting is the mark of declarations that mention prosodytest's New or Start.
const starting = "prosodytest.New"

func main() {
	var tests, dirs []string
	for _, dir := range os.Args[1:] {
		found, err := testsIn(dir)
		if err != nil {
			fmt.Fprintln(os.Stderr, "prosody-tests:", err)
			os.Exit(1)
		}
		if len(found) > 0 {
			tests, dirs = append(tests, found...), append(dirs, dir)
		}
	}
	if len(tests) == 0 {
		fmt.Fprintf(os.Stderr, "prosody-tests: no test in %s starts a Prosody\n", os.Args[1:])
		os.Exit(1)
	}
	slices.Sort(tests)
	fmt.Printf("-run ^(%s)$ %s\n", strings.Join(slices.Compact(tests), "|"), strings.Join(dirs, " "))
}

// testsIn returns the tests of the package in dir that start a Prosody.
func testsIn(dir string) (tests []string, err error) {
	files, err := filepath.Glob(filepath.Join(dir, "*.go"))
	if err != nil {
		return nil, err
	}
	mentions := map[string][]string{} // by the name of a declaration, with a dot before a method's
	for _, name := range files {
		file, err := parser.ParseFile(token.NewFileSet(), name, nil, parser.SkipObjectResolution)
		if err != nil {
			return nil, err
		}
		for _, decl := range file.Decls {
			for _, name := range names(decl) {
				mentions[name] = append(mentions[name], mentioned(decl, strings.TrimSuffix(file.Name.Name, "_test"))...)
			}
		}
	}
	starts := map[string]bool{starting: true}
	for grown := true; grown; {
		grown = false
		for name, others := range mentions {
			if !starts[name] && slices.ContainsFunc(others, func(other string) bool { return starts[other] }) {
				starts[name], grown = true, true
			}
		}
	}
	for name := range mentions {
		if starts[name] && (strings.HasPrefix(name, "Test") || strings.HasPrefix(name, "Example")) {
			tests = append(tests, name)
		}
	}
	return tests, nil
}

// names returns the names of functions, methods, constants and variables that decl declares.
func names(decl ast.Decl) (all []string) {
	switch d := decl.(type) {
	case *ast.FuncDecl:
		if d.Recv != nil {
			return []string{"." + d.Name.Name}
		}
		return []string{d.Name.Name}
	case *ast.GenDecl:
		for _, spec := range d.Specs {
			if v, ok := spec.(*ast.ValueSpec); ok {
				for _, name := range v.Names {
					all = append(all, name.Name)
				}
			}
		}
	}
	return all
}

// mentioned returns the names that decl, in that package, mentions.
func mentioned(decl ast.Decl, inside string) (all []string) {
	start := func(pkg, name string) {
		if pkg == "prosodytest" && (name == "New" || name == "Start") {
			all = append(all, starting)
		}
	}
	ast.Inspect(decl, func(n ast.Node) bool {
		switch n := n.(type) {
		case *ast.SelectorExpr:
			if x, ok := n.X.(*ast.Ident); ok {
				start(x.Name, n.Sel.Name)
			}
			all = append(all, "."+n.Sel.Name)
		case *ast.Ident:
			start(inside, n.Name)
			all = append(all, n.Name)
		}
		return true
	})
	return all
}
