package jitsi

import (
	"errors"
	"fmt"
	"io/fs"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"

	"ppch/prosody"
)

// Install plans what puts PPCH beside the Jitsi in o.Dir. It reads and changes nothing.
// Where PPCH is there already the plan is empty, or has what is missing.
// Its errors say what to mend; ErrNotJitsi is among them.
func Install(o Options) (*Plan, error) {
	o, err := o.absolute()
	if err != nil {
		return nil, err
	}
	s, err := recognise(o)
	if err != nil {
		return nil, err
	}
	j, err := openJournal(o.Dir)
	if err != nil {
		return nil, err
	}
	p := &Plan{What: s.what, dir: o.Dir, journal: j}

	// The order in which files come into their places: a module that nothing loads and a component that
	// nothing uses do no harm, while a .env that names a module that isn't there would.
	p.mkdir(s.confDir, s.owner)
	p.mkdir(s.pluginDir, s.owner)
	if err := p.writeModule(s); err != nil {
		return nil, err
	}
	c, err := readConf(p, s, j)
	if err != nil {
		return nil, err
	}
	env, err := readEnv(o, s.envFile)
	if err != nil {
		return nil, err
	}
	if err := p.settle(o, s, c, env); err != nil {
		return nil, err
	}
	if err := p.writeConf(s, c); err != nil {
		return nil, err
	}
	if err := s.enable(p); err != nil {
		return nil, err
	}
	if err := p.writeSettings(s, env); err != nil {
		return nil, err
	}
	for _, dir := range []string{filepath.Dir(s.confDir), s.confDir, s.pluginDir} {
		if there(dir) && !s.owner.may(dir) {
			p.note("%s can't be entered by Prosody, whose user is %d: chmod o+rx %s", p.relative(dir), s.owner.uid, shell(dir))
		}
	}
	if err := p.remember(); err != nil {
		return nil, err
	}
	p.Next = s.next(p)
	return p, nil
}

// absolute returns the options with paths that hold wherever they are used.
func (o Options) absolute() (Options, error) {
	var err error
	if o.Dir, err = filepath.Abs(o.Dir); err != nil {
		return o, err
	}
	if real, err := filepath.EvalSymlinks(o.Dir); err == nil {
		o.Dir = real
	}
	if o.EnvFile != "" {
		o.EnvFile, err = filepath.Abs(o.EnvFile)
	}
	return o, err
}

// readEnv returns what a .env file says, which needn't be there.
func readEnv(o Options, path string) (map[string]string, error) {
	data, err := readFile(path)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	} else if err != nil {
		return nil, fmt.Errorf("%w: run this as root, or as whoever owns it", err)
	}
	values, err := ParseEnv(data).Values(o.Lookup)
	if err != nil {
		return nil, fmt.Errorf("%s: %w: mend it first", path, err)
	}
	return values, nil
}

// moduleVersion finds the version in a file of the Lua module. That of PPCH 1 had none.
var moduleVersion = regexp.MustCompile(`(?m)^local version = "(\d+)\.(\d+)\.(\d+)[^"]*";`)

func versionOf(module []byte) (version [3]int) {
	if m := moduleVersion.FindSubmatch(module); m != nil {
		for i := range version {
			version[i], _ = strconv.Atoi(string(m[i+1]))
		}
	}
	return version
}

// writeModule makes the Lua module part of the plan.
func (p *Plan) writeModule(s *site) error {
	f, err := p.open(filepath.Join(s.pluginDir, "mod_"+prosody.ModuleName+".lua"), kindModule)
	if err != nil {
		return err
	}
	here, ours := versionOf(f.was), versionOf(prosody.Module)
	for i := range ours {
		if here[i] > ours[i] {
			return fmt.Errorf("%s is of version %d.%d.%d, which is newer than what this ppch brings, %d.%d.%d: use the newer ppch", f.path, here[0], here[1], here[2], ours[0], ours[1], ours[2])
		} else if here[i] < ours[i] {
			break
		}
	}
	if f.was == nil {
		f.mode, f.owner = 0o644, ownerOf(s.pluginDir)
	}
	f.data = prosody.Module
	return nil
}

// remember decides what uninstalling is to bring back.
func (p *Plan) remember() error {
	for _, f := range p.files {
		if !f.changed() {
			continue
		}
		r := p.journal.find(f.path)
		switch {
		case r == nil && f.was != nil:
			f.back = stateOf(f.was, f.mode, f.owner)
		case r == nil, f.was == nil:
		case r.Before != nil && checksum(f.was) == r.Before.SHA256:
			f.back = r.Before // what was begun didn't get this far
		default:
			before, _, err := p.journal.undo(r, f.was)
			if err != nil {
				return err
			}
			if checksum(f.was) == r.After {
				f.back = r.Before
			} else if before != nil {
				f.back = stateOf(before, f.mode, f.owner)
			}
			f.edits = append(slices.Clone(r.Edits), f.edits...)
		}
	}
	return nil
}
