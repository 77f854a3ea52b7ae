package main

import (
	"bufio"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"ppch/prosody/prosodytest"
)

func TestDemo_ShowsRealRooms(t *testing.T) {
	t.Parallel()
	prosodytest.New(t, prosodytest.Options{}) // skips, or fails, without Prosody
	dir := t.TempDir()
	if out, err := exec.Command("go", "build", "-o", dir+"/", "ppch/cmd/ppch", "ppch/cmd/ppch-demo").CombinedOutput(); err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	out, err := exec.Command(filepath.Join(dir, "ppch-demo"), "--for", "8s", "--port", "0").CombinedOutput()
	t.Logf("%s", out)
	if err != nil {
		t.Fatalf("got %v want status 0", err)
	}
	for _, want := range []string{
		`"room_name":"Planning","exists":true,"participant_count":4,"has_participants":true,"participants":["Ada","Grace","Linus","+49 30 123456"]`,
		`"source":"module","exact":true`,
		`"room_jid":"[acme]stand%20up@muc.meet.jitsi"`,
		`"room_name":"Empty room","exists":false`,
		`"prosody_status":"ok"`,
		"/dashboard/ (the key is demo-demo-demo-demo)",
		"/docs",
		" joins ",
		"The demo is over",
	} {
		if !strings.Contains(string(out), want) {
			t.Errorf("the transcript lacks %s", want)
		}
	}
}

// The demo records its meetings, and its terminal commands list them and who was there.
func TestDemo_RecordsMeetings(t *testing.T) {
	t.Parallel()
	prosodytest.New(t, prosodytest.Options{})
	dir := t.TempDir()
	if out, err := exec.Command("go", "build", "-o", dir+"/", "ppch/cmd/ppch", "ppch/cmd/ppch-demo").CombinedOutput(); err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	demo := exec.CommandContext(t.Context(), filepath.Join(dir, "ppch-demo"), "--for", "1m", "--port", "0")
	demo.Cancel = func() error { return demo.Process.Signal(os.Interrupt) }
	printed, err := demo.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := demo.Start(); err != nil {
		t.Fatal(err)
	}
	address := ""
	for lines := bufio.NewScanner(printed); address == "" && lines.Scan(); {
		address, _, _ = strings.Cut(strings.TrimPrefix(lines.Text(), "Dashboard: "), "/dashboard/ (")
		if address == lines.Text() {
			address = ""
		}
	}
	go func() { _, _ = io.Copy(io.Discard, printed) }()
	ppch := func(args ...string) string {
		cmd := exec.Command(filepath.Join(dir, "ppch"), append(args, "--url", address)...)
		cmd.Env = []string{"PPCH_API_KEY=demo-demo-demo-demo"}
		out, err := cmd.CombinedOutput()
		if err != nil {
			t.Errorf("%q: %v %s", args, err, out)
		}
		return string(out)
	}
	fields := strings.Fields(ppch("meetings", "--room", "Planning", "--to", time.Now().Format(time.DateOnly)))
	if list := strings.Join(fields, " "); !strings.Contains(list, " planning goes on 4 ") {
		t.Fatalf("got %s want the meeting in Planning", list)
	}
	attendance := ppch("attendance", fields[len(fields)-1])
	for _, name := range []string{"Ada", "Grace", "Linus", "+49 30 123456"} {
		if !strings.Contains(attendance, name) {
			t.Errorf("got %s want %s", attendance, name)
		}
	}
	if err := demo.Cancel(); err != nil {
		t.Error(err)
	}
	_ = demo.Wait()
}

// Debian's packages don't set recorder_prefixes, so Jitsi's default identifies the recorder.
func TestDemo_JitsiDefaultRecorderIsNotCounted(t *testing.T) {
	t.Parallel()
	prosodytest.New(t, prosodytest.Options{})
	dir := t.TempDir()
	if out, err := exec.Command("go", "build", "-o", dir+"/", "ppch/cmd/ppch", "ppch/cmd/ppch-demo").CombinedOutput(); err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	out, err := exec.Command(filepath.Join(dir, "ppch-demo"), "--debian", "--for", "4s", "--port", "0").CombinedOutput()
	if want := `"participant_count":4,"has_participants":true,"participants":["Ada","Grace","Linus","+49 30 123456"]`; err != nil || !strings.Contains(string(out), want) {
		t.Errorf("got %v and\n%s want %s in it", err, out, want)
	}
}

func TestDemo_Errors(t *testing.T) {
	t.Parallel()
	prosodytest.New(t, prosodytest.Options{})
	for want, args := range map[string][]string{
		"which make demo builds": {"--ppch", filepath.Join(t.TempDir(), "ppch")},
		"--for":                  {"--for", "-1s"},
		"--port":                 {"--port", "99999"},
		"unknown command":        {"now"},
	} {
		cmd := newCommand()
		cmd.SetArgs(args)
		cmd.SetOut(t.Output())
		if err := cmd.ExecuteContext(t.Context()); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%q: got %v want an error naming %s", args, err, want)
		}
	}
}

// Requests reach one of two services, which have all shards from NATS.
func TestDemo_ClusterShowsAllShards(t *testing.T) {
	t.Parallel()
	prosodytest.New(t, prosodytest.Options{})
	for _, name := range []string{"nats-server", "nginx"} {
		if _, err := exec.LookPath(inSbin(name)); err != nil && os.Getenv("PPCH_REQUIRE_PROSODY") == "" {
			t.Skip("not installed: ", name)
		}
	}
	dir := t.TempDir()
	if out, err := exec.Command("go", "build", "-o", dir+"/", "ppch/cmd/ppch", "ppch/cmd/ppch-demo").CombinedOutput(); err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	out, err := exec.Command(filepath.Join(dir, "ppch-demo"), "--cluster", "--for", "20s", "--port", "0").CombinedOutput()
	t.Logf("%s", out)
	if err != nil {
		t.Fatalf("got %v want status 0", err)
	}
	for _, want := range []string{
		`"room_name":"Planning","exists":true,"participant_count":5,`,
		`"exact":true,"shard":null,"split":true,`,
		`"visitors":2,`,
		`{"rooms":[{"room_name":"planning","exists":true,"participant_count":1,`,
		`"prosody_status":"ok"`,
		" joins ",
		"The demo is over",
	} {
		if !strings.Contains(string(out), want) {
			t.Errorf("the transcript lacks %s", want)
		}
	}
}
