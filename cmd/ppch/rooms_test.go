package main

import (
	"context"
	"encoding/json"
	"io"
	"maps"
	"os"
	"os/exec"
	"strings"
	"testing"
	"time"

	"ppch/prosody/prosodytest"
)

// asks returns the environment of a client of s, with a key.
func asks(t *testing.T, s *service) variables {
	t.Helper()
	env := healthcheckOf(t, s, "127.0.0.1")
	env["PPCH_API_KEY"] = testKey
	return env
}

// names returns the names of rooms in the lines of JSON.
func names(t *testing.T, lines string) string {
	t.Helper()
	var all []string
	for line := range strings.Lines(lines) {
		var r struct {
			Name string `json:"room_name"`
		}
		if err := json.Unmarshal([]byte(line), &r); err != nil {
			t.Errorf("got the line %q: %v", line, err)
		}
		all = append(all, r.Name)
	}
	return strings.Join(all, " ")
}

// The terminal commands, with a service and a real Prosody.
func TestRooms_Terminal(t *testing.T) {
	t.Parallel()
	srv := prosodytest.New(t, prosodytest.Options{Module: true, HideRooms: true, DomainMapper: true})
	cast := castOn(t, srv)
	meeting(t, cast, srv.Room("planning"), "Ada\u202e", "Bob")
	meeting(t, cast, srv.Room("%d0%ba%d0%b0%d1%84%d0%b5"), "Анна")
	meeting(t, cast, srv.TenantRoom("acme", "stand%20up"), "Eve", "Kim", "生命")
	env := asks(t, runService(t, envFor(srv)).ready())
	// The service is ready once the main domain is loaded.
	eventually(t, 10*time.Second, "breakout rooms are loaded", func() bool {
		_, err := command(t, env, "rooms", "--type", "breakout")
		return err == nil
	})

	for _, tt := range []struct {
		name string
		args []string
		want string // the names of the rooms
	}{
		{"the largest first", nil, "[acme]stand%20up planning %d0%ba%d0%b0%d1%84%d0%b5"},
		{"by name", []string{"--sort", "name"}, "[acme]stand%20up planning %d0%ba%d0%b0%d1%84%d0%b5"},
		{"the largest two", []string{"--limit", "2"}, "[acme]stand%20up planning"},
		{"the smallest first", []string{"--order", "asc"}, "%d0%ba%d0%b0%d1%84%d0%b5 planning [acme]stand%20up"},
		{"of a tenant", []string{"--tenant", "acme"}, "[acme]stand%20up"},
		{"of no tenant", []string{"--tenant", ""}, "planning %d0%ba%d0%b0%d1%84%d0%b5"},
		{"with enough people", []string{"--min", "2", "-q", "plan"}, "planning"},
		{"of another type", []string{"--type", "breakout"}, ""},
	} {
		t.Run(tt.name, func(t *testing.T) {
			out, err := command(t, env, append([]string{"rooms", "--json"}, tt.args...)...)
			if got := names(t, out); err != nil || got != tt.want {
				t.Errorf("got %s, %v want %s", got, err, tt.want)
			}
		})
	}
	out, err := command(t, env, "rooms")
	if lines := strings.Split(out, "\n"); err != nil || len(lines) != 6 || !strings.HasPrefix(lines[1], "     3  acme/stand up  ") || !strings.HasPrefix(lines[3], "     1  кафе           ") ||
		!strings.HasPrefix(lines[4], "3 rooms, 6 people, as of ") || strings.Contains(out, "\x1b") {
		t.Errorf("got\n%s, %v", out, err)
	}

	for name, want := range map[string]string{
		"acme/Stand up": "acme/stand up: 3 people; open for ",
		"Planning":      "\nAda·   person",
		"Кафе":          "\nАнна   person",
		"Empty":         "There is no room Empty now.\n",
		"a/b":           "There is no room a/b now.\n",
	} {
		if out, err := command(t, env, "room", name); err != nil || !strings.Contains(out, want) {
			t.Errorf("%s: got %s, %v want %q", name, out, err, want)
		}
	}
	if out, err := command(t, env, "rooms", "-q", "nothing"); err != nil || out != "No open room has \"nothing\" in its name.\n" {
		t.Errorf("got %q, %v", out, err)
	}
	for typed, want := range map[string]string{"": "acme/stand up\nplanning\nкафе\n:36\n", "plan": "planning\n:36\n", "none": ":36\n"} {
		if out, err := command(t, env, "__completeNoDesc", "room", typed); err != nil || out != want {
			t.Errorf("completion of %q: got %q, %v want %q", typed, out, err, want)
		}
	}
	out, err = command(t, env, "room", "PLANNING", "--json")
	var r struct {
		Count int `json:"participant_count"`
	}
	if e := json.Unmarshal([]byte(out), &r); err != nil || e != nil || r.Count != 2 || strings.Count(out, "\n") != 1 {
		t.Errorf("got %s, %v, %v", out, err, e)
	}

	wrong := maps.Clone(env)
	wrong["PPCH_API_KEY"] = "Correct-Horse-Battery-Stable"
	for _, tt := range []struct {
		name string
		env  variables
		args []string
		want string
	}{
		{"an impossible name", env, []string{"room", "a@b@c"}, "(domain-not-watched)"},
		{"too many parts", env, []string{"room", "a/b/c"}, "(bad-room-name)"},
		{"dots", env, []string{"room", ".."}, "(bad-room-name)"},
		{"no name", env, []string{"room", ""}, "the room's name is empty"},
		{"no name to watch", env, []string{"watch", ""}, "the room's name is empty"},
		{"an impossible name to watch", env, []string{"watch", "a@b@c"}, "(domain-not-watched)"},

		{"a wrong key", wrong, []string{"rooms"}, "(wrong-key)"},
		{"a wrong key to watch", wrong, []string{"watch"}, "(wrong-key)"},
		{"no key", variables{"PPCH_PORT": env["PPCH_PORT"]}, []string{"rooms"}, "PPCH_API_KEY: is not set"},
		{"an address without a scheme", env, []string{"rooms", "--url", "127.0.0.1:8890"}, "--url: use http:// or https:// and a host"},
		{"Prosody's port", env, []string{"rooms", "--url", "http://" + srv.ComponentAddr()}, "is the service running? "},
	} {
		t.Run(tt.name, func(t *testing.T) {
			out, err := command(t, tt.env, tt.args...)
			if err == nil || !strings.Contains(err.Error(), tt.want) || out != "" {
				t.Errorf("got %q, %v want the error %s", out, err, tt.want)
			}
		})
	}
}

