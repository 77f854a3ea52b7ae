package main

import (
	"context"
	"fmt"
	"log/slog"
	"slices"
	"time"

	"golang.org/x/sync/errgroup"
	"mellium.im/xmpp/jid"

	"ppch/api/webhook"
	"ppch/cmd/ppch/config"
	"ppch/component"
	"ppch/component/occupancy"
)

// lookAtShards is how often the file of shards is read.
const lookAtShards = 2 * time.Second

// fleet watches the shards of the configuration and follows its file. Its methods are for one goroutine.
type fleet struct {
	template component.Config // for the Component of each shard
	log      *slog.Logger

	// load reads the configured shards again; nil if they never change.
	load func() ([]config.Shard, error)

	nats *carrier // nil without NATS

	webhooks *webhook.Outbox // nil if nothing is stored

	members map[string]*member
	next    []config.Shard // as last read, perhaps in the middle of a write
	fault   string         // the last error that was logged
}

// member is a watched shard.
type member struct {
	config.Shard
	run     func(context.Context) error // its connection
	stop    func()                      // nil until it runs
	ended   chan struct{}
	removed bool // from the file, but not retired
}

// newFleet returns the fleet of the configuration, whose shards are in the directory but not connected yet.
// Meanwhile template.Router answers for all of them.
func newFleet(cfg config.Config, template component.Config, nats *carrier, webhooks *webhook.Outbox, load func() ([]config.Shard, error)) (*fleet, error) {
	f := &fleet{template: template, log: template.Log, nats: nats, webhooks: webhooks, load: load, members: map[string]*member{}}
	for _, s := range cfg.Shards {
		if !s.Retired.IsZero() {
			continue
		}
		if err := f.add(s); err != nil {
			return nil, err
		}
	}
	f.next = cfg.Shards
	return f, nil
}

// add adds a shard to the directory.
func (f *fleet) add(s config.Shard) error {
	handle, err := f.template.Directory.AddShard(occupancy.ShardConfig{Name: s.Name, Kind: s.Kind, Domains: s.MUCDomains})
	if err != nil {
		return err
	}
	return f.connect(&member{Shard: s}, handle)
}

// connect prepares the connection of a shard.
func (f *fleet) connect(m *member, handle *occupancy.Shard) error {
	f.members[m.Name] = m
	f.nats.receives(m.Name, m.Via == config.ViaNATS)
	if m.Via == config.ViaNATS {
		m.run = func(ctx context.Context) error {
			if f.nats == nil {
				f.log.Error("shard not watched", "shard", m.Name, "remedy", "set PPCH_NATS_URL, or watch it via=xmpp")
				return nil
			}
			return f.nats.follow(ctx, handle)
		}
		return nil
	}
	cfg := f.template
	cfg.Address, cfg.Domain, cfg.Secret, cfg.MUCDomains, cfg.Shard = m.Prosody, m.Domain, m.Secret.Reveal(), m.MUCDomains, handle
	cfg.Settings = m.Settings
	if f.load != nil {
		cfg.Log = cfg.Log.With("shard", m.Name)
	}
	c, err := component.New(cfg)
	if err != nil {
		return err
	}
	cfg.Router.Add(c)
	m.run = c.Run
	if f.nats != nil {
		share := func(context.Context) error { return nil }
		if f.webhooks != nil {
			share = f.nats.share(f.webhooks, m.Name, m.Domain, m.Deliverer)
		}
		m.run = func(ctx context.Context) error {
			g, ctx := errgroup.WithContext(ctx)
			g.Go(func() error { return c.Run(ctx) })
			g.Go(func() error { return f.nats.publish(ctx, handle, m.Domain) })
			g.Go(func() error { return share(ctx) })
			return g.Wait()
		}
	}
	return nil
}

