package api_test

import (
	"bytes"
	"encoding/json"
	"strings"
	"sync"
	"testing"
	"time"
)

// logBuffer keeps what a service logs.
type logBuffer struct {
	mu  sync.Mutex // guards buf, which the service writes and the test reads
	buf bytes.Buffer
}

func (b *logBuffer) Write(p []byte) (int, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.buf.Write(p)
}

func (b *logBuffer) String() string {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.buf.String()
}

// records waits until there are n records, since a client has its answer before the log has its line.
func (b *logBuffer) records(t *testing.T, n int) []map[string]any {
	t.Helper()
	for deadline := time.Now().Add(5 * time.Second); ; time.Sleep(time.Millisecond) {
		lines := strings.Split(strings.TrimSpace(b.String()), "\n")
		if len(lines) < n || lines[0] == "" {
			if time.Now().After(deadline) {
				t.Fatalf("got %d log records, want %d", len(lines), n)
			}
			continue
		}
		var records []map[string]any
		for _, line := range lines {
			var record map[string]any
			if err := json.Unmarshal([]byte(line), &record); err != nil {
				t.Fatalf("log line %q: %v", line, err)
			}
			records = append(records, record)
		}
		return records
	}
}
