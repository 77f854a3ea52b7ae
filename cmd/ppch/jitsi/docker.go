package jitsi

import (
	"errors"
	"fmt"
	"io/fs"
	"math"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"

	"github.com/compose-spec/compose-go/v2/types"

	"ppch/prosody"
)

// mucModules are the variables by which docker-jitsi-meet loads modules on the domains of rooms, lobbies and breakout rooms.
// The last two are of October 2023.
var mucModules = []string{"XMPP_MUC_MODULES", "XMPP_BREAKOUT_MUC_MODULES", "XMPP_LOBBY_MUC_MODULES"}

// globalModules is the one that loads them on virtual hosts, where ours serves all those domains as well.
const globalModules = "GLOBAL_MODULES"

// docker reads a directory of docker-jitsi-meet by the eyes of Docker Compose.
func docker(o Options) (*site, error) {
	g := o.ground
	envFile := filepath.Join(o.Dir, ".env")
	env, err := g.read(envFile)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, fmt.Errorf("copy env.example and run ./gen-passwords.sh first: %s is missing, without which Jitsi doesn't start", envFile)
	} else if err != nil {
		return nil, withRights(err, "root, or as whoever owns it")
	}
	if envFile, err = g.real(envFile); err != nil {
		return nil, err
	}
	project, err := loadProject(o, envFile, env)
	if err != nil {
		return nil, err
	}
	service, err := project.prosodyService()
	if err != nil {
		return nil, err
	}
	s := &site{g: g, what: "docker-jitsi-meet", envFile: o.EnvFile, prosodyHost: service.Name, listen: "*"}
	if s.envFile == "" {
		s.envFile = envFile
	}
	if _, tag, ok := strings.Cut(filepath.Base(service.Image), ":"); ok {
		s.what += " " + tag
	}
	if err := s.findFolders(service, o.Dir); err != nil {
		return nil, err
	}
	modules := s.findDomains(service)
	s.readMain(service, envFile)
	if o.Domain != "" && o.Domain != s.domain {
		return nil, fmt.Errorf("--domain: the Jitsi in %s is %s, not %s", o.Dir, s.domain, o.Domain)
	}
	s.enable = func(p *Plan) error { return enableByEnv(p, o, envFile, modules) }
	s.beside = besideJitsi(s, envFile, networkOf(project.Project, service.ServiceConfig))
	restart := "docker compose up -d --force-recreate " + service.Name
	s.undone = []string{"cd " + shell(o.Dir), restart}
	s.next = func(*Plan) []string {
		up, compose := upInOwnFolder(s)
		if s.envFile == envFile {
			up, compose = upInJitsisProject(o.Dir, project.ComposeFiles), "docker compose"
		}
		return []string{
			"cd " + shell(o.Dir) + " && " + restart + "    # ends running meetings",
			up,
			compose + " exec ppch /ppch rooms     # who is where",
			compose + " exec ppch /ppch doctor    # if something is wrong: why, and how to fix it",
		}
	}
	return s, nil
}

// hiddenDomain returns the domain of recorders and transcribers. Its variable was XMPP_RECORDER_DOMAIN before December 2024, with another
// default, and is set by that one still. It is named even where Jitsi doesn't record now: then no one is on that domain.
func hiddenDomain(service service) string {
	domain := "recorder.meet.jitsi"
	if service.has("XMPP_HIDDEN_DOMAIN") {
		domain = "hidden.meet.jitsi"
	}
	for _, variable := range []string{"XMPP_RECORDER_DOMAIN", "XMPP_HIDDEN_DOMAIN"} {
		domain = service.get(variable, domain)
	}
	return domain
}

