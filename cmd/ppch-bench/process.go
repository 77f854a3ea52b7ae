package main

import (
	"bytes"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strconv"
	"time"
)

// cpu returns the processor time that a process has used, of all its threads that live, to the nanosecond
// (Documentation/scheduler/sched-stats of Linux, /proc/PID/schedstat: the first figure).
func (t *trial) cpu(pid int) time.Duration {
	threads := must(filepath.Glob(fmt.Sprintf("/proc/%d/task/*/schedstat", pid)))(t)
	if len(threads) == 0 {
		t.check(fmt.Errorf("process %d is gone, or this kernel doesn't tell processor time", pid))
	}
	var all time.Duration
	for _, thread := range threads {
		stat, err := os.ReadFile(thread) // #nosec G304 -- a path of /proc
		if errors.Is(err, fs.ErrNotExist) {
			continue // it has just ended
		}
		t.check(err)
		first, _, _ := bytes.Cut(stat, []byte(" "))
		all += time.Duration(must(strconv.ParseInt(string(first), 10, 64))(t))
	}
	return all
}

// memory returns how many KiB of a process are resident, now and at most (proc(5), status: VmRSS and VmHWM).
func (t *trial) memory(pid int) (now, most float64) {
	status := must(os.ReadFile(fmt.Sprintf("/proc/%d/status", pid)))(t)
	for line := range bytes.Lines(status) {
		fields := bytes.Fields(line)
		for name, into := range map[string]*float64{"VmRSS:": &now, "VmHWM:": &most} {
			if len(fields) > 1 && string(fields[0]) == name {
				*into = must(strconv.ParseFloat(string(fields[1]), 64))(t)
			}
		}
	}
	return now, most
}

// milliseconds is a time as the table has it.
func milliseconds(d time.Duration) float64 { return float64(d) / float64(time.Millisecond) }
