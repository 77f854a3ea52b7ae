package main

import (
	"context"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// types runs commands from the documents in a shell in dir, with a home but without a terminal.
func (e *engine) types(home, commands string) string {
	e.t.Helper()
	out, err := e.run(context.Background(), "env", "HOME="+home, "PPCH_HEALTHCHECK_INTERVAL=1s", "sh", "-ec", strings.ReplaceAll(commands, " --rm -it ", " --rm "))
	check(e.t, err)
	return out
}

// operator returns a home with PPCH and one of the Jitsis of package jitsi's tests.
func (e *engine) operator(tree string) (home string) {
	e.t.Helper()
	home = jitsiTree(e.t, tree)
	check(e.t, os.Rename(filepath.Join(home, "jitsi"), filepath.Join(home, "docker-jitsi-meet")))
	put(e.t, filepath.Join(home, "ppch", "docker-compose.yml"), ofTheProject(e.t, "docker-compose.yml"))
	return home
}

// commandsIn returns the shell commands in a section of a document, block by block.
func commandsIn(t *testing.T, document, heading string) (all []string) {
	t.Helper()
	for _, part := range strings.Split(section(t, document, heading), "\n```sh\n")[1:] {
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
	next, _, _ = strings.Cut(next, "\nDashboard: ")
	return strings.ReplaceAll(strings.TrimPrefix(next, "  "), "\n  ", "\n")
}

// bringsUp runs the commands that an installation printed, with people in the rooms.
func (e *engine) bringsUp(home, network, next string) {
	e.t.Helper()
	commands := strings.SplitN(next, "\n", 4)
	if len(commands) != 4 || !strings.Contains(commands[3], " && docker compose exec ppch /ppch doctor ") {
		e.t.Fatalf("got %s want three commands and one more, in case anything is wrong", next)
	}
	e.types(home, commands[0]+"\n"+commands[1])
	e.people(network)
	eventually(e.t, time.Minute, "ppch rooms lists the cast", func() bool {
		out, err := e.run(context.Background(), "sh", "-ec", commands[2])
		return err == nil && strings.Contains(out, "planning")
	})
}

// An operator with docker-jitsi-meet runs the documented commands.
func TestDocker_Readme(t *testing.T) {
	e := newEngine(t)
	e.docker("image", "inspect", "ppch") // make image has built it
	e.buildCast()
	readme := commandsIn(t, programReadme, "### docker-jitsi-meet")
	install, next := readme[1], readme[2]

	t.Run("next to Jitsi, Prosody 13", func(t *testing.T) {
		e := newEngine(t)
		home := e.operator("docker-stable-11146")
		jitsi, own, env := e.in(filepath.Join(home, "docker-jitsi-meet")), e.in(filepath.Join(home, "ppch")), filepath.Join(home, "ppch", ".env")
		put(t, filepath.Join(jitsi.dir, ".env"), strings.Replace(ofFile(t, filepath.Join(jitsi.dir, ".env")), "../cfg", "~/.jitsi-meet-cfg", 1)+"JITSI_IMAGE_REPO=prosody-13\n")
		check(t, os.Rename(filepath.Join(home, "cfg"), filepath.Join(home, ".jitsi-meet-cfg")))
		printed := nextIn(t, e.types(home, install))
		if want := strings.ReplaceAll(next, "~", home); printed != want {
			t.Errorf("it printed\n%s\nand the document has\n%s", printed, want)
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
			t.Errorf("got the hostname %s: Jitsi's Prosody was recreated without its docker-compose.override.yml", got)
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

		// Unchanged, it logs what is missing and counts nothing.
		jitsi.docker("compose", "up", "--detach", "prosody")
		own.docker("compose", "up", "--detach")
		eventually(t, time.Minute, "the log says what is missing", func() bool {
			return strings.Contains(own.docker("compose", "logs"), "PPCH_COMPONENT_SECRET: is not set")
		})

		migration := commandsIn(t, programReadme, "## Upgrading from 1.x")
		commands := strings.Split(migration[0], "\n")
		printed := e.types(home, commands[len(commands)-1])
		if !strings.Contains(printed, "PPCH_NETWORK_INTERNAL in "+env+" is from PPCH 1 and unused") {
			t.Errorf("got %s want a note about obsolete settings", printed)
		}
		// Secrets in files, as with Docker's own secrets.
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
		check(t, os.RemoveAll(files))
		own.types(home, migration[1])
		same(t, "it is not as before", before, everything(t, home))
	})

	t.Run("the demo", func(t *testing.T) {
		e := newEngine(t)
		const command = "docker compose --env-file cmd/ppch-demo/demo.env up --build"
		for _, document := range []string{topReadme, programReadme} {
			if !strings.Contains(ofTheProject(t, document), "`"+command+"`") {
				t.Errorf("%s has no %s", document, command)
			}
		}
		e.down("--env-file", "cmd/ppch-demo/demo.env")
		e.types(os.Getenv("HOME"), command+" --detach")
		e.knows("8890", "demo-demo-demo-demo")
		e.confined("ppch-demo-ppch-1")
		e.records("ppch-demo-ppch-1", command+" --detach --force-recreate ppch")
	})
}
