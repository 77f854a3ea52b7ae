package jitsi

import (
	"bytes"
	"errors"
	"fmt"
	"regexp"
	"slices"
	"strings"

	"github.com/yuin/gopher-lua/ast"
	"github.com/yuin/gopher-lua/parse"

	"ppch/prosody"
)

// luaFile is a Prosody configuration file without its functions and loops.
// The file is parsed as Lua and never run.
type luaFile struct {
	path    string
	hosts   []luaHost
	options []luaOption
	// includes are the patterns of Include, and included is the line of the last.
	includes []string
	included int
}

// luaHost is a VirtualHost, or a Component with its module, if any.
type luaHost struct {
	name, module string
	component    bool
	line         int
}

// luaOption is an assignment in the section of a host, or in the global section, whose host is "*".
type luaOption struct {
	host, name string
	value      ast.Expr
	line       int
}

// parseLua parses a file. Its error names path and line.
func parseLua(path string, data []byte) (*luaFile, error) {
	statements, err := parse.Parse(bytes.NewReader(data), path)
	if wrong := (*parse.Error)(nil); errors.As(err, &wrong) {
		if wrong.Pos.Line < 1 {
			return nil, fmt.Errorf("%s: unexpected end of file", path)
		}
		return nil, fmt.Errorf("%s:%d: can't be parsed as Lua 5.1", path, wrong.Pos.Line)
	} else if err != nil {
		return nil, fmt.Errorf("%s: %w", path, err)
	}
	f := &luaFile{path: path}
	f.block(statements, "*")
	return f, nil
}

// block reads statements in the section of a host, and returns the host of the section that follows.
// Of a condition it reads both branches.
func (f *luaFile) block(statements []ast.Stmt, host string) string {
	for _, s := range statements {
		switch s := s.(type) {
		case *ast.AssignStmt:
			if name, ok := s.Lhs[0].(*ast.IdentExpr); ok && len(s.Lhs) == 1 && len(s.Rhs) == 1 {
				f.options = append(f.options, luaOption{host, name.Value, s.Rhs[0], s.Line()})
			}
		case *ast.FuncCallStmt:
			host = f.call(s, host)
		case *ast.IfStmt:
			host = f.block(s.Else, f.block(s.Then, host))
		case *ast.DoBlockStmt:
			host = f.block(s.Stmts, host)
		}
	}
	return host
}

// call reads VirtualHost "…", Component "…" "…" { … } and Include "…", and returns the host of the section that follows.
func (f *luaFile) call(s *ast.FuncCallStmt, host string) string {
	var args []ast.Expr
	e := s.Expr
	for {
		c, ok := e.(*ast.FuncCallExpr)
		if !ok || len(c.Args) != 1 {
			break
		}
		args, e = append(args, c.Args[0]), c.Func
	}
	name, ok := e.(*ast.IdentExpr)
	if !ok || len(args) == 0 {
		return host
	}
	slices.Reverse(args)
	first := text(args[0])
	switch strings.ToLower(name.Value) {
	case "include":
		f.includes, f.included = append(f.includes, first), s.Line()
		return host
	case "virtualhost", "host", "component":
	default:
		return host
	}
	h := luaHost{name: first, component: strings.EqualFold(name.Value, "component"), line: s.Line()}
	host = first
	for _, arg := range args[1:] {
		if t, ok := arg.(*ast.TableExpr); ok {
			for _, field := range t.Fields {
				f.options = append(f.options, luaOption{h.name, text(field.Key), field.Value, field.Value.Line()})
			}
			host = "*" // Prosody then returns to the global section
		} else {
			h.module = text(arg)
		}
	}
	f.hosts = append(f.hosts, h)
	return host
}

// option returns an option of a host, the last of several, or nil.
func (f *luaFile) option(host, name string) *luaOption {
	for i, o := range slices.Backward(f.options) {
		if o.host == host && o.name == name {
			return &f.options[i]
		}
	}
	return nil
}

// host returns the section of a host, or nil.
func (f *luaFile) host(name string) *luaHost {
	for i := range f.hosts {
		if f.hosts[i].name == name {
			return &f.hosts[i]
		}
	}
	return nil
}

// text returns a string or number as written, "" for anything else.
func text(e ast.Expr) string {
	switch e := e.(type) {
	case *ast.StringExpr:
		return e.Value
	case *ast.NumberExpr:
		return e.Value
	}
	return ""
}

// items returns the items of a list; o may be nil.
func (o *luaOption) items() (all []string) {
	if o == nil {
		return nil
	}
	t, ok := o.value.(*ast.TableExpr)
	if !ok {
		return []string{text(o.value)} // Prosody takes a single value for a list
	}
	for _, field := range t.Fields {
		all = append(all, text(field.Value))
	}
	return all
}

func (o *luaOption) text() string {
	if o == nil {
		return ""
	}
	return text(o.value)
}

// moduleItem loads the module if added to a component's list of modules, moduleList if there is none.
var (
	moduleItem = fmt.Sprintf(" %q;", prosody.ModuleName)
	moduleList = fmt.Sprintf("    modules_enabled = { %q; } -- ppch\n", prosody.ModuleName)
)

var modulesEnabled = regexp.MustCompile(`modules_enabled\s*=\s*\{`)

// enableModule loads the module on the component host: it adds to the list in its section, or a line with a list.
// It parses the result again to check that nothing else differs.
func enableModule(path string, data []byte, host string) ([]byte, error) {
	before, err := parseLua(path, data)
	if err != nil {
		return nil, err
	}
	h, o := before.host(host), before.option(host, "modules_enabled")
	if slices.Contains(o.items(), prosody.ModuleName) {
		return data, nil
	}
	at, insert := lineStart(data, h.line+1), moduleList
	if o != nil {
		start := lineStart(data, o.line)
		found := modulesEnabled.FindIndex(data[start:])
		if found == nil {
			found = []int{0, 0}
		}
		at, insert = start+found[1], moduleItem
	} else if at > 0 && data[at-1] != '\n' {
		insert = "\n" + insert
	}
	changed := slices.Concat(data[:at], []byte(insert), data[at:])
	after, err := parseLua(path, changed)
	if err != nil || !slices.Equal(after.option(host, "modules_enabled").items(), append([]string{prosody.ModuleName}, o.items()...)) ||
		!slices.Equal(before.fingerprint(host), after.fingerprint(host)) {
		return nil, fmt.Errorf("%s:%d: can't be edited automatically: add %q to modules_enabled of Component %q yourself, then run this again",
			path, h.line, prosody.ModuleName, host)
	}
	return changed, nil
}

// fingerprint lists everything in the file except modules_enabled of one host.
func (f *luaFile) fingerprint(except string) (all []string) {
	for _, h := range f.hosts {
		all = append(all, h.name+" "+h.module)
	}
	for _, o := range f.options {
		if o.host != except || o.name != "modules_enabled" {
			all = append(all, o.host+" "+o.name+" "+strings.Join(o.items(), " "))
		}
	}
	return all
}

// disableModule removes what enableModule adds.
func disableModule(data []byte) []byte {
	out := strings.ReplaceAll(string(data), moduleList, "")
	return []byte(strings.ReplaceAll(out, moduleItem, ""))
}

// lineStart returns the offset of a line, counted from 1.
func lineStart(data []byte, line int) int {
	at := 0
	for ; line > 1 && at < len(data); line-- {
		i := bytes.IndexByte(data[at:], '\n')
		if i < 0 {
			return len(data)
		}
		at += i + 1
	}
	return at
}
