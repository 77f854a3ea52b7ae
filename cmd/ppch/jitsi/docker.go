package jitsi

import (
	"cmp"
	"errors"
	"fmt"
	"io/fs"
	"math"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"

	"ppch/prosody"
)

// mucModules are docker-jitsi-meet's variables for modules on the domains of rooms, breakout rooms and lobbies.
// The last two exist since October 2023.
var mucModules = []string{"XMPP_MUC_MODULES", "XMPP_BREAKOUT_MUC_MODULES", "XMPP_LOBBY_MUC_MODULES"}

// globalModulesVariable loads modules on virtual hosts, from where ours serves all those domains as well.
const globalModulesVariable = "GLOBAL_MODULES"

// detectDocker reads a directory of docker-jitsi-meet as Docker Compose does.
func detectDocker(o Options) (*site, error) {
	sc := o.scope
	envFile := filepath.Join(o.Dir, ".env")
	env, err := sc.read(envFile)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, fmt.Errorf("copy env.example to .env and run ./gen-passwords.sh first: %s is missing, and Jitsi doesn't start without it", envFile)
	} else if err != nil {
		return nil, suggestUser(err, ownerOrRoot)
	}
	if envFile, err = sc.realPath(envFile); err != nil {
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
	s := &site{scope: sc, description: "docker-jitsi-meet", envFile: cmp.Or(o.EnvFile, envFile), prosodyHost: service.Name, listen: "*"}
	if _, tag, ok := strings.Cut(filepath.Base(service.Image), ":"); ok {
		s.description += " " + tag
	}
	if err := s.findFolders(project, service); err != nil {
		return nil, err
	}
	modules := s.findDomains(service)
	s.readMain(project, service, envFile)
	if o.Domain != "" && !strings.EqualFold(o.Domain, s.domain) {
		return nil, fmt.Errorf("--domain: the Jitsi in %s is %s, not %s", o.Dir, s.domain, o.Domain)
	}
	s.enable = func(p *Plan) error { return enableByEnv(p, o, envFile, modules) }
	s.networkSettings = networkSettings(s, envFile, networkOf(project.Project, service.ServiceConfig))
	restart := "docker compose up -d --force-recreate " + service.Name
	in, compose, up := startInOwnFolder(s)
	if s.envFile == envFile {
		in, compose, up = startInJitsiProject(o.Dir, project.ComposeFiles)
	}
	down := strings.NewReplacer(" up -d ppch", " rm -sf ppch", " up -d", " down").Replace(up)
	s.afterUninstall = []string{in + " && " + down, "cd " + shellQuote(o.Dir) + " && " + restart}
	s.nextSteps = func(*Plan) []string {
		return []string{
			"cd " + shellQuote(o.Dir) + " && " + restart + "    # ends running meetings",
			in + " && " + up,
			in + " && " + compose + " exec ppch /ppch rooms     # who is where",
			in + " && " + compose + " exec ppch /ppch doctor    # if something is wrong: why, and how to fix it",
		}
	}
	return s, nil
}

// hiddenDomain returns the domain of recorders and transcribers. Before December 2024 its variable was XMPP_RECORDER_DOMAIN, with
// another default; it still works. The domain is returned even if Jitsi doesn't record: then it has no users.
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

// findFolders finds the host directories that Prosody's container reads.
func (s *site) findFolders(project *project, service service) error {
	dir := project.o.Dir
	confDir, plugins := project.hostPath(service, "/config/conf.d"), project.hostPath(service, "/prosody-plugins-custom")
	if confDir == "" || plugins == "" {
		return project.noFolders(service, confDir == "", plugins == "")
	}
	config, err := cmp.Or(project.hostPath(service, "/config"), confDir), error(nil) // by default a folder of its own
	what := "the service " + service.Name + " in " + dir
	// By default all of CONFIG is one folder, and links may lead anywhere in it.
	root := filepath.Clean("/" + strings.TrimSuffix(config, "/prosody/config"))
	if _, err := s.scope.allowReferenced(root, what); errors.Is(err, fs.ErrNotExist) || err == nil && !s.scope.exists(config) {
		return fmt.Errorf("start Jitsi once with \"docker compose up -d\" in %s, then run this again: CONFIG leads to %s, which doesn't exist yet; "+
			"if another user runs docker compose, run this as that user or with sudo --preserve-env=HOME; in a container, mount it at the same path", dir, config)
	} else if err != nil {
		return err
	}
	if config, err = s.scope.realPath(config); err != nil {
		return err
	}
	// Either it or its parent directory exists.
	if _, err = s.scope.allowReferenced(plugins, what); errors.Is(err, fs.ErrNotExist) {
		_, err = s.scope.allowReferenced(filepath.Dir(plugins), what)
	}
	if err != nil {
		return err
	}
	if s.pluginDir, err = s.scope.resolve(plugins); err != nil {
		return err
	}
	if s.confDir, err = s.scope.resolve(confDir); err != nil {
		return err
	}
	s.prosodyUser = s.containerUser(project, service, config)
	return nil
}

