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

// debian reads /etc/prosody of Debian's Jitsi packages: conf.d/DOMAIN.cfg.lua is a link to conf.avail/DOMAIN.cfg.lua there,
// which the packages write once and then leave to the operator.
func debian(o Options) (*site, error) {
	path := filepath.Join(o.Dir, "prosody.cfg.lua")
	main, err := o.ground.readLua(path)
	if err != nil {
		return nil, err
	}
	if !slices.Contains(main.includes, "conf.d/*.cfg.lua") {
		return nil, fmt.Errorf(`%s doesn't read conf.d: add the line  Include "conf.d/*.cfg.lua"  to its end`, path)
	}
	s := &site{g: o.ground, what: "Jitsi of Debian's packages", confDir: filepath.Join(o.Dir, "conf.d"), envFile: o.EnvFile,
		prosodyHost: loopback, listen: loopback, main: []*luaFile{main}, opened: true}
	if s.envFile == "" {
		s.envFile = filepath.Join(o.Dir, "ppch.env")
	}
	// Debian's own file is for root and Prosody's group alone, and so is ours.
	s.reader = owner{os.Geteuid(), s.g.ownerOf(path).gid}

	read, unread := s.readOthers()
	j, err := s.chooseJitsi(o, read, unread)
	if err != nil {
		return nil, err
	}
	s.domain, s.mucs = j.domain, j.mucs
	s.what += " for " + s.domain
	for _, h := range j.file.hosts {
		s.taken = append(s.taken, h.name)
	}
	// The packages leave this host to the operator. It has this name in Jibri's guide, in what Jicofo's package trusts, and in the
	// defaults of Jitsi's own plugins.
	if recorder := "recorder." + s.domain; slices.ContainsFunc(append(read, main), func(f *luaFile) bool { return f.host(recorder) != nil }) {
		s.hidden = recorder
	}
	if err := s.findPlugins(j.file, main); err != nil {
		return nil, err
	}
	s.enable = func(p *Plan) error {
		noteCache(p, j, main)
		return enableByLua(p, j.file.path, s.mucs)
	}
	s.undone = []string{"systemctl restart prosody"}
	s.next = func(p *Plan) []string {
		return []string{
			"prosodyctl check config",
			"systemctl restart prosody    # ends running meetings",
			"set -a; . " + shell(s.envFile) + "; set +a",
			"ppch",
			`curl -s http://127.0.0.1:8890/health    # from another terminal: "prosody_status":"ok"`,
		}
	}
	return s, nil
}

// jitsi is one Jitsi in a file of conf.d.
type jitsi struct {
	file   *luaFile
	domain string
	// mucs are those of its rooms, breakout rooms and lobbies that there are, main one first.
	mucs []string
}

// readOthers reads the files of conf.d but ours. One that can't be read may be another program's.
func (s *site) readOthers() (files []*luaFile, unread []error) {
	for _, path := range s.otherConfs() {
		f, err := s.g.readLua(path)
		if err != nil {
			unread = append(unread, err)
			continue
		}
		files = append(files, f)
	}
	return files, unread
}

// chooseJitsi returns the Jitsi that is meant of those in these files of conf.d.
func (s *site) chooseJitsi(o Options, files []*luaFile, unread []error) (jitsi, error) {
	var all []jitsi
	for _, f := range files {
		all = append(all, f.jitsis()...)
	}
	if len(all) == 0 {
		return jitsi{}, errors.Join(append(unread,
			fmt.Errorf("%w: no file in %s has a VirtualHost of Jitsi and the Component \"conference.…\" \"muc\" for its rooms", ErrNotJitsi, s.confDir))...)
	}
	meant := all
	if o.Domain != "" {
		meant = slices.DeleteFunc(slices.Clone(all), func(j jitsi) bool { return j.domain != o.Domain })
	} else if len(all) > 1 {
		// The one that PPCH was installed for need not be named again.
		meant = slices.DeleteFunc(slices.Clone(all), func(j jitsi) bool { return !j.installed() })
	}
	if len(meant) == 1 {
		return meant[0], nil
	}
	names := make([]string, len(all))
	for i, j := range all {
		names[i] = j.domain
	}
	if o.Domain != "" {
		return jitsi{}, fmt.Errorf("--domain: %s has no Jitsi %s: it has %s", s.confDir, o.Domain, strings.Join(names, " and "))
	}
	return jitsi{}, fmt.Errorf("%s has %d Jitsis, %s: choose one, as with --domain %s", s.confDir, len(all), strings.Join(names, " and "), names[0])
}

