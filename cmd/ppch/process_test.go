package main

import (
	"context"
	"fmt"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"ppch/prosody/prosodytest"
)

// programs are the programs that the tests have built, by their flags. Each is built once.
var programs struct {
	// mu protects what follows.
	mu  sync.Mutex
	dir string // removed by removePrograms
	of  map[string]func() (string, error)
}

// buildProgram builds the service as for a release, with additional flags. Tests share it.
func buildProgram(t testing.TB, flags ...string) string {
	t.Helper()
	return must(programOf(t, flags)())(t)
}

// programOf returns a function that builds the service with these flags on its first call, and returns its path.
func programOf(t testing.TB, flags []string) func() (string, error) {
	t.Helper()
	programs.mu.Lock()
	defer programs.mu.Unlock()
	if programs.of == nil {
		programs.dir, programs.of = must(os.MkdirTemp("", "ppch-programs"))(t), make(map[string]func() (string, error))
	}
	key := strings.Join(flags, " ")
	if build, ok := programs.of[key]; ok {
		return build
	}
	program := filepath.Join(programs.dir, strconv.Itoa(len(programs.of)), "ppch")
	programs.of[key] = sync.OnceValues(func() (string, error) {
		args := slices.Concat([]string{"build", "-buildvcs=false", "-trimpath"}, flags, []string{"-o", program, "."})
		if out, err := exec.Command("go", args...).CombinedOutput(); err != nil {
			return "", fmt.Errorf("go build: %w\n%s", err, out)
		}
		return program, nil
	})
	return programs.of[key]
}

// removePrograms removes what buildProgram built.
func removePrograms() {
	if programs.dir != "" {
		_ = os.RemoveAll(programs.dir)
	}
}

// process is the service or another program in a process, which can be killed and frozen, always on the same port.
type process struct {
	t       testing.TB
	program string
	args    []string
	env     []string
	url     string
	client  *http.Client
	log     *logBuffer

	// mu protects cmd and gone.
	mu   sync.Mutex
	cmd  *exec.Cmd
	gone <-chan struct{}
}

func startProcess(t testing.TB, program string, env variables, args ...string) *process {
	t.Helper()
	port := strconv.Itoa(must(prosodytest.FreePort())(t))
	p := &process{
		t: t, program: program, args: args, url: "http://127.0.0.1:" + port, log: &logBuffer{},
		client: &http.Client{Transport: &http.Transport{DisableKeepAlives: true}, Timeout: 15 * time.Second},
	}
	env["PPCH_PORT"] = port
	for name, value := range env {
		p.env = append(p.env, name+"="+value)
	}
	p.start()
	t.Cleanup(p.kill)
	return p
}

func (p *process) start() {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.cmd = exec.Command(p.program, p.args...)
	p.cmd.Env, p.cmd.Stderr = p.env, p.log
	gone, err := prosodytest.Tie(p.cmd)
	if err != nil {
		p.t.Error(err)
		return
	}
	p.gone = gone
}

// ready waits until the service is ready.
func (p *process) ready(t testing.TB) {
	t.Helper()
	eventually(t, time.Minute, "the service is ready", func() bool {
		a, err := (&service{url: p.url, client: p.client}).try(t.Context(), "/readyz")
		return err == nil && a.status == http.StatusOK
	})
}

// kill sends SIGKILL.
func (p *process) kill() {
	p.mu.Lock()
	defer p.mu.Unlock()
	_ = p.cmd.Process.Kill()
	<-p.gone
}

// freeze suspends it for a while, as an overloaded host does.
func (p *process) freeze(d time.Duration) {
	_ = p.cmd.Process.Signal(syscall.SIGSTOP)
	time.Sleep(d)
	_ = p.cmd.Process.Signal(syscall.SIGCONT)
}

// room requests a room.
func (p *process) room(ctx context.Context, name string) (answer, error) {
	s := &service{url: p.url, client: p.client}
	return s.try(ctx, "/api/rooms/"+name+"/participants", "X-API-Key", testKey)
}
