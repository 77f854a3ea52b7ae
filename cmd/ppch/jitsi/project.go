package jitsi

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/compose-spec/compose-go/v2/dotenv"
	"github.com/compose-spec/compose-go/v2/loader"
	"github.com/compose-spec/compose-go/v2/types"
	"github.com/sirupsen/logrus"

	"ppch/cmd/ppch/jitsi/folder"
	"ppch/prosody"
)

// project is what Docker Compose makes of the files in a directory.
type project struct {
	*types.Project
	o Options
	// env is the content of the .env file at envFile, which may be another than what is there.
	envFile string
	env     []byte
}

// asked are the variables that matter here, should the environment have them and .env not.
var asked = append([]string{"CONFIG", "COMPOSE_FILE", "COMPOSE_PATH_SEPARATOR", "COMPOSE_PROJECT_NAME", "JITSI_IMAGE_REPO", "JITSI_IMAGE_VERSION",
	"ENABLE_BREAKOUT_ROOMS", "ENABLE_LOBBY", "PROSODY_MODE", "PROSODY_VISITOR_INDEX", "PROSODY_VISITORS_MUC_PREFIX", "VISITORS_XMPP_DOMAIN",
	"XMPP_DOMAIN", "XMPP_MUC_DOMAIN", "XMPP_HIDDEN_DOMAIN", "XMPP_RECORDER_DOMAIN", "GLOBAL_CONFIG", globalModules}, mucModules...)

// loadProject returns what Compose makes of the files in o.Dir with this .env.
func loadProject(o Options, envFile string, env []byte) (*project, error) {
	values, err := ParseEnv(env).Values(o.Lookup)
	if err != nil {
		return nil, fmt.Errorf("%s: %w: Docker Compose refuses that, too: mend it first", envFile, err)
	}
	names := slices.Clone(asked)
	for name := range values {
		names = append(names, name)
	}
	for _, name := range names {
		if value, ok := o.Lookup(name); ok {
			values[name] = value
		}
	}
	paths := composeFiles(o, values)
	if len(paths) == 0 {
		return nil, fmt.Errorf("%w: %s has no file of Docker Compose", ErrNotJitsi, o.Dir)
	}
	details := types.ConfigDetails{WorkingDir: filepath.Dir(paths[0]), Environment: values}
	for _, path := range paths {
		content, err := o.ground.readCompose(path)
		if err != nil {
			return nil, withRights(err, "root, or as whoever owns it")
		}
		details.ConfigFiles = append(details.ConfigFiles, types.ConfigFile{Filename: path, Content: content})
	}
	// compose-go warns by itself of what "docker compose" will warn of anyhow.
	logrus.SetOutput(io.Discard)
	p := &project{o: o, envFile: envFile, env: env}
	// It may read further files, which these name.
	err = o.ground.asOwner(func() (err error) {
		p.Project, err = loader.LoadWithContext(context.Background(), details, func(l *loader.Options) {
			name := values["COMPOSE_PROJECT_NAME"]
			if name == "" {
				l.SetProjectName(loader.NormalizeProjectName(filepath.Base(details.WorkingDir)), false)
			} else {
				l.SetProjectName(name, true)
			}
			l.SkipResolveEnvironment, l.SkipResolveLabels = true, true
			l.ResourceLoaders = append(l.ResourceLoaders, &checked{dirs: []string{details.WorkingDir}})
		})
		return err
	})
	if err != nil {
		return nil, fmt.Errorf("%s: %w: mend it until \"docker compose config\" works", o.Dir, err)
	}
	p.ComposeFiles = paths
	return p, nil
}

// composeFiles returns the files that Compose reads in o.Dir: those that COMPOSE_FILE names, else the usual ones.
func composeFiles(o Options, values map[string]string) (paths []string) {
	if named := values["COMPOSE_FILE"]; named != "" {
		separator := values["COMPOSE_PATH_SEPARATOR"]
		if separator == "" {
			separator = string(filepath.ListSeparator)
		}
		for _, path := range strings.Split(named, separator) {
			if !filepath.IsAbs(path) {
				path = filepath.Join(o.Dir, path)
			}
			paths = append(paths, path)
		}
		return paths
	}
	for _, names := range [][]string{composeNames, overrideNames} {
		for _, name := range names {
			if path := filepath.Join(o.Dir, name); o.ground.there(path) {
				paths = append(paths, path)
				break
			}
		}
	}
	return paths
}

// readCompose reads a file that Compose reads, which may be outside of the known folders.
func (g *ground) readCompose(path string) ([]byte, error) {
	if g.Has(path) {
		return g.read(path)
	}
	return g.readElsewhere(path)
}

// checked refuses pipes and devices that "extends" and "include" name, of which some never end. It is a loader.ResourceLoader
// that takes nothing else, so that compose-go reads what is a file itself.
type checked struct {
	// dirs are where the files are that compose-go read so far: relative names begin at one of them.
	dirs []string
}

