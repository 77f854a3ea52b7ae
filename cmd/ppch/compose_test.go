package main

import (
	"context"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"golang.org/x/sync/errgroup"
)

// types types commands at a shell in dir, whose user has home. They are README's but for what needs a terminal.
func (e *engine) types(home, commands string) string {
	e.t.Helper()
	out, err := e.run(context.Background(), "env", "HOME="+home, "PPCH_HEALTHCHECK_INTERVAL=1s", "sh", "-ec", strings.ReplaceAll(commands, " --rm -it ", " --rm "))
	if err != nil {
		e.t.Fatal(err)
	}
	return out
}

// people brings the cast of the demo to a network until the test ends.
func (e *engine) people(network string) {
	e.t.Helper()
	cast := e.docker("run", "--detach", "--network", network, "ppch-demo-cast", "--prosody", "prosody:5222")
	e.t.Cleanup(func() { e.docker("rm", "--force", cast) })
}

// knows waits until the service at port tells of the cast by the Lua module.
func (e *engine) knows(port, key string) {
	e.t.Helper()
	s := &service{t: e.t, url: "http://127.0.0.1:" + port, client: &http.Client{Timeout: 10 * time.Second}}
	for deadline := time.Now().Add(2 * time.Minute); ; time.Sleep(200 * time.Millisecond) {
		// Ada, Grace, Linus and a caller stay; others come and go.
		got, err := s.try(context.Background(), "/api/rooms/Planning/participants", "X-API-Key", key)
		if n, ok := got.data["participant_count"].(float64); ok && n >= 4 && got.data["source"] == "module" && got.data["exact"] == true {
			break
		}
		if time.Now().After(deadline) {
			e.t.Fatalf("got %s, %v want the cast in Planning", got.body, err)
		}
	}
	if got := s.get("/health", "X-API-Key", key); got.data["prosody_status"] != "ok" {
		e.t.Errorf("/health got %s want ok", got.body)
	}
}

// confined checks that a container can do no more than it must.
func (e *engine) confined(container string) {
	e.t.Helper()
	const format = "{{.Config.User}} {{.HostConfig.ReadonlyRootfs}} {{.HostConfig.CapDrop}} {{.HostConfig.SecurityOpt}} {{.HostConfig.Memory}} {{.HostConfig.LogConfig}}"
	want := "65532:65532 true [ALL] [no-new-privileges:true] 536870912 {json-file map[max-file:3 max-size:10m]}"
	if got := e.inspect(container, format); got != want {
		e.t.Errorf("got %s want %s", got, want)
	}
	for binding := range strings.FieldsSeq(e.inspect(container, "{{range .NetworkSettings.Ports}}{{range .}}{{.HostIp}} {{end}}{{end}}")) {
		if binding != "127.0.0.1" {
			e.t.Errorf("published on %s want 127.0.0.1", binding)
		}
	}
	eventually(e.t, time.Minute, "the container is healthy", func() bool { return e.inspect(container, "{{.State.Health.Status}}") == "healthy" })
}

// both are the Prosodys that Jitsis have, by the Debian that has them.
var both = map[string]string{"0.12": "bookworm", "13": "trixie"}

// buildCast builds the demo's people, and Prosodys laid out as docker-jitsi-meet's container: root read-only, user 1000,
// /config copied at start, external components switched off before conf.d is read, rooms hidden.
func (e *engine) buildCast() {
	e.t.Helper()
	build := []string{"docker", "build", "--quiet", "--file", "cmd/ppch-demo/Dockerfile"}
	builds := [][]string{append(slices.Clone(build), "--target", "cast", "--tag", "ppch-demo-cast", ".")}
	for version, debian := range both {
		builds = append(builds, append(slices.Clone(build), "--target", "jitsi", "--build-arg", "DEBIAN="+debian, "--tag", prosodyImage(version), "."))
	}
	var g errgroup.Group
	for _, build := range builds {
		g.Go(func() error {
			_, err := e.run(context.Background(), build[0], build[1:]...)
			return err
		})
	}
	if err := g.Wait(); err != nil {
		e.t.Fatal(err)
	}
	for version := range both {
		if out := e.docker("run", "--rm", "--entrypoint", "prosodyctl", "--user", "0", prosodyImage(version), "about"); !strings.Contains(out, "Prosody "+version+".") {
			e.t.Fatalf("got %s want Prosody %s", out, version)
		}
	}
}