// readMain reads what is known of prosody.cfg.lua, which the container generates at each start.
func (s *site) readMain(project *project, service service, envFile string) {
	if text := service.get("GLOBAL_CONFIG", ""); text != "" {
		if f, err := parseLua("GLOBAL_CONFIG in "+envFile, []byte(strings.ReplaceAll(text, `\n`, "\n"))); err == nil {
			f.included = math.MaxInt // Prosody reads conf.d after all of it
			s.main = append(s.main, f)
		}
	}
	if f, err := s.scope.readLua(project.hostPath(service, "/config/prosody.cfg.lua")); err == nil {
		for _, port := range f.option("*", "component_ports").items() {
			if _, err := strconv.Atoi(port); err == nil {
				s.otherPorts = append(s.otherPorts, port)
			}
		}
	}
}

// findDomains finds Jitsi's domains, and returns the variables that load modules on its room domains.
func (s *site) findDomains(service service) (modules []string) {
	s.hidden = hiddenDomain(service)
	if service.mode() == modeVisitors {
		s.description += " for visitors"
		s.domain = "v" + service.get("PROSODY_VISITOR_INDEX", "0") + "." + service.get("VISITORS_XMPP_DOMAIN", "meet.jitsi")
		s.mucs = []string{service.get("PROSODY_VISITORS_MUC_PREFIX", "muc") + "." + s.domain}
		s.reserved = []string{service.get("XMPP_AUTH_DOMAIN", "auth.meet.jitsi"), "polls." + s.domain}
		return mucModules[:1]
	}
	s.domain = service.get("XMPP_DOMAIN", "meet.jitsi")
	s.meetURL = webURL(service.get("PUBLIC_URL", ""))
	s.mucs = []string{service.get("XMPP_MUC_DOMAIN", "muc.meet.jitsi")}
	// They are on unless switched off. A release with neither variable lacks them.
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
		s.reserved = append(s.reserved, service.get("XMPP_"+variable+"_DOMAIN", strings.ToLower(strings.ReplaceAll(variable, "_", "-"))+".meet.jitsi"))
	}
	for _, prefix := range []string{"focus.", "speakerstats.", "endconference.", "avmoderation.", "metadata.", "visitors.", "polls."} {
		s.reserved = append(s.reserved, prefix+s.domain)
	}
	return mucModules
}

var stable = regexp.MustCompile(`:stable-(\d+)`)

// firstRootless is the first release whose containers run as rootlessUser.
const (
	firstRootless = 11146
	rootlessUser  = 1000
)

// rootless reports whether the container runs as another user than root.
func (s service) rootless() bool {
	release := 0
	if m := stable.FindStringSubmatch(s.Image); m != nil {
		release, _ = strconv.Atoi(m[1])
	}
	return release >= firstRootless || release == 0 && s.ReadOnly
}

// containerUser returns the user that Prosody runs as. Containers that run as root give all of /config to Prosody's
// user, once: when that directory doesn't belong to that user yet.
func (s *site) containerUser(project *project, service service, config string) owner {
	if uid, gid, _ := strings.Cut(service.User, ":"); uid != "" {
		u, err := strconv.Atoi(uid)
		g, err2 := strconv.Atoi(gid)
		if err == nil && (err2 == nil || gid == "") {
			return owner{u, g}
		}
	}
	if !service.rootless() {
		return s.scope.ownerOf(config)
	}
	// Files that the container created show its user as the host sees it: a different one if Docker doesn't run as root.
	if storage := project.hostPath(service, "/var/lib/prosody"); storage != "" {
		if _, err := s.scope.allowReferenced(storage, "the service "+service.Name); err == nil && s.scope.exists(filepath.Join(storage, "data")) {
			return s.scope.ownerOf(filepath.Join(storage, "data"))
		}
	}
	return owner{rootlessUser, rootlessUser}
}

// enableByEnv plans to load the module by variables in the .env at path, those that this release passes to Prosody.
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
	before, err := prosodyWith(file.after)
	if err != nil {
		return err
	}
	if before.loads(globalModulesVariable) {
		p.addNote("%s in %s already loads the module on every virtual host; kept.", globalModulesVariable, p.relative(path))
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
	case before.has(globalModulesVariable):
		p.addNote("This release of docker-jitsi-meet doesn't pass %s to Prosody; using %s instead.", missing[0], globalModulesVariable)
		variables = []string{globalModulesVariable}
	default:
		return fmt.Errorf("no compose file passes %s or %s to Prosody, so that %s can't load the module: add to environment: of the service %s in %s\n      - %s\nand run this again",
			missing[0], globalModulesVariable, p.relative(path), before.Name, p.relative(before.composeFile), strings.Join(missing, "\n      - "))
	}
	for _, v := range variables {
		if !before.loads(v) {
			file.edit(v, true, func(e *EnvFile) { e.AddToList(v, prosody.ModuleName) })
		}
	}
	after, err := prosodyWith(file.after)
	if err != nil {
		return err
	}
	for _, v := range variables {
		if !after.loads(v) {
			return fmt.Errorf("%s in %s has no effect, because a compose file, an env_file or the environment also sets it: add %s to it there", v, path, prosody.ModuleName)
		}
	}
	return nil
}
