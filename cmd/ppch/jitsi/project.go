package jitsi

import (
	"bytes"
	"cmp"
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

// project is a directory as Docker Compose reads it.
type project struct {
	*types.Project
	o Options
	// env is the content to assume for the .env file at envFile.
	envFile string
	env     []byte
}

// envVariables are the variables that matter here even if only the environment has them.
var envVariables = append([]string{"CONFIG", "COMPOSE_FILE", "COMPOSE_PATH_SEPARATOR", "COMPOSE_PROJECT_NAME", "JITSI_IMAGE_REPO", "JITSI_IMAGE_VERSION",
	"ENABLE_BREAKOUT_ROOMS", "ENABLE_LOBBY", "PROSODY_MODE", "PROSODY_VISITOR_INDEX", "PROSODY_VISITORS_MUC_PREFIX", "VISITORS_XMPP_DOMAIN",
	"XMPP_DOMAIN", "XMPP_MUC_DOMAIN", "XMPP_HIDDEN_DOMAIN", "XMPP_RECORDER_DOMAIN", "GLOBAL_CONFIG", globalModulesVariable}, mucModules...)

// loadProject reads o.Dir as Compose would with this .env.
func loadProject(o Options, envFile string, env []byte) (*project, error) {
	values, err := ParseEnv(env).Values(o.Lookup)
	if err != nil {
		return nil, fmt.Errorf("%s: %w: Docker Compose fails as well: fix it, then run this again", envFile, err)
	}
	names := slices.Clone(envVariables)
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
		return nil, fmt.Errorf("%w: %s has no compose file", ErrNotJitsi, o.Dir)
	}
	details := types.ConfigDetails{WorkingDir: filepath.Dir(paths[0]), Environment: values}
	for _, path := range paths {
		content, err := o.scope.readCompose(path)
		switch {
		case errors.Is(err, fs.ErrNotExist) && values["COMPOSE_FILE"] != "":
			return nil, fmt.Errorf("COMPOSE_FILE names %s, which doesn't exist: remove it from COMPOSE_FILE or add the file", path)
		case err != nil:
			return nil, suggestUser(err, ownerOrRoot)
		}
		details.ConfigFiles = append(details.ConfigFiles, types.ConfigFile{Filename: path, Content: content})
	}
	// compose-go logs warnings that "docker compose" will repeat.
	logrus.SetOutput(io.Discard)
	p := &project{o: o, envFile: envFile, env: env}
	// It may read other files that these name.
	err = o.scope.asOwner(func() (err error) {
		p.Project, err = loader.LoadWithContext(context.Background(), details, func(l *loader.Options) {
			name := values["COMPOSE_PROJECT_NAME"]
			if name == "" {
				l.SetProjectName(loader.NormalizeProjectName(filepath.Base(details.WorkingDir)), false)
			} else {
				l.SetProjectName(name, true)
			}
			l.SkipResolveEnvironment, l.SkipResolveLabels = true, true
			l.ResourceLoaders = append(l.ResourceLoaders, &specialFiles{dirs: []string{details.WorkingDir}})
		})
		return err
	})
	if err != nil {
		return nil, fmt.Errorf("%s: %w: fix the compose files until \"docker compose config\" works", o.Dir, err)
	}
	p.ComposeFiles = paths
	return p, nil
}

// composeFiles returns the files that Compose reads in o.Dir: those in COMPOSE_FILE, else the default ones.
func composeFiles(o Options, values map[string]string) (paths []string) {
	if named := values["COMPOSE_FILE"]; named != "" {
		separator := cmp.Or(values["COMPOSE_PATH_SEPARATOR"], string(filepath.ListSeparator))
		for path := range strings.SplitSeq(named, separator) {
			if !filepath.IsAbs(path) {
				path = filepath.Join(o.Dir, path)
			}
			paths = append(paths, path)
		}
		return paths
	}
	for _, names := range [][]string{composeNames, overrideNames} {
		for _, name := range names {
			if path := filepath.Join(o.Dir, name); o.scope.exists(path) {
				paths = append(paths, path)
				break
			}
		}
	}
	return paths
}

