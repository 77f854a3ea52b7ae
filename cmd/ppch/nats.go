package main

import (
	"context"
	"log/slog"
	"slices"
	"sort"
	"sync"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"golang.org/x/sync/errgroup"
	"mellium.im/xmpp/jid"

	"ppch/api/webhook"
	"ppch/cmd/ppch/config"
	"ppch/component/cluster"
	"ppch/component/history"
	"ppch/component/occupancy"
)

// natsHeartbeat is the longest time between two messages of a collector; zero for the normal one. Tests shorten it.
var natsHeartbeat time.Duration

// carrier carries shards over NATS, to other services and from them. Its methods are safe for concurrent use.
type carrier struct {
	conn    *cluster.Conn
	log     *slog.Logger
	shared  *sharedSettings // nil for none
	history *cluster.History
	archive *history.Archive // set before the shards are watched

	received sync.Map // names of the shards that arrive over NATS

	// mu protects what follows.
	mu         sync.Mutex
	collectors []*cluster.Collector
	nodes      []*cluster.Node
	exchanges  []*exchange
}

// newCarrier returns a connection to the NATS of the configuration, or nil. It doesn't wait for NATS.
func newCarrier(cfg config.Config, log *slog.Logger) (*carrier, error) {
	if len(cfg.NATS.URLs) == 0 {
		return nil, nil
	}
	nats := cfg.NATS
	nats.Secret, nats.Password = cfg.ClusterSecret.Reveal(), cfg.NATSPassword.Reveal()
	nats.Log, nats.Name, nats.Heartbeat = log, "ppch", natsHeartbeat
	if cfg.Domain.String() != "" {
		nats.Name = "ppch " + cfg.Domain.String()
	}
	if i := slices.IndexFunc(cfg.Shards, func(s config.Shard) bool { return s.Via == config.ViaXMPP && s.Retired.IsZero() }); i >= 0 {
		nats.Shard, nats.Collector = cfg.Shards[i].Name, cfg.Shards[i].Domain.String()
	}
	conn, err := cluster.Dial(nats)
	if err != nil {
		return nil, err
	}
	c := &carrier{conn: conn, log: log}
	c.history = cluster.NewHistory(cluster.HistoryConfig{Conn: conn, Collectors: c.published, Log: log})
	return c, nil
}

// readFrom returns the meetings of all services, and makes those of this one available to others.
func (c *carrier) readFrom(recorder *history.Recorder) *history.Archive {
	if c == nil {
		return history.NewArchive(recorder, nil)
	}
	c.archive = history.NewArchive(recorder, c.history)
	return c.archive
}

// receives notes whether a shard arrives over NATS.
func (c *carrier) receives(shard string, does bool) {
	switch {
	case c == nil:
	case does:
		c.received.Store(shard, true)
	default:
		c.received.Delete(shard)
	}
}

// records reports whether this service records the meetings of a shard, because it is connected to the shard's Prosody.
func (c *carrier) records(shard string) bool {
	if c == nil {
		return true
	}
	_, received := c.received.Load(shard)
	return !received
}

// listen hears the collectors until ctx ends.
func (c *carrier) listen(ctx context.Context) error {
	if c == nil {
		return nil
	}
	return c.history.Run(ctx)
}

// published returns the collectors of this service.
func (c *carrier) published() []*cluster.Collector {
	collectors, _ := c.carried()
	return collectors
}

// publish publishes a shard for other services until ctx ends. The collector is named as the component on the shard's Prosody.
func (c *carrier) publish(ctx context.Context, shard *occupancy.Shard, component jid.JID) error {
	collector, err := cluster.NewCollector(cluster.CollectorConfig{
		Conn: c.conn, Shard: shard, Name: component.String(), Version: version, Answer: c.archive.Answer, Log: c.log,
	})
	if err != nil {
		return err
	}
	defer held(c, &c.collectors, collector)()
	return collector.Run(ctx)
}

// exchange is how the webhooks of a shard are shared with other services that watch it.
type exchange struct {
	*cluster.Exchange
	share *webhook.Share // nil if no deliverer is named
}

