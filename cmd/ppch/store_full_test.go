package main

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"ppch/prosody/prosodytest"
)

// While the disk is full, /health and the metrics say so all the time, although the service also makes writes without changes, which work.
// Counts go on. The problem ends by itself once there is space.
func TestStore_DiskStaysFull(t *testing.T) {
	t.Parallel()
	// A file system of its own, which only the service and its children see.
	const mounted = `mount -t tmpfs -o size=3m,mode=700 tmpfs "$PPCH_DATA_DIR" && exec "$@"`
	dir := t.TempDir()
	private := []string{"--mount", "--propagation", "private", "sh", "-c", mounted, "sh"}
	trial := exec.Command("unshare", append(private, "true")...)
	trial.Env = append(os.Environ(), "PPCH_DATA_DIR="+dir)
	if out, err := trial.CombinedOutput(); err != nil {
		t.Skipf("no file system can be mounted here: %v %s", err, out)
	}
	srv := prosodytest.New(t, prosodytest.Options{Module: true, HideRooms: true})
	env := withStore(t, envFor(srv))
	env["PPCH_DATA_DIR"], env["PPCH_HISTORY"], env["PATH"] = dir, "names", os.Getenv("PATH")
	svc := startProcess(t, "unshare", env, append(private, buildProgram(t))...)
	svc.ready(t)
	s := &service{t: t, url: svc.url, client: svc.client}
	in := newInbox(t)
	if status, _, errs := execute(t, buildProgram(t), svc.env, "webhook", "add", in.URL); status != 0 {
		t.Fatalf("webhook add: got %d, %s", status, errs)
	}
	cast, room := castOn(t, srv), srv.Room("planning")
	meeting(t, cast, room, "Ada")
	ctx, stop := context.WithCancel(t.Context())
	defer stop()
	left := make(chan struct{})
	go func() {
		defer close(left)
		for i := 0; ctx.Err() == nil; i++ {
			if o, err := cast.User(ctx, room, fmt.Sprint("Guest ", i)); err == nil {
				_ = o.Leave(ctx)
			}
		}
	}()

	ballast := filepath.Join("/proc", fmt.Sprint(svc.cmd.Process.Pid), "root", dir, "ballast")
	if out, err := exec.Command("dd", "if=/dev/zero", "of="+ballast, "bs=4096").CombinedOutput(); err == nil {
		t.Fatalf("the disk isn't full: %s", out)
	}
	full := func() (bool, string) {
		health, metrics := s.get("/health"), s.get("/metrics", "X-API-Key", testKey)
		store, _ := health.data["store"].(map[string]any)
		return store["reason"] == "full" && strings.Contains(metrics.body, "\nppch_store_up 0\n"), health.body
	}
	eventually(t, time.Minute, "the disk is full", func() bool { is, _ := full(); return is })
	for until := time.Now().Add(40 * time.Second); time.Now().Before(until); time.Sleep(50 * time.Millisecond) {
		if is, body := full(); !is {
			t.Errorf("the disk is full: got %s", body)
			break
		}
	}
	if n := s.room("planning").data["participant_count"]; n == nil || n == 0.0 {
		t.Errorf("got a count of %v while the disk is full", n)
	}
	stop()
	<-left
	check(t, os.Remove(ballast))
	eventually(t, time.Minute, "the file is written again", func() bool { return strings.Contains(s.get("/health").body, `"store":{"status":"ok"`) })
	if n := strings.Count(svc.log.String(), "store usable again"); n != 1 {
		t.Errorf("got %d reports that the store is usable again, want one", n)
	}
}
