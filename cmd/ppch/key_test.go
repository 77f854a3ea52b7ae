package main

import (
	"bytes"
	"os"
	"os/signal"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/sethvargo/go-envconfig"

	"ppch/prosody/prosodytest"
)

// printed is the output of "ppch key new": the key and the line for the file.
var printed = regexp.MustCompile(`^Key for the client, not shown again:\n(ppch_[A-Z2-7]{26})\n\n` +
	`Line for the file in PPCH_API_KEYS_FILE:\n(name=\S+ sha256=[0-9a-f]{64} scope=.+)\n$`)

// newKeyFor runs "ppch key new".
func newKeyFor(t *testing.T, args ...string) (key, line string) {
	t.Helper()
	out, err := command(t, nil, append([]string{"key", "new"}, args...)...)
	m := printed.FindStringSubmatch(out)
	if err != nil || m == nil {
		t.Fatalf("got %q, %v want a key and its line", out, err)
	}
	return m[1], m[2]
}

func TestKeyNew_Output(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		args string
		want string // the end of the line, after the checksum
	}{
		{"--name a --scope count", "scope=count"},
		{"--name a --scope events,count", "scope=count,events"},
		{"--name a --scope count --scope participants", "scope=participants"},
		{"--name a --scope all,metrics", "scope=all"},
		{"--name a --scope count --room Our_Weekly_Call --room acme/* --room x@muc.meet.jitsi", "scope=count room=our%20weekly%20call,[acme]*,x"},
		{"--name a --scope count --expires 2099-12-31", "scope=count expires=2099-12-31"},
		{"--name a --scope events --streams 20 --expires 2099-12-31", "scope=events streams=20 expires=2099-12-31"},
		{"--name a --scope count --expires 2099-12-31T18:00:00+01:00", "scope=count expires=2099-12-31T18:00:00+01:00"},
	} {
		t.Run(tt.args, func(t *testing.T) {
			var args []string
			for arg := range strings.FieldsSeq(tt.args) {
				args = append(args, strings.ReplaceAll(arg, "_", " "))
			}
			key, line := newKeyFor(t, args...)
			if !strings.HasPrefix(line, "name=a ") || !strings.HasSuffix(line, " "+tt.want) || strings.Contains(line, key) {
				t.Errorf("got %s want %s at its end, and no key", line, tt.want)
			}
			if other, _ := newKeyFor(t, args...); other == key {
				t.Error("got the same key twice")
			}
		})
	}
}

func TestKeyNew_Errors(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct{ args, want string }{
		{"", `required flag(s) "name", "scope" not set`},
		{"--name a", `required flag(s) "scope" not set`},
		{"--name a!b --scope all", "key new: name: use up to 64 letters, digits, dots, hyphens and underscores, beginning with a letter or digit"},
		{"--name PPCH_API_KEY --scope all", "key new: name: PPCH_API_KEY is reserved for the key that is set without a file"},
		{"--name a --scope read", `key new: scope: unknown scope "read": use count, participants, events, metrics, history, webhooks, share or all`},
		{"--name a --scope all --room [x", "key new: room: a bracket has no partner; a tenant's room is [tenant]room"},
		{"--name a --scope all --room x@example.com", "key new: room: the domain after the first @ isn't watched; watched domains: muc.meet.jitsi"},
		{"--name a --scope all --streams -1", `key new: streams: "-1" is not a number from 1 to 1000000`},
		{"--name a --scope all --expires soon", `key new: expires: "soon" is neither a day such as 2027-12-31 nor a time such as 2027-12-31T18:00:00Z`},
		{"--name a --scope all --expires 2020-01-01", "key new: expires: 2020-01-01 is in the past"},
		{"--name a --scope all b", `unknown command "b" for "ppch key new"`},
	} {
		t.Run(tt.args, func(t *testing.T) {
			out, err := command(t, nil, append([]string{"key", "new"}, strings.Fields(tt.args)...)...)
			if err == nil || err.Error() != tt.want || out != "" {
				t.Errorf("got %q, %v want only the error %q", out, err, tt.want)
			}
		})
	}
}

