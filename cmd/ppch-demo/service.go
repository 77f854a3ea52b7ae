package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"syscall"
	"time"

	"ppch/prosody/prosodytest"
)

// service is the running ppch.
type service struct {
	url  string
	cmd  *exec.Cmd
	log  string
	gone <-chan struct{}
}

// startService starts ppch, configured by its environment as for an operator, and waits until it is ready.
func (d demo) startService(ctx context.Context, srv *prosodytest.Server) (*service, error) {
	port, err := d.freePort()
	if err != nil {
		return nil, err
	}
	s := &service{
		url: "http://" + net.JoinHostPort("127.0.0.1", port),
		cmd: exec.Command(d.ppch, "serve"), // #nosec G204 -- the program next to this one
		log: filepath.Join(srv.Dir(), "ppch.log"),
	}
	log, err := os.Create(s.log)
	if err != nil {
		return nil, err
	}
	defer log.Close() // the process has its own copy
	s.cmd.Stderr = log
	s.cmd.Env = []string{
		"PPCH_API_KEY=" + demoKey,
		"PPCH_PORT=" + port,
		"PPCH_DATA_DIR=" + filepath.Join(srv.Dir(), "data"), // removed with Prosody's files
		"PPCH_HISTORY=names",
		"PPCH_WEBHOOK_ALLOW=127.0.0.1", // receivers on this machine
		"PROSODY_URL=xmpp://" + srv.ComponentAddr(),
		"PPCH_COMPONENT_DOMAIN=" + srv.Domains.Component,
		"PPCH_COMPONENT_SECRET=" + srv.Secret(),
		"MUC_DOMAIN=" + srv.Domains.MUC + "," + srv.Domains.Breakout + "," + srv.Domains.Lobby,
	}
	// Ctrl-C must not reach the service: it stops after its clients.
	if s.gone, err = prosodytest.Tie(s.cmd); err != nil {
		return nil, fmt.Errorf("start the service, which make demo builds: %w", err)
	}
	if err := s.awaitReady(ctx); err != nil {
		return nil, errors.Join(err, s.stop())
	}
	fmt.Fprintf(d.out, "PPCH is up at %s and connected to Prosody as %s.\n", s.url, srv.Domains.Component)
	return s, nil
}

// freePort returns the port, or any free one if the default is taken.
func (d demo) freePort() (string, error) {
	l, err := net.Listen("tcp", net.JoinHostPort("127.0.0.1", strconv.Itoa(d.port)))
	if err != nil && d.strict {
		return "", fmt.Errorf("--port: %w", err)
	}
	if err != nil {
		fmt.Fprintf(d.out, "Port %d is taken; using another one.\n", d.port)
		if l, err = net.Listen("tcp", "127.0.0.1:0"); err != nil {
			return "", err
		}
	}
	defer l.Close()
	_, port, err := net.SplitHostPort(l.Addr().String())
	return port, err
}

func (s *service) awaitReady(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, 20*time.Second)
	defer cancel()
	for {
		req, err := http.NewRequestWithContext(ctx, http.MethodGet, s.url+"/readyz", nil)
		if err != nil {
			return err
		}
		if resp, err := http.DefaultClient.Do(req); err == nil {
			_ = resp.Body.Close() // only the status matters
			if resp.StatusCode == http.StatusOK {
				return nil
			}
		}
		select {
		case <-s.gone:
			return s.died()
		case <-ctx.Done():
			return fmt.Errorf("the service did not become ready: %w\n%s", ctx.Err(), s.lastWords())
		case <-time.After(50 * time.Millisecond):
		}
	}
}

// watch returns an error if the service ends before ctx does.
func (s *service) watch(ctx context.Context) error {
	select {
	case <-s.gone:
		return s.died()
	case <-ctx.Done():
		return nil
	}
}

func (s *service) died() error {
	return fmt.Errorf("the service ended: %s\n%s", s.cmd.ProcessState, s.lastWords())
}

// lastWords returns the end of the service's log.
func (s *service) lastWords() string {
	log, err := os.ReadFile(s.log)
	if err != nil {
		return err.Error()
	}
	lines := bytes.Split(bytes.TrimSpace(log), []byte("\n"))
	return string(bytes.Join(lines[max(0, len(lines)-10):], []byte("\n")))
}

// stop stops the service; a clean stop has status 0.
func (s *service) stop() error {
	_ = s.cmd.Process.Signal(syscall.SIGTERM)
	select {
	case <-s.gone:
	case <-time.After(10 * time.Second):
		_ = s.cmd.Process.Kill()
		<-s.gone
	}
	if !s.cmd.ProcessState.Success() {
		return s.died()
	}
	return nil
}
