// Command ppch-bench measures PPCH on this machine, beside what else can be asked who is in a room, and says which of its goals are met.
//
//	make bench          # half an hour; writes the table in README.md
//	make bench-quick    # two minutes, fewer pairs, writes nothing
//
// It starts real Prosodys with rooms full of people, the service as it is shipped, and its peers, and stops them again.
// What is compared is measured by turns, A B A B, in one run: other work on the machine then meets both alike,
// so that their ratio holds where the figures themselves don't. HTTP is loaded by wrk.
// A peer or a tool that isn't installed is named as missing in the table. All listens on 127.0.0.1 alone.
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
