package cluster

import (
	"strings"

	"github.com/nats-io/nats.go/jetstream"

	"ppch/component/occupancy"
)

// JetStream returns the store of NATS on this connection.
func (c *Conn) JetStream() (jetstream.JetStream, error) { return jetstream.New(c.nats) }

// Connected reports whether there is a connection now.
func (c *Conn) Connected() bool { return c.nats.IsConnected() }

// Unavailable returns why the store of NATS can't be used: there is no connection, or NATS forbids something that the store needs.
// It is nil if neither is known.
func (c *Conn) Unavailable() *occupancy.UnavailableError {
	if p := c.problem(); p != nil {
		return p
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	switch {
	case !c.nats.IsConnected():
		return occupancy.ProblemNATSUnreachable.With(c.facts()...).Err(c.lastErr)
	case c.forbiddenStore != "":
		return c.forbids(c.forbiddenStore)
	}
	return nil
}

// Facts returns the addresses of NATS, for texts of problems.
func (c *Conn) Facts() []occupancy.Fact { return c.facts() }

// ofStore reports whether a subject belongs to the store of NATS, not to what carries shards.
func ofStore(subject string) bool {
	return strings.HasPrefix(subject, "$JS.") || strings.HasPrefix(subject, "$KV.")
}
