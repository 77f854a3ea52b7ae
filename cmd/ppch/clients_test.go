package main

import (
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"ppch/prosody/prosodytest"
)

// client is a user's program for version 1.
type client struct {
	name    string
	command []string
	env     []string
}

// clientsOfVersion1 are in testdata/clients, with the Debian packages that they need.
var clientsOfVersion1 = map[string]func(*testing.T) client{
	"Python with requests": func(t *testing.T) client {
		// Another Python in PATH may lack the system's libraries.
		for _, python := range []string{"python3", "/usr/bin/python3"} {
			if exec.Command(python, "-c", "import requests").Run() == nil {
				return client{"py", []string{python, "testdata/clients/client.py"}, []string{"PYTHONIOENCODING=utf-8"}}
			}
		}
		prosodytest.Missing(t, "this machine has no python3 and python3-requests")
		return client{}
	},
	"Node with axios": func(t *testing.T) client {
		// Only Debian's own node finds its libraries.
		path := "NODE_PATH=" + strings.Join(append(filepath.SplitList(os.Getenv("NODE_PATH")), "/usr/share/nodejs"), string(filepath.ListSeparator))
		for _, node := range []string{"node", "/usr/bin/node"} {
			look := exec.Command(node, "-e", `require("axios")`)
			look.Env = append(os.Environ(), path)
			if look.Run() == nil {
				return client{"js", []string{node, "testdata/clients/client.js"}, []string{path}}
			}
		}
		prosodytest.Missing(t, "this machine has no nodejs and node-axios")
		return client{}
	},
	"shell with curl and jq": func(t *testing.T) client {
		for _, program := range []string{"curl", "jq"} {
			prosodytest.Installed(t, program)
		}
		return client{"sh", []string{"sh", "testdata/clients/client.sh"}, nil}
	},
}

// said is the output of a client.
type said struct {
	status int
	out    string
	errs   string
}

func (c client) ask(t *testing.T, url, key, room string) said {
	t.Helper()
	cmd := exec.CommandContext(t.Context(), c.command[0], append(c.command[1:len(c.command):len(c.command)], room)...)
	cmd.Env = append(append(os.Environ(), "API_URL="+url, "API_KEY="+key, "NO_PROXY=127.0.0.1", "no_proxy=127.0.0.1"), c.env...)
	var out, errs strings.Builder
	cmd.Stdout, cmd.Stderr = &out, &errs
	err := cmd.Run()
	if exit := (*exec.ExitError)(nil); err != nil && !errors.As(err, &exit) {
		t.Fatal(err)
	}
	return said{cmd.ProcessState.ExitCode(), strings.TrimSpace(out.String()), errs.String()}
}

// Programs for version 1 work unchanged: they read the same fields and print the same.
// If the count is unknown, each fails in the way of its language and prints no number.
func TestClients_Version1(t *testing.T) {
	t.Parallel()
	srv := prosodytest.New(t, prosodytest.Options{})
	cast := castOn(t, srv)
	meeting(t, cast, srv.Room("myroom"), "Ada", "Bob")
	meeting(t, cast, srv.Room("my%20room"), "Ada")
	meeting(t, cast, srv.Room("%d0%bf%d1%80%d0%b8%d0%b2%d0%b5%d1%82"))
	known := runService(t, envFor(srv)).ready().url

	hiding := prosodytest.New(t, prosodytest.Options{HideRooms: true})
	meeting(t, castOn(t, hiding), hiding.Room("myroom"), "Ada")
	hidden := runService(t, envFor(hiding)).ready().url

	env := envFor(srv)
	env["PPCH_COMPONENT_SECRET"] = "not-the-secret"
	cutOff := runService(t, env).url

	for name, find := range clientsOfVersion1 {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			c := find(t)
			for _, tt := range []struct {
				name, url, key, room string
				want                 map[string]string // by the client's name; "" if it fails
			}{
				{"people are in the room", known, testKey, "MyRoom", map[string]string{"py": "3 in MyRoom", "js": "3", "sh": "3"}},
				{"the name has a blank", known, testKey, "My Room", map[string]string{"py": "2 in My Room", "js": "2"}},
				{"the name has other letters", known, testKey, "Привет", map[string]string{"py": "1 in Привет", "js": "1", "sh": "1"}},
				{"there is no such room", known, testKey, "Empty", map[string]string{"py": "no one in Empty", "js": "0", "sh": "0"}},
				{"the count is hidden", hidden, testKey, "MyRoom", map[string]string{"py": "", "js": "", "sh": "null"}},
				{"Prosody doesn't let us in", cutOff, testKey, "MyRoom", map[string]string{"py": "", "js": "", "sh": "null"}},
				{"the key is wrong", known, "old-key", "MyRoom", map[string]string{"py": "", "js": "", "sh": "null"}},
				{"the name is impossible", known, testKey, "a@b@c", map[string]string{"py": "", "js": "", "sh": "null"}},
			} {
				want, ok := tt.want[c.name]
				if !ok {
					continue // curl rejects blanks
				}
				got := c.ask(t, tt.url, tt.key, tt.room)
				if failed := got.status != 0; got.out != want || failed != (want == "") {
					t.Errorf("%s: got status %d, %q, %s want %q", tt.name, got.status, got.out, got.errs, want)
				}
				if c.name == "py" && want == "" && !strings.Contains(got.errs, "KeyError: 'has_participants'") {
					t.Errorf("%s: got %s want a KeyError for the missing field", tt.name, got.errs)
				}
			}
		})
	}
}
