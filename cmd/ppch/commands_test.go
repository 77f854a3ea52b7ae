package main

import (
	"bytes"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"runtime"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/sethvargo/go-envconfig"
	"github.com/spf13/cobra"

	"ppch/api/keys"
	"ppch/cmd/ppch/config"
	"ppch/prosody/prosodytest"
)

// command runs the program's command line inside of the test.
func command(t *testing.T, env variables, args ...string) (stdout string, err error) {
	t.Helper()
	cmd := newCommand(envconfig.MapLookuper(env))
	var out, errs bytes.Buffer
	cmd.SetOut(&out)
	cmd.SetErr(&errs)
	cmd.SetArgs(args)
	err = cmd.ExecuteContext(t.Context())
	if errs.Len() > 0 && !slices.Contains(args, cobra.ShellCompNoDescRequestCmd) {
		// Only main prints the error.
		t.Errorf("ppch %s: got %q on standard error", strings.Join(args, " "), errs.String())
	}
	return out.String(), err
}

func TestHelp_ListsCommands(t *testing.T) {
	t.Parallel()
	for _, args := range [][]string{{"--help"}, {"-h"}, {"help"}} {
		got, err := command(t, nil, args...)
		if err != nil {
			t.Errorf("%v: %v", args, err)
		}
		for _, want := range []string{"Usage:\n  ppch [flags]\n  ppch [command]", "\n  serve ", "\n  version ", "\n  healthcheck ", "\n  key ", "Without a subcommand it runs"} {
			if !strings.Contains(got, want) {
				t.Errorf("%v: got %s want %q in it", args, got, want)
			}
		}
	}
}

func TestHelp_ServeListsVariables(t *testing.T) {
	t.Parallel()
	got := must(command(t, nil, "serve", "--help"))(t)
	for _, d := range config.Variables() {
		_, rest, ok := strings.Cut(got, "\n  "+d.Name+"\n      ")
		help, _, _ := strings.Cut(rest, "\n")
		if !ok || help == "" {
			t.Errorf("got no %s in %s", d.Name, got)
		}
		if shown := strings.HasSuffix(help, "(default "+d.Default+")"); shown != (d.Default != "") {
			t.Errorf("%s: got %q want the default %q in it", d.Name, help, d.Default)
		}
	}
}

func TestVersion_OneLine(t *testing.T) {
	t.Parallel()
	got, err := command(t, nil, "version")
	want := regexp.MustCompile(`^ppch ` + regexp.QuoteMeta(version) + `( \([0-9a-f]{12}(, [-0-9:TZ]{20})?\))? ` + regexp.QuoteMeta(runtime.Version()) + ` \w+/\w+\n$`)
	if err != nil || !want.MatchString(got) {
		t.Errorf("got %q, %v want it to match %s", got, err, want)
	}
}

