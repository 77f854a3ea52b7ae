// Command ppch-bench compares PPCH with its peers on this machine and reports which goals it meets.
//
//	make bench          # half an hour; writes the table in README.md
//	make bench-quick    # two minutes, fewer pairs, writes nothing
//
// It starts real Prosodys with full rooms, the service as released, and its peers, and stops them again.
// Both sides of a comparison alternate, A B A B, in one run: other work on the machine then affects both,
// so the ratio holds where the figures themselves don't. wrk sends the HTTP requests.
// The table names a peer or tool that isn't installed. Every server listens on 127.0.0.1 only.
package main

import (
	"context"
	"fmt"
	"os"
	"os/signal"
	"syscall"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM, syscall.SIGHUP, syscall.SIGPIPE)
	defer stop()
	if err := newCommand().ExecuteContext(ctx); err != nil {
		fmt.Fprintln(os.Stderr, "ppch-bench:", err)
		os.Exit(1)
	}
}
