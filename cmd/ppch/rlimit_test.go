package main

import (
	"bufio"
	"io"
	"math"
	"net"
	"net/http"
	"os/exec"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"ppch/prosody/prosodytest"
)

// withFiles runs the program with a limit of open files until stop is called or the test ends.
func withFiles(t *testing.T, program string, files int, log *logBuffer, env ...string) (stop func()) {
	t.Helper()
	cmd := exec.Command("sh", "-c", `ulimit -n "$1" && exec "$0" serve`, program, strconv.Itoa(files))
	cmd.Stderr = log
	cmd.Env = append([]string{"PPCH_API_KEY=" + testKey, "PPCH_COMPONENT_SECRET=s3cret", "PPCH_PORT=0", "PROSODY_URL=xmpp://127.0.0.1:1"}, env...)
	gone := must(prosodytest.Tie(cmd))(t)
	t.Cleanup(func() {
		_ = cmd.Process.Kill()
		<-gone
	})
	return func() {
		_ = cmd.Process.Signal(syscall.SIGTERM)
		<-gone
	}
}

// The warning comes at start, without Prosody.
func TestServe_WarnsOnLowFileLimit(t *testing.T) {
	t.Parallel()
	program := buildProgram(t)
	for _, tt := range []struct {
		name, streams string
		want          string
	}{
		{"too many streams", "200", "PPCH_MAX_STREAMS is 200, but this process can open only 256 files: lower it, or raise that limit to 300 "},
		{"few enough", "150", ""},
	} {
		t.Run(tt.name, func(t *testing.T) {
			var log logBuffer
			stop := withFiles(t, program, 256, &log, "PPCH_MAX_STREAMS="+tt.streams)
			eventually(t, 10*time.Second, "it has started", func() bool { return strings.Contains(log.String(), `"ppch started"`) })
			stop()
			var warned string
			for _, r := range log.Records(t) {
				if msg := r["msg"].(string); r["level"] == "WARN" && strings.Contains(msg, "files") {
					warned = msg
				}
			}
			if (warned == "") != (tt.want == "") || !strings.HasPrefix(warned, tt.want) {
				t.Errorf("the log warned of %q want %q", warned, tt.want)
			}
		})
	}
}

// With few files, neither idle connections nor streams block new clients.
func TestFiles_ConnectionsLeaveTheServiceAnswering(t *testing.T) {
	t.Parallel()
	s := &service{t: t, log: &logBuffer{}, client: &http.Client{Transport: &http.Transport{DisableKeepAlives: true}, Timeout: 5 * time.Second}}
	stop := withFiles(t, buildProgram(t), 128, s.log)
	s.started()
	address := strings.TrimPrefix(s.url, "http://")
	answering := func(when string) {
		t.Helper()
		for range 5 {
			if got, err := s.try(t.Context(), "/livez"); err != nil || got.status != http.StatusOK {
				t.Fatalf("%s got %v, %v want an answer", when, got, err)
			}
			if got, err := s.try(t.Context(), "/api/rooms/r/participants", "X-API-Key", testKey); err != nil || got.data["code"] != "prosody-unavailable" {
				t.Fatalf("%s, with a key, got %v, %v want an answer", when, got, err)
			}
		}
	}
	for i := range 300 {
		conn := must(net.DialTimeout("tcp", address, 5*time.Second))(t)
		t.Cleanup(func() { _ = conn.Close() })
		_ = conn.SetDeadline(time.Now().Add(5 * time.Second))
		must(io.WriteString(conn, "GET /livez HTTP/1.1\r\nHost: ppch\r\n\r\n"))(t)
		if resp, err := http.ReadResponse(bufio.NewReader(conn), nil); err != nil || resp.StatusCode != http.StatusOK {
			t.Fatalf("connection %d got %v, %v want an answer", i, resp, err)
		}
	}
	answering("with 300 idle connections")
	streams := 0
	for ; ; streams++ {
		req := must(http.NewRequestWithContext(t.Context(), http.MethodGet, s.url+"/api/events", nil))(t)
		req.Header.Set("X-API-Key", testKey)
		resp := must((&http.Client{Transport: s.client.Transport}).Do(req))(t)
		t.Cleanup(func() { _ = resp.Body.Close() })
		if resp.StatusCode != http.StatusOK {
			break
		}
	}
	if streams < 50 {
		t.Errorf("got %d streams want more of 128 files", streams)
	}
	answering("with the maximum of streams")
	if strings.Contains(s.log.String(), "too many open files") {
		t.Errorf("the log got %s want files left", s.log.String())
	}
	stop()
}

func TestFiles_LimitConnectionsWithMemory(t *testing.T) {
	t.Parallel()
	const none = math.MaxInt64
	for _, tt := range []struct {
		name    string
		streams int
		files   uint64
		memory  int64 // in MiB
		want    int
		warned  string
	}{
		{"enough of both", 10_000, 1 << 20, none >> 20, 12_000, ""},
		{"any number of files", 10_000, math.MaxUint64, none >> 20, 12_000, ""},
		{"few files", 10_000, 1024, none >> 20, 974, ""},
		{"very few files", 10_000, 128, none >> 20, 96, ""},
		{"a container of 512 MiB", 10_000, 1 << 20, 460, 11_040, ""},
		{
			"a container of 256 MiB", 10_000, 1 << 20, 230, 3680,
			"PPCH_MAX_STREAMS is 10000, but a memory limit of 230 MiB is enough for 3680 connections: lower it, or raise the limit ",
		},
		{"fewer streams in that", 3600, 1 << 20, 230, 3680, ""},
		{
			"hardly any memory", 10_000, 1 << 20, 64, 200,
			"PPCH_MAX_STREAMS is 10000, but a memory limit of 64 MiB is enough for 200 connections: lower it, or raise the limit ",
		},
	} {
		t.Run(tt.name, func(t *testing.T) {
			if got := maxConnections(tt.streams, tt.files, tt.memory<<20); got != tt.want {
				t.Errorf("got %d connections want %d", got, tt.want)
			}
			if got := memoryWarning(tt.streams, tt.memory<<20); (got == "") != (tt.warned == "") || !strings.HasPrefix(got, tt.warned) {
				t.Errorf("got the warning %q want %q", got, tt.warned)
			}
		})
	}
}
