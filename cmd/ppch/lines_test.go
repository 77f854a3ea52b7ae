package main

import (
	"fmt"
	"io"
	"net/http"
	"strings"
	"sync"
	"testing"
	"time"
)

// clog is a log that blocks writers while reading is locked.
type clog struct {
	logBuffer

	reading sync.Mutex
}

func (c *clog) Write(p []byte) (int, error) {
	c.reading.Lock()
	defer c.reading.Unlock()
	return c.logBuffer.Write(p)
}

// withoutProsody is the environment of a service without a Prosody.
func withoutProsody() variables {
	return variables{"PPCH_API_KEY": testKey, "PPCH_COMPONENT_SECRET": "s3cret", "PPCH_PORT": "0", "PROSODY_URL": "xmpp://127.0.0.1:1"}
}

func TestLog_BlockedWriterDropsLines(t *testing.T) {
	t.Parallel()
	log := &clog{}
	env := withoutProsody()
	env["DEBUG"], env["PPCH_METRICS_PUBLIC"] = "true", "true"
	s := runServiceTo(t, env, log, &log.logBuffer)
	log.reading.Lock()
	unblock := sync.OnceFunc(log.reading.Unlock)
	defer unblock()
	client := &http.Client{Timeout: 5 * time.Second}
	defer client.CloseIdleConnections()
	get := func(path string) string {
		resp := must(client.Get(s.url + path))(t)
		defer resp.Body.Close()
		body := must(io.ReadAll(resp.Body))(t)
		return string(body)
	}
	for range 300 { // about 2 MB of log
		get("/livez/" + strings.Repeat("x", 7000))
	}
	if strings.Contains(get("/metrics"), "ppch_log_lines_dropped_total 0") {
		t.Error("no line was dropped")
	}
	unblock()
	eventually(t, 5*time.Second, "the log says how many lines it lacks", func() bool {
		return strings.Contains(log.String(), `"msg":"log lines dropped","count":`)
	})
}

func TestLog_IsCompleteAfterAStop(t *testing.T) {
	t.Parallel()
	for range 20 {
		s := runService(t, withoutProsody())
		check(t, s.stop())
		if got := strings.TrimSpace(s.log.String()); !strings.HasSuffix(got, `"msg":"ppch stopped"}`) {
			t.Fatalf("the log ends with %s", got[max(0, len(got)-200):])
		}
	}
}

// A process stops even if its log is blocked.
func TestLineQueue_BlockedWriterDoesNotDelayExit(t *testing.T) {
	t.Parallel()
	log := &clog{}
	log.reading.Lock()
	q := newLineQueue(log)
	go q.Run(func(uint64) {})
	fmt.Fprintln(q, "never written")
	began := time.Now()
	q.close()
	if took := time.Since(began); took > 2*flushTimeout {
		t.Errorf("it took %s", took)
	}
	log.reading.Unlock()
	<-q.done
}