// readCompose reads a file that Compose reads, which may be outside the scope.
func (sc *scope) readCompose(path string) ([]byte, error) {
	if sc.Has(path) {
		return sc.read(path)
	}
	return sc.readAsOwner(path)
}

// specialFiles refuses pipes and devices that "extends" and "include" name, because some never end. It is a loader.ResourceLoader
// that accepts only these, so that compose-go reads regular files itself.
type specialFiles struct {
	// dirs are the directories of files that compose-go has read: names are relative to one of them.
	dirs []string
}

// find returns the pipe or device of this name, or "".
func (c *specialFiles) find(name string) string {
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

func (c *specialFiles) Accept(name string) bool { return c.find(name) != "" }

func (c *specialFiles) Load(_ context.Context, name string) (string, error) {
	_, err := folder.ReadFile(c.find(name))
	return "", err
}

func (c *specialFiles) Dir(string) string { return "" }

// service is a service of the project with its container's environment.
type service struct {
	types.ServiceConfig
	// allVariables means that "env_file: .env" passes all variables of .env to it.
	allVariables bool
	// composeFile is the first of the compose files.
	composeFile string
}

// resolveService reads the environment of a service as Compose does, with p.env as content of .env.
func (p *project) resolveService(s types.ServiceConfig) (service, error) {
	r := service{ServiceConfig: s, composeFile: p.ComposeFiles[0]}
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
		if real, _ := p.o.scope.Real(f.Path); real == p.envFile {
			r.allVariables = true
		} else if data, err = p.o.scope.readCompose(f.Path); errors.Is(err, fs.ErrNotExist) && !bool(f.Required) {
			continue
		}
		if err != nil {
			return r, fmt.Errorf("env_file of the service %s: %w", s.Name, err)
		}
		if err := dotenv.ParseWithFormat(bytes.NewReader(data), f.Path, all, lookup, f.Format); err != nil {
			return r, fmt.Errorf("env_file of the service %s: %s: %w", s.Name, f.Path, withoutQuotedText(err))
		}
	}
	r.Environment = all.ToMappingWithEquals().OverrideBy(declared)
	return r, nil
}

// has reports whether a variable of .env can reach the container.
func (s service) has(name string) bool {
	_, declared := s.Environment[name]
	return declared || s.allVariables
}

// get returns a variable as Jitsi's templates do: the default if it is unset or empty.
func (s service) get(name, def string) string {
	if v := s.Environment[name]; v != nil && *v != "" {
		return *v
	}
	return def
}

// loads reports whether a variable with a list of modules contains ours.
func (s service) loads(name string) bool {
	return slices.Contains(strings.Split(s.get(name, ""), ","), prosody.ModuleName)
}

// prosodyService returns the service that hosts the rooms.
func (p *project) prosodyService() (service, error) {
	found := []service{}
	for _, name := range p.ServiceNames() {
		s := p.Services[name]
		image, _, _ := strings.Cut(filepath.Base(s.Image), ":")
		if (image == "prosody" || name == "prosody") && slices.ContainsFunc(s.Volumes, func(v types.ServiceVolumeConfig) bool { return v.Target == "/config" }) {
			r, err := p.resolveService(s)
			if err != nil {
				return service{}, err
			}
			found = append(found, r)
		}
	}
	if len(found) == 0 {
		return service{}, fmt.Errorf("%w: no service in %s is Jitsi's Prosody, whose image is …/prosody with a volume at /config", ErrNotJitsi, p.o.Dir)
	}
	// Of several, people log in to the one for clients; the others are for visitors or bridges.
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
		return service{}, fmt.Errorf("the service %s has PROSODY_MODE=%s, which is for bridges and has no meetings: use the directory of the Prosody that people log in to", found[0].Name, modeBrewery)
	}
	return found[0], nil
}

// Values of PROSODY_MODE other than "client", the mode that people log in to.
const (
	modeVisitors = "visitors" // rooms of people who only watch
	modeBrewery  = "brewery"  // selection of bridges
)

func (s service) mode() string { return s.get("PROSODY_MODE", "client") }
