package component_test

import (
	"bytes"
	"context"
	"log/slog"
	"net"
	"strings"
	"sync/atomic"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"mellium.im/xmpp/jid"
)

// With Prosody down and requests coming in, the component tries about once a second, and logs with its backoff.
func TestLog_StreamDownKeepsItsBackOffUnderRequests(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var attempts atomic.Int64
		var log bytes.Buffer
		cfg := config(func(context.Context, string, string) (net.Conn, error) {
			attempts.Add(1)
			return nil, &net.OpError{Op: "dial", Net: "tcp", Err: syscall.ECONNREFUSED}
		})
		cfg.Log = slog.New(slog.NewTextHandler(&log, nil))
		c, stop := start(t, cfg)
		const lasts = 5 * time.Minute
		for began := time.Now(); time.Since(began) < lasts; {
			if _, err := c.Room(t.Context(), jid.MustParse("planning@muc.meet.jitsi")); err == nil {
				t.Fatal("got an answer")
			}
			time.Sleep(100 * time.Millisecond)
		}
		stop()
		lines := strings.Count(log.String(), `msg="stream down"`)
		if n := attempts.Load(); n < 250 || lines < 10 || lines > 25 {
			t.Errorf("got %d lines of %d attempts in %s want 10 to 25 of at least 250", lines, n, lasts)
		}
		if !strings.Contains(log.String(), " attempts=1\n") || !strings.Contains(log.String(), " attempts=3") {
			t.Errorf("got\n%s want the attempts since the last line", log.String())
		}
	})
}
