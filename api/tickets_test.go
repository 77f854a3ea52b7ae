package api_test

import (
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"ppch/api"
	"ppch/api/keys"
)

// ticket requests a ticket.
func (s *service) ticket() string {
	s.t.Helper()
	got := s.do(ask{method: http.MethodPost, target: "/api/events/ticket"})
	if got.status != http.StatusOK {
		s.t.Fatalf("got %d %s", got.status, got.body)
	}
	v := got.object(s.t)
	expires, err := time.Parse(time.RFC3339, v["expires_at"].(string))
	if in := time.Until(expires); err != nil || in < 59*time.Minute || in > time.Hour {
		s.t.Errorf("got %v, want it to expire in an hour", v)
	}
	return v["ticket"].(string)
}

var noKey = http.Header{"X-Api-Key": nil}

func TestTicket_OpensOnlyStreams(t *testing.T) {
	s := start(t)
	ticket, other := s.ticket(), s.ticket()
	if ticket == other || len(ticket) < 26 {
		t.Errorf("got the tickets %s and %s", ticket, other)
	}
	for range 2 { // as EventSource reconnects
		for _, path := range []string{"/api/events", "/api/rooms/daily/events"} {
			if got := s.do(ask{target: path + "?ticket=" + ticket, header: noKey, events: 1}); got.status != http.StatusOK {
				t.Errorf("%s: got %d", path, got.status)
			}
		}
	}
	for _, c := range []struct {
		method, target string
	}{
		{"GET", "/api/rooms/daily/participants?ticket="}, {"GET", "/api/rooms?ticket="}, {"GET", "/api/stats?ticket="}, {"POST", "/api/events/ticket?ticket="},
	} {
		s.do(ask{method: c.method, target: c.target + ticket, header: noKey}).wantProblem(t, http.StatusUnauthorized, "missing-key")
	}
	s.do(ask{target: "/api/rooms/daily/participants", header: http.Header{"X-Api-Key": {ticket}}}).wantProblem(t, http.StatusForbidden, "wrong-key")
}

func TestTicket_Rejected(t *testing.T) {
	s := start(t)
	ticket := s.ticket()
	for _, c := range []struct {
		name, query string
		header      http.Header
		status      int
		code        string
	}{
		{"no key, no ticket", "", noKey, 401, "missing-key"},
		{"an empty ticket", "?ticket=", noKey, 401, "missing-key"},
		{"the key as a ticket", "?ticket=" + testKey, noKey, 403, "wrong-ticket"},
		{"the key in the URL", "?api_key=" + testKey, noKey, 401, "missing-key"},
		{"a guess", "?ticket=AAAAAAAAAAAAAAAAAAAAAAAAAA", noKey, 403, "wrong-ticket"},
		{"a truncated ticket", "?ticket=" + ticket[:25], noKey, 403, "wrong-ticket"},
		{"a ticket in another case", "?ticket=" + strings.ToLower(ticket), noKey, 403, "wrong-ticket"},
		{"a wrong key and a ticket", "?ticket=" + ticket, http.Header{"X-Api-Key": {"guess"}}, 403, "wrong-key"},
		{"two tickets", "?ticket=" + ticket + "&ticket=" + ticket, noKey, 400, "bad-parameter"},
		{"an unknown parameter", "?ticket=" + ticket + "&since=1", noKey, 400, "bad-parameter"},
		{"an invalid snapshot", "?snapshot=maybe", nil, 400, "bad-parameter"},
		{"two snapshots", "?snapshot=true&snapshot=false", nil, 400, "bad-parameter"},
		{"a bad escape", "?snapshot=%zz", nil, 400, "bad-parameter"},
	} {
		t.Run(c.name, func(t *testing.T) {
			s.do(ask{target: "/api/events" + c.query, header: c.header}).wantProblem(t, c.status, c.code)
		})
	}
	for target, code := range map[string]string{
		"/api/rooms/a%5Bb/events": "bad-room-name", "/api/rooms/x@muc.example.com/events": "domain-not-watched", "/api/rooms/%00/events": "bad-room-name",
	} {
		s.get(target).wantProblem(t, http.StatusBadRequest, code)
	}
	if log := s.log.String(); strings.Contains(log, ticket) {
		t.Errorf("the log has the ticket: %s", log)
	}
}

// Many tickets of one client don't invalidate those of others.
func TestTickets_NoNumberOfThemDisplacesAnother(t *testing.T) {
	s := start(t)
	first := s.ticket()
	for range 10000 {
		r := httptest.NewRequest(http.MethodPost, "/api/events/ticket", nil)
		r.Header.Set("X-API-Key", testKey)
		s.Handler().ServeHTTP(httptest.NewRecorder(), r)
	}
	if got := s.do(ask{target: "/api/events?ticket=" + first, header: noKey, events: 1}); got.status != http.StatusOK {
		t.Errorf("got %d %s", got.status, got.body)
	}
}

func TestTickets_OpenStreamsOnEveryNodeAndAfterARestart(t *testing.T) {
	shared := func(cfg *api.Config) { cfg.Secret = "a secret that all nodes share" }
	ticket := start(t, shared).ticket()
	if got := start(t, shared).do(ask{target: "/api/events?ticket=" + ticket, header: noKey, events: 1}); got.status != http.StatusOK {
		t.Errorf("another instance got %d %s", got.status, got.body)
	}
	start(t).do(ask{target: "/api/events?ticket=" + ticket, header: noKey}).wantProblem(t, http.StatusForbidden, "wrong-ticket")
	start(t, shared, func(cfg *api.Config) { cfg.Keys = keyring(keys.KeyringConfig{Key: "another key of another node"}) }).
		do(ask{target: "/api/events?ticket=" + ticket, header: noKey}).wantProblem(t, http.StatusForbidden, "wrong-ticket")
}

func TestHead_OfAStreamEnds(t *testing.T) {
	s := start(t)
	for range 3 {
		got := s.do(ask{method: http.MethodHead, target: "/api/events"})
		if got.status != 200 || got.header.Get("Content-Type") != "text/event-stream" || got.header.Get("X-Accel-Buffering") != "no" {
			t.Errorf("got %d %v", got.status, got.header)
		}
	}
	if stats := s.Streams(); stats.Open != 0 {
		t.Errorf("got %+v", stats)
	}
}
