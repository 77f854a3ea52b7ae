package main

import (
	"encoding/csv"
	"io"
	"net/http"
	"net/http/httptest"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"ppch/component/history"
	"ppch/prosody/prosodytest"
)

// A user lists the meetings of a real Jitsi Prosody, reads an attendance, and backs the file up, as the README describes.
func TestMeetings_Commands(t *testing.T) {
	t.Parallel()
	program := buildProgram(t)
	srv := prosodytest.New(t, prosodytest.Options{Module: true, HideRooms: true})
	env := envFor(srv)
	env["PPCH_DATA_DIR"], env["PPCH_HISTORY"] = t.TempDir(), "names"
	svc := startProcess(t, program, env)
	svc.ready(t)
	cast := castOn(t, srv)
	people := meeting(t, cast, srv.Room("planning"), "Ada", "=HYPERLINK(\"http://evil.test\")")
	vars := append([]string{}, svc.env...)

	var id string
	eventually(t, 10*time.Second, "the meeting is listed", func() bool {
		_, out, _ := execute(t, program, vars, "meetings") // fails until the store is open
		lines := strings.Split(strings.TrimSpace(out), "\n")
		if len(lines) != 2 || !strings.Contains(lines[1], "planning") || !strings.Contains(lines[1], " 2 ") {
			return false
		}
		fields := strings.Fields(lines[1])
		id = fields[len(fields)-1]
		return true
	})
	check(t, people[0].Leave(t.Context()))
	eventually(t, 10*time.Second, "Ada has left", func() bool {
		_, out, _ := execute(t, program, vars, "attendance", id)
		return strings.Count(out, " here\n") == 1 && strings.Contains(out, "Ada")
	})
	status, out, errs := execute(t, program, vars, "attendance", id, "--csv", "--tz", "Europe/Berlin")
	if status != 0 {
		t.Fatalf("attendance: got %d, %s", status, errs)
	}
	rows := must(csv.NewReader(strings.NewReader(out)).ReadAll())(t)
	if len(rows) != 3 || rows[1][0] != "Ada" || rows[2][0] != "'=HYPERLINK(\"http://evil.test\")" {
		t.Errorf("got %q", rows)
	}
	if status, _, errs := execute(t, program, vars, "attendance", strings.Repeat("0", 32)); status != 1 || !strings.Contains(errs, "no-such-meeting") {
		t.Errorf("got %d, %s", status, errs)
	}

	backup := filepath.Join(t.TempDir(), "backup.db")
	for _, tt := range []struct {
		want string
		args []string
	}{
		{" is sound: ", []string{"store", "check"}},
		{" is a copy of ", []string{"store", "backup", backup}},
		{" fewer than before", []string{"store", "compact"}},
		{"The key is gone", []string{"store", "forget-key"}},
	} {
		if status, out, errs := execute(t, program, vars, tt.args...); status != 0 || !strings.Contains(out, tt.want) {
			t.Errorf("%q: got %d, %s%s", tt.args, status, out, errs)
		}
	}
	if status, _, errs := execute(t, program, vars, "store", "backup", backup); status != 1 || !strings.Contains(errs, "exists") {
		t.Errorf("backup over another: got %d, %s", status, errs)
	}
}

// A day is one of the time zone in which the list shows times, and both days are included, also when clocks change.
func TestMeetings_DaysAreLocal(t *testing.T) {
	t.Parallel()
	program := buildProgram(t)
	asked := make(chan url.Values, 1)
	srv := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		asked <- r.URL.Query()
		w.Header().Set("Content-Type", "application/json")
		_, _ = io.WriteString(w, `{"meetings":[],"next_cursor":null}`)
	}))
	t.Cleanup(srv.Close)
	for _, tt := range []struct{ zone, from, to, wantFrom, wantTo string }{
		{"America/New_York", "2026-10-31", "2026-11-01", "2026-10-31T04:00:00Z", "2026-11-02T04:59:59.999Z"},
		{"Europe/Berlin", "2026-11-30", "2026-11-30", "2026-11-29T23:00:00Z", "2026-11-30T22:59:59.999Z"},
		{"UTC", "2026-11-30T12:00:00Z", "2026-11-30T13:00:00Z", "2026-11-30T12:00:00Z", "2026-11-30T13:00:00Z"},
	} {
		if status, _, errs := execute(t, program, []string{"TZ=" + tt.zone, "PPCH_API_KEY=" + testKey}, "meetings", "--url", srv.URL, "--from", tt.from, "--to", tt.to); status != 0 {
			t.Fatalf("got %d, %s", status, errs)
		}
		query := <-asked
		for name, want := range map[string]string{"from": tt.wantFrom, "to": tt.wantTo} {
			if got, err := time.Parse(time.RFC3339, query.Get(name)); err != nil || got.UTC().Format(time.RFC3339Nano) != want {
				t.Errorf("%s: got %s=%s want %s", tt.zone, name, query.Get(name), want)
			}
		}
	}
}

