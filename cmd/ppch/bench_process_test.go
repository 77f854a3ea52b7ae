package main

import (
	"bytes"
	"context"
	"fmt"
	"net/http"
	"os"
	"strconv"
	"testing"
	"time"

	"ppch/prosody/prosodytest"
)

// fullServer is a Prosody with that many rooms of ten people each.
func fullServer(b *testing.B, rooms int) *prosodytest.Server {
	b.Helper()
	srv := prosodytest.New(b, prosodytest.Options{Module: true, HideRooms: true})
	ctx, cancel := context.WithTimeout(b.Context(), time.Minute)
	defer cancel()
	if err := srv.Populate(ctx, rooms, 10); err != nil {
		b.Fatal(err)
	}
	return srv
}

// synced waits until the service is ready and tells how many people are in a room.
func (p *process) synced(room string, people int) {
	p.t.Helper()
	s := &service{url: p.url, client: p.client}
	within(p.t, time.Minute, 5*time.Millisecond, "the service is ready", func() bool {
		a, err := s.try(context.Background(), "/readyz")
		return err == nil && a.status == http.StatusOK
	})
	within(p.t, 0, 0, "the room is right", func() bool { return p.tells(room, people, time.Time{}) })
}

// tells reports whether the service says that there are so many people in the room, and that this was true after a time.
func (p *process) tells(room string, people int, after time.Time) bool {
	a, err := p.room(context.Background(), room)
	if err != nil || a.status != http.StatusOK || a.data["exact"] != true {
		return false
	}
	asOf, err := time.Parse(time.RFC3339, a.data["as_of"].(string))
	return err == nil && asOf.After(after) && a.data["participant_count"] == float64(people)
}

// within waits for a condition that is looked at so often that the time it took can be told.
func within(tb testing.TB, limit, every time.Duration, what string, ok func() bool) (took time.Duration) {
	tb.Helper()
	began := time.Now()
	for !ok() {
		if took = time.Since(began); took > limit {
			tb.Fatalf("not within %s: %s", limit, what)
		}
		time.Sleep(every)
	}
	return time.Since(began)
}

// pid is the process id.
func (p *process) pid() int {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.cmd.Process.Pid
}

// memory returns how many MiB of a process are resident, now and at most (proc(5), status: VmRSS and VmHWM, in KiB).
func memory(tb testing.TB, pid int) (now, most float64) {
	tb.Helper()
	status, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", pid))
	if err != nil {
		tb.Fatal(err)
	}
	for line := range bytes.Lines(status) {
		fields := bytes.Fields(line)
		for name, into := range map[string]*float64{"VmRSS:": &now, "VmHWM:": &most} {
			if len(fields) > 1 && string(fields[0]) == name {
				kib, err := strconv.ParseFloat(string(fields[1]), 64)
				if err != nil {
					tb.Fatal(err)
				}
				*into = kib / 1024
			}
		}
	}
	return now, most
}
