package jitsi

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"

	"ppch/prosody"
)

// confName is our file in conf.d.
const confName = "ppch.cfg.lua"

// conf is conf.d's configuration of components before the installation.
type conf struct {
	path string
	// handEdited means that conf.d/ppch.cfg.lua exists and was written or edited by hand.
	handEdited        bool
	component, secret string
	port              int
	listen            string
	parsed            *luaFile
	otherFiles        []*luaFile
}

// otherConfs returns the files in conf.d except ours, by Prosody's pattern.
func (s *site) otherConfs() (paths []string) {
	for _, name := range s.scope.list(s.confDir) {
		if strings.HasSuffix(name, ".cfg.lua") && name[0] != '.' && name != confName {
			paths = append(paths, filepath.Join(s.confDir, name))
		}
	}
	slices.Sort(paths)
	return paths
}

// readConf reads conf.d. j shows whether our file was edited.
func readConf(p *Plan, s *site, j *journal) (*conf, error) {
	c := &conf{path: filepath.Join(s.confDir, confName)}
	f, err := p.open(c.path, kindConf)
	if err != nil {
		return nil, err
	}
	if f.before != nil {
		if c.parsed, err = parseLua(c.path, f.before); err != nil {
			return nil, fmt.Errorf("%w: fix it or move it away, then run this again", err)
		}
		written := j.find(f.path)
		c.handEdited = written == nil || written.After != checksum(f.before)
		for _, h := range c.parsed.hosts {
			if h.component && h.module == "" && c.component == "" {
				c.component, c.secret = h.name, c.parsed.option(h.name, "component_secret").text()
			}
		}
		if on := c.parsed.interfaces().items(); len(on) > 0 {
			c.listen = on[0]
		}
	}
	for _, path := range s.otherConfs() {
		data, err := s.scope.read(path)
		switch {
		case errors.Is(err, fs.ErrPermission):
			return nil, suggestUser(err, "root")
		case errors.Is(err, fs.ErrNotExist):
			continue // a broken link; Prosody reports it
		case err != nil:
			p.addNote("%v. Its components are unknown.", err)
			continue
		}
		other, err := parseLua(path, data)
		if err != nil {
			p.addNote("%v. Its components are unknown.", err)
			continue
		}
		c.otherFiles = append(c.otherFiles, other)
	}
	c.otherFiles = append(c.otherFiles, s.main...)
	for _, file := range append([]*luaFile{c.parsed}, c.otherFiles...) {
		if file != nil && c.port == 0 {
			c.port = portOf(file)
		}
	}
	return c, nil
}

// portOf returns the first of component_ports, or 0.
func portOf(f *luaFile) int {
	ports := f.ports().items()
	if len(ports) == 0 {
		return 0
	}
	n, _ := strconv.Atoi(ports[0])
	return n
}

// hiddenDomainsOption is the module's option for domains whose occupants Jitsi's clients hide.
const hiddenDomainsOption = "room_participants_hidden_domains"

// ports returns the option for Prosody's component ports, or nil. It ignores an empty list that Prosody reads before
// conf.d, because the last value counts.
func (f *luaFile) ports() *luaOption {
	o := f.option("*", "component_ports")
	if o != nil && len(o.items()) == 0 && o.line < f.included {
		return nil
	}
	return o
}

// interfaces returns the option for Prosody's component interfaces, by the first name that Prosody looks up, or nil
// (core/portmanager.lua, activate).
func (f *luaFile) interfaces() *luaOption {
	for _, name := range []string{"component_interfaces", "component_interface", "local_interfaces"} {
		if o := f.option("*", name); o != nil {
			return o
		}
	}
	return nil
}

const loopback = "127.0.0.1"

// allInterfaces are Prosody's names for all interfaces.
var allInterfaces = []string{"*", "0.0.0.0", "::"}

// planConf plans conf.d/ppch.cfg.lua, or checks that an existing file suffices.
func (p *Plan) planConf(s *site, c *conf) error {
	f, err := p.open(c.path, kindConf)
	if err != nil {
		return err
	}
	ports, interfaces, err := p.listenOptions(s, c)
	if err != nil {
		return err
	}
	hidden := s.hidden
	if slices.ContainsFunc(c.otherFiles, func(f *luaFile) bool { return f.option("*", hiddenDomainsOption) != nil }) {
		hidden = ""
	}
	want := p.renderConf(ports, interfaces, hidden)
	if f.before == nil {
		f.mode, f.owner = 0o600, s.prosodyUser
		if me := os.Geteuid(); me != 0 && me != s.prosodyUser.uid && s.prosodyUser.uid >= 0 {
			// Only root can change a file's owner, and Jitsi doesn't start if Prosody can't read this file.
			f.mode, f.owner = 0o644, owner{-1, -1}
			p.addNote("%s, which has a secret, is readable by every user, because Prosody's container runs as user %d: run this as root to restrict it.", p.relative(c.path), s.prosodyUser.uid)
		} else if s.prosodyUser.gid > 0 && s.prosodyUser.uid == me && me == 0 {
			f.mode = 0o640 // for Prosody's group
		}
	} else if !p.scope.canRead(s.prosodyUser, f.path) {
		p.addNote("Prosody (user %d) can't read %s: chown %d %s", s.prosodyUser.uid, p.relative(c.path), s.prosodyUser.uid, shellQuote(c.path))
	}
	if !c.handEdited {
		f.after = []byte(want)
		return nil
	}
	if missing := p.missingLines(c.parsed, ports, interfaces); missing != "" {
		return fmt.Errorf("%s was written or edited by hand, so it is not changed. It lacks:\n%s\nAdd these lines or move the file away, then run this again", c.path, missing)
	}
	p.addNote("%s was written or edited by hand, has all that is needed, and is kept.", p.relative(c.path))
	if hidden != "" && c.parsed.option("*", hiddenDomainsOption) == nil {
		p.addNote("%s doesn't name %s, whose occupants Jitsi's clients hide: PPCH counts all of them except recorders and transcribers. Add this line above all Components: %s = { %s }", p.relative(c.path), hidden, hiddenDomainsOption, prosody.LuaString(hidden))
	}
	return nil
}

