package component

import (
	"context"
	"sync/atomic"

	"mellium.im/xmpp"
	"mellium.im/xmpp/jid"

	"ppch/component/occupancy"
	"ppch/component/stream"
)

// Directory returns the directory that c reports to.
func (c *Component) Directory() *occupancy.Directory { return c.cfg.Directory }

// Main returns how the main MUC domain is.
func (c *Component) Main() occupancy.Domain { return c.cfg.Directory.Domains()[0] }

// Observer returns what answers the admin of a stream, whose host has been shown to be one of Prosody's own, and its work.
func Observer(admin jid.JID, face xmpp.Handler) (observe func(*stream.Stanza) (bool, error), work func(context.Context) error) {
	a := newAdmins([]jid.JID{admin})
	a.local[admin.Domain().String()] = true
	d := newDesk(a, face, new(atomic.Uint64))
	return d.observe, d.work
}
