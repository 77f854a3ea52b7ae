package jitsi

import (
	"errors"
	"fmt"
	"path/filepath"
	"strings"

	"ppch/prosody"
)

// Options are what an operator says.
type Options struct {
	// Dir is the directory of docker-jitsi-meet, where docker-compose.yml is, or /etc/prosody.
	Dir string
	// Domain is Jitsi's. It says which one is meant where there are several; empty means the only one.
	Domain string
	// EnvFile is where PPCH's own settings go. Empty means Dir's .env for docker-jitsi-meet and Dir's ppch.env for Debian's packages.
	EnvFile string
	// Component is the domain of the component. Empty means that of an earlier installation, else "ppch." and Jitsi's domain.
	Component string
	// Port is where Prosody is to listen for components. 0 means where it does already, else 5347.
	Port int
	// Interface is the address to listen on. Empty means all for a container, which opens none to the outside, and loopback otherwise.
	Interface string
	// AllowDirs are further folders that may be written to and that links may lead to, where root works in a Dir of another user.
	AllowDirs []string
	// Lookup gives the variables of the environment in which Docker Compose will run; they come before those of .env.
	Lookup func(name string) (value string, ok bool)

	ground *ground
	// recalled are files for settings that were named earlier.
	recalled []string
}

// site is a Jitsi: what installing has to know of it, whatever its layout.
type site struct {
	g *ground
	// what is for people, such as "docker-jitsi-meet stable-11146".
	what string
	// confDir is the directory of which Prosody reads every *.cfg.lua, and pluginDir one where it looks for modules.
	confDir, pluginDir string
	// envFile is where PPCH's settings go.
	envFile string
	// domain is Jitsi's own, and mucs are those of its rooms, breakout rooms and lobbies that there are, main one first.
	domain string
	mucs   []string
	// hidden is the domain whose occupants Jitsi's clients don't show, where recorders and transcribers log in. It may be empty.
	hidden string
	// taken are further names that a component can't have.
	taken []string
	// prosodyURL is where PPCH finds the component port, but for the port.
	prosodyHost string
	// listen is the interface for the component port.
	listen string
	// main is what is read before conf.d: prosody.cfg.lua, or what goes into it. opened means that Prosody listens
	// for components, on loopback and port 5347, even where nothing says so.
	main   []*luaFile
	opened bool
	// kept are ports for components that a rendered prosody.cfg.lua has, and the next one may not.
	kept []string
	// reader is the user that reads confDir: Prosody's.
	reader owner

	// beside are further settings of PPCH, as they suit this Jitsi.
	beside []setting
	// enable changes the files that make Prosody load the module.
	enable func(*Plan) error
	// next returns what to type afterwards.
	next func(*Plan) []string
	// undone returns what to type after uninstalling.
	undone []string
}

// modulePath is where the Lua module goes.
func (s *site) modulePath() string {
	return filepath.Join(s.pluginDir, "mod_"+prosody.ModuleName+".lua")
}

// ErrNotJitsi means that a directory is none in which Jitsi is configured.
var ErrNotJitsi = errors.New("no Jitsi found")

// composeNames are the files by which Docker Compose knows a project, as compose-go lists them.
var composeNames = []string{"compose.yaml", "compose.yml", "docker-compose.yml", "docker-compose.yaml"}

// overrideNames are those that it reads besides.
var overrideNames = []string{"compose.override.yml", "compose.override.yaml", "docker-compose.override.yml", "docker-compose.override.yaml"}

// recognise finds out which Jitsi is in o.Dir.
func recognise(o Options) (*site, error) {
	g := o.ground
	for _, name := range composeNames {
		if g.there(filepath.Join(o.Dir, name)) {
			return docker(o)
		}
	}
	if env, _ := readEnv(o, filepath.Join(o.Dir, ".env")); env["COMPOSE_FILE"] != "" {
		return docker(o) // whose files may have any name
	}
	if g.there(filepath.Join(o.Dir, "prosody.cfg.lua")) {
		// docker-jitsi-meet renders its configuration under this name as well.
		if g.there(filepath.Join(o.Dir, "conf.d", "jitsi-meet.cfg.lua")) {
			return nil, fmt.Errorf("%w: %s is what docker-jitsi-meet has for its container: name the directory with its docker-compose.yml instead", ErrNotJitsi, o.Dir)
		}
		return debian(o)
	}
	if g.there(filepath.Join(o.Dir, "prosody", "config")) {
		return nil, fmt.Errorf("%w: %s is the CONFIG of docker-jitsi-meet: name the directory with its docker-compose.yml instead", ErrNotJitsi, o.Dir)
	}
	return nil, fmt.Errorf("%w: %s has neither docker-compose.yml (docker-jitsi-meet) nor prosody.cfg.lua (Debian's packages: /etc/prosody)", ErrNotJitsi, o.Dir)
}

// relative returns path as seen from the directory, where it is below it.
func relative(dir, path string) string {
	if r, err := filepath.Rel(dir, path); err == nil && r != ".." && !strings.HasPrefix(r, "../") {
		return r
	}
	return path
}
