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

// confName is the file in conf.d that is ours.
const confName = "ppch.cfg.lua"

// conf is what conf.d says of components before anything is done.
type conf struct {
	path string
	// foreign means that conf.d/ppch.cfg.lua is there and not, or not only, of this program.
	foreign           bool
	component, secret string
	port              int
	listen            string
	file              *luaFile
	others            []*luaFile
}

// otherConfs returns the files of conf.d but ours, by the pattern with which Prosody looks for them.
func (s *site) otherConfs() (paths []string) {
	for _, name := range s.g.names(s.confDir) {
		if strings.HasSuffix(name, ".cfg.lua") && name[0] != '.' && name != confName {
			paths = append(paths, filepath.Join(s.confDir, name))
		}
	}
	slices.Sort(paths)
	return paths
}

// readConf reads conf.d. j knows which files this program wrote.
func readConf(p *Plan, s *site, j *journal) (*conf, error) {
	c := &conf{path: filepath.Join(s.confDir, confName)}
	f, err := p.open(c.path, kindConf)
	if err != nil {
		return nil, err
	}
	if f.was != nil {
		if c.file, err = parseLua(c.path, f.was); err != nil {
			return nil, fmt.Errorf("%w: mend it, or move it away, and run this again", err)
		}
		written := j.find(f.path)
		c.foreign = written == nil || written.After != checksum(f.was)
		for _, h := range c.file.hosts {
			if h.component && h.module == "" && c.component == "" {
				c.component, c.secret = h.name, c.file.option(h.name, "component_secret").text()
			}
		}
		if on := c.file.interfaces().texts(); len(on) > 0 {
			c.listen = on[0]
		}
	}
	for _, path := range s.otherConfs() {
		data, err := s.g.read(path)
		switch {
		case errors.Is(err, fs.ErrPermission):
			return nil, withRights(err, "root")
		case errors.Is(err, fs.ErrNotExist):
			continue // a link that leads nowhere, of which Prosody complains
		case err != nil:
			p.note("%v. What it says of components is not known.", err)
			continue
		}
		other, err := parseLua(path, data)
		if err != nil {
			p.note("%v: what it says of components is not known.", err)
			continue
		}
		c.others = append(c.others, other)
	}
	c.others = append(c.others, s.main...)
	for _, file := range append([]*luaFile{c.file}, c.others...) {
		if file != nil && c.port == 0 {
			c.port = portOf(file)
		}
	}
	return c, nil
}

// portOf returns the first of component_ports, or 0.
func portOf(f *luaFile) int {
	ports := f.ports().texts()
	if len(ports) == 0 {
		return 0
	}
	n, _ := strconv.Atoi(ports[0])
	return n
}

// hiddenDomains is the module's option for the domains whose occupants Jitsi's clients don't show.
const hiddenDomains = "room_participants_hidden_domains"

// ports returns the option for the ports on which Prosody listens for components, or nil. An empty list that is read
// before conf.d is as good as none: what is read last counts.
func (f *luaFile) ports() *luaOption {
	o := f.option("*", "component_ports")
	if o != nil && len(o.texts()) == 0 && o.line < f.included {
		return nil
	}
	return o
}

// interfaces returns the option for where Prosody listens for components, by the first name that it knows, or nil
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

// everywhere are the interfaces by which Prosody means all.
var everywhere = []string{"*", "0.0.0.0", "::"}

// writeConf makes conf.d/ppch.cfg.lua part of the plan, or finds that what is there does.
func (p *Plan) writeConf(s *site, c *conf) error {
	f, err := p.open(c.path, kindConf)
	if err != nil {
		return err
	}
	ports, interfaces, err := p.listening(s, c)
	if err != nil {
		return err
	}
	hidden := s.hidden
	if slices.ContainsFunc(c.others, func(f *luaFile) bool { return f.option("*", hiddenDomains) != nil }) {
		hidden = ""
	}
	want := p.conf(ports, interfaces, hidden)
	if f.was == nil {
		f.mode, f.owner = 0o600, s.reader
		if me := os.Geteuid(); me != 0 && me != s.reader.uid && s.reader.uid >= 0 {
			// Nobody but root can give a file away, and Jitsi doesn't start when Prosody can't read this one.
			f.mode, f.owner = 0o644, owner{-1, -1}
			p.note("%s can be read by everybody who gets at it, since Prosody's container runs as another user (%d): run this as root for better.", p.relative(c.path), s.reader.uid)
		} else if s.reader.gid > 0 && s.reader.uid == me && me == 0 {
			f.mode = 0o640 // for Prosody's group
		}
	} else if !p.g.may(s.reader, f.path) {
		p.note("%s can't be read by Prosody, whose user is %d: chown %d %s", p.relative(c.path), s.reader.uid, s.reader.uid, shell(c.path))
	}
	if !c.foreign {
		f.data = []byte(want)
		return nil
	}
	if missing := p.missing(c.file, ports, interfaces); missing != "" {
		return fmt.Errorf("%s was written or edited by hand, and nothing in it is touched. It lacks:\n%s\nAdd that at the right place, or move the file away, and run this again", c.path, missing)
	}
	p.note("%s was written or edited by hand: it has all that is needed and is left as it is.", p.relative(c.path))
	if hidden != "" && c.file.option("*", hiddenDomains) == nil {
		p.note("%s doesn't name %s, whose occupants Jitsi's clients hide: PPCH counts them as people, recorders and transcribers aside. Add this above every Component: %s = { %s }", p.relative(c.path), hidden, hiddenDomains, prosody.LuaString(hidden))
	}
	return nil
}

