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
	"slices"
	"strconv"
	"time"

	"ppch/prosody/prosodytest"
)

// service is a running ppch, or another program that it needs.
type service struct {
	name string // for people
	url  string // of ppch's API
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
	s, err := d.startPPCH(ctx, "ppch", srv.Dir(), port,
		"PPCH_DATA_DIR="+filepath.Join(srv.Dir(), "data"), // removed with Prosody's files
		"PPCH_HISTORY=names",
		"PPCH_WEBHOOK_ALLOW=127.0.0.1", // receivers on this machine
		"PROSODY_URL=xmpp://"+srv.ComponentAddr(),
		"PPCH_COMPONENT_DOMAIN="+srv.Domains.Component,
		"PPCH_COMPONENT_SECRET="+srv.Secret(),
		"MUC_DOMAIN="+mucDomains(srv),
		"PPCH_ADMIN_JIDS="+demoAdmin,
	)
	if err != nil {
		return nil, err
	}
	fmt.Fprintf(d.out, "PPCH is up at %s and connected to Prosody as %s.\n", s.url, srv.Domains.Component)
	fmt.Fprintf(d.out, "XMPP admins: log in as %s with the password %s at %s, without TLS, and send help to %s.\n",
		demoAdmin, demoKey, srv.ClientAddr(), srv.Domains.Component)
	return s, nil
}

// mucDomains returns the MUC domains of a Prosody, as MUC_DOMAIN has them.
func mucDomains(srv *prosodytest.Server) string {
	return srv.Domains.MUC + "," + srv.Domains.Breakout + "," + srv.Domains.Lobby
}

// startPPCH starts ppch on a port, with its log in dir, and waits until it is ready.
func (d demo) startPPCH(ctx context.Context, name, dir, port string, env ...string) (*service, error) {
	cmd := exec.Command(d.ppch, "serve") // #nosec G204 -- the program next to this one
	cmd.Env = slices.Concat(env, []string{"PPCH_API_KEY=" + demoKey, "PPCH_PORT=" + port})
	s, err := start(name, dir, cmd)
	if err != nil {
		return nil, fmt.Errorf("start the service, which make demo builds: %w", err)
	}
	s.url = "http://" + net.JoinHostPort("127.0.0.1", port)
	if err := s.awaitReady(ctx); err != nil {
		return nil, errors.Join(err, s.stop())
	}
	return s, nil
}

// start starts a program with its log in dir. Ctrl-C must not reach it: it stops after its clients.
func start(name, dir string, cmd *exec.Cmd) (*service, error) {
	s := &service{name: name, cmd: cmd, log: filepath.Join(dir, name+".log")}
	log, err := os.Create(s.log)
	if err != nil {
		return nil, err
	}
	defer log.Close() // the process has its own copy
	cmd.Stdout, cmd.Stderr = log, log
	s.gone, err = prosodytest.Tie(cmd)
	return s, err
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
			return fmt.Errorf("%s did not become ready: %w\n%s", s.name, ctx.Err(), s.lastWords())
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
	return fmt.Errorf("%s ended: %s\n%s", s.name, s.cmd.ProcessState, s.lastWords())
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
	_ = s.cmd.Process.Signal(os.Interrupt) // NATS calls an end by SIGTERM a failure
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
