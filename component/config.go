package component

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"slices"
	"time"

	"mellium.im/xmpp/jid"

	"ppch/component/occupancy"
)

// Config is what a Component needs to know. All fields but Admins, Version and Dial are required.
type Config struct {
	// Address is host:port of Prosody's component port, usually prosody:5347.
	Address string

	// Domain is the component's own JID, as Prosody's configuration names it.
	Domain jid.JID

	// Secret is the component_secret of XEP-0114 §3. It is never logged.
	Secret string

	// MUCDomains are the MUC services to watch, main one first.
	MUCDomains []jid.JID

	// Directory takes what the Lua module sends, and how each of MUCDomains can be followed or asked. It has to watch all of these.
	Directory *occupancy.Directory

	// Admins are bare JIDs, and domains of which every account is meant, that may inspect rooms by XMPP.
	// An entry counts only while Prosody shows its domain to be a host of its own where people log in.
	// With none the component answers nobody.
	Admins []jid.JID

	// Version is that of the program, for admins to see.
	Version string

	Log *slog.Logger

	// Dial opens a connection; nil means TCP with keepalive.
	Dial func(ctx context.Context, network, address string) (net.Conn, error)
}

// validate fills in defaults.
func (c *Config) validate() error {
	switch {
	case c.Address == "":
		return errors.New("component: no address of Prosody")
	case c.Domain.Equal(jid.JID{}):
		return errors.New("component: no domain")
	case len(c.MUCDomains) == 0:
		return errors.New("component: no MUC domain to watch")
	case c.Directory == nil:
		return errors.New("component: no directory")
	case c.Log == nil:
		return errors.New("component: no logger")
	}
	for _, d := range c.MUCDomains {
		if _, err := c.Directory.Domain(d); err != nil {
			return fmt.Errorf("component: MUC domain %s: the directory doesn't watch it", d)
		}
	}
	c.MUCDomains = slices.Clone(c.MUCDomains)
	if c.Dial == nil {
		c.Dial = (&net.Dialer{
			Timeout: 10 * time.Second,
			// mod_component never notices a peer that vanished, and the kernel's default takes two hours.
			KeepAliveConfig: net.KeepAliveConfig{Enable: true, Idle: 15 * time.Second, Interval: 15 * time.Second, Count: 3},
		}).DialContext
	}
	return nil
}