// share prepares to share the webhooks of a shard with other services that watch it. The result runs until its context ends.
func (c *carrier) share(webhooks *webhook.Outbox, shard string, component, deliverer jid.JID) func(context.Context) error {
	x := &exchange{}
	name := ""
	if !deliverer.Equal(jid.JID{}) {
		name = deliverer.String()
	}
	x.Exchange = cluster.NewExchange(cluster.ExchangeConfig{
		Conn: c.conn, Shard: shard, Name: component.String(), Deliverer: name, Active: webhooks.Active, Log: c.log,
		Answer: func(ctx context.Context, from string, question []byte) []byte {
			return webhooks.Answer(ctx, shard, from == name, question)
		},
	})
	if name == "" {
		webhooks.Alone(shard)
	} else {
		x.share = webhooks.Share(webhook.ShareConfig{Shard: shard, Deliverer: name, Own: name == component.String(), Peers: x.Exchange, Every: x.Every()})
	}
	return func(ctx context.Context) error {
		defer held(c, &c.exchanges, x)()
		g, ctx := errgroup.WithContext(ctx)
		g.Go(func() error { return x.Run(ctx) })
		if x.share != nil {
			g.Go(func() error { return x.share.Run(ctx) })
		}
		return g.Wait()
	}
}

// addShare adds to the state of a collector how its webhooks are shared.
func (c *carrier) addShare(d *occupancy.CollectorDiagnostics) {
	c.mu.Lock()
	exchanges := slices.Clone(c.exchanges)
	c.mu.Unlock()
	for _, x := range exchanges {
		if x.Shard() == d.Shard {
			d.Webhooks = &occupancy.WebhooksDiagnostics{Deliverer: x.Deliverer(), Delivering: x.share == nil || x.share.Delivers(), Problem: x.Problem()}
		}
	}
}

// follow receives a shard from other services until ctx ends.
func (c *carrier) follow(ctx context.Context, shard *occupancy.Shard) error {
	var domains []jid.JID
	for _, d := range shard.Domains() {
		domains = append(domains, d.JID)
	}
	node, err := cluster.NewNode(cluster.NodeConfig{Conn: c.conn, Shard: shard.Name(), Kind: shard.Kind(), Domains: domains, Replica: shard, Log: c.log})
	if err != nil {
		return err
	}
	defer held(c, &c.nodes, node)()
	return node.Run(ctx)
}

// held adds an item to a list, and returns what removes it.
func held[T comparable](c *carrier, list *[]T, item T) func() {
	c.mu.Lock()
	defer c.mu.Unlock()
	*list = append(*list, item)
	return func() {
		c.mu.Lock()
		defer c.mu.Unlock()
		*list = slices.DeleteFunc(slices.Clone(*list), func(other T) bool { return other == item })
	}
}

// carried returns what is published and followed now.
func (c *carrier) carried() ([]*cluster.Collector, []*cluster.Node) {
	c.mu.Lock()
	defer c.mu.Unlock()
	return slices.Clone(c.collectors), slices.Clone(c.nodes)
}

// metrics returns the metrics of NATS; none without it.
func (c *carrier) metrics() []prometheus.Collector {
	if c == nil {
		return nil
	}
	return append(cluster.Metrics(c.conn, c.history, c.carried), c.shared.metrics()...)
}

// diagnostics returns the state of NATS, or nil without it.
func (c *carrier) diagnostics() *occupancy.NATSDiagnostics {
	if c == nil {
		return nil
	}
	d := c.conn.Diagnostics()
	d.Bucket = c.shared.diagnostics()
	collectors, nodes := c.carried()
	for _, one := range collectors {
		published := one.Diagnostics()
		c.addShare(&published)
		d.Published = append(d.Published, published)
	}
	for _, one := range nodes {
		d.Followed = append(d.Followed, one.Diagnostics())
	}
	// Not slices.SortFunc, which would make the program 50 KB larger.
	sort.Slice(d.Published, func(i, k int) bool { return d.Published[i].Shard < d.Published[k].Shard })
	sort.Slice(d.Followed, func(i, k int) bool { return d.Followed[i].Shard < d.Followed[k].Shard })
	return &d
}

// close ends the connection.
func (c *carrier) close() {
	if c != nil {
		c.conn.Close()
	}
}