// A meeting in ppch watch, as JSON, as lines and as a table on a terminal.
func TestWatch_Terminal(t *testing.T) {
	t.Parallel()
	script := prosodytest.Installed(t, "script")
	srv := prosodytest.New(t, prosodytest.Options{Module: true, HideRooms: true})
	cast := castOn(t, srv)
	planning := srv.Room("planning")
	meeting(t, cast, planning, "Ada")
	env := asks(t, runService(t, envFor(srv)).ready())
	program := buildProgram(t)

	scripts := watchBy(t, env, program, "watch", "--json")
	people := watchBy(t, env, program, "watch", "Planning", "--lines")
	// The reader closes the pipe, with SIGPIPE at its default and ignored by the parent: Go's runtime ends the program both times.
	const alone = `(trap "" PIPE; while echo; do sleep .01; done) 2>/dev/null`
	head := watchBy(t, env, "sh", "-c", `exec 3>&1; { `+alone+`; "$0" rooms --json; echo piped $? >&3; } | true; { trap "" PIPE; `+alone+`; "$0" rooms --json; echo ignored $? >&3; } | true`, program)
	table := watchBy(t, env, script, "-qefc", "trap : INT; stty rows 14 cols 50; "+program+" watch; echo status $?", "/dev/null")
	scripts.shows(`"event":"status"`)
	people.shows(srv.Domains.MUC + ": ok\n")
	head.shows("piped 141\n", "ignored 141\n")
	table.shows("\x1b[?1049h", "\x1b[1mPEOPLE  ROOM", "     1  planning", "1 room, 1 person, as of ")

	bob := must(cast.User(t.Context(), planning, "Bob"))(t)
	scripts.shows(`"event":"participant.joined"`, `"name":"Bob"`)
	people.shows("  Bob joined planning, now 2 people\n")
	table.shows("     2  planning", "Bob joined planning, now 2")
	check(t, bob.Leave(t.Context()))
	scripts.shows(`"event":"participant.left"`)
	people.shows("  Bob left planning, now 1 person\n")
	table.shows("Bob left planning, now 1 person")
	for line := range strings.Lines(scripts.out.String()) {
		if !json.Valid([]byte(line)) {
			t.Errorf("got the line %q", line)
		}
	}

	if strings.Contains(table.out.String(), "\x1b[?1049l") {
		t.Error("the screen was left before Ctrl-C")
	}
	must(table.in.Write([]byte{3}))(t)
	table.shows("\x1b[?7h\x1b[?25h\x1b[?1049l", "status 0\r\n")
	for _, w := range []*watcher{scripts, people} {
		check(t, w.cmd.Process.Signal(os.Interrupt))
	}
	for _, w := range []*watcher{scripts, people, table, head} {
		if err := w.cmd.Wait(); err != nil || w.errs.String() != "" {
			t.Errorf("%s: got %v, %q want exit status 0 and no output", w.cmd, err, w.errs.String())
		}
	}
}

// watcher is a running program with its output so far.
type watcher struct {
	t         *testing.T
	cmd       *exec.Cmd
	in        io.WriteCloser
	out, errs logBuffer
}

func watchBy(t *testing.T, env variables, program string, args ...string) *watcher {
	t.Helper()
	ctx, cancel := context.WithCancel(context.Background())
	w := &watcher{t: t, cmd: exec.CommandContext(ctx, program, args...)}
	w.in = must(w.cmd.StdinPipe())(t)
	w.cmd.Stdout, w.cmd.Stderr, w.cmd.WaitDelay = &w.out, &w.errs, 5*time.Second
	w.cmd.Env = []string{"PATH=" + os.Getenv("PATH"), "SHELL=/bin/sh", "TERM=xterm", "LC_ALL=C.UTF-8"}
	for name, value := range env {
		w.cmd.Env = append(w.cmd.Env, name+"="+value)
	}
	check(t, w.cmd.Start())
	t.Cleanup(func() {
		cancel()
		if w.cmd.ProcessState == nil {
			_ = w.cmd.Wait()
		}
	})
	return w
}

// shows waits until the output contains all parts.
func (w *watcher) shows(parts ...string) {
	w.t.Helper()
	for _, part := range parts {
		deadline := time.Now().Add(20 * time.Second)
		for !strings.Contains(w.out.String(), part) {
			if time.Now().After(deadline) {
				w.t.Fatalf("%s: got %q, %q want %q in it", w.cmd, w.out.String(), w.errs.String(), part)
			}
			time.Sleep(20 * time.Millisecond)
		}
	}
}