// With any problem of the file, counts go on, and /health says how to fix it.
func TestStore_BrokenFileLeavesCountsAlone(t *testing.T) {
	t.Parallel()
	program := buildProgram(t)
	srv := prosodytest.New(t, prosodytest.Options{Module: true, HideRooms: true})
	meeting(t, castOn(t, srv), srv.Room("planning"), "Ada")
	for _, tt := range []struct {
		name, reason, remedy string
		prepare              func(t *testing.T, dir string)
	}{
		{"a damaged file", "corrupt", `run "ppch store check"`, func(t *testing.T, dir string) {
			put(t, filepath.Join(dir, "ppch.db"), strings.Repeat("no database ", 1000))
		}},
		{"a file that is a folder", "io", "check the disk", func(t *testing.T, dir string) {
			check(t, os.Mkdir(filepath.Join(dir, "ppch.db"), 0o700))
		}},
		{"a locked folder", "locked", "each PPCH needs its own", func(t *testing.T, dir string) {
			f := must(os.OpenFile(filepath.Join(dir, "ppch.lock"), os.O_RDWR|os.O_CREATE, 0o600))(t)
			t.Cleanup(func() { _ = f.Close() })
			check(t, syscall.Flock(int(f.Fd()), syscall.LOCK_EX))
		}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			dir := t.TempDir()
			tt.prepare(t, dir)
			env := envFor(srv)
			env["PPCH_DATA_DIR"], env["PPCH_HISTORY"] = dir, "names"
			// One component name per Prosody: the tests run one after the other.
			svc := startProcess(t, program, env)
			defer svc.kill()
			svc.ready(t)
			s := &service{t: t, url: svc.url, client: svc.client}
			eventually(t, 20*time.Second, "the room is counted", func() bool {
				return s.room("planning").data["participant_count"] == 1.0
			})
			health := s.get("/health")
			store, _ := health.data["store"].(map[string]any)
			if health.status != 200 || store["reason"] != tt.reason || !strings.Contains(store["status"].(string), tt.remedy) {
				t.Errorf("/health: got %d %s want %s with %q", health.status, health.body, tt.reason, tt.remedy)
			}
			if a := s.get("/api/meetings", "X-API-Key", testKey); a.status != 503 || a.data["reason"] != tt.reason {
				t.Errorf("/api/meetings: got %d %s", a.status, a.body)
			}
			if a := s.get("/metrics", "X-API-Key", testKey); !strings.Contains(a.body, "\nppch_store_up 0\n") {
				t.Error("/metrics: got no ppch_store_up 0")
			}
			if _, out, _ := execute(t, program, svc.env, "doctor"); !strings.Contains(out, "counts go on") {
				t.Errorf("doctor: got %s", out)
			}
		})
	}
}

// A folder of another owner is reported with the chown that fixes it, and the service recovers by itself.
func TestStore_UnwritableFolder(t *testing.T) {
	t.Parallel()
	if os.Getuid() != 0 {
		t.Skip("only root can run a program as another user")
	}
	const other = 65532 // as in the image
	program := buildProgram(t)
	srv := prosodytest.New(t, prosodytest.Options{Module: true})
	dir := t.TempDir()
	for _, path := range []string{filepath.Dir(program), filepath.Dir(filepath.Dir(program)), filepath.Dir(dir)} {
		check(t, os.Chmod(path, 0o755))
	}
	check(t, os.Chmod(dir, 0o700))
	env := envFor(srv)
	env["PPCH_DATA_DIR"], env["PPCH_HISTORY"] = dir, "numbers"
	cmd := exec.Command(program)
	for name, value := range env {
		cmd.Env = append(cmd.Env, name+"="+value)
	}
	s := &service{t: t, log: &logBuffer{}, client: &http.Client{Transport: &http.Transport{DisableKeepAlives: true}, Timeout: 30 * time.Second}}
	cmd.Stderr, cmd.SysProcAttr = s.log, &syscall.SysProcAttr{Credential: &syscall.Credential{Uid: other, Gid: other}}
	check(t, cmd.Start())
	t.Cleanup(func() {
		_ = cmd.Process.Kill()
		_ = cmd.Wait()
	})
	s.started()
	s.ready()
	status := func() string {
		store, _ := s.get("/health").data["store"].(map[string]any)
		text, _ := store["status"].(string)
		return text
	}
	want := "error: PPCH runs as 65532:65532 and may not write to " + dir + ": chown -R 65532:65532 " + dir
	eventually(t, 10*time.Second, "the folder is reported", func() bool { return status() == want })
	check(t, os.Chown(dir, other, other))
	eventually(t, 40*time.Second, "the store is open", func() bool { return status() == "ok" })
	for name, want := range map[string]os.FileMode{"ppch.db": 0o600, "ppch.lock": 0o600} {
		if info := must(os.Stat(filepath.Join(dir, name)))(t); info.Mode().Perm() != want {
			t.Errorf("%s: got mode %o want %o", name, info.Mode().Perm(), want)
		}
	}
}