// A dashboard may see who is there, a screen in the lobby how many, and each only its own rooms.
func TestKeys_Scopes(t *testing.T) {
	t.Parallel()
	srv := prosodytest.New(t, prosodytest.Options{Module: true, HideRooms: true})
	meeting(t, castOn(t, srv), srv.Room("planning"), "Ada", "Bob")
	dashboard, dashboardLine := newKeyFor(t, "--name", "dashboard", "--scope", "participants", "--room", "Plan*")
	screen, screenLine := newKeyFor(t, "--name", "screen", "--scope", "count")
	_, otherLine := newKeyFor(t, "--name", "other", "--scope", "metrics")

	env := envFor(srv)
	delete(env, "PPCH_API_KEY")
	env["PPCH_API_KEYS_FILE"] = written(t, "keys", strings.Join([]string{"# made by a test", dashboardLine, screenLine, otherLine, ""}, "\n"))
	s := runService(t, env).ready()

	const planning, canteen = "/api/rooms/Planning/participants", "/api/rooms/Canteen/participants"
	got := s.get(planning, "X-API-Key", dashboard)
	if names := got.data["participants"]; got.data["participant_count"] != 2.0 || !slices.Equal(texts(names), []string{"Ada", "Bob"}) {
		t.Errorf("the dashboard got %d %s want Ada and Bob", got.status, got.body)
	}
	if got := s.get(canteen, "X-API-Key", dashboard); got.status != 403 || got.data["code"] != "room-not-allowed" {
		t.Errorf("the dashboard got %d %s of another room want 403", got.status, got.body)
	}
	got = s.get(planning, "X-API-Key", screen)
	if got.data["participant_count"] != 2.0 || strings.Contains(got.body, "Ada") || got.data["occupants"] != nil {
		t.Errorf("the screen got %d %s want 2 and no names", got.status, got.body)
	}
	if got := s.get(canteen, "X-API-Key", screen); got.status != 200 {
		t.Errorf("the screen got %d %s of another room want 200", got.status, got.body)
	}
	if got := s.get(planning, "X-API-Key", testKey); got.status != 403 || got.data["code"] != "wrong-key" {
		t.Errorf("an unknown key got %d %s want 403", got.status, got.body)
	}
}

// texts returns the strings of a JSON array.
func texts(v any) (all []string) {
	list, _ := v.([]any)
	for _, item := range list {
		text, _ := item.(string)
		all = append(all, text)
	}
	return all
}

