// Package clustertest runs NATS servers for tests.
package clustertest

import (
	"testing"
	"time"

	"github.com/nats-io/nats-server/v2/server"
)

// NATS is a NATS server in this process, on 127.0.0.1. Its methods are for one goroutine.
type NATS struct {
	*server.Server // that Start made last

	t       testing.TB
	options server.Options
}

// NewNATS starts a server that runs until the test ends, with adjusted options.
func NewNATS(t testing.TB, adjust ...func(*server.Options)) *NATS {
	t.Helper()
	n := &NATS{t: t, options: server.Options{Host: "127.0.0.1", Port: server.RANDOM_PORT, NoLog: true, NoSigs: true}}
	for _, f := range adjust {
		f(&n.options)
	}
	n.Start()
	t.Cleanup(n.Stop)
	return n
}

// JetStream is an adjustment: the server keeps data, also while it is stopped.
func JetStream(t testing.TB) func(*server.Options) {
	dir := t.TempDir()
	return func(o *server.Options) { o.JetStream, o.StoreDir = true, dir }
}

// Start starts the server again after Stop, on the same port.
func (n *NATS) Start() {
	n.t.Helper()
	options := n.options
	var err error
	if n.Server, err = server.NewServer(&options); err != nil {
		n.t.Fatal(err)
	}
	n.Server.Start()
	if !n.ReadyForConnections(10 * time.Second) {
		n.t.Fatal("NATS doesn't start")
	}
	n.options.Port = options.Port
}

// Stop ends all connections and waits until the server has stopped. Stopping it twice does no harm.
func (n *NATS) Stop() {
	n.Shutdown()
	n.WaitForShutdown()
}
