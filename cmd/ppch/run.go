package main

import (
	"context"
	"fmt"
	"io"
	"os"
	"os/signal"
	"syscall"

	"github.com/sethvargo/go-envconfig"
	"golang.org/x/sync/errgroup"

	"ppch/api"
	"ppch/component"
	"ppch/component/occupancy"
)

// run is the service: it wires the parts, runs them until ctx ends, and stops them in order.
// A clean stop returns nil.
func run(ctx context.Context, env envconfig.Lookuper, stderr io.Writer) error {
	cfg, err := loadConfig(ctx, env)
	if err != nil {
		return err
	}
	lines := newLineQueue(stderr)
	log := newLogger(lines, cfg)
	go lines.Run(func(dropped uint64) { log.Warn("log lines dropped", "count", dropped) })
	defer lines.close()
	limitMemory(log)
	for _, w := range cfg.warnings {
		log.Warn(w)
	}
	for _, w := range []string{filesWarning(cfg.maxStreams, filesLimit()), memoryWarning(cfg.maxStreams, memoryLimit())} {
		if w != "" {
			log.Warn(w)
		}
	}

	names := occupancy.NewNames(cfg.mucDomains...)
	keys, err := api.NewKeyring(api.KeyringConfig{Key: cfg.apiKey.reveal(), File: cfg.keysFile, Rate: cfg.rateLimit, Names: names, Log: log})
	if err != nil {
		return fmt.Errorf("PPCH_API_KEYS_FILE: %w", err)
	}
	directory := occupancy.NewDirectory(cfg.mucDomains...)
	directory.MaxStaleness = cfg.maxStaleness
	xmpp, err := component.New(component.Config{
		Address:    cfg.prosody,
		Domain:     cfg.domain,
		Secret:     cfg.secret.reveal(),
		MUCDomains: cfg.mucDomains,
		Directory:  directory,
		Admins:     cfg.admins,
		Version:    version,
		Log:        log,
	})
	if err != nil {
		return err
	}
	metrics := newMetrics()
	commit, built := builtFrom()
	http, err := api.New(api.Config{
		Addr:      cfg.listen,
		ChainFile: cfg.tlsCert,
		KeyFile:   cfg.tlsKey,
		Keys:      keys,
		Names:     names,
		Directory: directory,
		Prosody:   xmpp,
		Origins:   cfg.origins,
		Hosts:     cfg.hosts,
		Version:   version,
		Commit:    commit,
		Built:     built,
		Log:       log,

		Metrics:       metrics,
		MetricsPublic: cfg.metricsPublic,
		MaxStreams:    cfg.maxStreams,

		MaxConnections: maxConnections(cfg.maxStreams, filesLimit(), memoryLimit()),
		TrustedProxies: cfg.proxies,
		Secret:         cfg.sealing.reveal(),
	})
	if err != nil {
		return fmt.Errorf("%w (mend PPCH_HOST or PPCH_PORT)", err)
	}
	measure(metrics, xmpp.Metrics(), http.Metrics(), lines.metrics())
	profiles, err := newProfiler(cfg.pprof, cfg.hosts, log)
	if err != nil {
		return err
	}

	// Without a file SIGHUP stays what it is to any program whose terminal is closed: its end.
	hangup := make(chan os.Signal, 1)
	if cfg.keysFile != "" {
		signal.Notify(hangup, syscall.SIGHUP)
		defer signal.Stop(hangup)
	}

	// Requests are answered to their end while the stream is still there, so it stops after HTTP has.
	xmppCtx, stopXMPP := context.WithCancel(context.WithoutCancel(ctx))
	defer stopXMPP()
	var g errgroup.Group
	g.Go(func() error { return xmpp.Run(xmppCtx) })
	g.Go(func() error { return directory.Run(xmppCtx) })
	g.Go(func() error { return keys.Run(ctx, hangup) })
	g.Go(func() error { return profiles.Run(xmppCtx) })
	g.Go(func() error {
		defer stopXMPP()
		return http.Run(ctx)
	})
	log.Info("ppch started", "version", version, "commit", commit, "listen", http.Addr().String(), "tls", cfg.tlsCert != "", "prosody", cfg.prosody, "component", cfg.domain.String())
	err = g.Wait()
	log.Info("ppch stopped")
	return err
}