// An invalid command line exits with status 2 and names what is wrong or missing.
func TestCommand_UsageErrors(t *testing.T) {
	t.Parallel()
	env := variables{"PPCH_API_KEY": testKey}
	for _, tt := range []struct {
		name string
		args []string
		want string
	}{
		{"an unknown subcommand", []string{"start"}, `unknown command "start" for "ppch"`},
		{"a mistyped subcommand", []string{"srve"}, "Did you mean this?\n\tserve"},
		{"an unknown flag", []string{"--port", "80"}, "unknown flag: --port; see ppch --help"},
		{"a flag of a subcommand", []string{"serve", "--port=80"}, "unknown flag: --port; see ppch serve --help"},
		{"a short flag", []string{"-p", "80"}, "unknown shorthand flag: 'p' in -p"},
		{"an argument of serve", []string{"serve", "8890"}, `unknown command "8890" for "ppch serve"`},
		{"an argument of version", []string{"version", "2"}, `unknown command "2" for "ppch version"`},
		{"an argument of healthcheck", []string{"healthcheck", "ready"}, `unknown command "ready" for "ppch healthcheck"`},
		{"an unknown flag of doctor", []string{"doctor", "--quick"}, "unknown flag: --quick; see ppch doctor --help"},
		{"an argument of doctor", []string{"doctor", "all"}, `unknown command "all" for "ppch doctor"`},
		{"an invalid duration", []string{"healthcheck", "--timeout", "soon"}, `invalid argument "soon" for "--timeout" flag`},
		{"no URL", []string{"webhook", "add"}, "got 0 arguments: use ppch webhook add URL"},
		{"too many ids", []string{"webhook", "replay", "a", "1", "2"}, "got 3 arguments: use ppch webhook replay ID [DELIVERY]"},
		{"no shard", []string{"shard", "retire"}, "got 0 arguments: use ppch shard retire NAME"},
		{"no file", []string{"key", "import"}, "got 0 arguments: use ppch key import FILE"},
		{"a room without its flag", []string{"key", "share", "planning"}, "use --room for each room, or --all for every room"},
		{"no room", []string{"room"}, "the room's name is missing: ppch room NAME"},
		{"an empty room", []string{"room", ""}, "the room's name is empty"},
		{"an empty room to watch", []string{"watch", ""}, "the room's name is empty"},
		{"a name without quotes", []string{"room", "stand", "up"}, `one room's name is expected, got 2: quote a name with blanks, such as "stand up"`},
		{"two rooms to watch", []string{"watch", "a", "b"}, "one room's name is expected, got 2"},
		{"an argument of rooms", []string{"rooms", "planning"}, `unknown command "planning" for "ppch rooms"`},
		{"an unknown type", []string{"rooms", "--type", "large"}, `--type: "large" is unknown: use main, breakout, lobby, all`},
		{"an unknown sort", []string{"rooms", "--sort", "size"}, `--sort: "size" is unknown: use participants, name, created`},
		{"an unknown order", []string{"rooms", "--order", "up"}, `--order: "up" is unknown: use asc, desc`},
		{"two faults", []string{"rooms", "--sort", "size", "--order", "up"}, `--sort: "size" is unknown: use participants, name, created` + "\n" + `--order: "up" is unknown: use asc, desc`},
		{"a negative limit", []string{"rooms", "--limit", "-1"}, `--limit: -1 is negative: use a number from 0`},
		{"a negative minimum", []string{"rooms", "--min", "-1"}, `--min: -1 is negative: use a number from 0`},
		{"a limit in words", []string{"rooms", "--limit", "few"}, `--limit: "few" is not a whole number; see ppch rooms --help`},
		{"a URL without a scheme", []string{"rooms", "--url", "ppch.example.com"}, "--url: use http:// or https:// and a host"},
		{"a doctor's URL without a scheme", []string{"doctor", "--url", "ppch.example.com"}, "--url: use http:// or https:// and a host"},
		{"a key without flags", []string{"key", "new"}, `required flag(s) "name", "scope" not set`},
		{"a key without a scope", []string{"key", "new", "--name", "x"}, `required flag(s) "scope" not set`},
		{"an unknown key command", []string{"key", "make"}, `unknown command "make" for "ppch key"`},
		{"an unknown scope", []string{"key", "new", "--name", "x", "--scope", "counts"}, "counts"},
		{"an installation without a folder", []string{"jitsi", "install"}, `required flag(s) "dir" not set`},
		{"help for an unknown command", []string{"help", "romos"}, `there is no command "romos"; see ppch --help`},
		{"an unknown shell", []string{"completion", "dash"}, `unknown command "dash" for "ppch completion"`},
	} {
		t.Run(tt.name, func(t *testing.T) {
			out, err := command(t, env, tt.args...)
			if err == nil || !strings.Contains(err.Error(), tt.want) || out != "" {
				t.Fatalf("got %q, %v want only the error %q", out, err, tt.want)
			}
			if status := exitStatus(err); status != 2 {
				t.Errorf("got exit status %d want 2", status)
			}
		})
	}
}

// A command that ran and failed exits with status 1.
func TestCommand_FailuresExitWith1(t *testing.T) {
	t.Parallel()
	for _, args := range [][]string{{"rooms"}, {"room", "a"}, {"watch"}, {"doctor"}, {"healthcheck"}, {"serve"}, {}, {"jitsi", "install", "--dir", t.TempDir()}} {
		if _, err := command(t, variables{"PPCH_PORT": "1"}, args...); err == nil || exitStatus(err) != 1 {
			t.Errorf("%v: got %v with exit status %d want 1", args, err, exitStatus(err))
		}
	}
}

func TestCompletion_OffersValues(t *testing.T) {
	t.Parallel()
	for args, want := range map[string]string{
		"rooms --sort ":                 "participants\nname\ncreated\n:4\n",
		"rooms --type ":                 "main\nbreakout\nlobby\nall\n:4\n",
		"rooms --order ":                "asc\ndesc\n:4\n",
		"key new --scope ":              strings.Join(keys.ScopeNames(), "\n") + "\n:6\n",
		"key new --scope count,":        "count," + strings.Join(keys.ScopeNames()[1:], "\ncount,") + "\n:6\n",
		"room a ":                       ":36\n",
		"room ":                         ":1\n", // no service answers
		"help key ":                     "import\nlist\nnew\nremove\nshare\n:4\n",
		"jitsi install --dry-run --yes": "--yes\n:4\n",
	} {
		out, err := command(t, variables{"PPCH_PORT": "1", "PPCH_API_KEY": testKey}, append([]string{"__completeNoDesc"}, strings.Split(args, " ")...)...)
		if err != nil || out != want {
			t.Errorf("%s: got %q, %v want %q", args, out, err, want)
		}
	}
}

