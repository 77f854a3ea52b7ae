package api_test

import (
	"bytes"
	"context"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"
)

// leaver is a client in memory that leaves once it has got a status or an event of a room.
type leaver struct {
	header http.Header
	status int
	body   bytes.Buffer
	leave  context.CancelFunc
}

func (l *leaver) Header() http.Header              { return l.header }
func (l *leaver) WriteHeader(status int)           { l.status = status }
func (l *leaver) Flush()                           {}
func (l *leaver) SetWriteDeadline(time.Time) error { return nil }

func (l *leaver) Write(p []byte) (int, error) {
	if bytes.Contains(p, []byte("event: status")) || bytes.Contains(p, []byte("event: room")) {
		l.leave()
	}
	return l.body.Write(p)
}

// Whatever a client says that it has had last: it is either one of our ids, after which the stream goes on, or the first thing told is a reset.
func FuzzLastEventID(f *testing.F) {
	d := newSite(f)
	s := start(f, telling(d.Directory))
	first := s.follow("/api/events")
	first.until("status")
	base := first.id()
	d.join("daily", "ann")
	first.until("participant.joined")
	instance, _, _ := strings.Cut(base, "-")
	first.leave()
	for _, id := range []string{base, "", instance, instance + "-", instance + "-2", instance + "--1", instance + "-+1", instance + "-01", instance + "-18446744073709551615", "x-1", "\x00", "\x80", "ü", "a\nb"} {
		f.Add(id)
	}
	f.Fuzz(func(t *testing.T, id string) {
		ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
		defer cancel()
		w := &leaver{header: http.Header{}, leave: cancel}
		r := httptest.NewRequestWithContext(ctx, http.MethodGet, "/api/events", nil)
		r.Header.Set("X-API-Key", testKey)
		r.Header["Last-Event-Id"] = []string{id}
		if id == instance+"-3" || id == instance+"-2" {
			return // nothing comes after these for now
		}
		s.Handler().ServeHTTP(w, r)
		body := w.body.String()
		resumed := id == base && strings.Contains(body, "event: room.started") && !strings.Contains(body, "reset")
		fresh := id == "" && strings.Contains(body, "event: status") && !strings.Contains(body, "reset")
		reset := strings.Index(body, "event: reset")
		if w.status != http.StatusOK || !resumed && !fresh && (reset < 0 || reset > strings.Index(body, "event: status")) {
			t.Errorf("%q: got %d %q", id, w.status, body)
		}
	})
}