// installed reports whether the module is loaded where its rooms are.
func (j jitsi) installed() bool {
	return slices.Contains(j.file.option(j.mucs[0], "modules_enabled").texts(), prosody.ModuleName)
}

// jitsis returns the Jitsis that a file configures.
func (f *luaFile) jitsis() (all []jitsi) {
	rooms := func(domain string) bool {
		h := f.host(domain)
		return h != nil && h.component && h.module == "muc"
	}
	for _, h := range f.hosts {
		if h.component {
			continue
		}
		main := f.option(h.name, "main_muc").text()
		if main == "" {
			main = "conference." + h.name // before main_muc, which is of 2021
		}
		if !rooms(main) || slices.ContainsFunc(all, func(j jitsi) bool { return j.mucs[0] == main }) {
			continue // none, or one for the guests of another
		}
		j := jitsi{f, h.name, []string{main}}
		for _, option := range []string{"breakout_rooms_muc", "lobby_muc"} {
			if muc := f.option(h.name, option).text(); rooms(muc) {
				j.mucs = append(j.mucs, muc)
			}
		}
		all = append(all, j)
	}
	return all
}

// findPlugins finds the first of plugin_paths that is there.
func (s *site) findPlugins(files ...*luaFile) error {
	for _, f := range files {
		for _, dir := range f.option("*", "plugin_paths").texts() {
			if !filepath.IsAbs(dir) {
				continue
			}
			if real, err := s.g.know(dir, f.path); err == nil && s.g.isDir(real) {
				s.pluginDir = real
				return nil
			} else if err != nil && !errors.Is(err, fs.ErrNotExist) {
				return err
			}
		}
	}
	return fmt.Errorf("%s names no directory in plugin_paths that is there: add one for the module", s.what)
}

// noteCache says so where the rooms of a Jitsi have Prosody's default for how many it keeps in memory.
// The service, which knows how many are in use, has the doctor say it of any other number.
func noteCache(p *Plan, j jitsi, main *luaFile) {
	const option = "muc_room_cache_size"
	muc := j.mucs[0]
	for _, o := range []*luaOption{j.file.option(muc, option), j.file.option("*", option), main.option("*", option)} {
		if o != nil {
			return
		}
	}
	path, err := p.g.place(j.file.path)
	if err != nil {
		path = j.file.path
	}
	p.note("%s keeps 100 rooms in memory, Prosody's default; with more in use each join swaps one out and in, which slows Prosody. Add below Component %q in %s:\n      %s = 10000",
		muc, muc, p.relative(path), option)
}

// readLua reads a file that has to be there.
func (g *ground) readLua(path string) (*luaFile, error) {
	data, err := g.read(path)
	if err != nil {
		return nil, withRights(err, "root")
	}
	return parseLua(path, data)
}

// enableByLua makes Prosody load the module on each of the MUC domains that are in a file.
func enableByLua(p *Plan, path string, mucs []string) error {
	file, err := p.open(path, kindHost)
	if err != nil {
		return err
	}
	for _, muc := range mucs {
		if file.data, err = enableModule(path, file.data, muc); err != nil {
			return err
		}
	}
	return nil
}

// url returns where PPCH finds Prosody.
func (s *site) url(port int) string { return "xmpp://" + s.prosodyHost + ":" + strconv.Itoa(port) }

// free tells whether a component may have a name.
func (s *site) free(name string) bool {
	return name != s.domain && !slices.Contains(s.mucs, name) && !slices.Contains(s.taken, name) && !strings.HasSuffix("."+s.domain, "."+name)
}
