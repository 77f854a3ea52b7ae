package main

import (
	"os/exec"
	"strings"
	"syscall"
	"testing"
	"time"

	"ppch/prosody/prosodytest"
)

// Prosody needs not be there: who has too few files should know before anybody connects.
func TestAServiceWithFewerFilesThanStreamsSaysSoAtStart(t *testing.T) {
	t.Parallel()
	program := buildProgram(t)
	for _, tt := range []struct {
		name, streams string
		want          string
	}{
		{"too many streams", "200", "PPCH_MAX_STREAMS is 200, but this process may have no more than 256 files open: lower it, or raise that to 300 "},
		{"few enough", "150", ""},
	} {
		t.Run(tt.name, func(t *testing.T) {
			var log logBuffer
			cmd := exec.Command("sh", "-c", `ulimit -n 256 && exec "$0" serve`, program)
			cmd.Stderr = &log
			cmd.Env = []string{
				"PPCH_API_KEY=" + testKey, "PPCH_COMPONENT_SECRET=s3cret", "PPCH_PORT=0", "PROSODY_URL=xmpp://127.0.0.1:1", "PPCH_MAX_STREAMS=" + tt.streams,
			}
			gone := must(prosodytest.Tie(cmd))(t)
			t.Cleanup(func() {
				_ = cmd.Process.Kill()
				<-gone
			})
			eventually(t, 10*time.Second, "it has started", func() bool { return strings.Contains(log.String(), `"ppch started"`) })
			_ = cmd.Process.Signal(syscall.SIGTERM)
			<-gone
			var warned string
			for _, r := range log.records(t) {
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
