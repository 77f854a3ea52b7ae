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

// Install plans an installation of PPCH next to the Jitsi in o.Dir. It only reads.
// If PPCH is installed already, the plan has only what is missing, or is empty.
// Errors say how to fix them; ErrNotJitsi is one of them.
func Install(o Options) (*Plan, error) {
	o, err := o.absolute()
	if err != nil {
		return nil, err
	}
	s, err := detect(o)
	if err != nil {
		return nil, err
	}
	j, err := openJournal(o.scope)
	if err != nil {
		return nil, err
	}
	if err := j.verify(o.withRecorded(j), s); err != nil {
		return nil, err
	}
	j.recordOptions(o)
	p := &Plan{Title: s.description, scope: o.scope, journal: j}

	// The order of the renames: an unloaded module and an unused component are harmless, but a .env that names a
	// missing module is not.
	p.mkdir(s.confDir, s.prosodyUser)
	p.mkdir(s.pluginDir, s.prosodyUser)
	if err := p.planModule(s); err != nil {
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
	if err := p.resolveSettings(o, s, c, env); err != nil {
		return nil, err
	}
	if err := p.planConf(s, c); err != nil {
		return nil, err
	}
	if err := s.enable(p); err != nil {
		return nil, err
	}
	if err := p.planSettings(s, env); err != nil {
		return nil, err
	}
	for _, dir := range []string{filepath.Dir(s.confDir), s.confDir, s.pluginDir} {
		if p.scope.exists(dir) && !p.scope.canRead(s.prosodyUser, dir) {
			p.addNote("Prosody (user %d) can't enter %s: chmod o+rx %s", s.prosodyUser.uid, p.relative(dir), shellQuote(dir))
		}
	}
	if err := p.planRestore(); err != nil {
		return nil, err
	}
	p.Next, p.Access = s.nextSteps(p), access(s.envFile, env)
	return p, nil
}

// absolute returns the options with absolute paths, and opens the folders that they name.
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
	if o.scope, err = newScope(o); err != nil {
		return o, err
	}
	o.Dir = o.scope.dir
	return o, nil
}

// withRecorded returns the options with the folders and files that the operator named in earlier runs.
func (o Options) withRecorded(j *journal) Options {
	if j.Home != o.scope.id {
		return o
	}
	for _, path := range j.AllowDirs {
		_ = o.scope.allow(path) // if it fails, using the folder will report why
	}
	for _, path := range j.EnvFiles {
		if o.scope.allowEnvFile(path) == nil {
			o.recordedEnvFiles = append(o.recordedEnvFiles, path)
		}
	}
	return o
}

// readEnv returns the variables of a .env file, none if it doesn't exist.
func readEnv(o Options, path string) (map[string]string, error) {
	data, err := o.scope.read(path)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	} else if err != nil {
		return nil, suggestUser(err, ownerOrRoot)
	}
	values, err := ParseEnv(data).Values(o.Lookup)
	if err != nil {
		return nil, fmt.Errorf("%s: %w: fix it, then run this again", path, err)
	}
	return values, nil
}

// moduleVersion finds the version in the Lua module. PPCH 1's module has none.
var moduleVersion = regexp.MustCompile(`(?m)^local version = "(\d+)\.(\d+)\.(\d+)[^"]*";`)

func versionOf(module []byte) (version [3]int) {
	if m := moduleVersion.FindSubmatch(module); m != nil {
		for i := range version {
			version[i], _ = strconv.Atoi(string(m[i+1]))
		}
	}
	return version
}

// planModule plans the Lua module.
func (p *Plan) planModule(s *site) error {
	f, err := p.open(s.modulePath(), kindModule)
	if err != nil {
		return err
	}
	here, ours := versionOf(f.before), versionOf(prosody.Module)
	for i := range ours {
		if here[i] > ours[i] {
			return fmt.Errorf("%s has version %d.%d.%d, newer than %d.%d.%d of this ppch: use a newer ppch", f.path, here[0], here[1], here[2], ours[0], ours[1], ours[2])
		} else if here[i] < ours[i] {
			break
		}
	}
	if f.before == nil {
		f.mode, f.owner = 0o644, p.scope.ownerOf(s.pluginDir)
	}
	f.after = prosody.Module
	return nil
}

// planRestore decides what Uninstall will restore.
func (p *Plan) planRestore() error {
	for _, f := range p.files {
		if !f.changed() {
			continue
		}
		r := p.journal.find(f.path)
		switch {
		case r == nil && f.before != nil:
			f.restore = stateOf(f.before, f.mode, f.owner)
		case r == nil, f.before == nil:
		case r.Before != nil && checksum(f.before) == r.Before.SHA256:
			f.restore = r.Before // the interrupted run didn't get this far
		default:
			before, _, err := p.journal.withoutChanges(r, f.before)
			if err != nil {
				return err
			}
			if checksum(f.before) == r.After {
				f.restore = r.Before
			} else if before != nil {
				f.restore = stateOf(before, f.mode, f.owner)
			}
			f.edits = append(slices.Clone(r.Edits), f.edits...)
		}
	}
	return nil
}
