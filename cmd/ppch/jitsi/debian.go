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
)

// debian reads /etc/prosody of Debian's Jitsi packages: conf.d/DOMAIN.cfg.lua is a link to conf.avail/DOMAIN.cfg.lua there,
// which the packages write once and then leave to the operator.
func debian(o Options) (*site, error) {
	path := filepath.Join(o.Dir, "prosody.cfg.lua")
	main, err := readLua(path)
	if err != nil {
		return nil, err
	}
	if !slices.Contains(main.includes, "conf.d/*.cfg.lua") {
		return nil, fmt.Errorf(`%s doesn't read conf.d: add the line  Include "conf.d/*.cfg.lua"  to its end`, path)
	}
	s := &site{what: "Jitsi of Debian's packages", confDir: filepath.Join(o.Dir, "conf.d"), envFile: o.EnvFile, prosodyHost: "127.0.0.1", listen: "127.0.0.1"}
	if s.envFile == "" {
		s.envFile = filepath.Join(o.Dir, "ppch.env")
	}
	// Debian's own file is for root and Prosody's group alone, and so is ours.
	s.owner = owner{os.Geteuid(), ownerOf(path).gid}

	var unread []error
	read := []*luaFile{main}
	for _, path := range s.otherConfs() {
		f, err := readLua(path)
		if err != nil {
			unread = append(unread, err) // it may be somebody else's
			continue
		}
		read = append(read, f)
		if s.enable == nil && s.jitsi(f) {
			s.enable = func(p *Plan) error { return enableByLua(p, path, s.mucs) }
		}
	}
	if s.enable == nil {
		return nil, errors.Join(append(unread,
			fmt.Errorf("%w: no file in %s has a VirtualHost of Jitsi and the Component \"conference.…\" \"muc\" for its rooms", ErrNotJitsi, s.confDir))...)
	}
	// The packages leave this host to the operator. It has this name in Jibri's guide, in what Jicofo's package trusts, and in the
	// defaults of Jitsi's own plugins.
	if recorder := "recorder." + s.domain; slices.ContainsFunc(read, func(f *luaFile) bool { return f.host(recorder) != nil }) {
		s.hidden = recorder
	}
	if s.pluginDir == "" {
		return nil, fmt.Errorf("%s names no directory in plugin_paths that is there: add one for the module", s.what)
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

// jitsi takes from a file what it says of Jitsi, and tells whether it does.
func (s *site) jitsi(f *luaFile) bool {
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
		if !rooms(main) {
			continue
		}
		s.domain, s.mucs = h.name, []string{main}
		for _, option := range []string{"breakout_rooms_muc", "lobby_muc"} {
			if muc := f.option(h.name, option).text(); rooms(muc) {
				s.mucs = append(s.mucs, muc)
			}
		}
		break
	}
	if s.domain == "" {
		return false
	}
	s.what += " for " + s.domain
	for _, h := range f.hosts {
		s.taken = append(s.taken, h.name)
	}
	for _, dir := range f.option("*", "plugin_paths").texts() {
		if info, err := os.Stat(dir); err == nil && info.IsDir() {
			s.pluginDir = filepath.Clean(dir)
			break
		}
	}
	return true
}

// readLua reads a file that has to be there.
func readLua(path string) (*luaFile, error) {
	data, err := readFile(path)
	if errors.Is(err, fs.ErrPermission) {
		return nil, fmt.Errorf("%w: run this as root", err)
	} else if err != nil {
		return nil, err
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
