package main

import (
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"ppch/prosody/prosodytest"
)

// generator generates a client from openapi.yaml.
const (
	generator = "github.com/oapi-codegen/oapi-codegen/v2/cmd/oapi-codegen@v2.8.2"
	generated = "github.com/oapi-codegen/runtime@v1.8.0"
)

// reader is a program that uses the generated client.
const reader = `package main

import (
	"context"
	"fmt"
	"net/http"
	"os"
)

func main() {
	key := WithRequestEditorFn(func(_ context.Context, r *http.Request) error {
		r.Header.Set("X-API-Key", os.Args[2])
		return nil
	})
	c, err := NewClientWithResponses(os.Args[1], key)
	if err != nil {
		panic(err)
	}
	ctx := context.Background()
	one, err := c.GetParticipantsWithResponse(ctx, "Planning", nil)
	if err != nil {
		panic(err)
	}
	fmt.Println(one.JSON200.RoomName, one.JSON200.ParticipantCount, one.JSON200.Participants)
	limit := 1
	params := &ListRoomsParams{Limit: &limit}
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
	stats, err := c.GetStatsWithResponse(ctx, nil)
	if err != nil {
		panic(err)
	}
	fmt.Println(stats.JSON200.Rooms, stats.JSON200.ParticipantCount)
}
`

// A third-party generator reads openapi.yaml, and its client reads live responses.
func TestGeneratedClient_ReadsResponses(t *testing.T) {
	if testing.Short() {
		t.Skip("a generator is built")
	}
	t.Parallel()
	srv := prosodytest.New(t, prosodytest.Options{Module: true, HideRooms: true})
	cast := castOn(t, srv)
	meeting(t, cast, srv.Room("planning"), "Ada", "Grace")
	meeting(t, cast, srv.Room("retro"), "Alan")
	s := runService(t, envFor(srv)).ready()

	dir := t.TempDir()
	do := func(args ...string) (string, error) {
		cmd := exec.CommandContext(t.Context(), "go", args...)
		cmd.Dir = dir
		cmd.Env = append(os.Environ(), "GOFLAGS=-mod=mod")
		out, err := cmd.CombinedOutput()
		return string(out), err
	}
	put(t, filepath.Join(dir, "openapi.json"), s.get("/openapi.json").body)
	put(t, filepath.Join(dir, "go.mod"), "module client\n\ngo 1.24\n")
	if out, err := do("run", generator, "-generate", "types,client", "-package", "main", "-o", "client.go", "openapi.json"); err != nil {
		t.Log(out)
		prosodytest.Missing(t, "this machine cannot fetch "+generator)
	}
	if out, err := do("get", generated); err != nil {
		t.Log(out)
		prosodytest.Missing(t, "this machine cannot fetch "+generated)
	}
	put(t, filepath.Join(dir, "main.go"), reader)
	var out string
	eventually(t, 2*time.Minute, "everybody in the answers", func() bool {
		var err error
		if out, err = do("run", ".", s.url, testKey); err != nil {
			t.Fatalf("%v: %s", err, out)
		}
		return strings.HasSuffix(out, "2 3\n")
	})
	if want := "Planning 2 [Ada Grace]\nplanning 2\nretro 1\n2 3\n"; out != want {
		t.Errorf("got %q want %q", out, want)
	}
}
