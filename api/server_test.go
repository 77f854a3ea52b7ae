package api_test

import (
	"context"
	"errors"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"syscall"
	"testing"
	"time"

	"mellium.im/xmpp/jid"

	"ppch/api"
	"ppch/api/keys"
	"ppch/component/occupancy"
)

func TestNew_RejectsBadConfig(t *testing.T) {
	taken := must(net.Listen("tcp", "127.0.0.1:0"))(t)
	defer taken.Close()
	t.Run("no key", func(t *testing.T) {
		if _, err := api.New(api.Config{Addr: "127.0.0.1:0"}); err == nil || !strings.HasPrefix(err.Error(), "api: Keys is nil") {
			t.Errorf("got %v", err)
		}
	})
	t.Run("no domain", func(t *testing.T) {
		for _, d := range []*occupancy.Directory{nil, occupancy.NewDirectory()} {
			if _, err := api.New(api.Config{Addr: "127.0.0.1:0", Keys: keyring(keys.KeyringConfig{Key: testKey}), Directory: d}); err == nil || !strings.HasPrefix(err.Error(), "api: Directory is nil") {
				t.Errorf("got %v", err)
			}
		}
	})
	t.Run("a port in use", func(t *testing.T) {
		_, err := api.New(api.Config{Addr: taken.Addr().String(), Keys: keyring(keys.KeyringConfig{Key: testKey}), Directory: healthyConnection().directory()})
		if !errors.Is(err, syscall.EADDRINUSE) || !strings.Contains(err.Error(), taken.Addr().String()) {
			t.Errorf("got %v, want EADDRINUSE and the address", err)
		}
	})
}

func TestHandler_WithoutRun(t *testing.T) {
	w := httptest.NewRecorder()
	s := prepare(t)
	defer func() { _ = s.CloseListener() }()
	s.Handler().ServeHTTP(w, httptest.NewRequest(http.MethodGet, "http://ppch/livez", nil))
	if w.Code != 200 || w.Body.String() != "ok\n" {
		t.Errorf("got %d %q", w.Code, w.Body)
	}
}

func TestNew_WithoutLog(t *testing.T) {
	s := start(t, func(cfg *api.Config) { cfg.Log = nil })
	if got := s.get("/livez"); got.status != 200 {
		t.Errorf("got %d", got.status)
	}
}

func TestServer_ClosesSlowHeaders(t *testing.T) {
	s := prepare(t)
	s.HTTP().ReadHeaderTimeout = 50 * time.Millisecond
	s.run()
	conn := s.dial()
	must(io.WriteString(conn, "GET /livez HTTP/1.1\r\nHost: ppch\r\nX-Slow: "))(t)
	if got, err := io.ReadAll(conn); err != nil || len(got) != 0 {
		t.Errorf("got %q, %v, want the end of the connection", got, err)
	}
	if got := s.get("/livez"); got.status != 200 {
		t.Errorf("the next client: got %d, want 200", got.status)
	}
}

func TestRun_ReportsServeErrors(t *testing.T) {
	s := prepare(t)
	check(t, s.CloseListener())
	if err := s.Run(context.Background()); !errors.Is(err, net.ErrClosed) || !strings.HasPrefix(err.Error(), "api: serve: ") {
		t.Errorf("got %v, want an error that the listener is closed", err)
	}
}

func TestStop_FinishesRequests(t *testing.T) {
	asked, answer := make(chan struct{}), make(chan struct{})
	s := start(t, withRooms(func(ctx context.Context, room jid.JID) (occupancy.Room, error) {
		close(asked)
		<-answer
		if err := ctx.Err(); err != nil {
			t.Errorf("a stop ended the request: %v", err)
		}
		return occupied(ctx, room)
	}))
	stopped := make(chan error, 1)
	go func() {
		<-asked
		go func() { stopped <- s.stop() }()
		// New clients are refused immediately, while the request in progress may finish.
		for {
			conn, err := net.Dial("tcp", s.Addr().String())
			if err != nil {
				break
			}
			_ = conn.Close()
			time.Sleep(time.Millisecond)
		}
		close(answer)
	}()
	if got := s.get("/api/rooms/r/participants"); got.status != 200 {
		t.Errorf("got %d, want 200", got.status)
	}
	if err := <-stopped; err != nil {
		t.Errorf("Run: %v", err)
	}
}

func TestStop_ClosesIdleConnections(t *testing.T) {
	s := prepare(t)
	s.Impatient(50 * time.Millisecond)
	s.run()
	conn := s.dial() // as browsers do in advance
	s.get("/livez")
	if err := s.stop(); err != nil {
		t.Errorf("Run: %v", err)
	}
	if _, err := io.ReadAll(conn); err != nil && !errors.Is(err, syscall.ECONNRESET) {
		t.Errorf("got %v, want the end of the connection", err)
	}
}

func TestStop_ClosesEndlessRequests(t *testing.T) {
	asked := make(chan struct{})
	s := prepare(t, withRooms(waits(asked)))
	s.Impatient(50 * time.Millisecond)
	s.run()
	conn := s.dial()
	must(io.WriteString(conn, "GET /api/rooms/r/participants HTTP/1.1\r\nHost: ppch\r\nX-API-Key: "+testKey+"\r\n\r\n"))(t)
	<-asked
	if err := s.stop(); err != nil {
		t.Errorf("Run: %v, want nil after a regular stop", err)
	}
	if !strings.Contains(s.log.String(), "connections cut at stop") {
		t.Errorf("the log lacks the closed connections: %s", s.log)
	}
}