// Run watches the shards until ctx ends, then ends their connections and returns nil.
func (f *fleet) Run(ctx context.Context) error {
	g, ctx := errgroup.WithContext(ctx)
	for _, m := range f.members {
		f.start(ctx, g, m)
	}
	if f.load != nil {
		g.Go(func() error {
			look := time.NewTicker(lookAtShards)
			defer look.Stop()
			for {
				select {
				case <-ctx.Done():
					return nil
				case <-look.C:
					f.reload(ctx, g)
				}
			}
		})
	}
	return g.Wait()
}

// start opens the connection of a shard.
func (f *fleet) start(ctx context.Context, g *errgroup.Group, m *member) {
	ctx, m.stop = context.WithCancel(ctx)
	m.ended = make(chan struct{})
	g.Go(func() error {
		defer close(m.ended)
		return m.run(ctx)
	})
}

// reload applies the file if it has changed and has been the same twice. A wrong one changes nothing.
func (f *fleet) reload(ctx context.Context, g *errgroup.Group) {
	shards, err := f.load()
	if err != nil {
		if f.fault != err.Error() {
			f.fault = err.Error()
			f.log.Error("shards file invalid, keeping previous shards", "err", err)
		}
		return
	}
	f.fault = ""
	settled := slices.EqualFunc(f.next, shards, config.Shard.Equal)
	f.next = shards
	if settled {
		f.apply(ctx, g, shards)
	}
}

// apply makes the watched shards those of the configuration.
func (f *fleet) apply(ctx context.Context, g *errgroup.Group, shards []config.Shard) {
	for name, m := range f.members {
		if !m.removed && !slices.ContainsFunc(shards, func(s config.Shard) bool { return s.Name == name }) {
			f.remove(m)
		}
	}
	for _, s := range shards {
		m := f.members[s.Name]
		var err error
		switch {
		case !s.Retired.IsZero() && m != nil:
			f.retire(m)
			f.log.Info("shard retired", "shard", s.Name, "since", s.Retired)
		case !s.Retired.IsZero(), m != nil && !m.removed && m.Equal(s):
		case m != nil && m.Kind == s.Kind && slices.EqualFunc(m.MUCDomains, s.MUCDomains, jid.JID.Equal):
			f.disconnect(m)
			if err = f.connect(&member{Shard: s}, f.template.Directory.Shard(s.Name)); err == nil {
				f.start(ctx, g, f.members[s.Name])
				f.log.Info("shard changed", "shard", s.Name)
			}
		default:
			if m != nil {
				f.retire(m)
			}
			if err = f.add(s); err == nil {
				f.template.Names.Watch(s.MUCDomains...)
				f.start(ctx, g, f.members[s.Name])
				f.log.Info("shard added", "shard", s.Name)
			}
		}
		if err != nil {
			f.log.Error("shard not watched", "shard", s.Name, "err", err)
		}
	}
}

// disconnect ends the connection of a shard and waits for the end.
func (f *fleet) disconnect(m *member) {
	f.template.Router.Remove(m.Name)
	if m.stop != nil {
		m.stop()
		<-m.ended
	}
}

// remove ends the connection of a shard that the file no longer has. Its rooms are unknown from now on.
func (f *fleet) remove(m *member) {
	f.disconnect(m)
	m.removed = true
	s := f.template.Directory.Shard(m.Name)
	for _, d := range s.Domains() {
		s.SetStatus(d.JID, occupancy.Status{Since: time.Now(), Problem: occupancy.ProblemRemoved.About(d.JID).Err(nil)})
	}
	f.log.Warn("shard removed from the file, so its rooms are unknown", "shard", m.Name, "remedy", fmt.Sprintf("put its line back, and run: ppch shard retire %s", m.Name))
}

// retire removes a shard and its rooms.
func (f *fleet) retire(m *member) {
	f.disconnect(m)
	f.template.Directory.Retire(m.Name)
	if f.webhooks != nil {
		f.webhooks.Alone(m.Name)
	}
	delete(f.members, m.Name)
}
