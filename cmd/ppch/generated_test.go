package main

import (
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"ppch/prosody/prosodytest"
)

// reader is a program that uses the client of the documented Go program.
const reader = `package main

import (
	"context"
	"fmt"
	"net/http"
	"os"

	"follow/ppch"
)

func main() {
	key := ppch.WithRequestEditorFn(func(_ context.Context, r *http.Request) error {
		r.Header.Set("X-API-Key", os.Args[2])
		return nil
	})
	c, err := ppch.NewClientWithResponses(os.Args[1], key)
	if err != nil {
		panic(err)
	}
	ctx := context.Background()
	one, err := c.GetParticipantsWithResponse(ctx, "Planning", nil)
	if err != nil {
		panic(err)
	}
	fmt.Println(one.JSON200.RoomName, one.JSON200.ParticipantCount, *one.JSON200.Participants)
	limit := 1
	params := &ppch.ListRoomsParams{Limit: &limit}
	for {
		page, err := c.ListRoomsWithResponse(ctx, params)
		if err != nil {
			panic(err)
		}
		for _, room := range page.JSON200.Rooms {
			fmt.Println(room.RoomName, room.ParticipantCount)
		}
		if params.Cursor = page.JSON200.NextCursor; params.Cursor == nil {
			break
		}
	}
	recent, err := c.GetRecentEventsWithResponse(ctx, nil)
	if err != nil {
		panic(err)
	}
	for _, event := range recent.JSON200.Events {
		if value, err := event.ValueByDiscriminator(); err != nil {
			panic(fmt.Sprint(value, err))
		}
	}
	stats, err := c.GetStatsWithResponse(ctx, nil)
	if err != nil {
		panic(err)
	}
	fmt.Println(stats.JSON200.Rooms, stats.JSON200.ParticipantCount)
}
`

// documentedClient is a program of api/README.md with a generated client, in a folder.
type documentedClient struct {
	t        *testing.T
	dir      string
	commands []string // the last one runs the program
	url      string
}

// newDocumentedClient writes the program below a heading.
func newDocumentedClient(t *testing.T, s *service, heading, language, begin, file string) *documentedClient {
	t.Helper()
	blocks := commandsIn(t, apiReadme, heading)
	if len(blocks) != 1 {
		t.Fatalf("got %d blocks of commands below %s want 1", len(blocks), heading)
	}
	c := &documentedClient{t: t, dir: t.TempDir(), url: s.url}
	block := adapted(t, blocks[0], map[string]string{"http://127.0.0.1:8890": s.url})
	c.commands = strings.Split(block, "\n")
	put(t, filepath.Join(c.dir, file), example(t, apiReadme, language, begin))
	return c
}

func (c *documentedClient) command(line string) *exec.Cmd {
	cmd := exec.CommandContext(c.t.Context(), "sh", "-c", line)
	cmd.Dir = c.dir
	cmd.Env = append(os.Environ(), "KEY="+testKey, "NO_PROXY=127.0.0.1", "no_proxy=127.0.0.1", "GOFLAGS=",
		"npm_config_prefer_offline=true", "npm_config_audit=false", "npm_config_fund=false", "npm_config_ignore_scripts=true")
	return cmd
}

// build runs all commands but the last one. A command that begins with a fetch is one that needs the network.
func (c *documentedClient) build(fetches ...string) {
	c.t.Helper()
	for _, line := range c.commands[:len(c.commands)-1] {
		out, err := c.command(line).CombinedOutput()
		if err == nil {
			continue
		}
		if slices.ContainsFunc(fetches, func(f string) bool { return strings.HasPrefix(line, f) }) {
			c.t.Logf("%v\n%s", err, out)
			prosodytest.Missing(c.t, "this machine cannot run "+line)
		}
		c.t.Fatalf("%s: %v\n%s", line, err, out)
	}
}

