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

// luaFile is what a file of Prosody's configuration says at its top level, which is where people write.
// It is read by the grammar of Lua and never run.
type luaFile struct {
	path    string
	hosts   []luaHost
	options []luaOption
	// includes are the patterns of Include, and included the line of the last.
	includes []string
	included int
}

// luaHost is a VirtualHost, or a Component with the module that it has, if any.
type luaHost struct {
	name, module string
	component    bool
	line         int
}

// luaOption is an assignment in the section of a host, or in the global one, whose host is "*".
type luaOption struct {
	host, name string
	value      ast.Expr
	line       int
}

// parseLua reads a file. Its error names path and line.
func parseLua(path string, data []byte) (*luaFile, error) {
	statements, err := parse.Parse(bytes.NewReader(data), path)
	if wrong := (*parse.Error)(nil); errors.As(err, &wrong) {
		if wrong.Pos.Line < 1 {
			return nil, fmt.Errorf("%s: its end is missing", path)
		}
		return nil, fmt.Errorf("%s:%d: this is not the Lua that ppch can read", path, wrong.Pos.Line)
	} else if err != nil {
		return nil, fmt.Errorf("%s: %w", path, err)
	}
	f, host := &luaFile{path: path}, "*"
	for _, s := range statements {
		switch s := s.(type) {
		case *ast.AssignStmt:
			if name, ok := s.Lhs[0].(*ast.IdentExpr); ok && len(s.Lhs) == 1 && len(s.Rhs) == 1 {
				f.options = append(f.options, luaOption{host, name.Value, s.Rhs[0], s.Line()})
			}
		case *ast.FuncCallStmt:
			host = f.call(s, host)
		}
	}
	return f, nil
}

// call reads VirtualHost "…", Component "…" "…" { … } and Include "…", and returns whose section follows.
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
			host = "*" // Prosody returns to the global section then
		} else {
			h.module = text(arg)
		}
	}
	f.hosts = append(f.hosts, h)
	return host
}

// option returns the one that counts of several, or nil.
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

// text returns a string or number as it is written, and nothing for anything else.
func text(e ast.Expr) string {
	switch e := e.(type) {
	case *ast.StringExpr:
		return e.Value
	case *ast.NumberExpr:
		return e.Value
	}
	return ""
}

// texts returns the items of a list; o may be nil.
func (o *luaOption) texts() (all []string) {
	if o == nil {
		return nil
	}
	t, ok := o.value.(*ast.TableExpr)
	if !ok {
		return []string{text(o.value)} // Prosody takes one for a list of it
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

// What loads the module on a component, put into the list that there is or into a list of its own.
var (
	moduleItem = fmt.Sprintf(" %q;", prosody.ModuleName)
	moduleList = fmt.Sprintf("    modules_enabled = { %q; } -- ppch\n", prosody.ModuleName)
)

var modulesEnabled = regexp.MustCompile(`modules_enabled\s*=\s*\{`)

// enableModule loads the module on the component host: it adds to the list of its section, or a line to a section without one.
// What it returns is read again, and differs from data by nothing but that.
func enableModule(path string, data []byte, host string) ([]byte, error) {
	before, err := parseLua(path, data)
	if err != nil {
		return nil, err
	}
	h, o := before.host(host), before.option(host, "modules_enabled")
	if slices.Contains(o.texts(), prosody.ModuleName) {
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
	if err != nil || !slices.Equal(after.option(host, "modules_enabled").texts(), append([]string{prosody.ModuleName}, o.texts()...)) ||
		!slices.Equal(before.outline(host), after.outline(host)) {
		return nil, fmt.Errorf("%s:%d: can't be changed safely by a program: put %q into modules_enabled of Component %q yourself, and run this again",
			path, h.line, prosody.ModuleName, host)
	}
	return changed, nil
}

// outline tells what else than modules_enabled of a host is in the file.
func (f *luaFile) outline(but string) (all []string) {
	for _, h := range f.hosts {
		all = append(all, h.name+" "+h.module)
	}
	for _, o := range f.options {
		if o.host != but || o.name != "modules_enabled" {
			all = append(all, o.host+" "+o.name+" "+strings.Join(o.texts(), " "))
		}
	}
	return all
}

// disableModule takes out all that enableModule puts in.
func disableModule(data []byte) []byte {
	out := strings.ReplaceAll(string(data), moduleList, "")
	return []byte(strings.ReplaceAll(out, moduleItem, ""))
}

// lineStart returns where a line begins, of which the first is 1.
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
