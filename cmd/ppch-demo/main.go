// Command ppch-demo shows PPCH at work without any setup: it starts a real Prosody with rooms like those of Jitsi Meet,
// starts the service, lets simulated people join and leave, and requests who is there.
//
//	go build -o bin/ ./cmd/... && bin/ppch-demo
//
// It needs Prosody's program (apt-get install prosody), not its service, and listens only on 127.0.0.1.
// It stops everything that it starts, and keeps its files in a temporary folder.
package main

import (
	"context"
	"fmt"
	"os"
	"os/signal"
	"syscall"
)

func main() {
	// "ppch-demo | head" ends with SIGPIPE, which must not leave the service running.
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM, syscall.SIGHUP, syscall.SIGPIPE)
	defer stop()
	if err := newCommand().ExecuteContext(ctx); err != nil {
		fmt.Fprintln(os.Stderr, "ppch-demo:", err)
		os.Exit(1)
	}
}
