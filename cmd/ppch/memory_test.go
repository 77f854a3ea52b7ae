package main

import (
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"testing"
	"time"

	"ppch/prosody/prosodytest"
)

// newControlGroup returns the folder of a new control group with that memory limit, below the test's own, or an error:
// it needs root and the memory controller.
func newControlGroup(t testing.TB, limit int64) (folder string, err error) {
	t.Helper()
	own, err := os.ReadFile("/proc/self/cgroup")
	if err != nil {
		return "", err
	}
	err = errors.New("no memory controller")
	for line := range strings.Lines(string(own)) {
		fields := strings.SplitN(strings.TrimSpace(line), ":", 3)
		for _, at := range []struct{ controllers, root, file string }{
			{"memory", "/sys/fs/cgroup/memory", "memory.limit_in_bytes"},
			{"", "/sys/fs/cgroup", "memory.max"},
		} {
			if len(fields) != 3 || fields[1] != at.controllers {
				continue
			}
			for _, parent := range []string{filepath.Join(at.root, fields[2]), at.root} { // in a container only the latter exists
				group := filepath.Join(parent, fmt.Sprintf("ppch-test-%d-%d", os.Getpid(), time.Now().UnixNano()))
				if err = os.Mkdir(group, 0o755); err != nil {
					continue
				}
				t.Cleanup(func() { _ = os.Remove(group) })
				if err = os.WriteFile(filepath.Join(group, at.file), []byte(strconv.FormatInt(limit, 10)), 0o644); err == nil {
					return group, nil
				}
			}
		}
	}
	return "", err
}

// inControlGroup returns a script that runs a program in a control group.
func inControlGroup(t testing.TB, group, program string) string {
	t.Helper()
	inside := filepath.Join(t.TempDir(), "ppch-in-group")
	script := fmt.Sprintf("#!/bin/sh\necho $$ > %s/cgroup.procs\nexec %s \"$@\"\n", group, program)
	check(t, os.WriteFile(inside, []byte(script), 0o755))
	return inside
}

func TestMemory_LimitComesFromTheControlGroup(t *testing.T) {
	t.Parallel()
	const limit = 256 << 20
	group, err := newControlGroup(t, limit)
	if err != nil {
		t.Skip("no control group can be made here: ", err)
	}
	srv := prosodytest.New(t, prosodytest.Options{})
	program := inControlGroup(t, group, buildProgram(t))
	for _, c := range []struct {
		name, set string
		want      float64
	}{
		{"nine tenths of the group's", "", limit * 9 / 10},
		{"GOMEMLIMIT", "100MiB", 100 << 20},
	} {
		env := envFor(srv)
		env["PPCH_METRICS_PUBLIC"] = "true"
		if c.set != "" {
			env["GOMEMLIMIT"] = c.set
		}
		p := startProcess(t, program, env)
		var got float64
		for began := time.Now(); got == 0 && time.Since(began) < 20*time.Second; time.Sleep(20 * time.Millisecond) {
			got = p.metric("go_gc_gomemlimit_bytes")
		}
		if got < c.want*0.999 || got > c.want {
			t.Errorf("%s: got %.0f bytes want %.0f\n%s", c.name, got, c.want, p.log)
		}
		p.kill()
	}
}

// metric returns the value of a metric without labels, or 0 if it can't be read.
func (p *process) metric(name string) float64 {
	resp, err := p.client.Get(p.url + "/metrics")
	if err != nil {
		return 0
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(resp.Body)
	if err != nil || resp.StatusCode != http.StatusOK {
		return 0
	}
	found := regexp.MustCompile(`(?m)^` + name + ` (\S+)$`).FindSubmatch(body)
	if found == nil {
		return 0
	}
	value, err := strconv.ParseFloat(string(found[1]), 64)
	if err != nil {
		p.t.Error(err)
	}
	return value
}
