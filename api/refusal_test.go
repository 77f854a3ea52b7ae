package api_test

import (
	"fmt"
	"strings"
	"testing"
	"time"
)

func TestRefusalsOfTheServerBeneath(t *testing.T) {
	const rest = " HTTP/1.1\r\nHost: ppch\r\n"
	cases := []struct {
		name       string
		message    string
		wantStatus int
		wantCode   string
	}{
		{"a percent sign with nothing behind it", "GET /api/rooms/100%/participants" + rest + "\r\n", 400, "malformed-request"},
		{"a percent sign with junk behind it", "GET /api/rooms/%zz/participants" + rest + "\r\n", 400, "malformed-request"},
		{"no HTTP at all", "hello, is anybody there?\r\n\r\n", 400, "malformed-request"},
		{"no host", "GET / HTTP/1.1\r\n\r\n", 400, "malformed-request"},
		{"a header name with a space", "GET /" + rest + "Bad Name: x\r\n\r\n", 400, "malformed-request"},
		{"a header with a bare control character", "GET /" + rest + "X-Junk: a\x01b\r\n\r\n", 400, "malformed-request"},
		{"two lengths that disagree", "GET /" + rest + "Content-Length: 1\r\nContent-Length: 2\r\n\r\n", 400, "malformed-request"},
		{"a transfer coding that nobody knows", "GET /" + rest + "Transfer-Encoding: rot13\r\n\r\n", 501, "malformed-request"},
		{"a version from the future", "GET / HTTP/3.0\r\nHost: ppch\r\n\r\n", 505, "malformed-request"},
		{"a header without end", "GET /" + rest + "X-Junk: " + strings.Repeat("x", 100_000), 431, "header-too-large"},
		{"a thousand headers", "GET /" + rest + strings.Repeat("X-Junk: "+strings.Repeat("x", 60)+"\r\n", 1000) + "\r\n", 431, "header-too-large"},
	}
	certified := newPair(t, "ppch", -time.Hour, time.Hour)
	files := certified.inFiles(t)
	for i := range 2 * len(cases) {
		c, https := cases[i/2], i%2 == 1
		t.Run(fmt.Sprintf("%s, HTTPS %t", c.name, https), func(t *testing.T) {
			s := start(t)
			if https {
				s = startTLS(t, trusting(t, certified), files.encrypted)
			}
			got := s.raw(c.message)
			problem := got.wantProblem(t, c.wantStatus, c.wantCode)
			if problem["status"] != float64(c.wantStatus) {
				t.Errorf("got status %v in the document, want %d", problem["status"], c.wantStatus)
			}
			record := s.log.records(t, 1)[0]
			if record["request_id"] != problem["request_id"] || record["msg"] != "request refused" {
				t.Errorf("got record %v, want request_id %v", record, problem["request_id"])
			}
			if got := s.get("/livez"); got.status != 200 {
				t.Errorf("the next client: got %d, want 200", got.status)
			}
		})
	}
}

func TestPlainTextOfOursIsNoRefusal(t *testing.T) {
	s := start(t)
	got := s.raw("GET /livez HTTP/1.1\r\nHost: ppch\r\nConnection: close\r\n\r\n")
	if got.status != 200 || string(got.body) != "ok\n" {
		t.Errorf("got %d %q, want 200 ok", got.status, got.body)
	}
}