// prosodyImage is a name as docker-jitsi-meet gives it, so that its docker-compose.yml stands as it is.
func prosodyImage(version string) string { return "prosody-" + version + "/prosody:stable-11146-2" }

// operator returns the home of somebody who has one of the Jitsis of package jitsi's tests, and PPCH.
func (e *engine) operator(tree string) (home string) {
	e.t.Helper()
	home = jitsiTree(e.t, tree)
	if err := os.Rename(filepath.Join(home, "jitsi"), filepath.Join(home, "docker-jitsi-meet")); err != nil {
		e.t.Fatal(err)
	}
	put(e.t, filepath.Join(home, "ppch", "docker-compose.yml"), ofTheProject(e.t, "docker-compose.yml"))
	return home
}

// commandsIn returns what a section of README has people type, block by block.
func commandsIn(t *testing.T, heading string) (all []string) {
	t.Helper()
	for _, part := range strings.Split(section(t, heading), "\n```sh\n")[1:] {
		block, _, _ := strings.Cut(part, "\n```\n")
		all = append(all, block)
	}
	return all
}

// nextIn returns the commands that an installation printed.
func nextIn(t *testing.T, printed string) string {
	t.Helper()
	_, next, ok := strings.Cut(printed, "\nDone. Next:\n")
	if !ok {
		t.Fatalf("got %s want it done", printed)
	}
	return strings.ReplaceAll(strings.TrimPrefix(next, "  "), "\n  ", "\n")
}

// bringsUp types what an installation printed, with people in the rooms, up to the numbers.
func (e *engine) bringsUp(home, network, next string) {
	e.t.Helper()
	commands := strings.SplitN(next, "\n", 4)
	if len(commands) != 4 || !strings.HasPrefix(commands[3], "docker compose exec ppch /ppch doctor ") {
		e.t.Fatalf("got %s want three commands and one more, in case anything is wrong", next)
	}
	e.types(home, commands[0]+"\n"+commands[1])
	e.people(network)
	folder, _, ok := strings.Cut(commands[1], " && ")
	if !ok {
		folder, _, _ = strings.Cut(commands[0], " && ")
	}
	eventually(e.t, time.Minute, "ppch rooms tells of the cast", func() bool {
		out, err := e.run(context.Background(), "sh", "-ec", folder+"\n"+commands[2])
		return err == nil && strings.Contains(out, "planning")
	})
}

