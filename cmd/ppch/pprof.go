package main

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"net/http/pprof" // http.DefaultServeMux, which it extends, is not served
	"time"

	"golang.org/x/sync/errgroup"

	"ppch/api"
)

// profiler serves profiles of this process for "go tool pprof", on its own listener and without a key.
// They show use of time and memory, but no rooms or people.
type profiler struct {
	listener net.Listener
	http     *http.Server
}

// newProfiler returns a listening profiler, or nil for an empty address.
func newProfiler(addr string, hosts api.Hosts, log *slog.Logger) (*profiler, error) {
	if addr == "" {
		return nil, nil
	}
	listener, err := net.Listen("tcp", addr)
	if err != nil {
		return nil, fmt.Errorf("PPCH_PPROF_ADDR: %w", err)
	}
	log.Info("serving profiles", "listen", listener.Addr().String())
	mux := http.NewServeMux()
	mux.HandleFunc("GET /debug/pprof/", pprof.Index)
	mux.HandleFunc("GET /debug/pprof/profile", pprof.Profile)
	mux.HandleFunc("GET /debug/pprof/trace", pprof.Trace)
	handler := http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if !hosts.Allow(r.Host) {
			http.Error(w, "unknown host name: use the IP address, or add the name to PPCH_HOSTS", http.StatusMisdirectedRequest)
			return
		}
		mux.ServeHTTP(w, r)
	})
	// No write timeout: the client chooses how long a profile takes.
	return &profiler{listener, &http.Server{Handler: handler, ReadHeaderTimeout: 5 * time.Second, ReadTimeout: 10 * time.Second}}, nil
}

// Run serves until ctx ends and then closes all connections: a profile may take minutes.
// It returns nil, immediately for a nil profiler.
func (p *profiler) Run(ctx context.Context) error {
	if p == nil {
		return nil
	}
	g, ctx := errgroup.WithContext(ctx)
	g.Go(func() error {
		if err := p.http.Serve(p.listener); !errors.Is(err, http.ErrServerClosed) {
			return fmt.Errorf("PPCH_PPROF_ADDR: %w", err)
		}
		return nil
	})
	g.Go(func() error {
		<-ctx.Done()
		_ = p.http.Close() // best effort: the service is shutting down
		return nil
	})
	return g.Wait()
}