// listenOptions returns the component ports and interfaces to set, none if another file sets them: the order in which
// Prosody reads conf.d is undefined, so each option must be in one file only.
// It keeps the ports and interfaces of other components, and fails if that is impossible.
func (p *Plan) listenOptions(s *site, c *conf) (ports, interfaces []string, err error) {
	ports, interfaces = append([]string{strconv.Itoa(p.settings.port)}, s.otherPorts...), []string{p.settings.listen}
	otherComponents := false
	for _, other := range c.otherFiles {
		if h := other.host(p.settings.component); h != nil {
			return nil, nil, fmt.Errorf("%s:%d already has %s: move it to %s, or choose another name with --component-domain", other.path, h.line, h.name, c.path)
		}
		otherComponents = otherComponents || slices.ContainsFunc(other.hosts, func(h luaHost) bool { return h.component && h.module == "" })
	}
	if otherComponents && s.listensByDefault {
		// They rely on Prosody's defaults.
		ports = append(ports, strconv.Itoa(defaultPort))
		switch {
		case p.settings.listen == loopback:
			interfaces = nil
		case !slices.Contains(allInterfaces, p.settings.listen):
			interfaces = append(interfaces, loopback, "::1")
		}
	}
	for _, other := range c.otherFiles {
		if o := other.ports(); o != nil {
			if ports = nil; !slices.Contains(o.items(), strconv.Itoa(p.settings.port)) {
				return nil, nil, fmt.Errorf("%s:%d sets component_ports without %d: add it there, or choose one of its ports with --component-port", other.path, o.line, p.settings.port)
			}
		}
		if o := other.interfaces(); o != nil {
			if interfaces = nil; !p.reachable(o) {
				return nil, nil, fmt.Errorf("%s:%d sets %s without %q: add it there", other.path, o.line, o.name, p.settings.listen)
			}
		}
	}
	return ports, interfaces, nil
}

// reachable reports whether PPCH can connect through these component_interfaces.
func (p *Plan) reachable(o *luaOption) bool {
	return slices.ContainsFunc(o.items(), func(i string) bool { return i == p.settings.listen || slices.Contains(allInterfaces, i) })
}

// renderConf returns the content of conf.d/ppch.cfg.lua with these ports, interfaces and hidden domain, as far as they aren't empty.
func (p *Plan) renderConf(ports, interfaces []string, hidden string) string {
	var b strings.Builder
	b.WriteString("-- Written by: ppch jitsi install. PPCH shows who is in a room without joining it.\n" +
		"-- Keep the secret below private: it allows sending as any address of the component's domain.\n")
	if len(ports)+len(interfaces) > 0 {
		b.WriteString("\n-- Where Prosody listens for components. By default Jitsi's containers switch this off.\n")
	}
	if len(ports) > 0 {
		fmt.Fprintf(&b, "component_ports = { %s }\n", listOf(ports, strings.Clone))
	}
	if len(interfaces) > 0 {
		fmt.Fprintf(&b, "component_interfaces = { %s }\n", listOf(interfaces, prosody.LuaString))
	}
	name := prosody.LuaString(p.settings.component)
	fmt.Fprintf(&b, "\n-- The component that may subscribe to the module room_participants_api.\nroom_participants_components = { %s }\n", name)
	if hidden != "" {
		fmt.Fprintf(&b, "-- The domain of recorders and transcribers, which Jitsi's clients hide.\n%s = { %s }\n", hiddenDomainsOption, prosody.LuaString(hidden))
	}
	fmt.Fprintf(&b, "\nComponent %s\n    component_secret = %s\n", name, prosody.LuaString(p.settings.secret))
	b.WriteString("    -- After a network failure the new connection replaces the dead one.\n    component_conflict_resolve = \"kick_old\"\n")
	return b.String()
}

// listOf returns the items of a Lua list without duplicates.
func listOf(items []string, quote func(string) string) string {
	var all []string
	for _, item := range items {
		if q := quote(item); !slices.Contains(all, q) {
			all = append(all, q)
		}
	}
	return strings.Join(all, ", ")
}

// missingLines returns the lines that a hand-written file lacks.
func (p *Plan) missingLines(f *luaFile, ports, interfaces []string) string {
	var b strings.Builder
	if o := f.option("*", "component_ports"); len(ports) > 0 && !slices.Contains(o.items(), strconv.Itoa(p.settings.port)) {
		fmt.Fprintf(&b, "  component_ports = { %d }\n", p.settings.port)
	}
	if o := f.interfaces(); len(interfaces) > 0 && p.settings.listen != loopback && !p.reachable(o) {
		fmt.Fprintf(&b, "  component_interfaces = { %s }\n", prosody.LuaString(p.settings.listen))
	}
	name := p.settings.component
	if o := f.option("*", "room_participants_components"); o == nil && !strings.HasPrefix(name, "ppch.") || o != nil && !slices.Contains(o.items(), name) {
		fmt.Fprintf(&b, "  room_participants_components = { %s }\n", prosody.LuaString(name))
	}
	if f.host(name) == nil {
		fmt.Fprintf(&b, "  Component %s\n", prosody.LuaString(name))
	}
	if f.option(name, "component_secret").text() == "" {
		b.WriteString("      component_secret = \"…\"\n")
	}
	return strings.TrimRight(b.String(), "\n")
}