// at returns the pipe or device that a name stands for, or "".
func (c *checked) at(name string) string {
	for _, dir := range c.dirs {
		path := name
		if !filepath.IsAbs(name) {
			path = filepath.Join(dir, name)
		}
		info, err := os.Stat(path)
		switch {
		case err != nil || info.IsDir():
		case !info.Mode().IsRegular():
			return path
		case !slices.Contains(c.dirs, filepath.Dir(path)):
			c.dirs = append(c.dirs, filepath.Dir(path))
		}
	}
	return ""
}

func (c *checked) Accept(name string) bool { return c.at(name) != "" }

func (c *checked) Load(_ context.Context, name string) (string, error) {
	_, err := folder.ReadFile(c.at(name))
	return "", err
}

func (c *checked) Dir(string) string { return "" }

// service is a service of the project with the environment that its container gets.
type service struct {
	types.ServiceConfig
	// whole means that all variables of .env are in it, by "env_file: .env".
	whole bool
	// from is the first of the compose files.
	from string
}

// resolve reads the environment of a service as Compose does, with p.env in the place of .env.
func (p *project) resolve(s types.ServiceConfig) (service, error) {
	r := service{ServiceConfig: s, from: p.ComposeFiles[0]}
	declared := s.Environment.Resolve(p.Environment.Resolve)
	lookup := func(name string) (string, bool) {
		if value, ok := p.Environment.Resolve(name); ok {
			return value, true
		}
		if value := declared[name]; value != nil {
			return *value, true
		}
		return "", false
	}
	all := types.Mapping{}
	for _, f := range s.EnvFiles {
		data, err := p.env, error(nil)
		if real, _ := p.o.ground.Real(f.Path); real == p.envFile {
			r.whole = true
		} else if data, err = p.o.ground.readCompose(f.Path); errors.Is(err, fs.ErrNotExist) && !bool(f.Required) {
			continue
		}
		if err != nil {
			return r, fmt.Errorf("env_file of the service %s: %w", s.Name, err)
		}
		if err := dotenv.ParseWithFormat(bytes.NewReader(data), f.Path, all, lookup, f.Format); err != nil {
			return r, fmt.Errorf("env_file of the service %s: %s: %w", s.Name, f.Path, plain(err))
		}
	}
	r.Environment = all.ToMappingWithEquals().OverrideBy(declared)
	return r, nil
}

// has reports whether a variable of .env can reach the container.
func (s service) has(name string) bool {
	_, declared := s.Environment[name]
	return declared || s.whole
}

// get returns what Jitsi's templates take for a variable, which is a default where it isn't set, or is empty.
func (s service) get(name, def string) string {
	if v := s.Environment[name]; v != nil && *v != "" {
		return *v
	}
	return def
}

// loads reports whether a variable that lists modules has ours.
func (s service) loads(name string) bool {
	return slices.Contains(strings.Split(s.get(name, ""), ","), prosody.ModuleName)
}

// prosodyService returns the service that has the rooms.
func (p *project) prosodyService() (service, error) {
	found := []service{}
	for _, name := range p.ServiceNames() {
		s := p.Services[name]
		image, _, _ := strings.Cut(filepath.Base(s.Image), ":")
		if (image == "prosody" || name == "prosody") && slices.ContainsFunc(s.Volumes, func(v types.ServiceVolumeConfig) bool { return v.Target == "/config" }) {
			r, err := p.resolve(s)
			if err != nil {
				return service{}, err
			}
			found = append(found, r)
		}
	}
	if len(found) == 0 {
		return service{}, fmt.Errorf("%w: none of the services in %s is Jitsi's Prosody: its image is …/prosody, with a volume at /config", ErrNotJitsi, p.o.Dir)
	}
	// Of several the one for clients has the people; the others are for bridges or visitors.
	rank := func(s service) int {
		switch mode := s.mode(); {
		case mode == modeBrewery:
			return 3
		case mode == modeVisitors:
			return 2
		case s.Name != "prosody":
			return 1
		}
		return 0
	}
	slices.SortStableFunc(found, func(a, b service) int { return rank(a) - rank(b) })
	if found[0].mode() == modeBrewery {
		return service{}, fmt.Errorf("the service %s has PROSODY_MODE=%s: it connects bridges, and no people meet there; name the directory of the Prosody that people log in to", found[0].Name, modeBrewery)
	}
	return found[0], nil
}

// What PROSODY_MODE makes of docker-jitsi-meet's Prosody, if not the one that people log in to.
const (
	modeVisitors = "visitors" // rooms of those who only watch
	modeBrewery  = "brewery"  // where bridges are chosen
)

func (s service) mode() string { return s.get("PROSODY_MODE", "client") }