// What README says, as somebody types it who has a docker-jitsi-meet.
func TestDockerAsREADMESaysIt(t *testing.T) {
	e := newEngine(t)
	e.docker("image", "inspect", "ppch") // make image has built it
	e.buildCast()
	readme := commandsIn(t, "## Docker")
	install, next := readme[1], readme[2]

	t.Run("beside Jitsi, Prosody 13", func(t *testing.T) {
		e := newEngine(t)
		home := e.operator("docker-stable-11146")
		jitsi, own, env := e.in(filepath.Join(home, "docker-jitsi-meet")), e.in(filepath.Join(home, "ppch")), filepath.Join(home, "ppch", ".env")
		put(t, filepath.Join(jitsi.dir, ".env"), strings.Replace(ofFile(t, filepath.Join(jitsi.dir, ".env")), "../cfg", "~/.jitsi-meet-cfg", 1)+"JITSI_IMAGE_REPO=prosody-13\n")
		if err := os.Rename(filepath.Join(home, "cfg"), filepath.Join(home, ".jitsi-meet-cfg")); err != nil {
			t.Fatal(err)
		}
		printed := nextIn(t, e.types(home, install))
		if want := strings.ReplaceAll(next, "~", home); printed != want {
			t.Errorf("it printed\n%s\nand README has\n%s", printed, want)
		}
		jitsi.down()
		own.down()
		e.bringsUp(home, "docker-jitsi-meet_meet.jitsi", printed)
		e.knows("8890", variablesOf(t, env)["PPCH_API_KEY"])
		e.confined("ppch-ppch-1")
	})

	t.Run("in Jitsi's project, Prosody 0.12", func(t *testing.T) {
		e := newEngine(t)
		home := e.operator("docker-stable-11146")
		jitsi := e.in(filepath.Join(home, "docker-jitsi-meet"))
		env := filepath.Join(jitsi.dir, ".env")
		put(t, env, ofFile(t, env)+"JITSI_IMAGE_REPO=prosody-0.12\n")
		put(t, filepath.Join(jitsi.dir, "docker-compose.override.yml"), "services:\n    prosody:\n        hostname: overridden\n")
		printed := nextIn(t, e.types(home, strings.Replace(install, " --env-file ~/ppch/.env", "", 1)))
		jitsi.down("-f", "docker-compose.yml", "-f", filepath.Join(home, "ppch", "docker-compose.yml"))
		e.bringsUp(home, "docker-jitsi-meet_meet.jitsi", printed)
		e.knows("8890", variablesOf(t, env)["PPCH_API_KEY"])
		e.confined("docker-jitsi-meet-ppch-1")
		if got := e.inspect("docker-jitsi-meet-prosody-1", "{{.Config.Hostname}}"); got != "overridden" {
			t.Errorf("got the hostname %s: Jitsi's Prosody was brought up anew without its docker-compose.override.yml", got)
		}
	})

	t.Run("with the .env and the Jitsi of version 1, and back", func(t *testing.T) {
		e := newEngine(t)
		home := e.operator("docker-ppch-1")
		jitsi, own := e.in(filepath.Join(home, "docker-jitsi-meet")), e.in(filepath.Join(home, "ppch"))
		e.docker("tag", prosodyImage("0.12"), "jitsi/prosody:stable-10078")
		// Those containers gave /config to Prosody's user.
		must(e.run(t.Context(), "chown", "-R", "1000:1000", filepath.Join(home, "cfg")))(t)
		env := filepath.Join(own.dir, ".env")
		put(t, env, ofFile(t, env)+"PPCH_CONTAINER_NAME=hook\nPPCH_RESTART_POLICY=always\nPPCH_HEALTHCHECK_TIMEOUT=3s\n"+
			"PPCH_HEALTHCHECK_RETRIES=9\nPPCH_HEALTHCHECK_START_PERIOD=4s\n")
		before := everything(t, home)
		jitsi.down()
		own.down()

		// As it is it says what is missing, and counts nothing.
		jitsi.docker("compose", "up", "--detach", "prosody")
		own.docker("compose", "up", "--detach")
		eventually(t, time.Minute, "the log says what is missing", func() bool {
			return strings.Contains(own.docker("compose", "logs"), "PPCH_COMPONENT_SECRET: is not set")
		})

		migration := commandsIn(t, "### From version 1")
		commands := strings.Split(migration[0], "\n")
		printed := e.types(home, commands[len(commands)-1])
		if !strings.Contains(printed, "PPCH_NETWORK_INTERNAL in "+env+" is of version 1 and has no use any more") {
			t.Errorf("got %s want a word about what is obsolete", printed)
		}
		// Secrets go into files, as anybody may want who has Docker's own.
		files, key := filepath.Join(own.dir, "files"), variablesOf(t, env)["PPCH_API_KEY"]
		put(t, filepath.Join(files, "key"), key)
		installed := ofFile(t, env)
		put(t, env, strings.Replace(installed, "PPCH_API_KEY="+key, "PPCH_API_KEY_FILE=/etc/ppch/key\nPPCH_FILES="+files, 1))
		e.types(home, strings.Join(strings.SplitN(nextIn(t, printed), "\n", 3)[:2], "\n"))
		e.people("docker-jitsi-meet_meet.jitsi")
		e.knows("8890", key)
		e.confined("hook")
		if got, want := e.inspect("hook", "{{.HostConfig.RestartPolicy.Name}} {{json .Config.Healthcheck}}"),
			`always {"Test":["CMD","/ppch","healthcheck"],"Interval":1000000000,"Timeout":3000000000,"StartPeriod":4000000000,"Retries":9}`; got != want {
			t.Errorf("got %s want %s", got, want)
		}
		if got := e.docker("inspect", "hook"); strings.Contains(got, key) {
			t.Error("docker inspect shows the key that is in a file")
		}

		put(t, env, installed)
		if err := os.RemoveAll(files); err != nil {
			t.Fatal(err)
		}
		own.types(home, migration[1])
		if diff := cmp.Diff(before, everything(t, home)); diff != "" {
			t.Errorf("it is not as before (-before +after):\n%s", diff)
		}
	})

	t.Run("the demo", func(t *testing.T) {
		e := newEngine(t)
		const command = "docker compose --env-file cmd/ppch-demo/demo.env up --build"
		if !strings.Contains(ofTheProject(t, "README.md"), "`"+command+"`") {
			t.Fatalf("README has no %s", command)
		}
		e.down("--env-file", "cmd/ppch-demo/demo.env")
		e.types(os.Getenv("HOME"), command+" --detach")
		e.knows("8890", "demo-demo-demo-demo")
		e.confined("ppch-demo-ppch-1")
	})
}