func TestMan_PageOfEachCommand(t *testing.T) {
	t.Parallel()
	dir := filepath.Join(t.TempDir(), "man1")
	if out, err := exec.Command(buildProgram(t, "-tags", "man"), "man", dir).CombinedOutput(); err != nil || len(out) > 0 {
		t.Fatalf("got %s, %v", out, err)
	}
	for name, want := range map[string]string{
		"ppch": "ppch - Show who is in a Jitsi Meet room", "ppch-serve": "PPCH_COMPONENT_SECRET", "ppch-rooms": "--limit",
		"ppch-key-new": "--expires", "ppch-jitsi-install": "--env-file",
	} {
		page, err := os.ReadFile(filepath.Join(dir, name+".1"))
		if got := string(page); err != nil || !strings.HasPrefix(got, ".nh\n.TH \"PPCH") || !strings.Contains(got, want) {
			t.Errorf("%s: got %s, %v want %q in it", name, got, err, want)
		}
	}
}

// healthcheckOf returns the environment of a container for a service of a test.
func healthcheckOf(t *testing.T, s *service, host string) variables {
	t.Helper()
	_, address, _ := strings.Cut(s.url, "://")
	_, port, err := net.SplitHostPort(address)
	check(t, err)
	return variables{"PPCH_HOST": host, "PPCH_PORT": port}
}

// A container checks whether to restart, an orchestrator whether to send requests.
func TestHealthcheck_ReportsHealth(t *testing.T) {
	t.Parallel()
	srv := prosodytest.New(t, prosodytest.Options{})
	well := runService(t, envFor(srv)).ready()
	env := envFor(srv)
	env["PPCH_COMPONENT_SECRET"] = "not-the-secret"
	cutOff := runService(t, env)
	eventually(t, 10*time.Second, "the secret is refused", func() bool {
		return strings.Contains(cutOff.get("/readyz").body, "PPCH_COMPONENT_SECRET")
	})

	for _, tt := range []struct {
		name string
		of   *service
		host string
		args []string
		says string // the output, or the error
		fail bool
	}{
		{"healthy", well, "127.0.0.1", nil, "ok\n", false},
		{"listening on all addresses", well, "0.0.0.0", nil, "ok\n", false},
		{"no host set", well, "", nil, "ok\n", false},
		{"ready", well, "0.0.0.0", []string{"--ready"}, "ok\n", false},
		{"alive without Prosody", cutOff, "0.0.0.0", nil, "ok\n", false},
		{"not ready without Prosody", cutOff, "0.0.0.0", []string{"--ready"}, "healthcheck: 503 Service Unavailable: [-]stream failed: Prosody refuses the secret", true},
	} {
		t.Run(tt.name, func(t *testing.T) {
			out, err := command(t, healthcheckOf(t, tt.of, tt.host), append([]string{"healthcheck"}, tt.args...)...)
			switch {
			case !tt.fail && (err != nil || out != tt.says):
				t.Errorf("got %q, %v want %q", out, err, tt.says)
			case tt.fail && (err == nil || !strings.HasPrefix(err.Error(), tt.says) || out != ""):
				t.Errorf("got %q, %v want the error %q", out, err, tt.says)
			}
		})
	}
}

func TestHealthcheck_NoService(t *testing.T) {
	t.Parallel()
	silent := must(net.Listen("tcp", "127.0.0.1:0"))(t)
	defer silent.Close()
	_, port, _ := net.SplitHostPort(silent.Addr().String())
	for _, tt := range []struct {
		name string
		env  variables
		want string
	}{
		{"nothing listens", variables{"PPCH_PORT": "1"}, "connection refused"},
		{"nothing answers", variables{"PPCH_PORT": port}, "deadline exceeded"},
		{"an invalid port", variables{"PPCH_PORT": "none"}, `invalid port ":none"`},
	} {
		t.Run(tt.name, func(t *testing.T) {
			out, err := command(t, tt.env, "healthcheck", "--timeout", "200ms")
			if err == nil || !strings.HasPrefix(err.Error(), "healthcheck: ") || !strings.Contains(err.Error(), tt.want) || out != "" {
				t.Errorf("got %q, %v want the error %q", out, err, tt.want)
			}
		})
	}
}
