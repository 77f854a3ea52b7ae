package jitsi

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"

	"github.com/compose-spec/compose-go/v2/cli"
	"github.com/compose-spec/compose-go/v2/types"
	"github.com/sirupsen/logrus"

	"ppch/prosody"
)

// mucModules are the variables by which docker-jitsi-meet loads modules on the domains of rooms, lobbies and breakout rooms.
// The last two are of October 2023.
var mucModules = []string{"XMPP_MUC_MODULES", "XMPP_BREAKOUT_MUC_MODULES", "XMPP_LOBBY_MUC_MODULES"}

// globalModules is the one that loads them on virtual hosts, where ours serves all those domains as well.
const globalModules = "GLOBAL_MODULES"

// docker reads a directory of docker-jitsi-meet by the eyes of Docker Compose.
func docker(o Options) (*site, error) {
	envFile := filepath.Join(o.Dir, ".env")
	env, err := readFile(envFile)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, fmt.Errorf("%s is missing, without which Jitsi doesn't start: copy env.example and run ./gen-passwords.sh first", envFile)
	} else if err != nil {
		return nil, fmt.Errorf("%w: run this as root, or as whoever owns it", err)
	}
	project, err := composeProject(o, env)
	if err != nil {
		return nil, err
	}
	service, err := prosodyService(o, project)
	if err != nil {
		return nil, err
	}
	s := &site{what: "docker-jitsi-meet", envFile: o.EnvFile, prosodyHost: service.Name, listen: "*", enable: func(p *Plan) error { return enableByEnv(p, o, envFile) }}
	if s.envFile == "" {
		s.envFile = envFile
	}
	if _, tag, ok := strings.Cut(filepath.Base(service.Image), ":"); ok {
		s.what += " " + tag
	}
	config, err := mounted(service, "/config")
	if err != nil {
		return nil, err
	}
	if s.pluginDir, err = mounted(service, "/prosody-plugins-custom"); err != nil {
		return nil, err
	}
	if !there(config) {
		return nil, fmt.Errorf("%s, which CONFIG in %s leads to, isn't there: if docker compose runs as another user, run this as that one, or with sudo --preserve-env=HOME; in a container, mount it at the same path; otherwise start Jitsi once", config, envFile)
	}
	s.confDir = filepath.Join(config, "conf.d")
	s.owner = containerUser(service, config)

	// What Jitsi's templates take where a variable is not set, or is empty.
	get := func(key, def string) string {
		if v := service.Environment[key]; v != nil && *v != "" {
			return *v
		}
		return def
	}
	s.domain = get("XMPP_DOMAIN", "meet.jitsi")
	s.mucs = []string{get("XMPP_MUC_DOMAIN", "muc.meet.jitsi")}
	// They are on unless they are switched off. A release without either variable has none.
	for _, m := range []struct{ prefix, enable, modules string }{
		{"breakout.", "ENABLE_BREAKOUT_ROOMS", "XMPP_BREAKOUT_MUC_MODULES"},
		{"lobby.", "ENABLE_LOBBY", "XMPP_LOBBY_MUC_MODULES"},
	} {
		_, known := service.Environment[m.enable]
		if !known {
			_, known = service.Environment[m.modules]
		}
		if on, err := strconv.ParseBool(get(m.enable, "true")); known && (err != nil || on) {
			s.mucs = append(s.mucs, m.prefix+s.domain)
		}
	}
	s.hidden = hiddenDomain(service)
	for _, variable := range []string{"AUTH", "GUEST", "HIDDEN", "RECORDER", "INTERNAL_MUC"} {
		s.taken = append(s.taken, get("XMPP_"+variable+"_DOMAIN", strings.ToLower(strings.ReplaceAll(variable, "_", "-"))+".meet.jitsi"))
	}
	for _, prefix := range []string{"focus.", "speakerstats.", "endconference.", "avmoderation.", "metadata.", "visitors.", "polls."} {
		s.taken = append(s.taken, prefix+s.domain)
	}
	s.beside = besideJitsi(s, envFile, networkOf(project, service))
	restart := "docker compose up -d --force-recreate " + service.Name
	s.undone = []string{"cd " + shell(o.Dir), restart}
	s.next = func(*Plan) []string {
		up, compose := upInOwnFolder(s.envFile)
		if s.envFile == envFile {
			up, compose = upInJitsisProject(o.Dir, project.ComposeFiles), "docker compose"
		}
		return []string{
			"cd " + shell(o.Dir) + " && " + restart + "    # ends running meetings",
			up,
			compose + " exec ppch /ppch rooms     # who is where",
			compose + " exec ppch /ppch doctor    # when anything is wrong: what to mend",
		}
	}
	return s, nil
}

// hiddenDomain returns the domain of recorders and transcribers. Its variable was XMPP_RECORDER_DOMAIN before December 2024, with another
// default, and is set by that one still. Whether Jitsi records now doesn't matter: nobody is on that domain unless it does.
func hiddenDomain(service types.ServiceConfig) string {
	domain := "recorder.meet.jitsi"
	if _, known := service.Environment["XMPP_HIDDEN_DOMAIN"]; known {
		domain = "hidden.meet.jitsi"
	}
	for _, variable := range []string{"XMPP_RECORDER_DOMAIN", "XMPP_HIDDEN_DOMAIN"} {
		if v := service.Environment[variable]; v != nil && *v != "" {
			domain = *v
		}
	}
	return domain
}

