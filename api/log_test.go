package api_test

import (
	"testing"
	"time"

	"ppch/component/componenttest"
)

// logBuffer is the log of a service.
type logBuffer struct{ componenttest.LogBuffer }

// records waits for n records, because the response arrives before the log has its record.
func (b *logBuffer) records(t *testing.T, n int) []map[string]any {
	t.Helper()
	for deadline := time.Now().Add(5 * time.Second); ; time.Sleep(time.Millisecond) {
		if records := b.Records(t); len(records) >= n {
			return records
		} else if time.Now().After(deadline) {
			t.Fatalf("got %d log records, want %d", len(records), n)
		}
	}
}

// must returns v, and ends the test if there is an error.
func must[T any](v T, err error) func(testing.TB) T { return componenttest.Must(v, err) }

// check ends the test if there is an error.
var check = componenttest.Check

// same reports how got differs from want.
var same = componenttest.Same