// follows runs the program while people come and go, until the service stops, and compares what it prints.
func (c *documentedClient) follows(s *service, cast *prosodytest.Cast, room string, want ...string) {
	c.t.Helper()
	cmd, out := c.command(c.commands[len(c.commands)-1]), &logBuffer{}
	cmd.Stdout, cmd.Stderr = out, out
	gone := must(prosodytest.Tie(cmd))(c.t)
	prints := func(line string) {
		c.t.Helper()
		eventually(c.t, time.Minute, "the program prints "+line, func() bool {
			select {
			case <-gone:
				c.t.Fatalf("it ended with %v:\n%s", cmd.ProcessState, out)
			default:
			}
			return strings.Contains("\n"+out.String(), "\n"+line+"\n")
		})
	}
	prints(want[0])
	alan := must(cast.User(c.t.Context(), room, "Alan"))(c.t)
	prints(want[1])
	check(c.t, alan.Leave(c.t.Context()))
	prints(want[2])
	check(c.t, s.stop())
	select {
	case <-gone:
	case <-time.After(time.Minute):
		c.t.Fatal("the program still runs after its stream has ended")
	}
}

// The documented commands generate a TypeScript client, and its program follows events with types.
func TestGeneratedClient_TypeScript(t *testing.T) {
	if testing.Short() {
		t.Skip("a client is generated")
	}
	t.Parallel()
	prosodytest.Installed(t, "npm")
	prosodytest.Installed(t, "curl")
	srv := prosodytest.New(t, prosodytest.Options{Module: true, HideRooms: true})
	cast := castOn(t, srv)
	planning := srv.Room("planning")
	meeting(t, cast, planning, "Ada", "Grace")
	s := runService(t, envFor(srv)).ready()
	c := newDocumentedClient(t, s, "### TypeScript", "ts", `import type { components } from "./ppch";`, "follow.ts")
	c.build("npm install")

	// A program that misreads an event does not compile.
	put(t, filepath.Join(c.dir, "wrong.ts"), strings.ReplaceAll(example(t, apiReadme, "ts", `import type { components } from "./ppch";`), "e.occupant?.name", "e.rooms"))
	for _, line := range c.commands {
		if strings.HasPrefix(line, "npx tsc ") {
			if out, err := c.command(strings.ReplaceAll(line, "follow.ts", "wrong.ts")).CombinedOutput(); err == nil || !strings.Contains(string(out), "Property 'rooms' does not exist") {
				t.Errorf("wrong.ts: got %v, %s want an error of the type", err, out)
			}
		}
	}
	c.follows(s, cast, planning, "planning 2", "Alan participant.joined planning 3 ", "Alan participant.left planning 2 left")
}

// The documented commands generate a Go client. Its program follows events with types, and another one reads live responses.
func TestGeneratedClient_Go(t *testing.T) {
	if testing.Short() {
		t.Skip("a client is generated")
	}
	t.Parallel()
	prosodytest.Installed(t, "curl")
	srv := prosodytest.New(t, prosodytest.Options{Module: true, HideRooms: true})
	cast := castOn(t, srv)
	planning := srv.Room("planning")
	meeting(t, cast, planning, "Ada", "Grace")
	meeting(t, cast, srv.Room("retro"), "Alan")
	s := runService(t, envFor(srv)).ready()
	c := newDocumentedClient(t, s, "### Go", "go", "// Command follow prints who is where, and then who comes and goes.", "main.go")
	c.build("mkdir ppch", "go run github.com", "go mod tidy")

	put(t, filepath.Join(c.dir, "reader", "main.go"), reader)
	var got string
	eventually(t, 2*time.Minute, "everybody in the answers", func() bool {
		out, err := c.command(`go run ./reader ` + s.url + ` "$KEY"`).CombinedOutput()
		if got = string(out); err != nil {
			t.Fatalf("%v: %s", err, got)
		}
		return strings.HasSuffix(got, "2 3\n")
	})
	if want := "Planning 2 [Ada Grace]\nplanning 2\nretro 1\n2 3\n"; got != want {
		t.Errorf("got %q want %q", got, want)
	}
	c.follows(s, cast, planning, "planning 2", "Alan participant.joined planning 3", "Alan participant.left planning 2")
}
