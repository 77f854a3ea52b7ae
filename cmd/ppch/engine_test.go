package main

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
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

// down takes a whole project down when the test ends. Of one that failed the log is shown.
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
