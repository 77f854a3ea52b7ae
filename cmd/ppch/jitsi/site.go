package jitsi

import (
	"errors"
	"fmt"
	"path/filepath"
	"strings"

	"ppch/prosody"
)

// Options are the operator's choices.
type Options struct {
	// Dir is the directory with docker-jitsi-meet's docker-compose.yml, or /etc/prosody.
	Dir string
	// Domain is Jitsi's domain. It selects one of several Jitsis; empty means the only one.
	Domain string
	// EnvFile is the file for PPCH's settings. Empty means Dir's .env for docker-jitsi-meet and Dir's ppch.env for Debian's packages.
	EnvFile string
	// Component is the component's domain. Empty means that of an earlier installation, else "ppch." and Jitsi's domain.
	Component string
	// Port is Prosody's port for components. 0 means the one that is configured, else 5347.
	Port int
	// Interface is the address to listen on. Empty means all in a container, which publishes none of them, and loopback otherwise.
	Interface string
	// AllowDirs are additional folders that root may write to, and that links may lead to, when another user owns Dir.
	AllowDirs []string
	// Lookup returns a variable of the environment in which Docker Compose will run; these override .env.
	Lookup func(name string) (value string, ok bool)

	scope *scope
	// recordedEnvFiles are the settings files that the journal names.
	recordedEnvFiles []string
}

// site is a Jitsi: what the installation needs to know about it, for both layouts.
type site struct {
	scope *scope
	// description is for people, such as "docker-jitsi-meet stable-11146".
	description string
	// Prosody reads every *.cfg.lua in confDir, and looks for modules in pluginDir.
	confDir, pluginDir string
	// envFile is the file for PPCH's settings.
	envFile string
	// domain is Jitsi's own. mucs are the domains of its rooms, breakout rooms and lobbies, as far as they exist, main one first.
	domain string
	mucs   []string
	// meetURL is where people open Jitsi Meet. It is empty if that is unknown.
	meetURL string
	// hidden is the domain of recorders and transcribers, which Jitsi's clients hide. It may be empty.
	hidden string
	// reserved are other names that a component can't have.
	reserved []string
	// prosodyHost is the host at which PPCH finds the component port.
	prosodyHost string
	// listen is the default interface for the component port.
	listen string
	// main is what Prosody reads before conf.d: prosody.cfg.lua, or parts of it.
	// listensByDefault means that Prosody listens for components on loopback and port 5347 unless configured otherwise.
	main             []*luaFile
	listensByDefault bool
	// otherPorts are component ports of a generated prosody.cfg.lua. The next one generated may lack them.
	otherPorts []string
	// prosodyUser is the user that Prosody runs as.
	prosodyUser owner

	// networkSettings tell PPCH's docker-compose.yml about Jitsi's network.
	networkSettings []setting
	// enable plans the changes that make Prosody load the module.
	enable func(*Plan) error
	// nextSteps returns the commands to run after installing.
	nextSteps func(*Plan) []string
	// afterUninstall are the commands to run after uninstalling.
	afterUninstall []string
}

// modulePath returns the path of the Lua module.
func (s *site) modulePath() string {
	return filepath.Join(s.pluginDir, "mod_"+prosody.ModuleName+".lua")
}

// ErrNotJitsi means that a directory holds no Jitsi configuration.
var ErrNotJitsi = errors.New("no Jitsi found")

// composeNames are the default names of Compose files, in compose-go's order.
var composeNames = []string{"compose.yaml", "compose.yml", "docker-compose.yml", "docker-compose.yaml"}

// overrideNames are the default names of override files.
var overrideNames = []string{"compose.override.yml", "compose.override.yaml", "docker-compose.override.yml", "docker-compose.override.yaml"}

// detect finds the Jitsi in o.Dir.
func detect(o Options) (*site, error) {
	sc := o.scope
	if sc.exists(filepath.Join(o.Dir, "prosody", "mod_"+prosody.ModuleName+".lua")) {
		return nil, fmt.Errorf("%w: %s is PPCH's own folder: use that of docker-jitsi-meet", ErrNotJitsi, o.Dir)
	}
	for _, name := range composeNames {
		if sc.exists(filepath.Join(o.Dir, name)) {
			return detectDocker(o)
		}
	}
	if env, _ := readEnv(o, filepath.Join(o.Dir, ".env")); env["COMPOSE_FILE"] != "" {
		return detectDocker(o) // COMPOSE_FILE may have any name
	}
	if sc.exists(filepath.Join(o.Dir, "prosody.cfg.lua")) {
		// docker-jitsi-meet's generated configuration has this name as well.
		if sc.exists(filepath.Join(o.Dir, "conf.d", "jitsi-meet.cfg.lua")) {
			return nil, fmt.Errorf("%w: %s is the Prosody configuration that docker-jitsi-meet generates: use the directory with its docker-compose.yml", ErrNotJitsi, o.Dir)
		}
		return detectDebian(o)
	}
	if sc.exists(filepath.Join(o.Dir, "prosody", "config")) {
		return nil, fmt.Errorf("%w: %s is docker-jitsi-meet's CONFIG directory: use the directory with its docker-compose.yml", ErrNotJitsi, o.Dir)
	}
	return nil, fmt.Errorf("%w: %s has neither docker-compose.yml (docker-jitsi-meet) nor prosody.cfg.lua (Debian packages: /etc/prosody)", ErrNotJitsi, o.Dir)
}

// relative returns path relative to dir if it is below dir, else path itself.
func relative(dir, path string) string {
	if r, err := filepath.Rel(dir, path); err == nil && r != ".." && !strings.HasPrefix(r, "../") {
		return r
	}
	return path
}
