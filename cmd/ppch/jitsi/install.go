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
	j, err := openJournal(o.ground)
	if err != nil {
		return nil, err
	}
	if err := j.verify(o.recall(j), s); err != nil {
		return nil, err
	}
	j.remember(o)
	p := &Plan{What: s.what, g: o.ground, journal: j}

	// The order in which files come into their places: a module that nothing loads and a component that
	// nothing uses do no harm, while a .env that names a module that isn't there would.
	p.mkdir(s.confDir, s.reader)
	p.mkdir(s.pluginDir, s.reader)
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
		if p.g.there(dir) && !p.g.may(s.reader, dir) {
			p.note("%s can't be entered by Prosody, whose user is %d: chmod o+rx %s", p.relative(dir), s.reader.uid, shell(dir))
		}
	}
	if err := p.remember(); err != nil {
		return nil, err
	}
	p.Next = s.next(p)
	return p, nil
}

// absolute returns the options with paths that hold wherever they are used, and with the folders that they name open.
func (o Options) absolute() (Options, error) {
	paths := []*string{&o.Dir}
	if o.EnvFile != "" {
		paths = append(paths, &o.EnvFile)
	}
	o.AllowDirs = slices.Clone(o.AllowDirs)
	for i := range o.AllowDirs {
		paths = append(paths, &o.AllowDirs[i])
	}
	for _, path := range paths {
		abs, err := filepath.Abs(*path)
		if err != nil {
			return o, err
		}
		*path = abs
	}
	var err error
	if o.ground, err = newGround(o); err != nil {
		return o, err
	}
	o.Dir = o.ground.dir
	return o, nil
}

// recall returns the options with what the operator named when the journal was written.
func (o Options) recall(j *journal) Options {
	if j.Home != o.ground.id {
		return o
	}
	for _, path := range j.AllowDirs {
		_ = o.ground.allow(path) // without it using it will say why not
	}
	for _, path := range j.EnvFiles {
		if o.ground.allowEnvFile(path) == nil {
			o.recalled = append(o.recalled, path)
		}
	}
	return o
}

// readEnv returns what a .env file says, which needn't be there.
func readEnv(o Options, path string) (map[string]string, error) {
	data, err := o.ground.read(path)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	} else if err != nil {
		return nil, withRights(err, "root, or as whoever owns it")
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
	f, err := p.open(s.modulePath(), kindModule)
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
		f.mode, f.owner = 0o644, p.g.ownerOf(s.pluginDir)
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
