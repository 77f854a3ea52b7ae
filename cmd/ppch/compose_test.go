package main

import (
	"context"
	"encoding/json"
	"fmt"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"
)

// engine runs commands beside the Docker engine of .ci/engine, which make test-compose starts.
// By itself no test starts one.
type engine struct {
	t    *testing.T
	repo string
	dir  string // where commands run
}

func newEngine(t *testing.T) *engine {
	t.Helper()
	if os.Getenv("ENGINE") == "" {
		t.Skip("for make test-compose, which has a Docker engine of its own")
	}
	repo := must(filepath.Abs(filepath.Join("..", "..")))(t)
	return &engine{t, repo, repo}
}

func (e *engine) in(dir string) *engine { return &engine{e.t, e.repo, dir} }

// docker runs a command of docker and returns what it wrote to standard output.
func (e *engine) docker(args ...string) string {
	e.t.Helper()
	out, err := e.run(context.Background(), "docker", args...)
	if err != nil {
		e.t.Fatal(err)
	}
	return out
}

func (e *engine) run(ctx context.Context, name string, args ...string) (string, error) {
	cmd := exec.CommandContext(ctx, name, args...)
	cmd.Dir = e.dir
	var errs strings.Builder
	cmd.Stderr = &errs
	out, err := cmd.Output()
	if err != nil {
		return "", fmt.Errorf("%s %s: %w\n%s%s", name, strings.Join(args, " "), err, out, errs.String())
	}
	return strings.TrimSpace(string(out)), nil
}

// up brings up services of a project, which options say, and takes the whole project down when the test ends.
func (e *engine) up(options []string, services ...string) {
	e.t.Helper()
	compose := append([]string{"compose"}, options...)
	e.t.Cleanup(func() {
		if e.t.Failed() {
			logs, err := e.run(context.Background(), "docker", append(slices.Clone(compose), "logs", "--no-color")...)
			e.t.Logf("%s %v", logs, err)
		}
		if _, err := e.run(context.Background(), "docker", append(slices.Clone(compose), "down", "--volumes", "--timeout", "3")...); err != nil {
			e.t.Error(err)
		}
	})
	e.docker(append(append(compose, "up", "--detach"), services...)...)
}

