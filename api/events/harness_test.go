package events_test

import (
	"bytes"
	"context"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"mellium.im/xmpp/jid"

	"ppch/api/apitest"
	"ppch/api/events"
	"ppch/api/keys"
	"ppch/component/occupancy"
)

const testKey = "a key of thirty-two characters.."

// service is a hub, and an HTTP server of its streams for one key: all rooms at "/", one room of the main domain at "/{node}".
type service struct {
	*events.Hub
	t         testing.TB
	grant     keys.Grant
	addr      string
	transport *http.Transport
}

// unlimited is a Memory that is never full.
type unlimited struct{}

func (unlimited) Wait(keys.Sum, int, time.Duration, <-chan struct{}) bool { return true }
func (unlimited) Give(keys.Sum, int)                                      {}

// freely is a Turn that takes no time.
type freely struct{}

func (freely) Waits() {}
func (freely) Over()  {}

// newService returns a service that does not run. The key has the scopes and rooms of fields, by default all.
func newService(t testing.TB, d *occupancy.Directory, fields ...string) *service {
	t.Helper()
	names := occupancy.NewNameResolver(apitest.Main, apitest.Breakout).WithMeetURLs(map[string]string{apitest.Main.String(): "https://meet.example.com"})
	ring := apitest.Keys(t, names, testKey, append(fields, "scope=all")[0])
	return &service{
		Hub: events.NewHub(events.Config{
			Directory: d, Names: names, Keys: ring, MaxStreams: 30_000, Memory: unlimited{}, TakeTurn: func() events.Turn { return freely{} },
		}),
		t:     t,
		grant: keys.Grant{Key: ring.Find(keys.SumOf(testKey))},
	}
}

// start runs a service until the test ends.
func start(t testing.TB, d *occupancy.Directory, fields ...string) *service {
	t.Helper()
	s := newService(t, d, fields...)
	s.serve(nil)
	return s
}

// serve runs a service until the test ends. If tight, the kernel has small send buffers.
func (s *service) serve(connContext func(context.Context, net.Conn) context.Context) {
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- s.Run(ctx) }()
	server := httptest.NewUnstartedServer(s)
	server.Config.ConnContext = connContext
	server.Start()
	s.addr = server.Listener.Addr().String()
	s.transport = &http.Transport{}
	s.t.Cleanup(func() {
		cancel()
		if err := <-done; err != nil {
			s.t.Error(err)
		}
		s.transport.CloseIdleConnections()
		server.Close()
	})
}

// ServeHTTP answers with a stream.
func (s *service) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	req := events.Request{Grant: s.grant, Shard: r.URL.Query().Get("shard"), Snapshots: r.URL.Query().Get("snapshot") == "true", Breakouts: r.URL.Query().Get("breakouts") == "true"}
	if node := strings.TrimPrefix(r.URL.Path, "/"); node != "" {
		req.Room = jid.MustParse(node + "@" + apitest.Main.String())
	}
	if err := s.Enter(s.grant.Key); err != nil {
		http.Error(w, err.Error(), http.StatusServiceUnavailable)
		return
	}
	w.Header().Set("Content-Type", "text/event-stream")
	w.WriteHeader(http.StatusOK)
	_ = s.Open(w, r, req).Run(r)
}

// follow opens a stream, which resumes after an id unless that is empty.
func (s *service) follow(target string, lastID ...string) *apitest.Stream {
	s.t.Helper()
	req, err := http.NewRequest(http.MethodGet, "http://"+s.addr+target, nil)
	if err != nil {
		s.t.Fatal(err)
	}
	if id := strings.Join(lastID, ""); id != "" {
		req.Header.Set("Last-Event-ID", id)
	}
	f, err := apitest.Open(s.t, s.transport, req)
	if err != nil {
		s.t.Fatal(err)
	}
	return f
}

// holds waits until that many streams are open.
func (s *service) holds(n int) {
	s.t.Helper()
	for began := time.Now(); s.Stats().Open != n; time.Sleep(time.Millisecond) {
		if time.Since(began) > 20*time.Second {
			s.t.Fatalf("got %d open streams, want %d", s.Stats().Open, n)
		}
	}
}

// recorder is a client in memory, for tests in virtual time.
type recorder struct {
	header http.Header
	status int
	body   bytes.Buffer

	// wrote is called before each write.
	wrote func([]byte)
}

func (l *recorder) Header() http.Header              { return l.header }
func (l *recorder) WriteHeader(status int)           { l.status = status }
func (l *recorder) Flush()                           {}
func (l *recorder) SetWriteDeadline(time.Time) error { return nil }

func (l *recorder) Write(p []byte) (int, error) {
	if l.wrote != nil {
		l.wrote(p)
	}
	return l.body.Write(p)
}

// record returns what a client in memory gets until ctx ends.
func (s *service) record(ctx context.Context, target, lastID string) string {
	w := &recorder{header: http.Header{}}
	r := httptest.NewRequestWithContext(ctx, http.MethodGet, target, nil)
	if lastID != "" {
		r.Header.Set("Last-Event-ID", lastID)
	}
	s.ServeHTTP(w, r)
	return w.body.String()
}
