package events_test

import (
	"bytes"
	"context"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"ppch/api/apitest"
)

// After an id of the hub the stream resumes; after any other text its first event is a reset.
func FuzzLastEventID(f *testing.F) {
	d := apitest.NewDirectory(f)
	s := start(f, d.Directory)
	first := s.follow("/")
	first.Until("status")
	base := first.ID()
	d.Join("daily", "ann")
	first.Until("participant.joined")
	instance := s.Instance()
	first.Leave()
	joined := first.ID()
	for _, id := range []string{base, joined, base[:len(base)-1], "1.", "1.AAAA", base + base, "", instance, instance + "-", instance + "-2", instance + "--1", instance + "-+1", instance + "-01", instance + "-18446744073709551615", "x-1", "\x00", "\x80", "ü", "a\nb"} {
		f.Add(id)
	}
	f.Fuzz(func(t *testing.T, id string) {
		ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
		defer cancel()
		w := &recorder{header: http.Header{}, wrote: func(p []byte) {
			if bytes.Contains(p, []byte("event: status")) || bytes.Contains(p, []byte("event: room")) {
				cancel()
			}
		}}
		r := httptest.NewRequestWithContext(ctx, http.MethodGet, "/", nil)
		r.Header["Last-Event-Id"] = []string{id}
		if id == instance+"-3" || id == instance+"-2" {
			return // nothing comes after these for now
		}
		s.ServeHTTP(w, r)
		body := w.body.String()
		resumed := strings.HasPrefix(id, base[:8]) && strings.Contains(body, "event: status") && !strings.Contains(body, "reset")
		fresh := id == "" && strings.Contains(body, "event: status") && !strings.Contains(body, "reset")
		reset := strings.Index(body, "event: reset")
		if w.status != http.StatusOK || !resumed && !fresh && (reset < 0 || reset > strings.Index(body, "event: status")) {
			t.Errorf("%q: got %d %q", id, w.status, body)
		}
	})
}
