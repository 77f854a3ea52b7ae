package jitsi

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"

	"ppch/prosody"
)

// detectDebian reads /etc/prosody of Debian's Jitsi packages. There conf.d/DOMAIN.cfg.lua is a link to conf.avail/DOMAIN.cfg.lua,
// which the packages write once and then leave to the operator.
func detectDebian(o Options) (*site, error) {
	path := filepath.Join(o.Dir, "prosody.cfg.lua")
	main, err := o.scope.readLua(path)
	if err != nil {
		return nil, err
	}
	if !slices.Contains(main.includes, "conf.d/*.cfg.lua") {
		return nil, fmt.Errorf(`%s doesn't include conf.d: add the line  Include "conf.d/*.cfg.lua"  at its end`, path)
	}
	s := &site{scope: o.scope, description: "Jitsi from Debian packages", confDir: filepath.Join(o.Dir, "conf.d"), envFile: o.EnvFile,
		prosodyHost: loopback, listen: loopback, main: []*luaFile{main}, listensByDefault: true}
	if s.envFile == "" {
		s.envFile = filepath.Join(o.Dir, "ppch.env")
	}
	// As with Debian's own file, only root and Prosody's group may read ours.
	s.prosodyUser = owner{os.Geteuid(), s.scope.ownerOf(path).gid}

	read, unread := s.readOthers()
	j, err := s.chooseJitsi(o, read, unread)
	if err != nil {
		return nil, err
	}
	s.domain, s.mucs = j.domain, j.mucs
	s.meetURL = webURL("https://" + j.domain) // the packages serve the web client at Jitsi's domain
	s.description += " for " + s.domain
	for _, h := range j.file.hosts {
		s.reserved = append(s.reserved, h.name)
	}
	// The operator creates this host. Jibri's guide, Jicofo's package and the defaults of Jitsi's plugins agree on its name.
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
	s.afterUninstall = []string{"systemctl restart prosody"}
	s.nextSteps = func(p *Plan) []string {
		return []string{
			"prosodyctl check config",
			"systemctl restart prosody    # ends running meetings",
			"set -a; . " + shellQuote(s.envFile) + "; set +a",
			program(),
			`curl -s http://127.0.0.1:8890/health    # in another terminal; expect "prosody_status":"ok"`,
		}
	}
	return s, nil
}

// program returns the command that runs this program from any folder.
func program() string {
	self, err := os.Executable()
	if found, lookErr := exec.LookPath("ppch"); err != nil || lookErr == nil && sameFile(found, self) {
		return "ppch"
	}
	return shellQuote(self)
}

func sameFile(a, b string) bool {
	infoA, errA := os.Stat(a)
	infoB, errB := os.Stat(b)
	return errA == nil && errB == nil && os.SameFile(infoA, infoB)
}

// jitsi is one Jitsi in a file of conf.d.
type jitsi struct {
	file   *luaFile
	domain string
	// mucs are the domains of its rooms, breakout rooms and lobbies, as far as they exist, main one first.
	mucs []string
}

// readOthers reads the files in conf.d except ours. One that can't be read may be another program's.
func (s *site) readOthers() (files []*luaFile, unread []error) {
	for _, path := range s.otherConfs() {
		f, err := s.scope.readLua(path)
		if err != nil {
			unread = append(unread, err)
			continue
		}
		files = append(files, f)
	}
	return files, unread
}

// chooseJitsi returns the Jitsi to use among those in files.
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
		meant = slices.DeleteFunc(slices.Clone(all), func(j jitsi) bool { return !strings.EqualFold(j.domain, o.Domain) })
	} else if len(all) > 1 {
		// An earlier installation has made the choice.
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
		return jitsi{}, fmt.Errorf("--domain: %s has no Jitsi %s: use one of %s", s.confDir, o.Domain, strings.Join(names, ", "))
	}
	return jitsi{}, fmt.Errorf("%s has %d Jitsis, %s: choose one with --domain, such as --domain %s", s.confDir, len(all), strings.Join(names, ", "), names[0])
}

// installed reports whether its main room domain loads the module.
func (j jitsi) installed() bool {
	return slices.Contains(j.file.option(j.mucs[0], "modules_enabled").items(), prosody.ModuleName)
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
			main = "conference." + h.name // before 2021 there was no main_muc
		}
		if !rooms(main) || slices.ContainsFunc(all, func(j jitsi) bool { return j.mucs[0] == main }) {
			continue // not a Jitsi, or the guest domain of another
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

// findPlugins finds the first of plugin_paths that exists.
func (s *site) findPlugins(files ...*luaFile) error {
	for _, f := range files {
		for _, dir := range f.option("*", "plugin_paths").items() {
			if !filepath.IsAbs(dir) {
				continue
			}
			if real, err := s.scope.allowReferenced(dir, f.path); err == nil && s.scope.isDir(real) {
				s.pluginDir = real
				return nil
			} else if err != nil && !errors.Is(err, fs.ErrNotExist) {
				return err
			}
		}
	}
	return fmt.Errorf("%s: no directory in plugin_paths exists: create one for the module", s.description)
}

// noteCache adds a note if Jitsi uses Prosody's default size of the room cache.
// "ppch doctor" checks any other size, because the service knows how many rooms are in use.
func noteCache(p *Plan, j jitsi, main *luaFile) {
	const option = "muc_room_cache_size"
	muc := j.mucs[0]
	for _, o := range []*luaOption{j.file.option(muc, option), j.file.option("*", option), main.option("*", option)} {
		if o != nil {
			return
		}
	}
	path, err := p.scope.resolve(j.file.path)
	if err != nil {
		path = j.file.path
	}
	p.addNote("%s keeps 100 rooms in memory, Prosody's default. With more in use, each join swaps rooms out and in, which slows Prosody. Add below Component %q in %s:\n      %s = 10000",
		muc, muc, p.relative(path), option)
}

// readLua reads a configuration file, which must exist.
func (sc *scope) readLua(path string) (*luaFile, error) {
	data, err := sc.read(path)
	if err != nil {
		return nil, suggestUser(err, "root")
	}
	return parseLua(path, data)
}

// enableByLua plans to load the module on these MUC domains of a file.
func enableByLua(p *Plan, path string, mucs []string) error {
	file, err := p.open(path, kindHost)
	if err != nil {
		return err
	}
	for _, muc := range mucs {
		if file.after, err = enableModule(path, file.after, muc); err != nil {
			return err
		}
	}
	return nil
}

// url returns Prosody's address for PPCH.
func (s *site) url(port int) string { return "xmpp://" + s.prosodyHost + ":" + strconv.Itoa(port) }

// isFree reports whether a component may use a name.
func (s *site) isFree(name string) bool {
	return name != s.domain && !slices.Contains(s.mucs, name) && !slices.Contains(s.reserved, name) && !strings.HasSuffix("."+s.domain, "."+name)
}
