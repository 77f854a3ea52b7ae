package main

import (
	"context"
	"log/slog"
	"slices"
	"strings"
	"sync"

	"github.com/prometheus/client_golang/prometheus"
	"mellium.im/xmpp/jid"

	"ppch/cmd/ppch/config"
	"ppch/component/cluster"
	"ppch/component/history"
	"ppch/component/occupancy"
)

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
}

// newCarrier returns a connection to the NATS of the configuration, or nil. It doesn't wait for NATS.
func newCarrier(cfg config.Config, log *slog.Logger) (*carrier, error) {
	if len(cfg.NATS.URLs) == 0 {
		return nil, nil
	}
	nats := cfg.NATS
	nats.Secret, nats.Password = cfg.ClusterSecret.Reveal(), cfg.NATSPassword.Reveal()
	nats.Log, nats.Name = log, "ppch"
	if cfg.Domain.String() != "" {
		nats.Name = "ppch " + cfg.Domain.String()
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
		d.Published = append(d.Published, one.Diagnostics())
	}
	for _, one := range nodes {
		d.Followed = append(d.Followed, one.Diagnostics())
	}
	slices.SortFunc(d.Published, func(a, b occupancy.CollectorDiagnostics) int { return strings.Compare(a.Shard, b.Shard) })
	slices.SortFunc(d.Followed, func(a, b occupancy.NodeDiagnostics) int { return strings.Compare(a.Shard, b.Shard) })
	return &d
}

// close ends the connection.
func (c *carrier) close() {
	if c != nil {
		c.conn.Close()
	}
}
