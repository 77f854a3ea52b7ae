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

// probe connects to Prosody as the service would. It returns a function that reports the state, and one that ends the connection.
func (e *run) probe() (inspect func(context.Context) (facts, error), end func()) {
	e.probing = true
	directory := occupancy.NewDirectory()
	directory.MaxStaleness, directory.NotCounted = time.Minute, e.NotCounted
	shard, err := directory.AddShard(occupancy.ShardConfig{Name: e.Shard, Domains: e.MUCDomains})
	if err != nil {
		panic(err) // the configuration is valid
	}
	c, err := component.New(component.Config{
		Address:    e.Address,
		Domain:     e.Domain,
		Secret:     e.Secret,
		MUCDomains: e.MUCDomains,
		Admins:     e.Admins,
		Version:    e.Version,
		Directory:  directory,
		Shard:      shard,
		Settings:   e.Names[e.Shard],
		Log:        slog.New(slog.DiscardHandler),
		Dial:       (&net.Dialer{Timeout: dialTimeout}).DialContext,
	})
	if err != nil {
		panic(err) // the configuration is valid
	}
	ctx, cancel := context.WithCancel(context.Background())
	var g errgroup.Group
	started := false
	inspect = func(context.Context) (facts, error) {
		if !started {
			started = true
			g.Go(func() error { return c.Run(ctx) })
		}
		w := c.Diagnostics()
		var services []occupancy.Service
		if w.Domains[0].Connected {
			services, _ = c.Services() // optional: they make remedies clearer
		}
		return factsOf(w, services, e.Version), nil
	}
	return inspect, func() {
		cancel()
		_ = g.Wait() // it closes the stream, which frees the component's name in Prosody
	}
}