// With a data folder, but without history and webhooks, nothing of rooms and people is stored.
func TestStore_OffStoresNothing(t *testing.T) {
	t.Parallel()
	srv := prosodytest.New(t, prosodytest.Options{Module: true, HideRooms: true})
	env := envFor(srv)
	folder := t.TempDir()
	env["PPCH_DATA_DIR"] = folder
	svc := startProcess(t, buildProgram(t), env)
	svc.ready(t)
	cast := castOn(t, srv)
	people := meeting(t, cast, srv.Room("planning"), "Ada Lovelace", "Bob Babbage")
	eventually(t, 10*time.Second, "the service counts them", func() bool {
		a, err := svc.room(t.Context(), "planning")
		return err == nil && a.data["participant_count"] == 2.0
	})
	nick := people[0].Nick()
	for _, p := range people {
		check(t, p.Leave(t.Context()))
	}
	eventually(t, 10*time.Second, "the service sees them leave", func() bool {
		a, err := svc.room(t.Context(), "planning")
		return err == nil && a.data["participant_count"] == 0.0
	})
	svc.kill()
	files := must(filepath.Glob(filepath.Join(folder, "*")))(t)
	if len(files) == 0 {
		t.Fatal("there is no file")
	}
	for _, file := range files {
		text := string(must(os.ReadFile(file))(t))
		for _, word := range []string{"planning", "Lovelace", "Babbage", nick, "meet.jitsi"} {
			if strings.Contains(text, word) {
				t.Errorf("got %q in %s", word, filepath.Base(file))
			}
		}
	}
}

// A wrong command line says what to change, and no flag is ignored.
func TestAttendance_Arguments(t *testing.T) {
	t.Parallel()
	const id = "5b1de0aa48a1c2e6f0c3a1d2b4c5e6f7"
	for _, tt := range []struct {
		args []string
		want string
	}{
		{[]string{"attendance"}, "use ppch attendance ID"},
		{[]string{"attendance", ""}, `"" is not the id of a meeting: "ppch meetings" lists the ids`},
		{[]string{"attendance", "../rooms"}, `"../rooms" is not the id of a meeting`},
		{[]string{"attendance", id, "--format", "zoom"}, "--format: needs --csv"},
		{[]string{"attendance", id, "--tz", "UTC"}, "--tz: needs --csv"},
		{[]string{"attendance", id, "--bom"}, "--bom: needs --csv"},
		{[]string{"attendance", id, "--csv", "--json"}, "--json: not with --csv"},
		{[]string{"store", "backup"}, "use ppch store backup FILE"},
	} {
		_, err := command(t, variables{"PPCH_API_KEY": testKey}, tt.args...)
		if err == nil || !strings.Contains(err.Error(), tt.want) || exitStatus(err) != 2 {
			t.Errorf("%q: got %v want %s", tt.args, err, tt.want)
		}
	}
}

// The commands say what is wrong with the file, and advise what helps.
func TestStore_CommandsOnBadFiles(t *testing.T) {
	t.Parallel()
	program := buildProgram(t)
	dir := t.TempDir()
	vars := []string{"PPCH_DATA_DIR=" + dir, "PATH=" + os.Getenv("PATH")}
	put(t, filepath.Join(dir, "ppch.db"), strings.Repeat("no database ", 1000))
	status, _, errs := execute(t, program, vars, "store", "check")
	if status != 1 || !strings.Contains(errs, "restore a backup") || strings.Contains(errs, "ppch store check") {
		t.Errorf("a damaged file: got %d, %s", status, errs)
	}
	if out, err := exec.Command("unshare", "--mount", "true").CombinedOutput(); err != nil {
		t.Skipf("no file system can be mounted here: %v %s", err, out)
	}
	check(t, os.Remove(filepath.Join(dir, "ppch.db")))
	must(history.Open(t.Context(), dir, history.Options{}))(t).Close()
	const mounted = `mount --bind "$PPCH_DATA_DIR" "$PPCH_DATA_DIR" && mount -o remount,bind,ro "$PPCH_DATA_DIR" && exec "$@"`
	status, _, errs = execute(t, "unshare", vars, "--mount", "--propagation", "private", "sh", "-c", mounted, "sh", program, "store", "check")
	if status != 1 || !strings.Contains(errs, "read-only") || !strings.Contains(errs, "copy") {
		t.Errorf("a read-only file system: got %d, %s", status, errs)
	}
}
