package main

import (
	"context"
	"fmt"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"golang.org/x/sync/errgroup"
)

// engine runs commands with the Docker engine of .ci/with-docker, which make test-compose starts.
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
	out := must(e.run(context.Background(), "docker", args...))(e.t)
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

// down removes a project when the test ends and shows the log of a failed test.
func (e *engine) down(options ...string) {
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
}

// inspect reads a property of a container or an image.
func (e *engine) inspect(name, format string) string {
	e.t.Helper()
	return e.docker("inspect", "--format", format, name)
}

// people runs the cast of the demo in a network until the test ends.
func (e *engine) people(network string) {
	e.t.Helper()
	cast := e.docker("run", "--detach", "--network", network, "ppch-demo-cast", "--prosody", "prosody:5222")
	e.t.Cleanup(func() { e.docker("rm", "--force", cast) })
}

// knows waits until the service at port reports the cast, from the Lua module.
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

// confined checks that a container has no unneeded rights.
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

// records checks that a container with PPCH_DATA_DIR=/data records meetings in its volume, and still has them after a command that recreates it.
func (e *engine) records(container, recreate string) {
	e.t.Helper()
	if got, want := e.inspect(container, `{{range .Mounts}}{{if eq .Destination "/data"}}{{.Type}} {{.Name}} {{.RW}}{{end}}{{end}}`), "volume ppch-demo_ppch-data true"; got != want {
		e.t.Errorf("/data: got %s want %s", got, want)
	}
	list := func() (ids []string) {
		out, _ := e.run(context.Background(), "docker", "exec", container, "/ppch", "meetings", "--room", "Planning")
		for line := range strings.Lines(out) {
			if fields := strings.Fields(line); strings.Contains(line, " planning ") {
				ids = append(ids, fields[len(fields)-1])
			}
		}
		return ids
	}
	var first string
	eventually(e.t, time.Minute, "the meeting is recorded", func() bool {
		ids := list()
		if len(ids) > 0 {
			first = ids[len(ids)-1]
		}
		return first != ""
	})
	if got := e.docker("exec", container, "/ppch", "store", "check"); !strings.Contains(got, "/data/ppch.db is sound: ") {
		e.t.Errorf("store check: got %s", got)
	}
	e.types(os.Getenv("HOME"), recreate)
	eventually(e.t, time.Minute, "the meeting is still there", func() bool { return slices.Contains(list(), first) })
}

// both are Jitsi's Prosody versions, by their Debian releases.
var both = map[string]string{"0.12": "bookworm", "13": "trixie"}

// buildCast builds the demo's people, and Prosodys like docker-jitsi-meet's container: root read-only, user 1000,
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
	check(e.t, g.Wait())
	for version := range both {
		if out := e.docker("run", "--rm", "--entrypoint", "prosodyctl", "--user", "0", prosodyImage(version), "about"); !strings.Contains(out, "Prosody "+version+".") {
			e.t.Fatalf("got %s want Prosody %s", out, version)
		}
	}
}

// prosodyImage is the name in docker-jitsi-meet's docker-compose.yml.
func prosodyImage(version string) string { return "prosody-" + version + "/prosody:stable-11146-2" }
