package main

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strings"
	"time"
)

// transcript prints requests and their responses.
type transcript struct {
	out   io.Writer
	url   string
	paths []string // of the first requests
	notes string   // what a reader of the responses needs to know
}

// show makes the first requests of a new user.
func (t *transcript) show(ctx context.Context) error {
	if err := pause(ctx, settle); err != nil {
		return err
	}
	fmt.Fprintf(t.out, "\nTry it in another terminal:\n\n  export KEY=%s\n", demoKey)
	for _, path := range t.paths {
		header := ` -H "X-API-Key: $KEY"`
		if path == "/health" {
			header = ""
		}
		answer, err := t.ask(ctx, path)
		if err != nil {
			return err
		}
		fmt.Fprintf(t.out, "\n  $ curl -s%s %s%s\n  %s\n", header, t.url, path, strings.TrimSpace(string(answer)))
	}
	fmt.Fprintf(t.out, "\nDashboard: %[1]s/dashboard/ (the key is %[2]s).\n"+
		"API documentation: %[1]s/docs (enter the key under “Authorize”).\n"+
		"%[3]s\n\n"+
		"People come and go now. Ctrl-C stops everything.\n\n", t.url, demoKey, t.notes)
	return nil
}

// participants returns the path for the participants of a room.
func participants(room string) string {
	return "/api/rooms/" + url.PathEscape(room) + "/participants"
}

// follow prints each move with the new count until ctx ends.
func (t *transcript) follow(ctx context.Context, moves <-chan move) error {
	for {
		var m move
		select {
		case <-ctx.Done():
			return nil
		case m = <-moves:
		}
		if pause(ctx, settle) != nil {
			return nil
		}
		raw, err := t.ask(ctx, participants(m.room.name))
		if err != nil {
			return err
		}
		var response struct {
			Count *int   `json:"participant_count"`
			Title string `json:"title"`
		}
		if err := json.Unmarshal(raw, &response); err != nil {
			return fmt.Errorf("response for %s: %w", m.room.name, err)
		}
		verb, count := "leaves", response.Title
		if m.joined {
			verb = "joins"
		}
		if response.Count != nil {
			count = fmt.Sprintf("participant_count %d", *response.Count)
		}
		where := m.room.name
		if m.room.site.name != "" {
			where += " on " + m.room.site.name
		}
		fmt.Fprintf(t.out, "  %s  %-8s %-6s %-14s %s\n", time.Now().Format(time.TimeOnly), m.who, verb, where, count)
	}
}

// settle is enough time for a change to reach the service.
const settle = 300 * time.Millisecond

func pause(ctx context.Context, d time.Duration) error {
	select {
	case <-ctx.Done():
		return ctx.Err()
	case <-time.After(d):
		return nil
	}
}

func (t *transcript) ask(ctx context.Context, path string) ([]byte, error) {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, t.url+path, nil)
	if err != nil {
		return nil, err
	}
	req.Header.Set("X-API-Key", demoKey)
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		return nil, err
	}
	defer resp.Body.Close()
	return io.ReadAll(resp.Body)
}