// listening returns the ports and interfaces for components that are to be set, none where another file sets them:
// which file of conf.d Prosody reads last is anybody's guess, so each option may be in one only.
// Other components keep what they have; it is an error where that can't be.
func (p *Plan) listening(s *site, c *conf) (ports, interfaces []string, err error) {
	ports, interfaces = append([]string{strconv.Itoa(p.settings.port)}, s.kept...), []string{p.settings.listen}
	neighbours := false
	for _, other := range c.others {
		if h := other.host(p.settings.component); h != nil {
			return nil, nil, fmt.Errorf("%s:%d has %s already: move it to %s, or choose another name with --component-domain", other.path, h.line, h.name, c.path)
		}
		neighbours = neighbours || slices.ContainsFunc(other.hosts, func(h luaHost) bool { return h.component && h.module == "" })
	}
	if neighbours && s.opened {
		// They go by Prosody's defaults where nothing is set.
		ports = append(ports, strconv.Itoa(defaultPort))
		switch {
		case p.settings.listen == loopback:
			interfaces = nil
		case !slices.Contains(everywhere, p.settings.listen):
			interfaces = append(interfaces, loopback, "::1")
		}
	}
	for _, other := range c.others {
		if o := other.ports(); o != nil {
			if ports = nil; !slices.Contains(o.texts(), strconv.Itoa(p.settings.port)) {
				return nil, nil, fmt.Errorf("%s:%d sets component_ports without %d: add it there, or choose one of those with --component-port", other.path, o.line, p.settings.port)
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

// reachable tells whether component_interfaces let PPCH in.
func (p *Plan) reachable(o *luaOption) bool {
	return slices.ContainsFunc(o.texts(), func(i string) bool { return i == p.settings.listen || slices.Contains(everywhere, i) })
}

// conf returns conf.d/ppch.cfg.lua, with these options for where Prosody listens, and the hidden domain unless that is empty.
func (p *Plan) conf(ports, interfaces []string, hidden string) string {
	var b strings.Builder
	b.WriteString("-- Written by: ppch jitsi install. PPCH tells who is in a room without joining it.\n" +
		"-- Whoever has the secret below can speak as anybody of the component's domain.\n")
	if len(ports)+len(interfaces) > 0 {
		b.WriteString("\n-- Where Prosody listens for components. Jitsi's containers have that switched off before conf.d is read.\n")
	}
	if len(ports) > 0 {
		fmt.Fprintf(&b, "component_ports = { %s }\n", listOf(ports, strings.Clone))
	}
	if len(interfaces) > 0 {
		fmt.Fprintf(&b, "component_interfaces = { %s }\n", listOf(interfaces, prosody.LuaString))
	}
	name := prosody.LuaString(p.settings.component)
	fmt.Fprintf(&b, "\n-- Whom the module room_participants_api tells.\nroom_participants_components = { %s }\n", name)
	if hidden != "" {
		fmt.Fprintf(&b, "-- Where recorders and transcribers log in, whom Jitsi's clients don't show.\n%s = { %s }\n", hiddenDomains, prosody.LuaString(hidden))
	}
	fmt.Fprintf(&b, "\nComponent %s\n    component_secret = %s\n", name, prosody.LuaString(p.settings.secret))
	b.WriteString("    -- After a fault of the network the new connection takes the place of the dead one.\n    component_conflict_resolve = \"kick_old\"\n")
	return b.String()
}

// listOf returns the items of a list in Lua, each once.
func listOf(items []string, quote func(string) string) string {
	var all []string
	for _, item := range items {
		if q := quote(item); !slices.Contains(all, q) {
			all = append(all, q)
		}
	}
	return strings.Join(all, ", ")
}

// missing returns the lines without which a file that somebody else wrote doesn't do.
func (p *Plan) missing(f *luaFile, ports, interfaces []string) string {
	var b strings.Builder
	if o := f.option("*", "component_ports"); len(ports) > 0 && !slices.Contains(o.texts(), strconv.Itoa(p.settings.port)) {
		fmt.Fprintf(&b, "  component_ports = { %d }\n", p.settings.port)
	}
	if o := f.interfaces(); len(interfaces) > 0 && p.settings.listen != loopback && !p.reachable(o) {
		fmt.Fprintf(&b, "  component_interfaces = { %s }\n", prosody.LuaString(p.settings.listen))
	}
	name := p.settings.component
	if o := f.option("*", "room_participants_components"); o == nil && !strings.HasPrefix(name, "ppch.") || o != nil && !slices.Contains(o.texts(), name) {
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
