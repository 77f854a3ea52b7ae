package prosodytest_test

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"ppch/prosody/prosodytest"
)

func TestServer_LeavesNothingBehind(t *testing.T) {
	s := prosodytest.New(t, prosodytest.Options{})
	pid, dir := s.PID(), s.Dir()
	if pid == 0 {
		t.Fatal("a server that has started has no process id")
	}
	if v := s.Version(); !strings.HasPrefix(v, "0.12.") && !strings.HasPrefix(v, "13.") {
		t.Errorf("got version %q, want one of 0.12 or 13", v)
	}
	check(t, s.Close())
	if err := syscall.Kill(-pid, 0); !errors.Is(err, syscall.ESRCH) {
		t.Errorf("process group %d after Close: got %v, want ESRCH", pid, err)
	}
	if _, err := os.Stat(dir); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("folder after Close: got %v, want none", err)
	}
	if got := s.PID(); got != 0 {
		t.Errorf("process id after Close: got %d, want 0", got)
	}
	if err := s.Restart(within(t)); err == nil {
		t.Error("a closed server was restarted")
	}
}

func TestServer_RestartsOnTheSamePorts(t *testing.T) {
	for name, end := range map[string]func(*prosodytest.Server) error{
		"after SIGTERM":       (*prosodytest.Server).Stop,
		"after SIGKILL":       (*prosodytest.Server).Kill,
		"while it is running": func(*prosodytest.Server) error { return nil },
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := prosodytest.New(t, prosodytest.Options{})
			client, component, pid := s.ClientAddr(), s.ComponentAddr(), s.PID()
			before := newComponent(t, s)
			check(t, end(s))
			check(t, s.Restart(within(t)))
			<-before.Ended()
			if s.ClientAddr() != client || s.ComponentAddr() != component {
				t.Errorf("got ports %s and %s, want %s and %s", s.ClientAddr(), s.ComponentAddr(), client, component)
			}
			if s.PID() == pid {
				t.Errorf("the process is the same: %d", pid)
			}
			newComponent(t, s)
			newGuest(t, s)
		})
	}
}

func TestServer_RestartWaitsForPorts(t *testing.T) {
	s := prosodytest.New(t, prosodytest.Options{})
	check(t, s.Stop())
	squatter := must(net.Listen("tcp4", s.ComponentAddr()))(t)
	ctx, cancel := context.WithTimeout(t.Context(), time.Second)
	defer cancel()
	err := s.Restart(ctx)
	if err == nil || !strings.Contains(err.Error(), "Failed to open server port") {
		t.Errorf("got %v, want an error that holds Prosody's log", err)
	}
	check(t, squatter.Close())
	check(t, s.Restart(within(t)))
	newComponent(t, s)
}

func TestServer_Freeze(t *testing.T) {
	s := prosodytest.New(t, prosodytest.Options{})
	c := newGuest(t, s)
	check(t, s.Pause())
	short, cancel := context.WithTimeout(t.Context(), 200*time.Millisecond)
	defer cancel()
	if _, err := c.IQ(short, s.Domains.Main, "get", ping); !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("request to a frozen server: got %v, want a timeout", err)
	}
	if _, err := s.Guest(short); !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("login to a frozen server: got %v, want a timeout", err)
	}
	check(t, s.Resume())
	must(c.IQ(within(t), s.Domains.Main, "get", ping))(t)
	check(t, s.Pause())
	check(t, s.Stop()) // must not wait for a paused process
	if err := s.Pause(); err == nil {
		t.Error("a stopped server was paused")
	}
}

func TestServer_Shell(t *testing.T) {
	s := prosodytest.New(t, prosodytest.Options{})
	out := must(s.Shell(within(t), `module:reload("muc", "muc.meet.jitsi")`))(t)
	if !strings.Contains(out, "Reloaded on muc.meet.jitsi") {
		t.Errorf("got %q, want a message about the reload", out)
	}
	if out := must(s.Shell(within(t), "> 6 * 7"))(t); out != "Result: 42" {
		t.Errorf("got %q, want 42", out)
	}
	if _, err := s.Shell(within(t), `> error("as asked")`); err == nil || !strings.Contains(err.Error(), "as asked") {
		t.Errorf("got %v, want the error that was raised", err)
	}
}

func TestServer_HTTP(t *testing.T) {
	s := prosodytest.New(t, prosodytest.Options{Modules: []string{"bosh"}})
	defer http.DefaultClient.CloseIdleConnections()
	req := must(http.NewRequestWithContext(within(t), http.MethodGet, "http://"+s.HTTPAddr()+"/http-bind", nil))(t)
	res := must(http.DefaultClient.Do(req))(t)
	_, err := io.Copy(io.Discard, res.Body)
	check(t, errors.Join(err, res.Body.Close()))
	if res.StatusCode != http.StatusOK {
		t.Errorf("got status %d, want 200", res.StatusCode)
	}
}

