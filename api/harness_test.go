package api_test

import (
	"bufio"
	"cmp"
	"context"
	"crypto/tls"
	"encoding/json"
	"flag"
	"io"
	"log/slog"
	"maps"
	"net"
	"net/http"
	"os"
	"strings"
	"sync"
	"testing"
	"time"

	"go.uber.org/goleak"
	"mellium.im/xmpp/jid"

	"ppch/api"
	"ppch/api/keys"
	"ppch/api/webhook"
	"ppch/component/history"
	"ppch/component/occupancy"
)

var update = flag.Bool("update", false, "rewrite the golden files")

func TestMain(m *testing.M) {
	flag.Parse()
	goleak.VerifyTestMain(m, goleak.Cleanup(func(code int) {
		_ = os.RemoveAll(stores)
		os.Exit(code)
	}))
}

// testKey is the API key of every service that a test starts.
const testKey = "correct-horse-battery-staple"

// testID is the request id in examples and goldens.
const testID = "7f3c2a"

// now is the time of all data.
var now = time.Date(2026, 11, 22, 9, 30, 0, 125e6, time.UTC)

var (
	mainDomain     = jid.MustParse("muc.meet.jitsi")
	breakoutDomain = jid.MustParse("breakout.meet.jitsi")
	lobbyDomain    = jid.MustParse("lobby.meet.jitsi")
)

// service is a running api.Server with a client.
type service struct {
	*api.Server
	t      testing.TB
	log    *logBuffer
	client *http.Client
	secure *tls.Config  // how the client speaks TLS, nil for HTTP
	stop   func() error // ends Run and returns its error

	webhooks *webhook.Outbox // those of withWebhooks
	store    *history.Store
}

// start runs a service until the test ends. Nil options are skipped. Options set:
//
//	withDirectory, withPast         the Directory; the latter may have data of any age
//	withRooms                       the rooms of a Prosody without the Lua module
//	withConnection, withDiagnostics the connection to Prosody
//	withMeeting, withHistory        a Directory for playMeeting and playHistory
//	withNamedRooms                  rooms with difficult names
//	withKeys, withRateLimit, withoutQuota, withSmallKey, withSecret  keys
//	withOrigins, withMetrics, withoutStreams, withDebugLog           the rest
//	withBoth                        two options in place of one
func start(t testing.TB, options ...func(*api.Config)) *service {
	t.Helper()
	s := prepare(t, options...)
	s.run()
	return s
}

// namesOf returns how names of rooms on domains are read, with the URL of their meetings for the main one.
func namesOf(domains ...jid.JID) *occupancy.NameResolver {
	return occupancy.NewNameResolver(domains...).WithMeetURLs(map[string]string{mainDomain.String(): "https://meet.example.com"})
}

// prepare is start without Run, which the caller must call.
func prepare(t testing.TB, options ...func(*api.Config)) *service {
	t.Helper()
	log := &logBuffer{}
	cfg := api.Config{
		Addr:    "127.0.0.1:0",
		Keys:    keyring(keys.KeyringConfig{Key: testKey}),
		Names:   namesOf(mainDomain, breakoutDomain),
		Version: "2.0.0",
		Commit:  "5d9c1c0ba7e05a1f6d7d0c4c1f4d3f0e8f9a2b37",
		Built:   time.Date(2026, 11, 21, 18, 0, 0, 0, time.FixedZone("CET", 3600)),
		Log:     slog.New(slog.NewJSONHandler(log, nil)),
	}
	withDiagnostics(healthyConnection(), healthyDiagnostics())(&cfg)
	for _, f := range options {
		if f != nil {
			f(&cfg)
		}
	}
	if cfg.Meetings != nil {
		t.Cleanup(cfg.Meetings.Store().Close)
	}
	if p, ok := cfg.Prosody.(*fakeProsody); ok {
		p.directory = cfg.Directory
	}
	store := useWebhooks(t, &cfg)
	server := must(api.New(cfg))(t)
	transport := &http.Transport{DisableCompression: true}
	t.Cleanup(transport.CloseIdleConnections)
	client := &http.Client{
		Transport:     transport,
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
		Timeout:       30 * time.Second,
	}
	return &service{Server: server, t: t, log: log, client: client, webhooks: cfg.Webhooks, store: store}
}

// run serves until stop is called or the test ends.
func (s *service) run() {
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- s.Run(ctx) }()
	s.stop = sync.OnceValue(func() error {
		cancel()
		return <-done
	})
	s.t.Cleanup(func() {
		s.client.CloseIdleConnections() // a stop would wait a second for those of HTTP/2
		if err := s.stop(); err != nil {
			s.t.Errorf("Run: %v", err)
		}
	})
}

// holds waits until that many streams and waiting requests are open.
func (s *service) holds(n int) {
	s.t.Helper()
	reaches(s.t, "open streams and waiting requests", n, func() int { return s.Streams().Open })
}

