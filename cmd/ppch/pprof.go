package main

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"net/http/pprof" // what it adds to http.DefaultServeMux is served by nobody
	"time"

	"golang.org/x/sync/errgroup"

	"ppch/api"
)

// profiler serves profiles of this process for "go tool pprof", by a listener of its own and without a key.
// What they tell is how it spends time and memory, of no room and no person.
type profiler struct {
	listener net.Listener
	http     *http.Server
}

// newProfiler returns a profiler that listens already, or nil for an empty address.
func newProfiler(addr string, hosts api.Hosts, log *slog.Logger) (*profiler, error) {
	if addr == "" {
		return nil, nil
	}
	listener, err := net.Listen("tcp", addr)
	if err != nil {
		return nil, fmt.Errorf("PPCH_PPROF_ADDR: %w", err)
	}
	log.Info("profiles are served", "listen", listener.Addr().String())
	mux := http.NewServeMux()
	mux.HandleFunc("GET /debug/pprof/", pprof.Index)
	mux.HandleFunc("GET /debug/pprof/profile", pprof.Profile)
	mux.HandleFunc("GET /debug/pprof/trace", pprof.Trace)
	known := http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if !hosts.Allow(r.Host) {
			http.Error(w, "profiles are not served under this name: ask for the address, or add the name to PPCH_HOSTS", http.StatusMisdirectedRequest)
			return
		}
		mux.ServeHTTP(w, r)
	})
	// No bound on writing: how long a profile takes is for the asker to say.
	return &profiler{listener, &http.Server{Handler: known, ReadHeaderTimeout: 5 * time.Second, ReadTimeout: 10 * time.Second}}, nil
}

// Run serves until ctx ends, and then cuts off whoever is still being told: a profile may take minutes.
// It returns nil, at once for no profiler.
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
		_ = p.http.Close() // what it could complain of is being closed anyway
		return nil
	})
	return g.Wait()
}