func TestServer_LoadsCallersModules(t *testing.T) {
	dir := t.TempDir()
	check(t, os.WriteFile(filepath.Join(dir, "mod_here.lua"), []byte(`module:log("info", "here, with %s", module:get_option_string("word"));`), 0o600))
	s := prosodytest.New(t, prosodytest.Options{
		PluginPaths:  []string{dir},
		MUCModules:   []string{"here"},
		HostModules:  map[string][]string{"auth.meet.jitsi": {"here"}},
		GlobalConfig: `word = "everywhere"`,
		HostConfig:   map[string]string{"lobby.meet.jitsi": `word = "in the lobby"`},
		Components:   []string{"second.meet.jitsi"},
	})
	for _, want := range []string{
		"muc.meet.jitsi:here info here, with everywhere",
		"breakout.meet.jitsi:here info here, with everywhere",
		"lobby.meet.jitsi:here info here, with in the lobby",
		"auth.meet.jitsi:here info here, with everywhere",
	} {
		// The white space between columns varies.
		if !strings.Contains(strings.Join(strings.Fields(s.Log()), " "), want) {
			t.Errorf("log has no %q", want)
		}
	}
	closing(t, must(s.Component(within(t), "second.meet.jitsi"))(t))
}

func TestServer_OtherDomains(t *testing.T) {
	s := prosodytest.New(t, prosodytest.Options{Base: "example.test", MUCPrefix: "conference"})
	cast := newCast(t, s)
	o := must(cast.Open(within(t), s.Room("alpha")))(t)
	if got, want := o.JIDInRoom(), "alpha@conference.example.test/focus"; got != want {
		t.Errorf("got %s, want %s", got, want)
	}
}

func TestOptions_RefusesInvalid(t *testing.T) {
	for name, tc := range map[string]struct {
		in   prosodytest.Options
		want string
	}{
		"configuration of an unknown host": {prosodytest.Options{HostConfig: map[string]string{"x.test": ""}}, `unknown host "x.test"`},
		"modules of an unknown host":       {prosodytest.Options{HostModules: map[string][]string{"x.test": nil}}, `unknown host "x.test"`},
		"account on an anonymous host":     {prosodytest.Options{Accounts: map[string]string{"joe@meet.jitsi": "x"}}, `Accounts: "joe@meet.jitsi"`},
		"unknown log level":                {prosodytest.Options{LogLevel: "loud"}, `LogLevel: "loud"`},
		"constant that the module lacks":   {prosodytest.Options{ModuleConstants: map[string]string{"tock": "1"}}, `no line "local tock = …;"`},
		"missing program":                  {prosodytest.Options{Executable: "/nowhere/prosody"}, "find prosody"},
	} {
		t.Run(name, func(t *testing.T) {
			s, err := prosodytest.Start(within(t), tc.in)
			if err == nil {
				check(t, s.Close())
			}
			if err == nil || !strings.Contains(err.Error(), tc.want) {
				t.Errorf("got error %v, want one with %q", err, tc.want)
			}
		})
	}
}

func TestStart_ErrorContainsLog(t *testing.T) {
	prosodytest.New(t, prosodytest.Options{}) // skips without Prosody
	_, err := prosodytest.Start(within(t), prosodytest.Options{GlobalConfig: "this is not Lua"})
	if err == nil || !strings.Contains(err.Error(), "ended while starting") || !strings.Contains(err.Error(), "prosody.cfg.lua") {
		t.Errorf("got %v, want Prosody's own error", err)
	}
}

// hostEnv makes this test binary start a server and wait.
const hostEnv = "PROSODYTEST_HOST"

func hostIfAsked() {
	if os.Getenv(hostEnv) == "" {
		return
	}
	s, err := prosodytest.Start(context.Background(), prosodytest.Options{})
	if err != nil {
		fmt.Println(err)
		os.Exit(1)
	}
	fmt.Println(s.PID(), s.Dir())
	// The end of a thread must not end the server.
	for range 10 {
		go runtime.LockOSThread()
	}
	select {}
}

func TestServer_DiesWithItsParent(t *testing.T) {
	if runtime.GOOS != "linux" {
		t.Skip("only Linux kills a child with its parent")
	}
	prosodytest.New(t, prosodytest.Options{}) // skips without Prosody
	host := exec.CommandContext(within(t), os.Args[0])
	host.Env = append(os.Environ(), hostEnv+"=1")
	out := must(host.StdoutPipe())(t)
	check(t, host.Start())
	line, _ := bufio.NewReader(out).ReadString('\n')
	id, dir, _ := strings.Cut(strings.TrimSpace(line), " ")
	pid, err := strconv.Atoi(id)
	if err != nil {
		t.Fatalf("got %q from the program, want a process id", line)
	}
	t.Cleanup(func() { check(t, os.RemoveAll(dir)) })
	time.Sleep(100 * time.Millisecond)
	if err := syscall.Kill(pid, 0); err != nil {
		t.Fatalf("the server ended before the program: %v", err)
	}
	check(t, host.Process.Kill())
	_ = host.Wait() // reports that it was killed
	for ctx := within(t); !gone(pid); {
		select {
		case <-ctx.Done():
			t.Fatalf("process %d outlives the program", pid)
		case <-time.After(10 * time.Millisecond):
		}
	}
}

// gone reports whether a process has ended. It may not be reaped yet, because its
// new parent depends on the machine.
func gone(pid int) bool {
	stat, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	return err != nil || strings.Contains(string(stat), ") Z ")
}

func TestAttach_CrowdJoins(t *testing.T) {
	s := prosodytest.New(t, prosodytest.Options{})
	ctx, room := within(t), s.Room("alpha")
	must(newCast(t, s).Open(ctx, room))(t)
	attached := must(prosodytest.Attach("", s.ComponentAddr(), prosodytest.Options{Secret: s.Secret()}))(t)
	crowd := must(attached.Crowd(ctx))(t)
	defer crowd.Close()
	must(crowd.Join(ctx, 3, attached.Room("alpha")))(t)
	wantOccupants(ctx, t, newComponent(t, s), room, "4")
}