// inspect reads a property of a container or an image.
func (e *engine) inspect(name, format string) string {
	e.t.Helper()
	return e.docker("inspect", "--format", format, name)
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
	var last string
	ask := func(path string) map[string]any {
		req := must(http.NewRequest(http.MethodGet, s.url+path, nil))(e.t)
		req.Header.Set("X-API-Key", key)
		resp, err := s.client.Do(req)
		if err != nil {
			last = err.Error()
			return nil
		}
		defer resp.Body.Close()
		var data map[string]any
		if err := json.NewDecoder(resp.Body).Decode(&data); err != nil {
			last = err.Error()
			return nil
		}
		last = fmt.Sprint(data)
		return data
	}
	deadline := time.Now().Add(2 * time.Minute)
	for {
		// Ada, Grace, Linus and a caller stay; others come and go.
		data := ask("/api/rooms/Planning/participants")
		if n, ok := data["participant_count"].(float64); ok && n >= 4 && data["source"] == "module" && data["exact"] == true {
			break
		}
		if time.Now().After(deadline) {
			e.t.Fatalf("got %s want the cast in Planning", last)
		}
		time.Sleep(200 * time.Millisecond)
	}
	if data := ask("/health"); data["prosody_status"] != "ok" {
		e.t.Errorf("/health got %v want ok", data)
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

// freePort returns a port for a service to be published on.
func freePort(t *testing.T) string {
	t.Helper()
	l := must(net.Listen("tcp4", "127.0.0.1:0"))(t)
	defer l.Close()
	_, port, err := net.SplitHostPort(l.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	return port
}

// both are the Prosodys that Jitsis have, by the Debian that has them.
var both = map[string]string{"0.12": "bookworm", "13": "trixie"}

// buildCast builds the demo's people, and Prosodys laid out as docker-jitsi-meet's container: root read-only, user 1000,
// /config copied at start, external components switched off before conf.d is read, rooms hidden.
func (e *engine) buildCast() {
	e.t.Helper()
	build := []string{"build", "--quiet", "--file", "cmd/ppch-demo/Dockerfile"}
	e.docker(append(build, "--target", "cast", "--tag", "ppch-demo-cast", ".")...)
	for version, debian := range both {
		// A name as docker-jitsi-meet gives it, so that its docker-compose.yml stands as it is.
		e.docker(append(build, "--target", "jitsi", "--build-arg", "DEBIAN="+debian,
			"--tag", "prosody-"+version+"/prosody:stable-11146-2", ".")...)
		if out := e.docker("run", "--rm", "--entrypoint", "prosodyctl", "--user", "0", "prosody-"+version+"/prosody:stable-11146-2", "about"); !strings.Contains(out, "Prosody "+version+".") {
			e.t.Fatalf("got %s want Prosody %s", out, version)
		}
	}
}

// What README says, as somebody types it who has a docker-jitsi-meet.
func TestDockerAsREADMESaysIt(t *testing.T) {
	e := newEngine(t)
	program := buildProgram(t)
	e.docker("image", "inspect", "ppch") // make image has built it
	e.buildCast()

	for version := range both {
		t.Run("in Jitsi's project, Prosody "+version, func(t *testing.T) {
			root := jitsiTree(t, "docker-stable-11146")
			e, port := newEngine(t).in(filepath.Join(root, "jitsi")), freePort(t)
			env := filepath.Join(e.dir, ".env")
			put(t, env, ofFile(t, env)+"COMPOSE_PROJECT_NAME=jitsi\nPPCH_NETWORK_IS_EXTERNAL=false\nPPCH_PORT="+port+"\nJITSI_IMAGE_REPO=prosody-"+version+"\n")
			must(e.run(t.Context(), program, "jitsi", "install", "--dir", e.dir))(t)
			e.up([]string{"-f", "docker-compose.yml", "-f", filepath.Join(e.repo, "docker-compose.yml")}, "prosody", "ppch")
			e.people("jitsi_meet.jitsi")
			e.knows(port, variablesOf(t, env)["PPCH_API_KEY"])
			e.confined("jitsi-ppch-1")
		})
	}

	t.Run("in a folder of its own, with the .env and the Jitsi of version 1", func(t *testing.T) {
		root := jitsiTree(t, "docker-ppch-1")
		e, port := newEngine(t).in(filepath.Join(root, "jitsi")), freePort(t)
		e.docker("tag", "prosody-0.12/prosody:stable-11146-2", "jitsi/prosody:stable-10078")
		// Those containers gave /config to Prosody's user.
		must(e.run(t.Context(), "chown", "-R", "1000:1000", filepath.Join(root, "cfg")))(t)
		env := filepath.Join(root, "ppch", ".env")
		put(t, env, ofFile(t, env)+"PPCH_CONTAINER_NAME=hook\nPPCH_RESTART_POLICY=always\nPPCH_NETWORK_INTERNAL=ppch-internal\n"+
			"PPCH_NETWORK_EXTERNAL=docker-jitsi-meet_meet.jitsi\nPPCH_HEALTHCHECK_INTERVAL=1s\nPPCH_HEALTHCHECK_TIMEOUT=3s\n"+
			"PPCH_HEALTHCHECK_RETRIES=9\nPPCH_HEALTHCHECK_START_PERIOD=4s\nPPCH_PORT="+port+"\n")
		must(e.run(t.Context(), program, "jitsi", "install", "--dir", e.dir, "--env-file", env))(t)

		// Secrets go into files, as anybody may want who has Docker's own.
		files, key := filepath.Join(root, "ppch", "files"), variablesOf(t, env)["PPCH_API_KEY"]
		put(t, filepath.Join(files, "key"), key)
		put(t, env, strings.Replace(ofFile(t, env), "PPCH_API_KEY="+key, "PPCH_API_KEY_FILE=/etc/ppch/key\nPPCH_FILES="+files, 1))

		e.up([]string{"-p", "docker-jitsi-meet"}, "prosody")
		own := e.in(e.repo)
		own.up([]string{"-p", "ppch", "--env-file", env}, "ppch")
		e.people("docker-jitsi-meet_meet.jitsi")
		e.knows(port, key)
		e.confined("hook")
		if got, want := e.inspect("hook", "{{.HostConfig.RestartPolicy.Name}} {{json .Config.Healthcheck}}"),
			`always {"Test":["CMD","/ppch","healthcheck"],"Interval":1000000000,"Timeout":3000000000,"StartPeriod":4000000000,"Retries":9}`; got != want {
			t.Errorf("got %s want %s", got, want)
		}
		if got := e.docker("inspect", "hook"); strings.Contains(got, key) {
			t.Error("docker inspect shows the key that is in a file")
		}
	})

	t.Run("the demo", func(t *testing.T) {
		e := newEngine(t)
		e.up([]string{"--env-file", "cmd/ppch-demo/demo.env"})
		e.knows("8890", "demo-demo-demo-demo")
		e.confined("ppch-demo-ppch-1")
	})
}

// ofFile returns what is in a file.
func ofFile(t *testing.T, path string) string {
	t.Helper()
	return string(must(os.ReadFile(path))(t))
}
