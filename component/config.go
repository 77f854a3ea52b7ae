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

	"ppch/component/history"
	"ppch/component/occupancy"
)

// Config configures a Component. All fields but Shard, Settings, Router, Admins, Names, Version and Dial are required.
type Config struct {
	// Address is host:port of Prosody's component port, usually prosody:5347.
	Address string

	// Domain is the component's own JID, as Prosody's configuration names it.
	Domain jid.JID

	// Secret is the component_secret of XEP-0114 §3. It is never logged.
	Secret string

	// MUCDomains are the MUC services to watch, main one first.
	MUCDomains []jid.JID

	// Directory is what admins read: the rooms of all shards.
	Directory *occupancy.Directory

	// Shard is the shard of Directory that receives the rooms and the status of each of MUCDomains, and must have all of them.
	// Nil means the one named occupancy.DefaultShard.
	Shard *occupancy.Shard

	// Settings are what the operator calls the settings of the shard, for remedies; the zero value are the variables of the only one.
	Settings occupancy.Settings

	// Router answers admins' questions about all shards; nil means the Component itself, which knows only its own.
	Router *Router

	// Admins may inspect rooms by XMPP. They are bare JIDs, and domains, which mean all their accounts.
	// An entry counts only while Prosody shows that its domain is a VirtualHost of its own.
	// Without admins, the component refuses all questions.
	Admins []jid.JID

	// Names reads the room names that admins write; nil reads them on MUCDomains.
	Names *occupancy.NameResolver

	// Meetings reads the recorded meetings, for admins; nil if none are recorded.
	Meetings *history.Archive

	// Version is the version of the program, shown to admins.
	Version string

	Log *slog.Logger

	// Dial opens a connection; nil means TCP with keepalive.
	Dial func(ctx context.Context, network, address string) (net.Conn, error)
}

// withDefaults checks the Config and returns it with defaults.
func (c Config) withDefaults() (Config, error) {
	switch {
	case c.Address == "":
		return c, errors.New("component: no address of Prosody")
	case c.Domain.Equal(jid.JID{}):
		return c, errors.New("component: no domain")
	case len(c.MUCDomains) == 0:
		return c, errors.New("component: no MUC domain to watch")
	case c.Directory == nil:
		return c, errors.New("component: no directory")
	case c.Log == nil:
		return c, errors.New("component: no logger")
	}
	if c.Shard == nil {
		if c.Shard = c.Directory.Shard(occupancy.DefaultShard); c.Shard == nil {
			return c, errors.New("component: no shard")
		}
	}
	for _, d := range c.MUCDomains {
		if _, err := c.Shard.Domain(d); err != nil {
			return c, fmt.Errorf("component: MUC domain %s: shard %s doesn't have it", d, c.Shard.Name())
		}
	}
	c.MUCDomains = slices.Clone(c.MUCDomains)
	if c.Names == nil {
		c.Names = occupancy.NewNameResolver(c.MUCDomains...)
	}
	if c.Dial == nil {
		c.Dial = (&net.Dialer{
			Timeout: 10 * time.Second,
			// mod_component never notices that a peer vanished, and the kernel's default takes two hours.
			KeepAliveConfig: net.KeepAliveConfig{Enable: true, Idle: 15 * time.Second, Interval: 15 * time.Second, Count: 3},
		}).DialContext
	}
	return c, nil
}
