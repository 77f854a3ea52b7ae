package main

import (
	"bytes"
	_ "embed"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"time"
)

//go:embed report.lua
var report []byte

// errNoWrk appears in the table.
var errNoWrk = errors.New("wrk is not installed")

// target is a URL to load, with headers of the form "Name: value".
type target struct {
	name    string
	url     string
	headers []string
	want    string // text in every correct answer
	ours    bool   // PPCH itself, in another mode
	missing error  // reason why it can't be measured

	// slow marks a server that answers the next request only after all requests that wrk left unanswered.
	slow bool
}

// load is wrk's result.
type load struct {
	rate     float64 // answers per second
	p50, p99 float64 // ms
	answers  float64
}

// wrk loads a target on this number of connections, for length rounded down to seconds.
// An answer that is not a success ends the trial: a failure must not count as a fast answer.
func (t *trial) wrk(to target, connections int, length time.Duration) load {
	script := filepath.Join(t.dir, "report.lua")
	t.check(os.WriteFile(script, report, 0o600))
	args := []string{
		"--threads=1", "--connections=" + strconv.Itoa(connections), "--duration=" + strconv.Itoa(int(length.Seconds())) + "s",
		"--timeout=30s", "--script=" + script,
	}
	for _, h := range to.headers {
		args = append(args, "--header="+h)
	}
	cmd := exec.CommandContext(t.ctx, "wrk", append(args, to.url)...) // #nosec G204 -- our own URL
	var out bytes.Buffer
	cmd.Stderr = &out
	if err := cmd.Run(); err != nil {
		t.check(fmt.Errorf("wrk %s: %w\n%s", to.url, err, out.Bytes()))
	}
	var l load
	var took, bad, broken float64
	if _, err := fmt.Sscan(out.String(), &l.answers, &took, &l.p50, &l.p99, &bad, &broken); err != nil {
		t.check(fmt.Errorf("wrk %s: %w\n%s", to.url, err, out.Bytes()))
	}
	if bad+broken > 0 || l.answers == 0 {
		t.check(fmt.Errorf("wrk %s: of %.0f answers, %.0f were not successful; %.0f requests failed", to.url, l.answers, bad, broken))
	}
	l.rate, l.p50, l.p99 = l.answers/(took/1e6), l.p50/1e3, l.p99/1e3
	if to.slow {
		must(get(t.ctx, to.url, ""))(t)
	}
	return l
}

// hasWrk returns an error if wrk is not installed.
func hasWrk() error {
	if _, err := exec.LookPath("wrk"); err != nil {
		return errNoWrk
	}
	return nil
}

// against alternately loads two targets and returns their answers per second and response times.
// If the other target fails, the row says so and the trial goes on.
func (t *trial) against(what string, ours, other target, connections, times int, want *goal) row {
	run := func(to target) []float64 {
		l := t.wrk(to, connections, time.Second)
		return []float64{l.rate, l.p50, l.p99}
	}
	r := row{What: fmt.Sprintf("%s, %d connections", what, connections), Unit: "answers/s", Peer: other.name}
	err := other.missing
	if err == nil && times > 2 {
		err = t.try(func() { run(other) }) // not measured: the first run is slower
	}
	if err != nil {
		return r.missing(err)
	}
	a, b := t.alternate(times, func() []float64 { return run(ours) }, func() (figures []float64) {
		if failed := t.try(func() { figures = run(other) }); failed != nil {
			err, figures = failed, make([]float64, 3)
		}
		return figures
	})
	if err != nil {
		return r.missing(err)
	}
	r.PPCH, r.Took, r.Other, r.OtherTook, r.Goal = a[0], &took{a[1], a[2]}, b[0], &took{b[1], b[2]}, want
	return r
}
