// Command ppch-demo shows PPCH at work, with nothing to set up: it starts a real Prosody with rooms like those of Jitsi Meet,
// lets people come and go, starts the service beside it, and asks it who is there.
//
//	go build -o bin/ ./cmd/... && bin/ppch-demo
//
// It needs Prosody's program (apt-get install prosody), not its service, and listens on 127.0.0.1 alone.
// Everything that it starts it stops again, and its files are in a temporary folder.
package main

import (
	"context"
	"fmt"
	"os"
	"os/signal"
	"syscall"
)

func main() {
	// SIGPIPE is what "ppch-demo | head" gets: it must not leave the service behind.
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM, syscall.SIGHUP, syscall.SIGPIPE)
	defer stop()
	if err := newCommand().ExecuteContext(ctx); err != nil {
		fmt.Fprintln(os.Stderr, "ppch-demo:", err)
		os.Exit(1)
	}
}
