package prosodytest

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"time"
)

// errPortInUse means that Prosody runs but could not bind one of its ports.
var errPortInUse = errors.New("prosodytest: a port is in use")

// run starts the process and blocks until its ports answer.
func (s *Server) run(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, startTimeout)
	defer cancel()
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.closed {
		return errors.New("prosodytest: start: the server is closed")
	}
	if s.proc != nil {
		return errors.New("prosodytest: start: prosody is already running")
	}
	log, err := os.OpenFile(s.logPath(), os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o600)
	if err != nil {
		return fmt.Errorf("prosodytest: open the log: %w", err)
	}
	// The child has its own copy of the descriptor.
	defer log.Close()
	if s.logFrom, err = log.Seek(0, io.SeekEnd); err != nil {
		return fmt.Errorf("prosodytest: open the log: %w", err)
	}
	cmd := exec.Command(s.exe, "-F", "--config", s.site.configPath()) // #nosec G204 -- the caller chooses the Prosody to test
	cmd.Dir = s.site.Dir
	cmd.Stdout, cmd.Stderr = log, log
	p := &process{cmd: cmd}
	if err := p.start(); err != nil {
		return err
	}
	if err := s.awaitStart(ctx, p); err != nil {
		return errors.Join(fmt.Errorf("%w\n%s", err, tail(s.logSince(s.logFrom), 40)), p.kill())
	}
	s.proc = p
	return nil
}

// awaitStart polls until p serves both ports.
func (s *Server) awaitStart(ctx context.Context, p *process) error {
	tick := time.NewTicker(10 * time.Millisecond)
	defer tick.Stop()
	for ready := false; ; {
		log := s.logSince(s.logFrom)
		// An answer on a port doesn't prove that it comes from Prosody, which only
		// logs a port in use. See activate() in core/portmanager.lua.
		if strings.Contains(log, "Failed to open server port") {
			return errPortInUse
		}
		if ready {
			return nil
		}
		if active(log, "c2s", s.site.ClientPort) && (s.site.NoComponentPort || active(log, "component", s.site.ComponentPort)) {
			if err := s.awaitReady(ctx); err != nil {
				return err
			}
			ready = true // check the log again: the HTTP port may have been bound since
			continue
		}
		select {
		case <-p.done:
			return errors.New("prosodytest: prosody ended while starting")
		case <-ctx.Done():
			return fmt.Errorf("prosodytest: wait for prosody: %w", ctx.Err())
		case <-tick.C:
		}
	}
}

// active finds portmanager's message that a service has its port. It lists all ports of the service, in any order.
func active(log, service string, port int) bool {
	for line := range strings.Lines(log) {
		if _, addresses, ok := strings.Cut(line, "Activated service '"+service+"' on "); ok && strings.Contains(addresses, fmt.Sprintf("[127.0.0.1]:%d", port)) {
			return true
		}
	}
	return false
}

// awaitReady opens a stream and blocks until Prosody answers. It binds its ports
// early and answers only when all hosts and modules are loaded.
func (s *Server) awaitReady(ctx context.Context) error {
	st, done, err := dial(ctx, "tcp", s.ClientAddr())
	if err != nil {
		return fmt.Errorf("prosodytest: connect to prosody: %w", err)
	}
	defer st.conn.Close()
	if _, err = st.open(s.Domains.Main, nsClient); err == nil {
		_, err = st.next()
	}
	if !done() && err != nil {
		err = errors.Join(ctx.Err(), err)
	}
	if err != nil {
		return fmt.Errorf("prosodytest: wait for prosody: %w", err)
	}
	return nil
}

func (s *Server) logPath() string { return filepath.Join(s.site.Dir, "prosody.log") }

// Log returns Prosody's log so far, of all runs.
func (s *Server) Log() string { return s.logSince(0) }

// LogContains reports whether the log contains text.
func (s *Server) LogContains(text string) bool { return strings.Contains(s.Log(), text) }

// logSince returns the log from an offset on, nothing if it cannot be read.
func (s *Server) logSince(from int64) string {
	log, err := os.ReadFile(s.logPath())
	if err != nil || from > int64(len(log)) {
		return ""
	}
	return string(log[from:])
}

// tail returns the last n lines of text.
func tail(text string, n int) string {
	lines := strings.Split(strings.TrimRight(text, "\n"), "\n")
	return strings.Join(lines[max(0, len(lines)-n):], "\n")
}
