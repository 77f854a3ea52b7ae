package main

import (
	"bufio"
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"
)

// eventSource is a client that behaves as a browser's EventSource does (HTML, section 9.2): it reconnects after the time that the service
// has sent, with the id of the last event, and ends for good at any answer but 200.
type eventSource struct {
	url    string
	client *http.Client

	retry time.Duration

	// mu protects what follows.
	mu     sync.Mutex
	lastID string
	events []string // joins and leaves, as "participant.joined room nick"
	resets []string
	conns  int
	failed error // why it has ended
}

func newEventSource(url string, client *http.Client) *eventSource {
	return &eventSource{url: url, client: client, retry: 3 * time.Second}
}

// run reads events until ctx ends.
func (s *eventSource) run(ctx context.Context) {
	for ctx.Err() == nil {
		if err := s.connect(ctx); err != nil {
			s.mu.Lock()
			s.failed = err
			s.mu.Unlock()
			return
		}
		select {
		case <-ctx.Done():
		case <-time.After(s.retry):
		}
	}
}

// connect reads one connection to its end. Only an answer but 200 is an error.
func (s *eventSource) connect(ctx context.Context) error {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, s.url, nil)
	if err != nil {
		return err
	}
	req.Header.Set("X-API-Key", testKey)
	req.Header.Set("Accept", "text/event-stream")
	id := s.lastKnownID()
	if id != "" {
		req.Header.Set("Last-Event-ID", id)
	}
	resp, err := s.client.Do(req)
	if err != nil {
		return nil
	}
	defer resp.Body.Close()
	if resp.StatusCode != http.StatusOK {
		return fmt.Errorf("got %s", resp.Status)
	}
	s.mu.Lock()
	s.conns++
	s.mu.Unlock()
	var name, data string
	for lines := bufio.NewReader(resp.Body); ; {
		line, err := lines.ReadString('\n')
		if err != nil {
			return nil // an event without its end doesn't count
		}
		field, value, _ := strings.Cut(strings.TrimRight(line, "\r\n"), ":")
		value = strings.TrimPrefix(value, " ")
		switch field {
		case "event":
			name = value
		case "data":
			data += value
		case "id":
			id = value
		case "retry":
			if ms, err := strconv.Atoi(value); err == nil {
				s.retry = time.Duration(ms) * time.Millisecond
			}
		case "":
			if strings.HasPrefix(line, ":") {
				continue // a comment
			}
			s.take(id, name, data)
			name, data = "", ""
		}
	}
}

// lastKnownID returns the id of the last event.
func (s *eventSource) lastKnownID() string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.lastID
}

// take notes an event.
func (s *eventSource) take(id, name, data string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.lastID = id
	switch name {
	case "reset":
		s.resets = append(s.resets, data)
	case "participant.joined", "participant.left":
		var e struct {
			Room     string `json:"room_jid"`
			Occupant struct {
				ID   string `json:"id"`
				Kind string `json:"kind"`
			} `json:"occupant"`
		}
		if err := json.Unmarshal([]byte(data), &e); err != nil {
			s.failed = err
		}
		if e.Occupant.Kind == "user" {
			s.events = append(s.events, name+" "+e.Room+" "+e.Occupant.ID)
		}
	}
}

// count returns how many joins and leaves have come.
func (s *eventSource) count() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return len(s.events)
}

// connections returns how many connections there were.
func (s *eventSource) connections() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.conns
}

// wrong returns how what came differs from these joins and leaves, each once.
func (s *eventSource) wrong(want []string) string {
	s.mu.Lock()
	defer s.mu.Unlock()
	switch {
	case s.failed != nil:
		return s.failed.Error()
	case len(s.resets) > 0:
		return fmt.Sprintf("resets: %s", s.resets)
	}
	got, want := slices.Sorted(slices.Values(s.events)), slices.Sorted(slices.Values(want))
	if !slices.Equal(got, want) {
		different := len(slices.Compact(slices.Clone(got)))
		return fmt.Sprintf("got %d different events of %d, %d of them repeated", different, len(want), len(got)-different)
	}
	return ""
}
