package componenttest

import (
	"bytes"
	"context"
	"encoding/json"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

// Must returns v, and ends the test if there is an error.
func Must[T any](v T, err error) func(testing.TB) T {
	return func(t testing.TB) T {
		if err != nil {
			t.Helper()
			t.Fatal(err)
		}
		return v
	}
}

// Check ends the test if there is an error.
func Check(t testing.TB, err error) {
	if err != nil {
		t.Helper()
		t.Fatal(err)
	}
}

// Same reports how got differs from want. What names them.
func Same(t testing.TB, what string, want, got any, opts ...cmp.Option) {
	t.Helper()
	if diff := cmp.Diff(want, got, opts...); diff != "" {
		t.Errorf("%s: -want +got:\n%s", what, diff)
	}
}

// Has reports the texts that got lacks.
func Has(t testing.TB, got string, texts ...string) {
	t.Helper()
	for _, text := range texts {
		if !strings.Contains(got, text) {
			t.Errorf("got no %q in\n%s", text, got)
		}
	}
}

// HasNo reports the texts that are in got.
func HasNo(t testing.TB, got string, texts ...string) {
	t.Helper()
	for _, text := range texts {
		if strings.Contains(got, text) {
			t.Errorf("got %q in\n%s", text, got)
		}
	}
}

// Eventually waits for a condition.
func Eventually(t testing.TB, within time.Duration, what string, ok func() bool) {
	t.Helper()
	deadline := time.Now().Add(within)
	for wait := time.Millisecond; ; wait = min(2*wait, 20*time.Millisecond) {
		// Read the time first: if the machine stalls in between, the condition still counts.
		late := time.Now().After(deadline)
		if ok() {
			return
		}
		if late {
			t.Fatalf("not within %s: %s", within, what)
		}
		time.Sleep(wait)
	}
}

// Run runs f until stop, which waits for its end and reports its error.
func Run(t testing.TB, f func(context.Context) error) (stop func()) {
	t.Helper()
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- f(ctx) }()
	return sync.OnceFunc(func() {
		cancel()
		if err := <-done; err != nil {
			t.Errorf("Run: %v", err)
		}
	})
}

// LogBuffer is a log that may be read while it is written.
type LogBuffer struct {
	// mu protects b.
	mu sync.Mutex
	b  bytes.Buffer
}

// Write appends to the log.
func (l *LogBuffer) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.Write(p)
}

// String returns the log.
func (l *LogBuffer) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.String()
}

// Records returns the log, each of whose lines must be a JSON object.
func (l *LogBuffer) Records(t testing.TB) (all []map[string]any) {
	t.Helper()
	for line := range strings.Lines(l.String()) {
		var r map[string]any
		if err := json.Unmarshal([]byte(line), &r); err != nil {
			t.Fatalf("the log got the line %q: %v", line, err)
		}
		all = append(all, r)
	}
	return all
}
