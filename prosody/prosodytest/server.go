package prosodytest

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"time"
)

// ErrNoProsody means that there is no Prosody to run.
var ErrNoProsody = errors.New("prosodytest: no prosody found: install it, or set PPCH_TEST_PROSODY to its path")

// startTimeout bounds every start. Prosody needs 250 ms; the rest is for busy
// machines.
const startTimeout = 30 * time.Second

// Server is a Prosody, running or temporarily stopped.
// The caller of Start must call Close.
// All methods are safe for concurrent use.
type Server struct {
	// Domains are the hosts served. Read-only.
	Domains Domains

	site site
	exe  string

	// clients and components are the addresses of a server from Attach, else empty.
	clients, components string

	// mu protects the fields below. It is held while Prosody starts or stops.
	mu      sync.Mutex
	proc    *process
	closed  bool
	logFrom int64 // offset of the current run in the log
}

// Start runs a Prosody in a temporary folder and returns when its client and
// component ports answer.
// ctx bounds only the start; Close ends the server.
// An error contains the end of Prosody's log. It is ErrNoProsody if none is installed.
func Start(ctx context.Context, o Options) (*Server, error) {
	o, err := o.complete()
	if err != nil {
		return nil, err
	}
	exe, err := findProsody(o.Executable)
	if err != nil {
		return nil, err
	}
	dir, err := os.MkdirTemp("", "prosodytest-")
	if err != nil {
		return nil, fmt.Errorf("prosodytest: make a folder: %w", err)
	}
	s := &Server{Domains: newDomains(o), exe: exe}
	s.site = site{Options: o, Domains: s.Domains, Dir: dir}

	// Another process may take a free port before Prosody binds it.
	for range 5 {
		if err = s.configure(); err != nil {
			break
		}
		if err = s.run(ctx); !errors.Is(err, errPortInUse) {
			break
		}
	}
	if err != nil {
		return nil, errors.Join(err, s.Close())
	}
	return s, nil
}

// Attach returns a Server for an existing Prosody with Jitsi's domains, or any other XMPP server with rooms.
// clients and components are the addresses to connect to; an unused one may be empty.
// o has the base domain, passwords of accounts and the components' secret. Clients can connect and join;
// methods that need the process or its files don't work.
func Attach(clients, components string, o Options) (*Server, error) {
	o, err := o.complete()
	if err != nil {
		return nil, err
	}
	domains := newDomains(o)
	return &Server{Domains: domains, site: site{Options: o, Domains: domains}, clients: clients, components: components}, nil
}

// findProsody returns the path of the named Prosody, else of an installed one.
// A missing named one is not ErrNoProsody, so that tests aren't skipped.
func findProsody(name string) (string, error) {
	name = cmp.Or(name, os.Getenv("PPCH_TEST_PROSODY"))
	named := name != ""
	exe, err := exec.LookPath(cmp.Or(name, "prosody"))
	if err != nil && !named {
		return "", fmt.Errorf("%w: %w", ErrNoProsody, err)
	}
	if err != nil {
		return "", fmt.Errorf("prosodytest: find prosody: %w", err)
	}
	// Prosody starts in its own folder, so the path must be absolute.
	if exe, err = filepath.Abs(exe); err != nil {
		return "", fmt.Errorf("prosodytest: find prosody: %w", err)
	}
	return exe, nil
}

// configure picks ports and writes Prosody's files.
func (s *Server) configure() error {
	for _, port := range []*int{&s.site.ClientPort, &s.site.ComponentPort, &s.site.HTTPPort} {
		var err error
		if *port, err = FreePort(); err != nil {
			return err
		}
	}
	return s.site.write()
}

// Restart starts Prosody again on the same ports with the same configuration,
// after stopping one that runs. All rooms are lost: like Jitsi this server
// keeps them in memory.
// It blocks until the ports answer, or ctx is done.
func (s *Server) Restart(ctx context.Context) error {
	if err := s.Stop(); err != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(ctx, startTimeout)
	defer cancel()
	var taken error
	for {
		err := s.run(ctx)
		switch {
		case errors.Is(err, errPortInUse):
			taken = err
		case err != nil && taken != nil:
			return errors.Join(taken, err)
		default:
			return err
		}
		// The port may become free soon.
		select {
		case <-ctx.Done():
			return errors.Join(taken, ctx.Err())
		case <-time.After(100 * time.Millisecond):
		}
	}
}

// Stop ends Prosody (SIGTERM), and kills it after five seconds.
// It blocks until the process is gone. A stopped server may be restarted.
func (s *Server) Stop() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.end(func(p *process) error { return p.stop(5 * time.Second) })
}

// Kill ends Prosody at once (SIGKILL), without closing any stream.
// It blocks until the process is gone. A killed server may be restarted.
func (s *Server) Kill() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.end((*process).kill)
}

// Close kills Prosody and removes its folder. It may be called several times.
func (s *Server) Close() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.closed = true
	err := s.end((*process).kill)
	return errors.Join(err, os.RemoveAll(s.site.Dir))
}

// end ends the current process, if any. mu must be held.
func (s *Server) end(how func(*process) error) error {
	if s.proc == nil {
		return nil
	}
	err := how(s.proc)
	if err == nil {
		s.proc = nil
	}
	return err
}

// Pause freezes Prosody (SIGSTOP): its sockets stay open and accept bytes, but
// it doesn't answer.
func (s *Server) Pause() error { return s.signal(syscall.SIGSTOP) }

// Resume continues a paused Prosody (SIGCONT).
func (s *Server) Resume() error { return s.signal(syscall.SIGCONT) }

func (s *Server) signal(sig syscall.Signal) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.proc == nil {
		return fmt.Errorf("prosodytest: send %v: prosody is not running", sig)
	}
	return s.proc.signal(sig)
}

// PID returns the process id, or 0 when Prosody does not run.
func (s *Server) PID() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.proc == nil || !s.proc.alive() {
		return 0
	}
	return s.proc.cmd.Process.Pid
}

// ClientAddr is the host:port for clients. It never changes.
func (s *Server) ClientAddr() string { return cmp.Or(s.clients, loopback(s.site.ClientPort)) }

// ComponentAddr is the host:port for components. It never changes.
func (s *Server) ComponentAddr() string {
	return cmp.Or(s.components, loopback(s.site.ComponentPort))
}

// HTTPAddr is the host:port of Prosody's HTTP server.
// It answers only if a module serves HTTP.
func (s *Server) HTTPAddr() string { return loopback(s.site.HTTPPort) }

// Secret is the secret of external components.
func (s *Server) Secret() string { return s.site.Secret }

// Dir is the server's folder with prosody.cfg.lua and data. Close removes it.
func (s *Server) Dir() string { return s.site.Dir }

// Room returns the JID of a room on the main room domain.
func (s *Server) Room(name string) string { return name + "@" + s.Domains.MUC }

// TenantRoom returns the JID of a room for a tenant's clients. Prosody and
// components use [tenant]name on the main room domain. It needs
// Options.DomainMapper.
func (s *Server) TenantRoom(tenant, name string) string {
	return name + "@" + s.site.MUCPrefix + "." + tenant + "." + s.site.Base
}

// Version returns Prosody's version from its log, such as "0.12.3".
func (s *Server) Version() string {
	_, rest, _ := strings.Cut(s.Log(), "welcome to Prosody version ")
	version, _, _ := strings.Cut(rest, "\n")
	return strings.TrimSpace(version)
}

func loopback(port int) string { return net.JoinHostPort("127.0.0.1", strconv.Itoa(port)) }