// reaches waits until a number is want.
func reaches(t testing.TB, what string, want int, number func() int) {
	t.Helper()
	for began := time.Now(); number() != want; time.Sleep(time.Millisecond) {
		if time.Since(began) > 20*time.Second {
			t.Fatalf("got %d %s, want %d", number(), what, want)
		}
	}
}

// keyring returns a Keyring; its configuration must be valid.
func keyring(cfg keys.KeyringConfig) *keys.Keyring {
	keys, err := keys.NewKeyring(cfg)
	if err != nil {
		panic(err)
	}
	return keys
}

// withDebugLog logs everything.
func withDebugLog(cfg *api.Config) {
	cfg.Log = slog.New(debugHandler{cfg.Log.Handler()})
}

// debugHandler is a handler that is enabled for every level.
type debugHandler struct{ slog.Handler }

func (debugHandler) Enabled(context.Context, slog.Level) bool { return true }

// ask is a request. Its zero value is a GET with testKey and testID.
type ask struct {
	method string
	target string
	header http.Header // in addition to the key and the id, or replacing them
	body   string
	// events is how many events of a stream to read before closing it.
	events int
	// then is called after the first snapshot or other event of a stream.
	then func()
	// chunked sends the body without its length.
	chunked bool
}

// answer is a response.
type answer struct {
	status int
	header http.Header
	body   []byte
}

// get sends a GET with testKey.
func (s *service) get(target string) answer {
	s.t.Helper()
	return s.do(ask{target: target})
}

// do sends a request, and checks the response against the OpenAPI document.
func (s *service) do(a ask) answer {
	s.t.Helper()
	req := must(http.NewRequest(cmp.Or(a.method, http.MethodGet), s.url(a.target), strings.NewReader(a.body)))(s.t)
	if a.chunked {
		req.ContentLength = -1
	}
	req.Header.Set("X-API-Key", testKey)
	req.Header.Set("X-Request-ID", testID)
	maps.Copy(req.Header, a.header)
	resp := must(s.client.Do(req))(s.t)
	if resp.Header.Get("Content-Type") == "text/event-stream" {
		resp.Body = struct {
			io.Reader
			io.Closer
		}{firstEvents(resp.Body, a.events, a.then), resp.Body}
	}
	return s.read(req, resp)
}

// raw sends bytes unchanged and returns the response, even to a malformed request.
func (s *service) raw(message string) answer {
	s.t.Helper()
	conn := net.Conn(s.dial())
	if s.secure != nil {
		client := s.secure.Clone()
		client.ServerName = "127.0.0.1"
		conn = tls.Client(conn, client)
	}
	// The service may respond before it has read everything.
	_, _ = io.WriteString(conn, message)
	resp := must(http.ReadResponse(bufio.NewReader(conn), nil))(s.t)
	req, err := http.ReadRequest(bufio.NewReader(strings.NewReader(message)))
	if err != nil {
		req = nil
	}
	return s.read(req, resp)
}

// dial opens a connection that is closed when the test ends.
func (s *service) dial() *net.TCPConn {
	s.t.Helper()
	conn := must(net.Dial("tcp", s.Addr().String()))(s.t)
	s.t.Cleanup(func() { _ = conn.Close() })
	check(s.t, conn.SetDeadline(time.Now().Add(20*time.Second)))
	return conn.(*net.TCPConn)
}

// read reads resp, and checks it against the OpenAPI document.
func (s *service) read(req *http.Request, resp *http.Response) answer {
	s.t.Helper()
	defer resp.Body.Close()
	body := must(io.ReadAll(resp.Body))(s.t)
	a := answer{resp.StatusCode, resp.Header, body}
	checkContract(s.t, req, a)
	return a
}

// url returns the address of a path.
func (s *service) url(target string) string {
	if s.secure != nil {
		return "https://" + s.Addr().String() + target
	}
	return "http://" + s.Addr().String() + target
}

// object returns the body as a JSON object.
func (a answer) object(t testing.TB) map[string]any {
	t.Helper()
	var v map[string]any
	if err := json.Unmarshal(a.body, &v); err != nil {
		t.Fatalf("body %q: %v", a.body, err)
	}
	return v
}

// wantProblem checks that the response is a problem with this status and code.
func (a answer) wantProblem(t testing.TB, status int, code string) map[string]any {
	t.Helper()
	if got := a.header.Get("Content-Type"); a.status != status || got != "application/problem+json" {
		t.Fatalf("got %d %s %s, want %d application/problem+json", a.status, got, a.body, status)
	}
	v := a.object(t)
	if v["code"] != code || v["type"] != api.TypeBase+code {
		t.Errorf("got code %v and type %v, want %s", v["code"], v["type"], code)
	}
	return v
}