// findFolders finds the directories of the host that Prosody's container reads.
func (s *site) findFolders(service service, dir string) error {
	config, err := mounted(service, "/config")
	if err != nil {
		return err
	}
	plugins, err := mounted(service, "/prosody-plugins-custom")
	if err != nil {
		return err
	}
	what := "the service " + service.Name + " in " + dir
	// Where it is as it comes, all of CONFIG is one folder, and links may lead anywhere in it.
	root := filepath.Clean("/" + strings.TrimSuffix(config, "/prosody/config"))
	if _, err := s.g.know(root, what); errors.Is(err, fs.ErrNotExist) || err == nil && !s.g.there(config) {
		return fmt.Errorf("start Jitsi once, by \"docker compose up -d\" in %s, and run this again: %s, which CONFIG leads to, isn't there yet; "+
			"if docker compose runs as another user, run this as that one, or with sudo --preserve-env=HOME; in a container, mount it at the same path", dir, config)
	} else if err != nil {
		return err
	}
	if config, err = s.g.real(config); err != nil {
		return err
	}
	// It is there, or the directory that it belongs in.
	if _, err = s.g.know(plugins, what); errors.Is(err, fs.ErrNotExist) {
		_, err = s.g.know(filepath.Dir(plugins), what)
	}
	if err != nil {
		return err
	}
	if s.pluginDir, err = s.g.place(plugins); err != nil {
		return err
	}
	if s.confDir, err = s.g.place(filepath.Join(config, "conf.d")); err != nil {
		return err
	}
	s.reader = s.containerUser(service, config)
	return nil
}

// readMain reads what there is of prosody.cfg.lua, which the container makes at each start.
func (s *site) readMain(service service, envFile string) {
	if text := service.get("GLOBAL_CONFIG", ""); text != "" {
		if f, err := parseLua("GLOBAL_CONFIG in "+envFile, []byte(strings.ReplaceAll(text, `\n`, "\n"))); err == nil {
			f.included = math.MaxInt // conf.d is read after all of it
			s.main = append(s.main, f)
		}
	}
	if f, err := s.g.readLua(filepath.Join(filepath.Dir(s.confDir), "prosody.cfg.lua")); err == nil {
		for _, port := range f.option("*", "component_ports").texts() {
			if _, err := strconv.Atoi(port); err == nil {
				s.kept = append(s.kept, port)
			}
		}
	}
}

// findDomains finds Jitsi's domains, and returns the variables that load modules on those of rooms.
func (s *site) findDomains(service service) (modules []string) {
	s.hidden = hiddenDomain(service)
	if service.mode() == modeVisitors {
		s.what += " for visitors"
		s.domain = "v" + service.get("PROSODY_VISITOR_INDEX", "0") + "." + service.get("VISITORS_XMPP_DOMAIN", "meet.jitsi")
		s.mucs = []string{service.get("PROSODY_VISITORS_MUC_PREFIX", "muc") + "." + s.domain}
		s.taken = []string{service.get("XMPP_AUTH_DOMAIN", "auth.meet.jitsi"), "polls." + s.domain}
		return mucModules[:1]
	}
	s.domain = service.get("XMPP_DOMAIN", "meet.jitsi")
	s.mucs = []string{service.get("XMPP_MUC_DOMAIN", "muc.meet.jitsi")}
	// They are on unless they are switched off. A release without either variable has none.
	for _, m := range []struct{ prefix, enable, modules string }{
		{"breakout.", "ENABLE_BREAKOUT_ROOMS", "XMPP_BREAKOUT_MUC_MODULES"},
		{"lobby.", "ENABLE_LOBBY", "XMPP_LOBBY_MUC_MODULES"},
	} {
		known := service.has(m.enable) || service.has(m.modules)
		if on, err := strconv.ParseBool(service.get(m.enable, "true")); known && (err != nil || on) {
			s.mucs = append(s.mucs, m.prefix+s.domain)
		}
	}
	for _, variable := range []string{"AUTH", "GUEST", "HIDDEN", "RECORDER", "INTERNAL_MUC"} {
		s.taken = append(s.taken, service.get("XMPP_"+variable+"_DOMAIN", strings.ToLower(strings.ReplaceAll(variable, "_", "-"))+".meet.jitsi"))
	}
	for _, prefix := range []string{"focus.", "speakerstats.", "endconference.", "avmoderation.", "metadata.", "visitors.", "polls."} {
		s.taken = append(s.taken, prefix+s.domain)
	}
	return mucModules
}

