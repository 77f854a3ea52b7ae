package api_test

import (
	"context"
	"crypto/tls"
	"fmt"
	"net"
	"net/http"
	"strings"
	"testing"
	"time"

	"ppch/api"
)

// askedBy sends a request with a Host, and further header lines.
func (s *service) askedBy(host, method, target string, header ...string) answer {
	s.t.Helper()
	return s.raw(fmt.Sprintf("%s %s HTTP/1.1\r\nHost: %s\r\nConnection: close\r\n%s\r\n", method, target, host, strings.Join(append(header, ""), "\r\n")))
}

// DNS rebinding: a web page whose name resolves to the service's address can read nothing.
func TestHost_UnknownNameReadsNothingWithoutAKey(t *testing.T) {
	s := start(t, func(cfg *api.Config) { cfg.MetricsPublic = true })
	ticket := s.ticket()
	for _, target := range []string{
		"/", "/health", "/livez", "/readyz", "/metrics", "/openapi.json", "/docs", "/docs/", "/docs/docs.js", "/dashboard", "/dashboard/", "/dashboard/app.js",
		"/nowhere", "/api/rooms", "/api/rooms/daily/participants", "/api/events", "/api/events?ticket=", "/api/events/ticket",
	} {
		got := s.askedBy("evil.example.com", "GET", target)
		problem := got.wantProblem(t, http.StatusMisdirectedRequest, "host-not-allowed")
		if detail, _ := problem["detail"].(string); !strings.Contains(detail, `"evil.example.com"`) || !strings.Contains(detail, "PPCH_HOSTS") {
			t.Errorf("%s: got %q, want the name and how to allow it", target, detail)
		}
	}
	for name, got := range map[string]answer{
		"an unknown key": s.askedBy("evil.example.com", "GET", "/health", "X-API-Key: guess"),
		"a bad ticket":   s.askedBy("evil.example.com", "GET", "/api/events?ticket=guess"),
	} {
		if got.status != http.StatusForbidden {
			t.Errorf("%s: got %d %s, want 403", name, got.status, got.body)
		}
	}
	for name, got := range map[string]answer{
		"a key":               s.askedBy("ppch.example.com", "GET", "/health", "X-API-Key: "+testKey),
		"a bearer token":      s.askedBy("ppch.example.com", "GET", "/api/rooms/daily/participants", "Authorization: Bearer "+testKey),
		"a ticket":            s.askedBy("ppch.example.com", "HEAD", "/api/events?ticket="+ticket),
		"a key for a ticket":  s.askedBy("ppch.example.com", "POST", "/api/events/ticket", "X-API-Key: "+testKey),
		"no Host in HTTP/1.0": s.raw("GET /health HTTP/1.0\r\n\r\n"),
	} {
		if got.status != http.StatusOK {
			t.Errorf("%s: got %d %s, want 200", name, got.status, got.body)
		}
	}
}

// Guesses of keys through /health are limited as elsewhere.
func TestHost_WrongKeysCount(t *testing.T) {
	s := start(t)
	last := 0
	for range 11 {
		last = s.askedBy("evil.example.com", "GET", "/health", "X-API-Key: guess").status
	}
	if last != http.StatusTooManyRequests {
		t.Errorf("the 11th guess got %d, want 429", last)
	}
}

func TestHost_NamesThatAreAllowed(t *testing.T) {
	s := start(t, func(cfg *api.Config) { cfg.Hosts = api.NewHosts("ppch.example.com") })
	for host, want := range map[string]int{
		"ppch.example.com": 200, "ppch.example.com:8890": 200, "PPCH.Example.com": 200, "ppch.example.com.": 200, "ppch.example.com.:8890": 200,
		"127.0.0.1": 200, "127.0.0.1:8890": 200, "192.0.2.7": 200, "[::1]": 200, "[::1]:8890": 200, "[fe80::1%25eth0]": 200,
		"localhost": 200, "localhost:8890": 200, "LOCALHOST": 200, "ppch": 200, "ppch:8890": 200, "docker-ppch_1": 200,
		"example.com": 421, "x.ppch.example.com": 421, "ppch.example.com.evil.example": 421, "127.0.0.1.evil.example": 421, "localhost.evil.example": 421,
		"127.0.0.1.": 200, "evil.localhost": 421, "1.2.3.4.5": 421, "ppch.example.com:8890:1": 421,
	} {
		if got := s.askedBy(host, "GET", "/livez"); got.status != want {
			t.Errorf("%s: got %d, want %d", host, got.status, want)
		}
	}
}

func TestHost_NamesOfTheCertificateAreAllowed(t *testing.T) {
	p := newPair(t, "ppch", -time.Hour, time.Hour, "ppch.example.com", "*.rooms.example.com")
	client := trusting(t, p)
	client.NextProtos = []string{"http/1.1"}
	s := startTLS(t, client, p.inFiles(t).encrypted)
	s.client.Transport.(*http.Transport).DialTLSContext = func(ctx context.Context, network, _ string) (net.Conn, error) {
		return (&tls.Dialer{Config: &tls.Config{InsecureSkipVerify: true}}).DialContext(ctx, network, s.Addr().String())
	}
	for host, want := range map[string]int{
		"ppch.example.com": 200, "a.rooms.example.com:443": 200, "127.0.0.1": 200, "localhost": 200,
		"rooms.example.com": 421, "a.b.rooms.example.com": 421, "example.com": 421,
	} {
		resp := must(s.client.Get("https://" + host + "/livez"))(t)
		resp.Body.Close()
		if resp.StatusCode != want {
			t.Errorf("%s: got %d, want %d", host, resp.StatusCode, want)
		}
	}
}
