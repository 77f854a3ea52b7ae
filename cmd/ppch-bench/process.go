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

// cpu returns the processor time used by all living threads of a process, in nanoseconds
// (Documentation/scheduler/sched-stats of Linux, /proc/PID/schedstat: the first figure).
func (t *trial) cpu(pid int) time.Duration {
	threads := must(filepath.Glob(fmt.Sprintf("/proc/%d/task/*/schedstat", pid)))(t)
	if len(threads) == 0 {
		t.check(fmt.Errorf("process %d has ended, or this kernel doesn't report processor time", pid))
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

// memory returns a process's resident memory and its peak, in KiB (proc(5), status: VmRSS and VmHWM).
func (t *trial) memory(pid int) (now, peak float64) {
	status := must(os.ReadFile(fmt.Sprintf("/proc/%d/status", pid)))(t)
	for line := range bytes.Lines(status) {
		fields := bytes.Fields(line)
		for name, into := range map[string]*float64{"VmRSS:": &now, "VmHWM:": &peak} {
			if len(fields) > 1 && string(fields[0]) == name {
				*into = must(strconv.ParseFloat(string(fields[1]), 64))(t)
			}
		}
	}
	return now, peak
}

// milliseconds converts d to ms.
func milliseconds(d time.Duration) float64 { return float64(d) / float64(time.Millisecond) }