// mounted returns the directory of the host that is at target in the container.
func mounted(service service, target string) (string, error) {
	for _, v := range service.Volumes {
		if v.Target == target && v.Type == types.VolumeTypeBind {
			return v.Source, nil
		}
	}
	return "", fmt.Errorf("the service %s has no directory of the host at %s: install by hand, as in prosody/README.md", service.Name, target)
}

var stable = regexp.MustCompile(`:stable-(\d+)`)

// rootless is the first release whose containers run as uid 1000.
const rootless = 11146

// containerUser returns as whom Prosody reads its configuration. Before the containers ceased to run as root,
// they gave all of /config to Prosody's user, once: when that directory itself wasn't theirs yet.
func (s *site) containerUser(service service, config string) owner {
	if uid, gid, _ := strings.Cut(service.User, ":"); uid != "" {
		u, err := strconv.Atoi(uid)
		g, err2 := strconv.Atoi(gid)
		if err == nil && (err2 == nil || gid == "") {
			return owner{u, g}
		}
	}
	release := 0
	if m := stable.FindStringSubmatch(service.Image); m != nil {
		release, _ = strconv.Atoi(m[1])
	}
	if release < rootless && (release > 0 || !service.ReadOnly) {
		return s.g.ownerOf(config)
	}
	// What the container made itself shows its user as the host sees it, which is another one
	// where Docker itself doesn't run as root.
	if storage, err := mounted(service, "/var/lib/prosody"); err == nil {
		if _, err := s.g.know(storage, "the service "+service.Name); err == nil && s.g.there(filepath.Join(storage, "data")) {
			return s.g.ownerOf(filepath.Join(storage, "data"))
		}
	}
	return owner{1000, 1000}
}

// enableByEnv makes the .env at path load the module, by those of the variables that this release of docker-jitsi-meet hands on.
func enableByEnv(p *Plan, o Options, path string, variables []string) error {
	file, err := p.open(path, kindEnv)
	if err != nil {
		return err
	}
	prosodyWith := func(env []byte) (service, error) {
		project, err := loadProject(o, path, env)
		if err != nil {
			return service{}, err
		}
		return project.prosodyService()
	}
	before, err := prosodyWith(file.data)
	if err != nil {
		return err
	}
	if before.loads(globalModules) {
		p.note("%s in %s loads the module already, on every virtual host. It is left as it is.", globalModules, p.relative(path))
		return nil
	}
	var missing []string
	for _, v := range variables {
		if !before.has(v) {
			missing = append(missing, v)
		}
	}
	switch {
	case len(missing) == 0:
	case before.has(globalModules):
		p.note("This release of docker-jitsi-meet hands no %s to Prosody: %s is used instead.", missing[0], globalModules)
		variables = []string{globalModules}
	default:
		return fmt.Errorf("no compose file hands %s on to Prosody, nor %s, so that no line in %s can load the module: add to environment: of the service %s in %s\n      - %s\nand run this again",
			missing[0], globalModules, p.relative(path), before.Name, p.relative(before.from), strings.Join(missing, "\n      - "))
	}
	for _, v := range variables {
		if !before.loads(v) {
			file.edit(v, true, func(e *EnvFile) { e.AddToList(v, prosody.ModuleName) })
		}
	}
	after, err := prosodyWith(file.data)
	if err != nil {
		return err
	}
	for _, v := range variables {
		if !after.loads(v) {
			return fmt.Errorf("%s in %s wouldn't reach Prosody, since a compose file, an env_file or the environment sets it as well: add %s to it there", v, path, prosody.ModuleName)
		}
	}
	return nil
}
