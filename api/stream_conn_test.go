package api_test

import (
	"bufio"
	"errors"
	"io"
	"net"
	"net/http"
	"runtime"
	"strings"
	"testing"
	"time"

	"ppch/api"
	"ppch/api/apitest"
	"ppch/component/occupancy"
)

// send opens a connection, sends a request to a stream, and returns the header of the response and what follows.
func (s *service) send(request string) (*net.TCPConn, *http.Response, *bufio.Reader) {
	s.t.Helper()
	conn := s.dial()
	if _, err := io.WriteString(conn, request); err != nil {
		s.t.Fatal(err)
	}
	r := bufio.NewReader(conn)
	method, _, _ := strings.Cut(request, " ")
	resp, err := http.ReadResponse(r, &http.Request{Method: method})
	if err != nil {
		s.t.Fatal(err)
	}
	return conn, resp, r
}

// forgets waits until only n connections are open.
func (s *service) forgets(n int) {
	s.t.Helper()
	for began := time.Now(); s.Connections() != n; time.Sleep(time.Millisecond) {
		if time.Since(began) > 20*time.Second {
			s.t.Fatalf("got %d connections, want %d", s.Connections(), n)
		}
	}
}

const streamHeader = "Host: ppch\r\nX-API-Key: " + testKey + "\r\n"

// Each version of HTTP/1 has its own end of a body.
func TestStreamConn_EndsTheBody(t *testing.T) {
	for _, c := range []struct {
		version string
		chunked bool
	}{{"HTTP/1.1", true}, {"HTTP/1.0", false}} {
		t.Run(c.version, func(t *testing.T) {
			d := apitest.NewDirectory(t)
			s := start(t, withDirectory(d.Directory))
			_, resp, after := s.send("GET /api/events?snapshot=true " + c.version + "\r\n" + streamHeader + "\r\n")
			if chunked := len(resp.TransferEncoding) > 0; chunked != c.chunked || !resp.Close {
				t.Errorf("got Transfer-Encoding %q, the connection stays: %t", resp.TransferEncoding, !resp.Close)
			}
			body := bufio.NewReader(resp.Body)
			if first, err := body.Peek(7); err != nil || string(first) != "retry: " {
				t.Errorf("the body begins with %q, %v", first, err)
			}
			f := apitest.Read(t, io.NopCloser(body))
			f.Until("snapshot")
			d.Join("daily", "ann")
			if got := f.Until("participant.joined"); got.Nick() != "ann" {
				t.Errorf("got %v", got)
			}
			if err := s.stop(); err != nil {
				t.Error(err)
			}
			if err := f.Ended(); err != nil {
				t.Errorf("the stream ended with %v", err)
			}
			if rest, err := io.ReadAll(after); err != nil || len(rest) > 0 {
				t.Errorf("got %q, %v after the body", rest, err)
			}
		})
	}
}

// Run returns when the last stream has ended, even one that a client doesn't read.
func TestStreamConn_StopWaits(t *testing.T) {
	d := apitest.NewDirectory(t)
	s := tight(prepare(t, withDirectory(d.Directory), withDebugLog))
	f := s.follow("/api/events")
	f.Until("status")
	s.deaf("/api/events")
	s.holds(2)
	const turns = 100 // until the unread stream blocks
	for i := range turns {
		d.Change(occupancy.Delta{Room: "daily@muc.meet.jitsi", Present: []occupancy.Occupant{wide("ann", i)}})
	}
	for range turns - 1 {
		f.Until("participant.updated")
	}
	if err := s.stop(); err != nil {
		t.Error(err)
	}
	if streams, connections, records := s.Streams().Open, s.Connections(), len(s.log.Records(t)); streams != 0 || connections != 0 || records != 2 {
		t.Errorf("got %d streams, %d connections and %d log records after the stop", streams, connections, records)
	}
}

func TestStreamConn_NoticesThatTheClientLeaves(t *testing.T) {
	for name, request := range map[string]string{
		"HTTP/1.1":            "GET /api/events HTTP/1.1\r\n" + streamHeader + "\r\n",
		"HTTP/1.0":            "GET /api/events HTTP/1.0\r\n" + streamHeader + "\r\n",
		"a small body":        "GET /api/events HTTP/1.1\r\n" + streamHeader + "Content-Length: 2\r\n\r\n{}",
		"a body in chunks":    "GET /api/events HTTP/1.1\r\n" + streamHeader + "Transfer-Encoding: chunked\r\n\r\n2\r\n{}\r\n0\r\n\r\n",
		"a body that waits":   "GET /api/events HTTP/1.1\r\n" + streamHeader + "Content-Length: 2\r\nExpect: 100-continue\r\n\r\n",
		"a request behind it": "GET /api/events HTTP/1.1\r\n" + streamHeader + "\r\nGET /livez HTTP/1.1\r\nHost: ppch\r\n\r\n",
	} {
		t.Run(name, func(t *testing.T) {
			s := start(t, withDirectory(apitest.NewDirectory(t).Directory))
			conn, resp, _ := s.send(request)
			if resp.StatusCode != http.StatusOK {
				t.Fatalf("got %s", resp.Status)
			}
			s.holds(1)
			_ = conn.Close()
			s.holds(0)
			s.forgets(0)
		})
	}
}

// Another request on the connection has no response, and doesn't disturb the stream.
func TestStreamConn_IgnoresInput(t *testing.T) {
	d := apitest.NewDirectory(t)
	s := start(t, withDirectory(d.Directory))
	conn, resp, _ := s.send("GET /api/events HTTP/1.1\r\n" + streamHeader + "\r\n")
	f := apitest.Read(t, resp.Body)
	f.Until("status")
	if _, err := io.WriteString(conn, "GET /livez HTTP/1.1\r\nHost: ppch\r\n\r\n"); err != nil {
		t.Fatal(err)
	}
	d.Join("daily", "ann")
	f.Until("participant.joined")
}

