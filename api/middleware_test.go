package api_test

import (
	"errors"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
)

func TestBody_Limit(t *testing.T) {
	cases := []struct {
		name       string
		asked      ask
		wantStatus int
	}{
		{"a small body is ignored", ask{target: "/health", body: "{}"}, 200},
		{"a body at the limit is ignored", ask{target: "/health", body: strings.Repeat("x", 256<<10)}, 200},
		{"a body above the limit is refused", ask{target: "/health", body: strings.Repeat("x", 256<<10+1)}, 413},
		{"a body of 10 MB is refused", ask{target: "/health", body: strings.Repeat("x", 10<<20)}, 413},
		{"a small body of unknown length is ignored", ask{target: "/health", body: "{}", chunked: true}, 200},
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			s := start(t)
			if got := s.do(c.asked); got.status != c.wantStatus {
				t.Errorf("got %d, want %d", got.status, c.wantStatus)
			}
			if got := s.get("/health"); got.status != 200 {
				t.Errorf("the next request: got %d, want 200", got.status)
			}
		})
	}
}

func TestBody_EndlessIsNotRead(t *testing.T) {
	s := start(t)
	conn := s.dial()
	must(io.WriteString(conn, "GET /livez HTTP/1.1\r\nHost: ppch\r\nTransfer-Encoding: chunked\r\n\r\n"))(t)
	chunk := "10000\r\n" + strings.Repeat("x", 0x10000) + "\r\n"
	for sent := 0; ; sent += len(chunk) {
		if sent > 64<<20 {
			t.Fatal("the service kept reading")
		}
		if _, err := io.WriteString(conn, chunk); err != nil {
			return
		}
	}
}

func TestURI_Limit(t *testing.T) {
	cases := []struct {
		name       string
		path       string
		wantStatus int
		wantCode   string
	}{
		{"the longest XMPP name", strings.Repeat("a", 1023), 200, ""},
		{"a longer name is impossible", strings.Repeat("a", 1024), 400, "bad-room-name"},
		{"a path of 9 kB is too long", strings.Repeat("a", 9000), 414, "uri-too-long"},
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			got := start(t).raw("GET /api/rooms/" + c.path + "/participants HTTP/1.1\r\nHost: ppch\r\nX-API-Key: " + testKey + "\r\n\r\n")
			if c.wantCode == "" && got.status == c.wantStatus {
				return
			}
			got.wantProblem(t, c.wantStatus, c.wantCode)
		})
	}
}

func TestRoutes_OptionsAsterisk(t *testing.T) {
	got := start(t).raw("OPTIONS * HTTP/1.1\r\nHost: ppch\r\n\r\n")
	got.wantProblem(t, http.StatusNotFound, "not-found")
}

func TestHeaders_Security(t *testing.T) {
	s := start(t)
	want := map[string]string{
		"X-Content-Type-Options":       "nosniff",
		"X-Frame-Options":              "DENY",
		"Referrer-Policy":              "no-referrer",
		"Cross-Origin-Resource-Policy": "same-origin",
		"Content-Security-Policy":      "default-src 'none'; frame-ancestors 'none'",
		"Cache-Control":                "no-store",
		"Access-Control-Allow-Origin":  "",
		"Server":                       "",
	}
	for _, got := range []answer{
		s.get("/health"), s.get("/api/rooms/r/participants"), s.get("/nowhere"),
		s.do(ask{method: http.MethodPost, target: "/"}),
	} {
		for name, value := range want {
			if name == "Cache-Control" && got.header.Get("ETag") != "" {
				value = "private, no-cache"
			}
			if got.header.Get(name) != value {
				t.Errorf("status %d: got %s: %q, want %q", got.status, name, got.header.Get(name), value)
			}
		}
	}
}

func TestPanic_IsAnInternalProblem(t *testing.T) {
	s := start(t, withRooms(panics))
	got := s.get("/api/rooms/r/participants")
	got.wantProblem(t, http.StatusInternalServerError, "internal")
	if strings.Contains(string(got.body), "secret") {
		t.Errorf("the panic was sent: %s", got.body)
	}
	record := s.log.records(t, 1)[0]
	if record["level"] != "ERROR" || record["err"] != "api: panic: the secret of the room" || record["request_id"] != testID {
		t.Errorf("got record %v", record)
	}
	if stack, _ := record["stack"].(string); !strings.Contains(stack, "fixtures_test.go") {
		t.Errorf("the stack lacks the handler: %s", stack)
	}
	if got := s.get("/livez"); got.status != 200 {
		t.Errorf("afterwards: got %d, want 200", got.status)
	}
}

func TestPanic_AbortsStartedResponse(t *testing.T) {
	s := start(t)
	cases := []struct {
		name    string
		value   any
		wantLog string
	}{
		{"a panic after the first bytes", "late", "ERROR"},
		{"a handler that aborts", http.ErrAbortHandler, "INFO"},
	}
	for i, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			server := httptest.NewServer(s.Wrap(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
				_, _ = io.WriteString(w, "half")
				if err := http.NewResponseController(w).Flush(); err != nil {
					t.Errorf("flush through the response: %v", err)
				}
				panic(c.value)
			})))
			defer server.Close()
			resp := must(server.Client().Get(server.URL))(t)
			defer resp.Body.Close()
			if body, err := io.ReadAll(resp.Body); !errors.Is(err, io.ErrUnexpectedEOF) || string(body) != "half" {
				t.Errorf("got %q, %v, want half a response and an unexpected end", body, err)
			}
			if record := s.log.records(t, i+1)[i]; record["level"] != c.wantLog || record["bytes"] != 4.0 {
				t.Errorf("got record %v, want %s", record, c.wantLog)
			}
		})
	}
}
