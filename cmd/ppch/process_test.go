package main

import (
	"context"
	"net/http"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"sync"
	"syscall"
	"testing"
	"time"

	"ppch/prosody/prosodytest"
)

// buildProgram builds the service as for a release, with additional flags.
func buildProgram(t testing.TB, flags ...string) string {
	t.Helper()
	program := filepath.Join(t.TempDir(), "ppch")
	args := slices.Concat([]string{"build", "-buildvcs=false", "-trimpath"}, flags, []string{"-o", program, "."})
	if out, err := exec.Command("go", args...).CombinedOutput(); err != nil {
		t.Fatalf("go build: %v\n%s", err, out)
	}
	return program
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

func startProcess(t testing.TB, program string, env variables) *process {
	t.Helper()
	port := strconv.Itoa(must(prosodytest.FreePort())(t))
	p := &process{
		t: t, program: program, url: "http://127.0.0.1:" + port, log: &logBuffer{},
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
