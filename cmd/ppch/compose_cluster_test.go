package main

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"
)

// clusterDir is the folder of the compose file for several Prosodys.
const clusterDir = "cmd/ppch/deploy/cluster"

// The release of NATS in the compose file is the one that the tests use.
func TestCompose_ReleaseOfNATS(t *testing.T) {
	t.Parallel()
	tested := regexp.MustCompile(`nats-io/nats-server/v2 v(\S+)`).FindStringSubmatch(ofTheProject(t, "go.mod"))[1]
	if want := "\n  image: nats:" + tested + "\n"; !strings.Contains(ofTheProject(t, clusterDir+"/docker-compose.yml"), want) {
		t.Errorf("the compose file has no %q", want)
	}
}

// prosody starts a Prosody of the demo under a name in a network, with people.
func (e *engine) prosody(network, name, secret string) (container string) {
	e.t.Helper()
	container = e.docker("run", "--detach", "--network", network, "--network-alias", name, "--env", "PPCH_COMPONENT_SECRET="+secret,
		"--read-only", "--tmpfs", "/run:size=16M,uid=1000,mode=0750,exec", "ppch-demo-prosody")
	cast := e.docker("run", "--detach", "--restart", "on-failure", "--network", network, "ppch-demo-cast", "--prosody", name+":5222")
	e.t.Cleanup(func() { e.docker("rm", "--force", container, cast) })
	return container
}

// asking asks for a room over and over until stop is called, which returns how many answers there were and what was wrong with some.
func (s *service) asking(room string, wrong func(answer) string) (stop func() (int, error)) {
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan struct{})
	n, found := 0, []error(nil)
	go func() {
		defer close(done)
		for ; ctx.Err() == nil; time.Sleep(10 * time.Millisecond) {
			a, err := s.try(context.Background(), "/api/rooms/"+room+"/participants", "X-API-Key", testKey)
			n++
			if err != nil {
				found = append(found, err)
			} else if text := wrong(a); text != "" {
				found = append(found, fmt.Errorf("%s: %d %s", text, a.status, a.body))
			}
		}
	}()
	return func() (int, error) {
		cancel()
		<-done
		return n, errors.Join(found[:min(3, len(found))]...)
	}
}

// An operator starts two shards, three servers of NATS and two nodes as documented. Restarts lose nothing, and a silent shard is unknown.
func TestDocker_Cluster(t *testing.T) {
	e := newEngine(t)
	e.docker("image", "inspect", "ppch") // make image has built it
	for _, target := range []string{"prosody", "cast"} {
		e.docker("build", "--quiet", "--file", "cmd/ppch-demo/Dockerfile", "--target", target, "--tag", "ppch-demo-"+target, ".")
	}
	home := t.TempDir()
	commands := commandsIn(t, programReadme, "#### With Docker Compose")[0]
	for _, change := range []struct{ from, to string }{
		{"cmd/ppch/deploy/cluster ~/", filepath.Join(e.repo, clusterDir) + " ~/"}, {"~", home}, {"sudo ", ""}, {"THE SECRET OF PROSODY", "s3cret-of-prosody"}, {"docker compose", ": docker compose"},
	} {
		if !strings.Contains(commands, change.from) {
			t.Fatalf("got %s want %s in it", commands, change.from)
		}
		commands = strings.ReplaceAll(commands, change.from, change.to)
	}
	e.types(home, commands)
	project := e.in(filepath.Join(home, "ppch-cluster"))
	key := filepath.Join(project.dir, "secrets", "api-key")
	if err := os.WriteFile(key, []byte(testKey+"\n"), 0o600); err != nil { // it stays that of user 65532
		t.Fatal(err)
	}
	project.down()
	project.docker("compose", "up", "--detach")
	const network = "ppch-cluster_default"
	e.prosody(network, "prosody-a", "s3cret-of-prosody A")
	b := e.prosody(network, "prosody-b", "s3cret-of-prosody B")

	s := &service{t: t, url: "http://127.0.0.1:8890", client: &http.Client{Timeout: 10 * time.Second}}
	planning := func() answer {
		a, _ := s.try(t.Context(), "/api/rooms/Planning/participants", "X-API-Key", testKey)
		return a
	}
	whole := func(a answer) string {
		// Ada, Grace, Linus and a caller stay; others come and go, on each of the two shards.
		if n, _ := a.data["participant_count"].(float64); a.status != http.StatusOK || a.data["exact"] != true || n < 8 {
			return "it is not the number of both shards"
		}
		return ""
	}
	eventually(t, 2*time.Minute, "the room is on both shards", func() bool { return whole(planning()) == "" })
	for _, name := range []string{"collector-a", "collector-b", "node-1", "node-2"} {
		e.confined("ppch-cluster-" + name + "-1")
	}
	for _, name := range []string{"node-1", "node-2"} {
		if out, err := project.run(t.Context(), "docker", "compose", "exec", name, "/ppch", "doctor"); err != nil {
			t.Errorf("%v", err)
		} else if strings.Contains(out, "✗") {
			t.Errorf("got %s", out)
		}
	}

	t.Run("restarts lose nothing", func(t *testing.T) {
		stop := s.asking("Planning", whole)
		for _, name := range []string{"nats-1", "nats-2", "nats-3", "node-1", "node-2"} {
			project.docker("compose", "restart", name)
			project.ready(t, name)
		}
		n, err := stop()
		if t.Logf("%d answers", n); err != nil || n < 100 {
			t.Errorf("of %d answers some were wrong: %v", n, err)
		}
	})
	t.Run("a collector that restarts", func(t *testing.T) {
		stop := s.asking("Planning", whole)
		project.docker("compose", "restart", "collector-a")
		project.ready(t, "collector-a")
		if n, err := stop(); err != nil {
			t.Errorf("of %d answers some were wrong: %v", n, err)
		}
	})
	t.Run("a Prosody that is gone", func(t *testing.T) {
		e.docker("stop", "--time", "1", b)
		eventually(t, time.Minute, "the other shard is shown alone, and as that", func() bool {
			a := planning()
			unknown, _ := a.data["unknown_shards"].([]any)
			return a.status == http.StatusOK && a.data["exact"] == false && len(unknown) == 1 && unknown[0] == "b"
		})
		e.docker("start", b)
		eventually(t, 2*time.Minute, "both shards are back", func() bool { return whole(planning()) == "" })
	})
	t.Run("users of NATS can do nothing else", func(t *testing.T) {
		if logs := project.docker("compose", "logs", "--no-color", "collector-a", "collector-b", "node-1", "node-2"); strings.Contains(logs, "forbids") {
			t.Errorf("NATS forbids something that is needed:\n%s", logs)
		}
	})
}

// ready waits until a service that was restarted runs, a node has loaded its shards, and the others have noticed.
func (e *engine) ready(t *testing.T, service string) {
	t.Helper()
	eventually(t, time.Minute, service+" runs again", func() bool {
		if strings.HasPrefix(service, "nats") {
			return e.inspect("ppch-cluster-"+service+"-1", "{{.State.Running}}") == "true"
		}
		_, err := e.run(t.Context(), "docker", "compose", "exec", service, "/ppch", "healthcheck")
		return err == nil
	})
	time.Sleep(6 * time.Second) // longer than the 4 s between two heartbeats of a collector
}
