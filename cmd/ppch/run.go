package main

import (
	"context"
	"fmt"
	"io"
	"log/slog"
	"net"
	"os"
	"os/signal"
	"strings"
	"syscall"
	"time"

	"golang.org/x/sync/errgroup"

	"ppch/api"
	"ppch/api/keys"
	"ppch/api/webhook"
	"ppch/cmd/ppch/config"
	"ppch/component"
	"ppch/component/history"
	"ppch/component/occupancy"
)

// run runs the service until ctx ends and stops its parts in order. A clean stop returns nil.
func run(ctx context.Context, env config.Lookuper, stderr io.Writer) error {
	cfg, err := config.Load(ctx, env)
	if err != nil {
		return err
	}
	lines := newLineQueue(stderr)
	log := newLogger(lines, cfg)
	go lines.Run(func(dropped uint64) { log.Warn("log lines dropped", "count", dropped) })
	defer lines.close()
	limitMemory(log)
	for _, w := range cfg.Warnings {
		log.Warn(w)
	}
	for _, w := range []string{filesWarning(cfg.MaxStreams, filesLimit()), memoryWarning(cfg.MaxStreams, memoryLimit())} {
		if w != "" {
			log.Warn(w)
		}
	}

	names := cfg.Names()
	nats, err := newCarrier(cfg, log)
	if err != nil {
		return err
	}
	defer nats.close()
	shared, err := newShared(ctx, cfg, nats, log)
	if err != nil {
		return err
	}
	keyring, err := keys.NewKeyring(keys.KeyringConfig{Key: cfg.APIKey.Reveal(), File: cfg.KeysFile, Shared: shared.list(), Rate: cfg.RateLimit, Names: names, Log: log})
	if err != nil {
		return fmt.Errorf("PPCH_API_KEYS_FILE: %w", err)
	}
	directory := occupancy.NewDirectory()
	directory.MaxStaleness, directory.NotCounted, directory.Secret = cfg.MaxStaleness, cfg.NotCounted, cfg.ClusterSecret.Reveal()
	store := history.New(cfg.DataDir, history.Options{Log: log})
	defer store.Close()
	epoch := webhook.NewEpoch(time.Now())
	webhooks := newWebhooks(cfg, store, shared.registry(), keyring, names, epoch, log)
	recorder := history.NewRecorder(history.RecorderConfig{Store: store, Directory: directory, Own: nats.records, Level: cfg.History, Days: cfg.HistoryDays, Outbox: webhooks, Log: log})
	webhooks.OnChange(recorder.Changed)
	archive := nats.readFrom(recorder)
	router := component.NewRouter(directory)
	router.NATS = nats.diagnostics
	shards, err := newFleet(cfg, component.Config{
		Names:     names,
		Directory: directory,
		Router:    router,
		Admins:    cfg.Admins,
		Meetings:  offered(cfg, archive),
		Version:   version,
		Log:       log,
	}, nats, stored(cfg, webhooks), cfg.LoadShards)
	if err != nil {
		return err
	}
	metrics := newMetrics()
	hosts := api.NewHosts(cfg.Hosts...)
	commit, built := builtFrom()
	http, err := api.New(api.Config{
		Addr:      cfg.Listen,
		ChainFile: cfg.TLSCert,
		KeyFile:   cfg.TLSKey,
		Keys:      keyring,
		Names:     names,
		Directory: directory,
		Prosody:   router,
		Webhooks:  webhooks,
		Epoch:     epoch,
		Origins:   cfg.Origins,
		SiteName:  cfg.SiteName,
		Hosts:     hosts,
		Version:   version,
		Commit:    commit,
		Built:     built,
		Log:       log,

		Meetings:      recorder,
		Archive:       archive,
		Metrics:       metrics,
		MetricsPublic: cfg.MetricsPublic,
		LegacyRoutes:  cfg.LegacyRoutes,
		MaxStreams:    cfg.MaxStreams,
		EmbedOrigins:  cfg.EmbedOrigins,

		MaxConnections: maxConnections(cfg.MaxStreams, filesLimit(), memoryLimit()),
		TrustedProxies: cfg.TrustedProxies,
		Secret:         cfg.ClusterSecret.Reveal(),
	})
	if err != nil {
		return fmt.Errorf("%w (fix PPCH_HOST or PPCH_PORT)", err)
	}
	register(metrics, router.Metrics(cfg.ShardsFile != ""), http.Metrics(), recorder.Metrics(), webhooks.Metrics(), nats.metrics(), lines.metrics())
	profiles, err := newProfiler(cfg.Pprof, hosts, log)
	if err != nil {
		return err
	}

	// Without a keys file, SIGHUP keeps its default: a closed terminal ends the program.
	hangup := make(chan os.Signal, 1)
	if cfg.KeysFile != "" {
		signal.Notify(hangup, syscall.SIGHUP)
		defer signal.Stop(hangup)
	}

	// Open requests need the XMPP stream, so it stops after HTTP.
	xmppCtx, stopXMPP := context.WithCancel(context.WithoutCancel(ctx))
	defer stopXMPP()
	var g errgroup.Group
	g.Go(func() error { return shards.Run(xmppCtx) })
	g.Go(func() error { return nats.listen(xmppCtx) })
	g.Go(func() error { return directory.Run(xmppCtx) })
	g.Go(func() error { return recorder.Run(xmppCtx) })
	g.Go(func() error { return webhooks.Run(xmppCtx) })
	g.Go(func() error { return shared.Run(xmppCtx) })
	g.Go(func() error { return keyring.Run(ctx, hangup) })
	g.Go(func() error { return profiles.Run(xmppCtx) })
	g.Go(func() error {
		defer stopXMPP()
		return http.Run(ctx)
	})
	log.Info("ppch started", "version", version, "commit", commit, "dashboard", dashboardURL(cfg, http.Addr()), "listen", http.Addr().String(), "tls", cfg.TLSCert != "", "prosody", cfg.Prosody, "component", cfg.Domain.String())
	err = g.Wait()
	log.Info("ppch stopped")
	return err
}

// offered returns the archive for admins, or nil if no PPCH can have recorded meetings.
func offered(cfg config.Config, archive *history.Archive) *history.Archive {
	if cfg.History == history.LevelOff && len(cfg.NATS.URLs) == 0 {
		return nil
	}
	return archive
}

// stored returns the webhooks if they are stored, else nil.
func stored(cfg config.Config, webhooks *webhook.Outbox) *webhook.Outbox {
	if cfg.DataDir == "" {
		return nil
	}
	return webhooks
}

// newWebhooks returns the webhooks.
func newWebhooks(cfg config.Config, store *history.Store, registry webhook.Registry, keyring *keys.Keyring, names *occupancy.NameResolver, epoch string, log *slog.Logger) *webhook.Outbox {
	return webhook.New(webhook.Config{
		Store: store, Registry: registry, Keys: keyring, Names: names, Epoch: epoch, Reach: cfg.WebhookReach,
		KeepLog: time.Duration(cfg.WebhookLogDays) * 24 * time.Hour, Version: version, Log: log,
	})
}

// dashboardURL returns the dashboard's URL: below PPCH_PUBLIC_URL, or else as seen on this machine.
func dashboardURL(cfg config.Config, listen net.Addr) string {
	if cfg.PublicURL != "" {
		return strings.TrimSuffix(cfg.PublicURL, "/") + "/dashboard/"
	}
	host, port, err := net.SplitHostPort(listen.String())
	if err != nil {
		return ""
	}
	return config.LocalURL(host, port, cfg.TLSCert != "") + "/dashboard/"
}
