package main

import (
	"bytes"
	"net"
	"regexp"
	"runtime"
	"strings"
	"testing"
	"time"

	"github.com/sethvargo/go-envconfig"

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
	if errs.Len() > 0 {
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
	got, err := command(t, nil, "serve", "--help")
	if err != nil {
		t.Fatal(err)
	}
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

func TestCommand_UsageErrors(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		name string
		args []string
		want string
	}{
		{"an unknown subcommand", []string{"start"}, `unknown command "start" for "ppch"`},
		{"a mistyped subcommand", []string{"srve"}, "Did you mean this?\n\tserve"},
		{"an unknown flag", []string{"--port", "80"}, "unknown flag: --port"},
		{"a flag of a subcommand", []string{"serve", "--port=80"}, "unknown flag: --port"},
		{"a short flag", []string{"-p", "80"}, "unknown shorthand flag: 'p' in -p"},
		{"an argument of serve", []string{"serve", "8890"}, `unknown command "8890" for "ppch serve"`},
		{"an argument of version", []string{"version", "2"}, `unknown command "2" for "ppch version"`},
		{"an argument of healthcheck", []string{"healthcheck", "ready"}, `unknown command "ready" for "ppch healthcheck"`},
		{"an invalid duration", []string{"healthcheck", "--timeout", "soon"}, `invalid argument "soon" for "--timeout" flag`},
	} {
		t.Run(tt.name, func(t *testing.T) {
			out, err := command(t, nil, tt.args...)
			if err == nil || !strings.Contains(err.Error(), tt.want) || out != "" {
				t.Errorf("got %q, %v want only the error %q", out, err, tt.want)
			}
		})
	}
}

// healthcheckOf returns the environment of a container for a service of a test.
func healthcheckOf(t *testing.T, s *service, host string) variables {
	t.Helper()
	_, address, _ := strings.Cut(s.url, "://")
	_, port, err := net.SplitHostPort(address)
	if err != nil {
		t.Fatal(err)
	}
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
