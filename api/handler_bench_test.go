package api_test

import (
	"crypto/sha256"
	"fmt"
	"net/http"
	"net/http/httptest"
	"net/url"
	"os"
	"path/filepath"
	"testing"
)

// countKey is a key for numbers only.
const countKey = "count-horse-battery-staple"

func countKeyFile(b *testing.B) string {
	b.Helper()
	path := filepath.Join(b.TempDir(), "keys")
	check(b, os.WriteFile(path, fmt.Appendf(nil, "name=count sha256=%x scope=count\n", sha256.Sum256([]byte(countKey))), 0o600))
	return path
}

// sink is a ResponseWriter that keeps only the status. It has its own header, like that of each request.
type sink struct {
	header http.Header
	status int
}

func (s *sink) Header() http.Header         { return s.header }
func (s *sink) WriteHeader(status int)      { s.status = status }
func (s *sink) Write(p []byte) (int, error) { return len(p), nil }

// BenchmarkHandler measures the cost of reads within the service, without the network and net/http.
func BenchmarkHandler(b *testing.B) {
	server := townHall(b, town(b).Directory)
	names := url.Values{}
	for i := range 100 {
		names.Add("name", fmt.Sprintf("room%04d", 50*i))
	}
	const one = "/api/rooms/room0000/participants"
	first := httptest.NewRecorder()
	r := httptest.NewRequest(http.MethodGet, one, nil)
	r.Header.Set("X-API-Key", testKey)
	server.Handler().ServeHTTP(first, r)
	for _, bb := range []struct {
		name, key, target, tag string
		status                 int
	}{
		{"room", testKey, one, "", http.StatusOK},
		{"304", testKey, one, first.Header().Get("ETag"), http.StatusNotModified},
		{"count", countKey, one, "", http.StatusOK},
		{"empty", testKey, "/api/rooms/nowhere/participants", "", http.StatusOK},
		{"page", testKey, "/api/rooms?limit=100", "", http.StatusOK},
		{"batch", testKey, "/api/rooms?" + names.Encode(), "", http.StatusOK},
	} {
		b.Run(bb.name, func(b *testing.B) {
			r := httptest.NewRequest(http.MethodGet, bb.target, nil)
			r.Header.Set("X-API-Key", bb.key)
			if bb.tag != "" {
				r.Header.Set("If-None-Match", bb.tag)
			}
			b.ReportAllocs()
			for b.Loop() {
				w := &sink{header: make(http.Header)}
				server.Handler().ServeHTTP(w, r)
				if w.status != bb.status {
					b.Fatalf("got %d want %d", w.status, bb.status)
				}
			}
		})
	}
}
