package api_test

import (
	"bufio"
	"fmt"
	"net"
	"net/http"
	"testing"
)

// refusedFrom sends a request without a key from an address.
func (s *service) refusedFrom(address string) {
	s.t.Helper()
	dialer := net.Dialer{LocalAddr: &net.TCPAddr{IP: net.ParseIP(address)}}
	conn := must(dialer.Dial("tcp", s.Addr().String()))(s.t)
	defer conn.Close()
	must(fmt.Fprint(conn, "GET /api/stats HTTP/1.1\r\nHost: 127.0.0.1\r\nConnection: close\r\n\r\n"))(s.t)
	if resp, err := http.ReadResponse(bufio.NewReader(conn), nil); err != nil || resp.StatusCode != http.StatusUnauthorized {
		s.t.Fatalf("got %v, %v", resp, err)
	}
}

func TestLog_SamplesRefusals(t *testing.T) {
	s := start(t)
	for range 30 {
		s.get("/nowhere")
		s.refusedFrom("127.0.0.2")
	}
	s.refusedFrom("127.0.0.3")
	check(t, s.stop())
	got := map[string]int{}
	for _, record := range s.log.records(t, 23) {
		name := fmt.Sprintf("%s %v", record["msg"], record["status"])
		if record["status"] == nil {
			name = fmt.Sprintf("%s %s %s %v", record["msg"], record["remote"], record["reason"], record["count"])
		}
		got[name]++
	}
	for want, n := range map[string]int{
		"request answered 404": 10, "request answered 401": 11,
		"request refused again 127.0.0.1 not-found 20":   1,
		"request refused again 127.0.0.2 missing-key 20": 1,
	} {
		if got[want] != n {
			t.Errorf("%s: got %d records, want %d", want, got[want], n)
		}
	}
	if len(got) != 4 {
		t.Errorf("got %v", got)
	}
}

func TestLog_OfManyAddressesIsBounded(t *testing.T) {
	s := start(t)
	for i := range 250 {
		s.refusedFrom(fmt.Sprintf("127.0.1.%d", i))
	}
	check(t, s.stop())
	records := s.log.records(t, 201)
	if last := records[len(records)-1]; len(records) != 201 || last["msg"] != "more requests refused" || last["count"] != 50.0 {
		t.Errorf("got %d records, the last %v", len(records), last)
	}
}
