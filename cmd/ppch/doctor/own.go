package doctor

import (
	"context"
	"log/slog"
	"net"
	"time"

	"golang.org/x/sync/errgroup"

	"ppch/component"
	"ppch/component/occupancy"
)

// own connects to Prosody as the service would, and returns how to see what comes of it, and how to end it.
func (e *examination) own() (look func(context.Context) (facts, error), end func()) {
	e.byItself = true
	directory := occupancy.NewDirectory(e.MUCDomains...)
	directory.MaxStaleness = time.Minute
	c, err := component.New(component.Config{
		Address:    e.Address,
		Domain:     e.Domain,
		Secret:     e.Secret,
		MUCDomains: e.MUCDomains,
		Admins:     e.Admins,
		Version:    e.Version,
		Directory:  directory,
		Log:        slog.New(slog.DiscardHandler),
		Dial:       (&net.Dialer{Timeout: dialPatience}).DialContext,
	})
	if err != nil {
		panic(err) // the configuration was found to be right
	}
	ctx, cancel := context.WithCancel(context.Background())
	var g errgroup.Group
	started := false
	look = func(context.Context) (facts, error) {
		if !started {
			started = true
			g.Go(func() error { return c.Run(ctx) })
		}
		w := c.Wiring()
		var services []occupancy.Service
		if w.Domains[0].Connected {
			services, _ = c.Services() // without these mends are less clear
		}
		return factsOf(w, services, e.Version), nil
	}
	return look, func() {
		cancel()
		_ = g.Wait() // it says goodbye, so that Prosody doesn't hold the name for a connection that is gone
	}
}
