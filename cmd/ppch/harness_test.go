package main

import (
	"context"
	"encoding/json"
	"io"
	"net/http"
	"os"
	"sync"
	"testing"
	"time"

	"github.com/sethvargo/go-envconfig"
	"go.uber.org/goleak"

	"ppch/component/componenttest"
	"ppch/prosody/prosodytest"
)

func TestMain(m *testing.M) {
	if addr := os.Getenv(pollVariable); addr != "" {
		pollAndExit(addr)
	}
	if beat := os.Getenv(beatVariable); beat != "" {
		serveAndExit(beat)
	}
	goleak.VerifyTestMain(m, goleak.Cleanup(func(code int) {
		removePrograms()
		os.Exit(code)
	}))
}

// testKey is the API key of every service that a test starts.
const testKey = "Correct-Horse-Battery-Staple"

// variables is an environment.
type variables map[string]string

// envFor returns the environment of a service for srv.
func envFor(srv *prosodytest.Server) variables {
	return variables{
		"PPCH_API_KEY":          testKey,
		"PPCH_RATE_LIMIT":       "0", // tests send requests as fast as they can
		"PPCH_PORT":             "0",
		"PROSODY_URL":           "xmpp://" + srv.ComponentAddr(),
		"PPCH_COMPONENT_DOMAIN": srv.Domains.Component,
		"PPCH_COMPONENT_SECRET": srv.Secret(),
		"MUC_DOMAIN":            srv.Domains.MUC + "," + srv.Domains.Breakout,
	}
}

// service is a running service, seen from outside.
type service struct {
	t      *testing.T
	url    string
	log    *logBuffer
	client *http.Client

	// stop stops it as SIGTERM does and returns the result of run. It may be called again.
	stop func() error
}

// runService runs the service until the test ends. It returns once the service listens.
func runService(t *testing.T, env variables) *service {
	t.Helper()
	log := &logBuffer{}
	return runServiceTo(t, env, log, log)
}

// runServiceTo is runService with a log that ends in a buffer.
func runServiceTo(t *testing.T, env variables, log io.Writer, buffer *logBuffer) *service {
	t.Helper()
	ctx, cancel := context.WithCancel(context.Background())
	s := &service{t: t, log: buffer, client: &http.Client{Transport: &http.Transport{MaxIdleConnsPerHost: 200}, Timeout: 30 * time.Second}}
	done := make(chan error, 1)
	go func() { done <- run(ctx, envconfig.MapLookuper(env), log) }()
	s.stop = sync.OnceValue(func() error {
		cancel()
		return <-done
	})
	t.Cleanup(func() {
		s.client.CloseIdleConnections()
		if err := s.stop(); err != nil {
			t.Errorf("run got %v want nil", err)
		}
		if t.Failed() {
			t.Logf("the log:\n%s", s.log.String())
		}
	})
	s.started()
	return s
}

// started waits for the address in the log.
func (s *service) started() {
	s.t.Helper()
	eventually(s.t, 10*time.Second, "the service has started", func() bool {
		for _, r := range s.log.Records(s.t) {
			if r["msg"] == "ppch started" {
				s.url = "http://" + r["listen"].(string)
				if r["tls"] == true {
					s.url = "https://" + r["listen"].(string)
				}
			}
		}
		return s.url != ""
	})
}

// ready waits until the service is ready.
func (s *service) ready() *service {
	s.t.Helper()
	eventually(s.t, 20*time.Second, "the service is ready", func() bool { return s.get("/readyz").status == http.StatusOK })
	return s
}

// answer is an HTTP response; data is nil unless the body is a JSON object.
type answer struct {
	status int
	header http.Header
	body   string
	data   map[string]any
}

// get requests a path without a key. Headers alternate names and values.
func (s *service) get(path string, headers ...string) answer {
	s.t.Helper()
	a := must(s.try(context.Background(), path, headers...))(s.t)
	return a
}

// room requests a room by its escaped name.
func (s *service) room(name string) answer {
	s.t.Helper()
	return s.get("/api/rooms/"+name+"/participants", "X-API-Key", testKey)
}

// try is get for goroutines, which must not end a test.
func (s *service) try(ctx context.Context, path string, headers ...string) (answer, error) {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, s.url+path, nil)
	if err != nil {
		return answer{}, err
	}
	for i := 0; i < len(headers); i += 2 {
		req.Header.Set(headers[i], headers[i+1])
	}
	resp, err := s.client.Do(req)
	if err != nil {
		return answer{}, err
	}
	defer resp.Body.Close()
	b, err := io.ReadAll(resp.Body)
	if err != nil {
		return answer{}, err
	}
	a := answer{status: resp.StatusCode, header: resp.Header, body: string(b)}
	_ = json.Unmarshal(b, &a.data)
	return a, nil
}

type logBuffer = componenttest.LogBuffer

var eventually = componenttest.Eventually

var check = componenttest.Check

var same = componenttest.Same

func must[T any](v T, err error) func(testing.TB) T { return componenttest.Must(v, err) }

// castOn logs in simulated people on srv until the test ends.
var castOn = prosodytest.NewCast

// meeting opens a room, given by its JID, and joins people.
func meeting(t *testing.T, cast *prosodytest.Cast, room string, people ...string) (occupants []*prosodytest.Occupant) {
	t.Helper()
	must(cast.Open(t.Context(), room))(t)
	for _, name := range people {
		occupants = append(occupants, must(cast.User(t.Context(), room, name))(t))
	}
	return occupants
}
