package main

import (
	"context"
	"errors"
	"log/slog"
	"path/filepath"
	"strings"

	"github.com/prometheus/client_golang/prometheus"

	"ppch/api/keys"
	"ppch/api/webhook"
	"ppch/cmd/ppch/config"
	"ppch/component/bucket"
	"ppch/component/cluster"
	"ppch/component/occupancy"
)

// savedFile is the file in the data folder with the settings that the node read last.
const savedFile = "settings"

// keysEntry is the entry with the list of keys and share links. One entry has all of them, so that a node never sees half of a change.
const keysEntry = "keys"

// sharedSettings are the settings that all nodes share. It implements [keys.List], and its registry [webhook.Registry].
type sharedSettings struct{ *bucket.Bucket }

// newShared returns the settings that all nodes share, as far as NATS has them now, or else as they were saved;
// nil if they are configured on each node.
func newShared(ctx context.Context, cfg config.Config, nats *carrier, log *slog.Logger) (*sharedSettings, error) {
	if !cfg.ConfigFromNATS {
		return nil, nil
	}
	file := ""
	if cfg.DataDir != "" {
		file = filepath.Join(cfg.DataDir, savedFile)
	}
	b, err := bucket.New(bucket.Config{Conn: nats.conn, Name: bucket.NameFor(cfg.NATS.Prefix), Secret: cfg.ClusterSecret.Reveal(), File: file, Log: log})
	if err != nil {
		return nil, err
	}
	// Clients with these keys, and webhooks, need them from the first moment.
	b.Look(ctx)
	nats.shared = &sharedSettings{b}
	return nats.shared, nil
}

// Run follows the settings until ctx ends, and returns nil. Without any it returns at once.
func (s *sharedSettings) Run(ctx context.Context) error {
	if s == nil {
		return nil
	}
	return s.Bucket.Run(ctx)
}

// list returns the list of keys, or nil without one.
func (s *sharedSettings) list() keys.List {
	if s == nil {
		return nil
	}
	return s
}

// Lines implements [keys.List].
func (s *sharedSettings) Lines() (string, error) {
	e, ok, err := s.Get(keysEntry)
	switch {
	case err != nil:
		return "", err
	case !ok:
		return "", s.About(occupancy.ProblemKeysMissing)
	}
	return string(e.Value), nil
}

// webhooksPrefix begins the names of the entries with endpoints of webhooks.
const webhooksPrefix = "webhook."

// registry returns the endpoints of webhooks, or nil without any.
func (s *sharedSettings) registry() webhook.Registry {
	if s == nil {
		return nil
	}
	return sharedWebhooks{s.Bucket}
}

// sharedWebhooks implements [webhook.Registry].
type sharedWebhooks struct{ *bucket.Bucket }

// Endpoints implements [webhook.Registry].
func (s sharedWebhooks) Endpoints() ([]webhook.Registered, error) {
	entries, err := s.Entries(webhooksPrefix)
	if err != nil {
		return nil, err
	}
	all := make([]webhook.Registered, 0, len(entries))
	for _, e := range entries {
		all = append(all, registered(e))
	}
	return all, nil
}

// Update implements [webhook.Registry].
func (s sharedWebhooks) Update(ctx context.Context, name string, change func(webhook.Registered) (webhook.Registered, error)) (webhook.Registered, error) {
	ctx, cancel := context.WithTimeout(ctx, sharedWithin)
	defer cancel()
	e, err := s.Bucket.Update(ctx, webhooksPrefix+name, func(now bucket.Entry) (bucket.Entry, error) {
		next, err := change(registered(now))
		return bucket.Entry{Value: next.Value, Removed: next.Removed}, err
	})
	return registered(e), err
}

func registered(e bucket.Entry) webhook.Registered {
	return webhook.Registered{Name: strings.TrimPrefix(e.Name, webhooksPrefix), Value: e.Value, Generation: e.Generation, Removed: e.Removed}
}

// diagnostics returns the state of the settings, or nil without any.
func (s *sharedSettings) diagnostics() *occupancy.BucketDiagnostics {
	if s == nil {
		return nil
	}
	d := s.Diagnostics()
	lines, err := s.Lines()
	if !errors.As(err, &d.Unknown) {
		d.Keys = keys.CountLines(lines)
	}
	hooks, _ := s.Entries(webhooksPrefix) // if they aren't known, d says why
	for _, e := range hooks {
		if !e.Removed {
			d.Webhooks++
		}
	}
	return &d
}

// metrics returns the metrics of the settings; none without any.
func (s *sharedSettings) metrics() []prometheus.Collector {
	if s == nil {
		return nil
	}
	return s.Metrics()
}

// dialShared connects a command to the settings in NATS. The caller calls the function that it returns.
func dialShared(ctx context.Context, env config.Lookuper) (*sharedSettings, func(), error) {
	s, err := config.Read(ctx, env)
	if err != nil {
		return nil, nil, err
	}
	cfg, err := s.SharedInNATS()
	if err != nil {
		return nil, nil, err
	}
	cfg.Name = "ppch key"
	conn, err := cluster.Dial(cfg)
	if err != nil {
		return nil, nil, err
	}
	b, err := bucket.New(bucket.Config{Conn: conn, Name: bucket.NameFor(cfg.Prefix), Secret: cfg.Secret})
	if err != nil {
		conn.Close()
		return nil, nil, err
	}
	return &sharedSettings{b}, conn.Close, nil
}
