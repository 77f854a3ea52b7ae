package api_test

import (
	"bufio"
	"crypto/tls"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"testing"
	"time"
)

// refusal sends a message that no handler sees, and returns the status and text of net/http's answer.
func (s *service) refusal(message string) (status int, text string) {
	s.t.Helper()
	conn := net.Conn(s.dial())
	if s.secure != nil {
		client := s.secure.Clone()
		client.ServerName, client.NextProtos = "127.0.0.1", nil
		conn = tls.Client(conn, client)
	}
	_, _ = io.WriteString(conn, message) // the service may refuse before it has read everything
	resp, err := http.ReadResponse(bufio.NewReader(conn), nil)
	if err != nil {
		s.t.Fatal(err)
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(resp.Body)
	if err != nil {
		s.t.Fatal(err)
	}
	return resp.StatusCode, string(body)
}

func TestServer_RefusesMalformedRequests(t *testing.T) {
	const rest = " HTTP/1.1\r\nHost: ppch\r\n"
	p := newPair(t, "ppch", -time.Hour, time.Hour)
	plain := start(t)
	encrypted := startTLS(t, trusting(t, p), p.inFiles(t).encrypted)
	for _, c := range []struct {
		name, message string
		want          int
	}{
		{"a percent sign at the end", "GET /api/rooms/100%/participants" + rest + "\r\n", 400},
		{"no HTTP", "hello?\r\n\r\n", 400},
		{"no host", "GET / HTTP/1.1\r\n\r\n", 400},
		{"two different lengths", "GET /" + rest + "Content-Length: 1\r\nContent-Length: 2\r\n\r\n", 400},
		{"an unknown transfer coding", "GET /" + rest + "Transfer-Encoding: rot13\r\n\r\n", 501},
		{"a future version", "GET / HTTP/3.0\r\nHost: ppch\r\n\r\n", 505},
		{"a header of 100 kB", "GET /" + rest + "X-Junk: " + strings.Repeat("x", 100_000), 431},
		{"a path of 100 kB", "GET /" + strings.Repeat("a", 100_000) + rest + "\r\n", 431},
	} {
		for name, s := range map[string]*service{"HTTP": plain, "HTTPS": encrypted} {
			t.Run(fmt.Sprintf("%s, %s", c.name, name), func(t *testing.T) {
				if got, text := s.refusal(c.message); got != c.want || strings.Contains(text, "participant_count") {
					t.Errorf("got %d %q, want %d", got, text, c.want)
				}
				if got := s.get("/livez"); got.status != http.StatusOK {
					t.Errorf("the next client got %d", got.status)
				}
			})
		}
	}
}

func TestServer_AnswersHTTPOnTLSPort(t *testing.T) {
	p := newPair(t, "ppch", -time.Hour, time.Hour)
	s := startTLS(t, trusting(t, p), p.inFiles(t).encrypted)
	s.secure = nil
	if got, text := s.refusal("GET /health HTTP/1.1\r\nHost: ppch\r\n\r\n"); got != http.StatusBadRequest || !strings.Contains(text, "HTTPS") {
		t.Errorf("got %d %q", got, text)
	}
}
