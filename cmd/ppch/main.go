// Command ppch shows who is in a Jitsi Meet room without joining it.
//
// It connects to Prosody as an external component (XEP-0114), follows who is in which room, and serves an HTTP API.
// Environment variables configure it; "ppch serve --help" lists them.
package main

import (
	"context"
	"fmt"
	"os"
	"os/signal"
	"syscall"

	"ppch/cmd/ppch/config"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	if err := newCommand(config.OS()).ExecuteContext(ctx); err != nil {
		fmt.Fprintln(os.Stderr, "ppch:", err)
		os.Exit(exitStatus(err))
	}
}
