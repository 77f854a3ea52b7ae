package api_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"testing"
	"time"

	"mellium.im/xmpp/jid"

	"ppch/component/occupancy"
)

func TestProblem_ForEachError(t *testing.T) {
	t.Parallel()
	unknown := func(reason occupancy.Reason, after time.Duration) error {
		return fmt.Errorf("component: ask: %w", &occupancy.UnavailableError{Reason: reason, Remedy: "fix it", RetryAfter: after, Err: errors.New("secret cause")})
	}
	cases := []struct {
		name       string
		err        error
		wantStatus int
		wantCode   string
		wantDetail string
		wantReason any
		wantRetry  any
	}{
		{"Prosody is down", unknown(occupancy.ReasonLost, 1500*time.Millisecond), 503, "prosody-unavailable", "fix it", "lost", 2.0},
		{"less than a second is rounded up", unknown(occupancy.ReasonConnecting, time.Millisecond), 503, "prosody-unavailable", "fix it", "connecting", 1.0},
		{"whole seconds stay", unknown(occupancy.ReasonTimeout, 3*time.Second), 503, "prosody-unavailable", "fix it", "timeout", 3.0},
		{"a long Retry-After for what only an operator can fix", unknown(occupancy.ReasonNotAuthorized, 0), 503, "prosody-unavailable", "fix it", "not-authorized", 60.0},
		{"the rooms are loading", unknown(occupancy.ReasonSyncing, time.Second), 503, "prosody-unavailable", "fix it", "syncing", 1.0},
		{"the module is missing", unknown(occupancy.ReasonModuleMissing, 0), 503, "count-unknown", "fix it", "module-missing", 60.0},
		{"the domain is no MUC service", unknown(occupancy.ReasonNoMUC, 0), 503, "count-unknown", "fix it", "no-muc", 60.0},
		{
			"a wrapped deadline doesn't replace the reason",
			&occupancy.UnavailableError{Reason: occupancy.ReasonTimeout, Err: context.DeadlineExceeded, RetryAfter: time.Second},
			503, "prosody-unavailable", "Prosody can't be reached.", "timeout", 1.0,
		},
		{"a name that only the directory rejects", fmt.Errorf("ask: %w", &occupancy.NameError{Reason: "too odd"}), 400, "bad-room-name", "too odd", nil, nil},
		{
			"a domain that isn't watched", occupancy.ErrNotWatched, 400, "domain-not-watched",
			"The room's domain is not watched: /health lists the watched domains.", nil, nil,
		},
		{
			"anything else is internal", errors.New("secret cause"), 500, "internal",
			"Internal error: the service's log has the cause under request_id.", nil, nil,
		},
		{
			"a cancellation that isn't the client's is internal", context.Canceled, 500, "internal",
			"Internal error: the service's log has the cause under request_id.", nil, nil,
		},
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			s := start(t, withRooms(fails(c.err)))
			got := s.get("/api/rooms/r/participants")
			problem := got.wantProblem(t, c.wantStatus, c.wantCode)
			if problem["detail"] != c.wantDetail || problem["reason"] != c.wantReason || problem["retry_after"] != c.wantRetry {
				t.Errorf("got %v, %v, %v, want %v, %v, %v", problem["detail"], problem["reason"], problem["retry_after"], c.wantDetail, c.wantReason, c.wantRetry)
			}
			wantHeader := ""
			if c.wantRetry != nil {
				wantHeader = fmt.Sprint(c.wantRetry)
			}
			if header := got.header.Get("Retry-After"); header != wantHeader {
				t.Errorf("got Retry-After %q, want %q", header, wantHeader)
			}
			if bytes.Contains(got.body, []byte("secret")) {
				t.Errorf("the cause was sent: %s", got.body)
			}
			if problem["request_id"] != testID || got.header.Get("X-Request-ID") != testID {
				t.Errorf("got request ids %v and %v, want %s", problem["request_id"], got.header.Get("X-Request-ID"), testID)
			}
			record := s.log.records(t, 1)[0]
			if record["err"] == nil {
				t.Error("the log lacks the error")
			}
			if wantLevel := map[bool]string{true: "ERROR", false: "INFO"}[c.wantStatus == 500]; record["level"] != wantLevel {
				t.Errorf("got level %v, want %s", record["level"], wantLevel)
			}
		})
	}
}

func TestProblem_MethodNotAllowed(t *testing.T) {
	for _, method := range []string{"POST", "PUT", "DELETE", "PATCH", "OPTIONS", "TRACE", "BREW"} {
		for _, target := range []string{"/", "/health", "/api/rooms/a%2Fb/participants", "/docs/docs.js"} {
			t.Run(method+" "+target, func(t *testing.T) {
				got := start(t).do(ask{method: method, target: target})
				got.wantProblem(t, http.StatusMethodNotAllowed, "method-not-allowed")
				if allow := got.header.Get("Allow"); allow != "GET, HEAD" {
					t.Errorf("got Allow %q, want GET, HEAD", allow)
				}
			})
		}
	}
}

// waits is a fakeRooms that reports each request and answers only after its client has left.
func waits(asked chan<- struct{}) fakeRooms {
	return func(ctx context.Context, _ jid.JID) (occupancy.Room, error) {
		close(asked)
		<-ctx.Done()
		return occupancy.Room{}, ctx.Err()
	}
}

func TestLog_ClientGone(t *testing.T) {
	asked := make(chan struct{})
	s := start(t, withRooms(waits(asked)))
	ctx, cancel := context.WithCancel(context.Background())
	req := must(http.NewRequestWithContext(ctx, http.MethodGet, s.url("/api/rooms/r/participants"), nil))(t)
	req.Header.Set("X-API-Key", testKey)
	go func() {
		<-asked
		cancel()
	}()
	if resp, err := s.client.Do(req); err == nil {
		resp.Body.Close()
		t.Fatal("got a response, want none")
	}
	if record := s.log.records(t, 1)[0]; record["status"] != 499.0 || record["level"] != "INFO" {
		t.Errorf("got %v, want status 499 at INFO", record)
	}
}

func TestProblem_HalfClosedClientGetsNoEmptyResponse(t *testing.T) {
	s := start(t, withRooms(waits(make(chan struct{}))))
	conn := s.dial()
	must(io.WriteString(conn, "GET /api/rooms/r/participants HTTP/1.1\r\nHost: ppch\r\nX-API-Key: "+testKey+"\r\n\r\n"))(t)
	check(t, conn.CloseWrite())
	if got, err := io.ReadAll(conn); err != nil || len(got) > 0 {
		t.Errorf("got %q, %v, want only the end", got, err)
	}
}
