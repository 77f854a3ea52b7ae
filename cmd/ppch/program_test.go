package main

import (
	"context"
	"errors"
	"net"
	"net/http"
	"os"
	"os/exec"
	"strings"
	"syscall"
	"testing"
	"time"
)

// execute runs a program with only this environment and returns its exit status.
func execute(t *testing.T, program string, env []string, args ...string) (status int, stdout, stderr string) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 30*time.Second)
	defer cancel()
	cmd := exec.CommandContext(ctx, program, args...)
	cmd.Env = append([]string{}, env...) // nil would mean our own
	var out, errs strings.Builder
	cmd.Stdout, cmd.Stderr = &out, &errs
	err := cmd.Run()
	if exit := (*exec.ExitError)(nil); err != nil && !errors.As(err, &exit) {
		t.Fatal(err)
	}
	return cmd.ProcessState.ExitCode(), out.String(), errs.String()
}

// serving starts the program and returns it with its log once it listens.
// The end of the test kills it.
func serving(t *testing.T, program string, env ...string) (cmd *exec.Cmd, s *service) {
	t.Helper()
	s = &service{t: t, log: &logBuffer{}, client: &http.Client{Transport: &http.Transport{DisableKeepAlives: true}, Timeout: 30 * time.Second}}
	cmd = exec.Command(program)
	cmd.Env = append([]string{"PPCH_API_KEY=" + testKey, "PPCH_COMPONENT_SECRET=s3cret", "PPCH_PORT=0", "PROSODY_URL=xmpp://127.0.0.1:1"}, env...)
	cmd.Stderr = s.log
	check(t, cmd.Start())
	t.Cleanup(func() {
		if cmd.ProcessState == nil {
			_ = cmd.Process.Kill()
			_ = cmd.Wait()
		}
	})
	s.started()
	return cmd, s
}

// The program, built as for a release.
func TestProcess(t *testing.T) {
	t.Parallel()
	program := buildProgram(t, "-ldflags", "-X main.version=9.8.7 -X main.commit=0123456789abcdef0123456789abcdef01234567 -X main.date=2026-11-22T10:00:00+01:00")

	for _, sig := range []os.Signal{syscall.SIGTERM, os.Interrupt} {
		t.Run(sig.String()+" is a clean stop", func(t *testing.T) {
			cmd, s := serving(t, program)
			if got := s.get("/"); got.status != 200 || got.data["version"] != "9.8.7" {
				t.Errorf("/ got %d %s want the version 9.8.7", got.status, got.body)
			}
			if got := s.get("/health"); got.data["commit"] != "0123456789abcdef0123456789abcdef01234567" || got.data["built"] != "2026-11-22T09:00:00.000Z" {
				t.Errorf("/health got %d %s want the commit and its date", got.status, got.body)
			}
			check(t, cmd.Process.Signal(sig))
			if err := cmd.Wait(); err != nil {
				t.Errorf("got %v want exit status 0", err)
			}
			records := s.log.Records(t)
			if last := records[len(records)-1]; last["msg"] != "ppch stopped" {
				t.Errorf("the log ends with %v want ppch stopped", last)
			}
		})
	}

	t.Run("a bad configuration is reported in full", func(t *testing.T) {
		status, out, errs := execute(t, program, []string{"PPCH_PORT=none", "PROSODY_URL=prosody", "TZ=nowhere"})
		if status != 1 || out != "" || !strings.HasPrefix(errs, "ppch: the configuration is wrong:\n") {
			t.Errorf("got status %d, %q and %q want 1 and the problems on standard error", status, out, errs)
		}
		for _, variable := range []string{"PPCH_API_KEY", "PPCH_COMPONENT_SECRET", "PPCH_PORT", "PROSODY_URL", "TZ"} {
			if !strings.Contains(errs, "\n  "+variable+": ") {
				t.Errorf("got %s want %s named", errs, variable)
			}
		}
	})

	t.Run("a taken port is a failure", func(t *testing.T) {
		_, s := serving(t, program)
		_, port, _ := net.SplitHostPort(strings.TrimPrefix(s.url, "http://"))
		status, _, errs := execute(t, program, []string{"PPCH_API_KEY=" + testKey, "PPCH_COMPONENT_SECRET=s3cret", "PPCH_PORT=" + port})
		if status != 1 || !strings.Contains(errs, "ppch: api: listen tcp 127.0.0.1:"+port+": bind: address already in use") {
			t.Errorf("got status %d and %q want 1 and the port", status, errs)
		}
	})

	t.Run("the other commands need no configuration", func(t *testing.T) {
		if status, out, errs := execute(t, program, nil, "version"); status != 0 || !strings.HasPrefix(out, "ppch 9.8.7 (0123456789ab, 2026-11-22T09:00:00Z) go") || errs != "" {
			t.Errorf("version got %d, %q and %q", status, out, errs)
		}
		if status, out, errs := execute(t, program, nil, "--help"); status != 0 || !strings.Contains(out, "Usage:") || errs != "" {
			t.Errorf("--help got %d, %q and %q", status, out, errs)
		}
	})

	t.Run("a mistyped command fails", func(t *testing.T) {
		for arg, want := range map[string]string{"start": `ppch: unknown command "start" for "ppch"`, "--port": "ppch: unknown flag: --port"} {
			if status, out, errs := execute(t, program, nil, arg); status != 2 || out != "" || !strings.HasPrefix(errs, want) {
				t.Errorf("%s got %d, %q and %q want 2 and %q", arg, status, out, errs, want)
			}
		}
	})

	t.Run("healthcheck has the exit status for containers", func(t *testing.T) {
		_, s := serving(t, program, "PPCH_HOST=0.0.0.0")
		_, port, _ := net.SplitHostPort(strings.TrimPrefix(s.url, "http://"))
		env := []string{"PPCH_HOST=0.0.0.0", "PPCH_PORT=" + port}
		if status, out, errs := execute(t, program, env, "healthcheck"); status != 0 || out != "ok\n" || errs != "" {
			t.Errorf("got %d, %q and %q want 0 and ok", status, out, errs)
		}
		if status, out, errs := execute(t, program, env, "healthcheck", "--ready"); status != 1 || out != "" || !strings.HasPrefix(errs, "ppch: healthcheck: 503 ") {
			t.Errorf("got %d, %q and %q want 1 and 503", status, out, errs)
		}
		// Docker passes its proxy settings to each container; the healthcheck must ignore them.
		env = []string{"PPCH_HOST=" + ownAddress(t), "PPCH_PORT=" + port, "HTTP_PROXY=http://127.0.0.1:1", "http_proxy=http://127.0.0.1:1"}
		if status, out, errs := execute(t, program, env, "healthcheck"); status != 0 || out != "ok\n" {
			t.Errorf("with a proxy got %d, %q and %q want 0 and ok", status, out, errs)
		}
	})
}

// ownAddress returns an address of this machine other than loopback, because only those use a proxy,
// or loopback if there is no other.
func ownAddress(t *testing.T) string {
	t.Helper()
	for _, a := range must(net.InterfaceAddrs())(t) {
		if ip, ok := a.(*net.IPNet); ok && ip.IP.To4() != nil && !ip.IP.IsLoopback() {
			return ip.IP.String()
		}
	}
	return "127.0.0.1"
}
