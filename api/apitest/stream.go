package apitest

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"sync"
	"testing"
	"time"

	"github.com/tmaxmax/go-sse"
)

const (
	// maxEvent is above the size of any event.
	maxEvent = 4 << 20

	// patience is how long a test waits for an event.
	patience = 30 * time.Second
)

// Event is one event of a stream.
type Event struct {
	ID, Name string
	Data     map[string]any
}

// Text returns a field of the data that is text, or empty.
func (e Event) Text(field string) string {
	s, _ := e.Data[field].(string)
	return s
}

// Nick returns the id of the occupant of the event, or empty.
func (e Event) Nick() string {
	o, _ := e.Data["occupant"].(map[string]any)
	s, _ := o["id"].(string)
	return s
}

// Stream is a client of an event stream.
type Stream struct {
	// Events are those that are not read yet. It is closed at the end of the stream.
	Events chan Event

	// Leave closes the connection.
	Leave context.CancelFunc

	t testing.TB

	// mu protects what follows.
	mu     sync.Mutex
	lastID string
	err    error
}

// Open sends req and reads the stream of the answer until the test ends or Leave is called.
func Open(t testing.TB, transport http.RoundTripper, req *http.Request) (*Stream, error) {
	ctx, leave := context.WithCancel(req.Context())
	resp, err := transport.RoundTrip(req.WithContext(ctx))
	if err != nil {
		leave()
		return nil, err
	}
	if got := resp.Header.Get("Content-Type"); resp.StatusCode != http.StatusOK || got != "text/event-stream" {
		defer leave()
		defer resp.Body.Close()
		body, _ := io.ReadAll(resp.Body)
		return nil, fmt.Errorf("got %s %s %s", resp.Status, got, body)
	}
	t.Cleanup(leave)
	s := Read(t, resp.Body)
	s.Leave = leave
	return s, nil
}

// Read reads a stream until its end, in the background.
func Read(t testing.TB, body io.ReadCloser) *Stream {
	s := &Stream{t: t, Events: make(chan Event, 1<<16), Leave: func() { _ = body.Close() }}
	go s.read(body)
	return s
}

func (s *Stream) read(body io.ReadCloser) {
	defer close(s.Events)
	defer body.Close()
	for e, err := range sse.Read(body, &sse.ReadConfig{MaxEventSize: maxEvent}) {
		s.mu.Lock()
		if s.err = err; err == nil {
			s.lastID = e.LastEventID
		}
		s.mu.Unlock()
		if e.Data == "" {
			continue // only an id
		}
		event := Event{ID: e.LastEventID, Name: e.Type}
		if err := json.Unmarshal([]byte(e.Data), &event.Data); err != nil {
			s.t.Errorf("got data %q: %v", e.Data, err)
		}
		s.Events <- event
	}
}

// Next returns the next event.
func (s *Stream) Next() Event {
	s.t.Helper()
	select {
	case e, ok := <-s.Events:
		if !ok {
			s.t.Fatal("the stream ended")
		}
		return e
	case <-time.After(patience):
		s.t.Fatal("no event came")
	}
	return Event{}
}

// Until returns the next event of a name that every one of accept accepts, and skips others.
func (s *Stream) Until(name string, accept ...func(Event) bool) Event {
	s.t.Helper()
next:
	for {
		e := s.Next()
		if e.Name != name {
			continue
		}
		for _, ok := range accept {
			if !ok(e) {
				continue next
			}
		}
		return e
	}
}

// Ended waits for the end of the stream and returns what went wrong, nil for a clean end.
func (s *Stream) Ended() error {
	s.t.Helper()
	end := time.After(patience)
	for {
		select {
		case _, ok := <-s.Events:
			if !ok {
				s.mu.Lock()
				defer s.mu.Unlock()
				return s.err
			}
		case <-end:
			s.t.Fatal("the stream did not end")
		}
	}
}

// ID returns the id with which a browser would resume.
func (s *Stream) ID() string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.lastID
}
