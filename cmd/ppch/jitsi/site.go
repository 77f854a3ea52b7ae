package jitsi

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"syscall"
)

// Options are what an operator says.
type Options struct {
	// Dir is the directory of docker-jitsi-meet, where docker-compose.yml is, or /etc/prosody.
	Dir string
	// EnvFile is where PPCH's own settings go. Empty means Dir's .env for docker-jitsi-meet and Dir's ppch.env for Debian's packages.
	EnvFile string
	// Component is the domain of the component. Empty means that of an earlier installation, else "ppch." and Jitsi's domain.
	Component string
	// Port is where Prosody is to listen for components. 0 means where it does already, else 5347.
	Port int
	// Interface is the address to listen on. Empty means all for a container, which opens none to the outside, and loopback otherwise.
	Interface string
	// Lookup gives the variables of the environment in which Docker Compose will run; they come before those of .env.
	Lookup func(name string) (value string, ok bool)
}

// site is a Jitsi: what installing has to know of it, whatever its layout.
type site struct {
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
	// owner is whom the secret in confDir is for.
	owner owner

	// beside are further settings of PPCH, as they suit this Jitsi.
	beside []setting
	// enable changes the files that make Prosody load the module.
	enable func(*Plan) error
	// next returns what to type afterwards.
	next func(*Plan) []string
	// undone returns what to type after uninstalling.
	undone []string
}

// ErrNotJitsi means that a directory is none in which Jitsi is configured.
var ErrNotJitsi = errors.New("no Jitsi found")

// composeNames are the files by which Docker Compose knows a project, as compose-go lists them.
var composeNames = []string{"compose.yaml", "compose.yml", "docker-compose.yml", "docker-compose.yaml"}

// recognise finds out which Jitsi is in o.Dir.
func recognise(o Options) (*site, error) {
	switch info, err := os.Stat(o.Dir); {
	case err != nil:
		return nil, fmt.Errorf("--dir: %w: in a container, mount it at the same path", err)
	case !info.IsDir():
		return nil, fmt.Errorf("--dir: %s is a file: name the directory that it is in", o.Dir)
	}
	for _, name := range composeNames {
		if path := filepath.Join(o.Dir, name); there(path) {
			if _, err := readFile(path); err != nil {
				return nil, fmt.Errorf("%w: run this as root, or as whoever owns it", err)
			}
			return docker(o)
		}
	}
	if there(filepath.Join(o.Dir, "prosody.cfg.lua")) {
		// docker-jitsi-meet renders its configuration under this name as well.
		if there(filepath.Join(o.Dir, "conf.d", "jitsi-meet.cfg.lua")) {
			return nil, fmt.Errorf("%w: %s is what docker-jitsi-meet has for its container: name the directory with its docker-compose.yml instead", ErrNotJitsi, o.Dir)
		}
		return debian(o)
	}
	if there(filepath.Join(o.Dir, "prosody", "config")) {
		return nil, fmt.Errorf("%w: %s is the CONFIG of docker-jitsi-meet: name the directory with its docker-compose.yml instead", ErrNotJitsi, o.Dir)
	}
	return nil, fmt.Errorf("%w: %s has neither docker-compose.yml (docker-jitsi-meet) nor prosody.cfg.lua (Debian's packages: /etc/prosody)", ErrNotJitsi, o.Dir)
}

// tooLarge is more than any file has that people write.
const tooLarge = 16 << 20

// readFile reads a file, which has to be one: a pipe, such as somebody may have put into the place of one, would never end.
func readFile(path string) ([]byte, error) {
	info, err := os.Stat(path)
	switch {
	case err != nil:
		return nil, err
	case info.IsDir():
		return nil, &fs.PathError{Op: "read", Path: path, Err: syscall.EISDIR}
	case !info.Mode().IsRegular():
		return nil, fmt.Errorf("%s is no file, but a pipe or a device", path)
	case info.Size() > tooLarge:
		return nil, fmt.Errorf("%s is larger than any that is meant here: %d bytes", path, info.Size())
	}
	return os.ReadFile(path)
}

func there(path string) bool {
	_, err := os.Lstat(path)
	return !errors.Is(err, fs.ErrNotExist)
}

// relative returns path as seen from the directory, where it is below it.
func relative(dir, path string) string {
	if r, err := filepath.Rel(dir, path); err == nil && r != ".." && !strings.HasPrefix(r, "../") {
		return r
	}
	return path
}