func TestStreamConn_HeadKeepsTheConnection(t *testing.T) {
	s := start(t, withDirectory(apitest.NewDirectory(t).Directory))
	conn, resp, after := s.send("HEAD /api/events HTTP/1.1\r\n" + streamHeader + "\r\n")
	if resp.StatusCode != http.StatusOK || resp.Header.Get("Content-Type") != "text/event-stream" || resp.Close {
		t.Errorf("got %v", resp)
	}
	s.holds(0)
	if _, err := io.WriteString(conn, "GET /livez HTTP/1.1\r\nHost: ppch\r\n\r\n"); err != nil {
		t.Fatal(err)
	}
	if resp, err := http.ReadResponse(after, nil); err != nil || resp.StatusCode != http.StatusOK {
		t.Errorf("got %v, %v", resp, err)
	}
}

// A stream is busy, even if it sends nothing: no other connection takes its place.
func TestStreamConn_KeepsItsPlace(t *testing.T) {
	d := apitest.NewDirectory(t)
	s := start(t, withDirectory(d.Directory), func(cfg *api.Config) { cfg.MaxConnections = 8 })
	f := s.follow("/api/events")
	f.Until("status")
	for range 30 {
		if got := s.raw("GET /api/rooms/daily/participants HTTP/1.1\r\n" + streamHeader + "\r\n"); got.status != http.StatusOK {
			t.Fatalf("got %d", got.status)
		}
	}
	d.Join("daily", "ann")
	f.Until("participant.joined")
	f.Leave()
	s.holds(0)
}

func TestStreamConn_CutsSlowReader(t *testing.T) {
	t.Parallel()
	if testing.Short() {
		t.Skip("waits until the slow reader is cut off, 10 s")
	}
	d := apitest.NewDirectory(t)
	s := tight(prepare(t, withDirectory(d.Directory), withDebugLog))
	s.deaf("/api/events")
	s.holds(1)
	for i := range 100 {
		d.Change(occupancy.Delta{Room: "daily@muc.meet.jitsi", Present: []occupancy.Occupant{wide("ann", i)}})
	}
	s.holds(0)
	s.forgets(0)
	if stats := s.Streams(); stats.Cut != 1 {
		t.Errorf("got %+v, want it to be cut", stats)
	}
	if record := s.log.records(t, 1)[0]; record["level"] != "INFO" || !strings.Contains(record["err"].(string), "i/o timeout") {
		t.Errorf("got record %v", record)
	}
}

func TestStreamConn_IsLoggedAtItsEnd(t *testing.T) {
	s := start(t, withDirectory(apitest.NewDirectory(t).Directory), withDebugLog)
	f := s.follow("/api/events", "X-Request-ID", testID)
	f.Until("status")
	if log := s.log.String(); strings.Contains(log, testID) {
		t.Errorf("got %s before the end", log)
	}
	f.Leave()
	record := s.log.records(t, 1)[0]
	if record["request_id"] != testID || record["route"] != "/api/events" || record["status"] != 200.0 || record["bytes"].(float64) < 100 || record["err"] != nil {
		t.Errorf("got record %v", record)
	}
}

// A panic ends only its stream, which must not look whole.
func TestStreamConn_PanicCutsTheStream(t *testing.T) {
	s := prepare(t)
	s.HTTP().Handler = s.WrapStream(func(w http.ResponseWriter, _ *http.Request) error {
		_, _ = io.WriteString(w, "half")
		if err := http.NewResponseController(w).Flush(); err != nil {
			t.Error(err)
		}
		panic("late")
	})
	s.run()
	for i := range 2 {
		_, resp, _ := s.send("GET /api/events HTTP/1.1\r\n" + streamHeader + "\r\n")
		if body, err := io.ReadAll(resp.Body); !errors.Is(err, io.ErrUnexpectedEOF) || string(body) != "half" {
			t.Errorf("got %q, %v, want half a response and an unexpected end", body, err)
		}
		record := s.log.records(t, i+1)[i]
		if stack, _ := record["stack"].(string); record["level"] != "ERROR" || record["err"] != "api: panic: late" || !strings.Contains(stack, "stream_conn_test.go") {
			t.Errorf("got record %v", record)
		}
	}
	s.forgets(0)
}

// A stream must not keep the buffers of net/http, or the stack that read the request.
func TestStreamConn_Memory(t *testing.T) {
	const streams, most = 200, 18 << 10
	s := start(t, withDirectory(apitest.NewDirectory(t).Directory))
	measure := func() int64 {
		var m runtime.MemStats
		runtime.GC()
		runtime.GC()
		runtime.ReadMemStats(&m)
		return int64(m.HeapAlloc + m.StackInuse)
	}
	before := measure()
	for range streams {
		conn := s.dial()
		if _, err := io.WriteString(conn, "GET /api/events HTTP/1.1\r\n"+streamHeader+"\r\n"); err != nil {
			t.Fatal(err)
		}
		r := bufio.NewReaderSize(conn, 256)
		for line := ""; !strings.HasPrefix(line, "event: status"); {
			var err error
			if line, err = r.ReadString('\n'); err != nil {
				t.Fatal(err)
			}
		}
	}
	if each := (measure() - before) / streams; each > most {
		t.Errorf("a stream takes %d bytes, want %d at most", each, most)
	}
}