// asked are the variables that matter here, should the environment have them and .env not.
var asked = append([]string{"CONFIG", "COMPOSE_FILE", "COMPOSE_PATH_SEPARATOR", "COMPOSE_PROJECT_NAME", "JITSI_IMAGE_REPO", "JITSI_IMAGE_VERSION",
	"ENABLE_BREAKOUT_ROOMS", "ENABLE_LOBBY", "XMPP_DOMAIN", "XMPP_MUC_DOMAIN", "XMPP_HIDDEN_DOMAIN", "XMPP_RECORDER_DOMAIN", globalModules}, mucModules...)

// composeProject returns what Compose makes of the files in o.Dir with this .env.
func composeProject(o Options, env []byte) (*types.Project, error) {
	// compose-go warns by itself of what "docker compose" will warn of anyhow.
	logrus.SetOutput(io.Discard)
	options, err := cli.NewProjectOptions(nil, cli.WithWorkingDirectory(o.Dir))
	if err != nil {
		return nil, err
	}
	values, err := ParseEnv(env).Values(o.Lookup)
	if err != nil {
		return nil, fmt.Errorf("%s: %w: Docker Compose refuses that, too: mend it first", filepath.Join(o.Dir, ".env"), err)
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
	options.Environment.Merge(values)
	for _, set := range []cli.ProjectOptionsFn{cli.WithConfigFileEnv, cli.WithDefaultConfigPath} {
		if err := set(options); err != nil {
			return nil, err
		}
	}
	project, err := options.LoadProject(context.Background())
	if err != nil {
		return nil, fmt.Errorf("%s: %w: mend it until \"docker compose config\" works", o.Dir, err)
	}
	return project, nil
}

// prosodyService returns the service that has the rooms.
func prosodyService(o Options, project *types.Project) (types.ServiceConfig, error) {
	found := []types.ServiceConfig{}
	for _, name := range project.ServiceNames() {
		service := project.Services[name]
		image, _, _ := strings.Cut(filepath.Base(service.Image), ":")
		if (image == "prosody" || name == "prosody") && slices.ContainsFunc(service.Volumes, func(v types.ServiceVolumeConfig) bool { return v.Target == "/config" }) {
			found = append(found, service)
		}
	}
	if len(found) == 0 {
		return types.ServiceConfig{}, fmt.Errorf("%w: none of the services in %s is Jitsi's Prosody: its image is …/prosody, with a volume at /config", ErrNotJitsi, o.Dir)
	}
	// Where there are several the others are for bridges or visitors, and have no rooms of people.
	if i := slices.IndexFunc(found, func(s types.ServiceConfig) bool { return s.Name == "prosody" }); i > 0 {
		return found[i], nil
	}
	return found[0], nil
}

func prosodyWith(o Options, env []byte) (types.ServiceConfig, error) {
	project, err := composeProject(o, env)
	if err != nil {
		return types.ServiceConfig{}, err
	}
	return prosodyService(o, project)
}

// mounted returns the directory of the host that is at target in the container.
func mounted(service types.ServiceConfig, target string) (string, error) {
	for _, v := range service.Volumes {
		if v.Target == target && v.Type == types.VolumeTypeBind {
			return v.Source, nil
		}
	}
	return "", fmt.Errorf("the service %s has no directory of the host at %s: README says how to install by hand", service.Name, target)
}

var stable = regexp.MustCompile(`:stable-(\d+)`)

// rootless is the first release whose containers run as uid 1000.
const rootless = 11146

// containerUser returns as whom Prosody reads its configuration. Before the containers ceased to run as root,
// they gave all of /config to Prosody's user, once: when that directory itself wasn't theirs yet.
func containerUser(service types.ServiceConfig, config string) owner {
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
		return ownerOf(config)
	}
	// What the container made itself shows its user as the host sees it, which is another one
	// where Docker itself doesn't run as root.
	if storage, err := mounted(service, "/var/lib/prosody"); err == nil && there(filepath.Join(storage, "data")) {
		return ownerOf(filepath.Join(storage, "data"))
	}
	return owner{1000, 1000}
}

// enableByEnv makes the .env load the module, by the variables that this release of docker-jitsi-meet hands on.
func enableByEnv(p *Plan, o Options, path string) error {
	file, err := p.open(path, kindEnv)
	if err != nil {
		return err
	}
	before, err := prosodyWith(o, file.data)
	if err != nil {
		return err
	}
	has := func(service types.ServiceConfig, key string) bool {
		v := service.Environment[key]
		return v != nil && slices.Contains(strings.Split(*v, ","), prosody.ModuleName)
	}
	if has(before, globalModules) {
		p.note("%s in %s loads the module already, on every virtual host. It is left as it is.", globalModules, p.relative(path))
		return nil
	}
	variables := mucModules
	for _, v := range mucModules {
		if _, ok := before.Environment[v]; !ok {
			p.note("This release of docker-jitsi-meet hands no %s to Prosody: %s is used instead.", v, globalModules)
			variables = []string{globalModules}
			break
		}
	}
	for _, v := range variables {
		if !has(before, v) {
			file.edit(v, true, func(e *EnvFile) { e.AddToList(v, prosody.ModuleName) })
		}
	}
	after, err := prosodyWith(o, file.data)
	if err != nil {
		return err
	}
	for _, v := range variables {
		if !has(after, v) {
			return fmt.Errorf("%s in %s wouldn't reach Prosody, since a compose file or the environment sets it as well: add %s to it there", v, path, prosody.ModuleName)
		}
	}
	return nil
}
