package api_test

import (
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"testing"

	"ppch/api"
	"ppch/component/occupancy"
)

// discarded is a ResponseWriter that keeps nothing.
type discarded struct{ header http.Header }

func (d *discarded) Header() http.Header         { return d.header }
func (d *discarded) Write(p []byte) (int, error) { return len(p), nil }
func (d *discarded) WriteHeader(int)             {}

// BenchmarkHandler is what a request costs besides what net/http does for it.
func BenchmarkHandler(b *testing.B) {
	d := several()
	server, err := api.New(api.Config{
		Addr: "127.0.0.1:0", Key: testKey, Names: occupancy.NewNames(mainDomain, breakoutDomain, lobbyDomain),
		Rooms: toldRooms{d}, Link: fakeLink(healthyLink()), Directory: d,
		Log: slog.New(slog.NewJSONHandler(io.Discard, nil)),
	})
	if err != nil {
		b.Fatal(err)
	}
	for name, target := range map[string]string{
		"participants": "/api/rooms/standup/participants",
		"list":         "/api/rooms",
		"live":         "/livez",
	} {
		b.Run(name, func(b *testing.B) {
			r := httptest.NewRequest(http.MethodGet, target, nil)
			r.Header.Set("X-API-Key", testKey)
			w := &discarded{http.Header{}}
			b.ReportAllocs()
			for b.Loop() {
				clear(w.header)
				server.Handler().ServeHTTP(w, r)
			}
		})
	}
}