// The keys file changes while the program runs. Without Prosody, a valid key gets a 503.
func TestKeys_Reload(t *testing.T) {
	t.Parallel()
	program := buildProgram(t)
	first, firstLine := newKeyFor(t, "--name", "first", "--scope", "count")
	second, secondLine := newKeyFor(t, "--name", "second", "--scope", "all")
	file := filepath.Join(t.TempDir(), "keys")
	write := func(t *testing.T, text string) {
		t.Helper()
		check(t, os.WriteFile(file, []byte(text), 0o600))
	}
	status := func(s *service, key string) int { return s.get("/api/rooms/r/participants", "X-API-Key", key).status }

	t.Run("at once with SIGHUP", func(t *testing.T) {
		write(t, firstLine+"\n")
		cmd, s := serving(t, program, "PPCH_API_KEY=", "PPCH_API_KEYS_FILE="+file)
		if got := status(s, first); got != 503 {
			t.Errorf("the first key got %d want 503", got)
		}
		if got := status(s, second); got != 403 {
			t.Errorf("the second key got %d want 403", got)
		}
		write(t, secondLine+"\n")
		check(t, cmd.Process.Signal(syscall.SIGHUP))
		eventually(t, 10*time.Second, "the file is read", func() bool { return strings.Contains(s.log.String(), "keys read") })
		if got := status(s, second); got != 503 {
			t.Errorf("the second key got %d want 503", got)
		}
		if got := status(s, first); got != 403 {
			t.Errorf("the first key got %d after it was removed want 403", got)
		}

		write(t, secondLine+"\nname=third scope=none\n")
		check(t, cmd.Process.Signal(syscall.SIGHUP))
		eventually(t, 10*time.Second, "the log names the bad line", func() bool {
			return strings.Contains(s.log.String(), `line 2: scope: unknown scope \"none\"`)
		})
		if got := status(s, second); got != 503 {
			t.Errorf("the second key got %d after the file went bad want 503 as before", got)
		}
		if strings.Contains(s.log.String(), first) || strings.Contains(s.log.String(), second) {
			t.Error("the log has a key")
		}
		check(t, cmd.Process.Signal(syscall.SIGTERM))
		if err := cmd.Wait(); err != nil {
			t.Errorf("got %v want a clean stop", err)
		}
	})

	t.Run("when the file changes", func(t *testing.T) {
		write(t, "")
		_, s := serving(t, program, "PPCH_API_KEYS_FILE="+file)
		if got := status(s, testKey); got != 503 {
			t.Errorf("PPCH_API_KEY got %d want 503", got)
		}
		check(t, os.WriteFile(file+".new", []byte(firstLine+"\n"), 0o600))
		check(t, os.Rename(file+".new", file))
		eventually(t, 15*time.Second, "the file is read", func() bool { return strings.Contains(s.log.String(), "keys read") })
		if got := status(s, first); got != 503 {
			t.Errorf("the key of the file got %d want 503", got)
		}
		if got := status(s, testKey); got != 503 {
			t.Errorf("PPCH_API_KEY got %d too want 503", got)
		}
	})

	t.Run("SIGHUP ends a program without a file", func(t *testing.T) {
		if signal.Ignored(syscall.SIGHUP) {
			t.Skip("SIGHUP is ignored here, as under nohup, and what is started inherits that")
		}
		cmd, _ := serving(t, program)
		check(t, cmd.Process.Signal(syscall.SIGHUP))
		late := time.AfterFunc(10*time.Second, func() { _ = cmd.Process.Kill() })
		defer late.Stop()
		if err := cmd.Wait(); err == nil || err.Error() != "signal: hangup" {
			t.Errorf("got %v want it ended by the signal", err)
		}
	})

	t.Run("a bad file at start is a failure", func(t *testing.T) {
		for text, want := range map[string]string{
			"nonsense\n": "ppch: the configuration is wrong:\n  PPCH_API_KEYS_FILE: file " + file + ":\n    line 1: word 1 is not a field: ",
			"# none\n":   "ppch: the configuration is wrong:\n  PPCH_API_KEYS_FILE: no API key is configured\n",
		} {
			write(t, text)
			code, out, errs := execute(t, program, []string{"PPCH_API_KEYS_FILE=" + file, "PPCH_COMPONENT_SECRET=s3cret", "PPCH_PORT=0"})
			if code != 1 || out != "" || !strings.Contains(errs, want) {
				t.Errorf("got %d, %q and %q want 1 and %q", code, out, errs, want)
			}
		}
	})
}

func TestKeyShare_SaysWhatIsWrong(t *testing.T) {
	t.Parallel()
	cmd := newCommand(envconfig.MapLookuper(variables{"PPCH_PUBLIC_URL": "nonsense"}))
	var notes bytes.Buffer
	cmd.SetErr(&notes)
	cmd.SetArgs([]string{"key", "share", "--room", "a,b", "--room", "planning", "--room", "acme/*"})
	if err := cmd.Execute(); err == nil || !strings.Contains(err.Error(), `PPCH_PUBLIC_URL: "nonsense" is not an http:// or https:// URL`) {
		t.Errorf("got %v want that the URL is wrong", err)
	}
	if got := notes.String(); got != "a,b: Jitsi deletes , from a typed name, so this is the room ab. The link a%2Cb leads to another room.\n" {
		t.Errorf("got %q", got)
	}
}
