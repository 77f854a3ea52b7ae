package api_test

import (
	"bufio"
	"bytes"
	"crypto/tls"
	"fmt"
	"io"
	"net"
	"net/http"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"ppch/api"
)

// refusal sends a message that reaches no handler, and returns the status and text of net/http's response.
func (s *service) refusal(message string) (status int, text string) {
	s.t.Helper()
	conn := net.Conn(s.dial())
	if s.secure != nil {
		client := s.secure.Clone()
		client.ServerName, client.NextProtos = "127.0.0.1", nil
		conn = tls.Client(conn, client)
	}
	_, _ = io.WriteString(conn, message) // the service may refuse before it has read everything
	resp := must(http.ReadResponse(bufio.NewReader(conn), nil))(s.t)
	defer resp.Body.Close()
	body := must(io.ReadAll(resp.Body))(s.t)
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

// asLongAsThePath answers with the number of bytes in the path.
func asLongAsThePath(t *testing.T) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		length, err := strconv.Atoi(r.URL.Path[1:])
		if err != nil {
			panic(err)
		}
		if err := api.WriteBytes(w, bytes.Repeat([]byte("x"), length)); err != nil {
			t.Error(err)
		}
	})
}

// net/http buffers 4 KiB: header and body together are about that long here, or twice as long.
func TestGatherer_AnyLengthArrivesWhole(t *testing.T) {
	s := prepare(t)
	writes := s.CountWrites()
	s.HTTP().Handler = s.Wrap(asLongAsThePath(t))
	s.run()
	conn := s.dial()
	answers := bufio.NewReader(conn)
	for length := 0; length < 9000; length++ {
		if length == 4200 {
			length = 7200 // skip the lengths between
		}
		for _, method := range []string{http.MethodHead, http.MethodGet} {
			if err := conn.SetDeadline(time.Now().Add(10 * time.Second)); err != nil { // for this request only
				t.Fatal(err)
			}
			before := writes.Load()
			must(fmt.Fprintf(conn, "%s /%d HTTP/1.1\r\nHost: ppch\r\n\r\n", method, length))(t)
			resp, err := http.ReadResponse(answers, &http.Request{Method: method})
			if err != nil {
				t.Fatalf("%s of %d bytes: %v", method, length, err)
			}
			body, err := io.ReadAll(resp.Body)
			if err != nil || resp.ContentLength != int64(length) || method == http.MethodGet && len(body) != length {
				t.Fatalf("%s of %d bytes: got %d of %d, %v", method, length, len(body), resp.ContentLength, err)
			}
			if got := writes.Load() - before; got != 1 {
				t.Fatalf("%s of %d bytes: got %d writes want 1", method, length, got)
			}
		}
	}
}

// With HTTP/2, all responses share one connection, so no write may wait for the next one.
func TestGatherer_ConcurrentHTTP2(t *testing.T) {
	p := newPair(t, "ppch", -time.Hour, time.Hour)
	s := prepare(t, p.inFiles(t).encrypted)
	s.encrypt(trusting(t, p))
	s.client.Transport.(*http.Transport).ForceAttemptHTTP2 = true
	s.client.Timeout = 5 * time.Second
	s.HTTP().Handler = s.Wrap(asLongAsThePath(t))
	s.run()
	var askers sync.WaitGroup
	for range 8 {
		askers.Go(func() {
			for length := 3000; length < 10_000; length += 101 {
				resp, err := s.client.Get(s.url(fmt.Sprintf("/%d", length)))
				if err != nil {
					t.Errorf("%d bytes: %v", length, err)
					return
				}
				body, err := io.ReadAll(resp.Body)
				resp.Body.Close()
				if err != nil || len(body) != length || resp.ProtoMajor != 2 {
					t.Errorf("%d bytes: got %d by %s, %v", length, len(body), resp.Proto, err)
					return
				}
			}
		})
	}
	askers.Wait()
}
