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

// ErrNoProsody means that no Prosody could be found to run.
var ErrNoProsody = errors.New("prosodytest: no prosody found: install it, or name it in PPCH_TEST_PROSODY")

// startTimeout bounds every start. Prosody needs a quarter of a second; the rest
// is for machines with much else to do.
const startTimeout = 30 * time.Second

// Server is a running, or for a while stopped, Prosody.
// It belongs to whoever called Start, who must call Close.
// All methods are safe for concurrent use.
type Server struct {
	// Domains are the hosts served. Not to be changed.
	Domains Domains

	site site
	exe  string

	// clients and components are where these connect to a server that somebody else runs; empty for one of our own.
	clients, components string

	// mu guards the fields below. It is held while Prosody starts or ends, never
	// while it runs.
	mu      sync.Mutex
	proc    *process
	closed  bool
	logFrom int64 // where the present run's log begins
}

// Start runs a Prosody in a temporary folder and returns when its client and
// component ports answer.
// ctx bounds the start alone: to end the server call Close.
// An error holds the end of Prosody's log; ErrNoProsody is its kind where none is installed.
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
	s := &Server{Domains: domainsOf(o), exe: exe}
	s.site = site{Options: o, Domains: s.Domains, Dir: dir}

	// A port that was free when asked for may be taken by the time Prosody binds it.
	for range 5 {
		if err = s.configure(); err != nil {
			break
		}
		if err = s.run(ctx); !errors.Is(err, errPortTaken) {
			break
		}
	}
	if err != nil {
		return nil, errors.Join(err, s.Close())
	}
	return s, nil
}

// Attach returns a Server for a Prosody that somebody else runs, laid out as Jitsi's, whose clients and components
// connect at these addresses; one of them may be empty where nobody is to connect.
// o says its base domain, the passwords of its accounts and the secret of its components. People can come and go;
// what has to do with its process and its files cannot be done. Any XMPP server with rooms will do for that.
func Attach(clients, components string, o Options) (*Server, error) {
	o, err := o.complete()
	if err != nil {
		return nil, err
	}
	domains := domainsOf(o)
	return &Server{Domains: domains, site: site{Options: o, Domains: domains}, clients: clients, components: components}, nil
}

// findProsody looks for the one that was named, or else for an installed one.
// To miss the former is not ErrNoProsody: a choice must not be skipped over.
func findProsody(name string) (string, error) {
	if name == "" {
		name = os.Getenv("PPCH_TEST_PROSODY")
	}
	named := name != ""
	if !named {
		name = "prosody"
	}
	exe, err := exec.LookPath(name)
	if err != nil && !named {
		return "", fmt.Errorf("%w: %w", ErrNoProsody, err)
	}
	if err != nil {
		return "", fmt.Errorf("prosodytest: find prosody: %w", err)
	}
	// Prosody is started in its own folder, where a relative path would not be found.
	if exe, err = filepath.Abs(exe); err != nil {
		return "", fmt.Errorf("prosodytest: find prosody: %w", err)
	}
	return exe, nil
}

// configure picks ports and writes everything that Prosody reads.
func (s *Server) configure() error {
	for _, port := range []*int{&s.site.ClientPort, &s.site.ComponentPort, &s.site.HTTPPort} {
		var err error
		if *port, err = FreePort(); err != nil {
			return err
		}
	}
	return s.site.write()
}

// Restart starts Prosody again on the same ports with the same configuration.
// A Prosody that still runs is stopped first. All rooms are gone then: Jitsi
// keeps them in memory, and so does this server.
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
		case errors.Is(err, errPortTaken):
			taken = err
		case err != nil && taken != nil:
			return errors.Join(taken, err)
		default:
			return err
		}
		// Whoever took the port may be gone soon.
		select {
		case <-ctx.Done():
			return errors.Join(taken, ctx.Err())
		case <-time.After(100 * time.Millisecond):
		}
	}
}

// Stop ends Prosody in order (SIGTERM), and by force if that takes over five seconds.
// It blocks until the process is gone. A stopped server may be restarted.
func (s *Server) Stop() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.end(func(p *process) error { return p.stop(5 * time.Second) })
}

// Kill ends Prosody at once (SIGKILL): no stream is closed, no goodbye is said.
// It blocks until the process is gone. A killed server may be restarted.
func (s *Server) Kill() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.end((*process).kill)
}

// Close kills Prosody and removes its folder. It may be called again.
func (s *Server) Close() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.closed = true
	err := s.end((*process).kill)
	return errors.Join(err, os.RemoveAll(s.site.Dir))
}

// end ends the present process, if any. mu must be held.
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

// Pause freezes Prosody (SIGSTOP): its sockets stay open and take bytes, and
// nothing is answered.
func (s *Server) Pause() error { return s.signal(syscall.SIGSTOP) }

// Resume lets a paused Prosody go on (SIGCONT).
func (s *Server) Resume() error { return s.signal(syscall.SIGCONT) }

// Reload makes Prosody read its configuration again (SIGHUP).
// It does not wait for that: follow the log.
func (s *Server) Reload() error { return s.signal(syscall.SIGHUP) }

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

// ClientAddr is the host:port where clients connect. It never changes.
func (s *Server) ClientAddr() string { return cmp.Or(s.clients, loopback(s.site.ClientPort)) }

// ComponentAddr is the host:port where components connect. It never changes.
func (s *Server) ComponentAddr() string {
	return cmp.Or(s.components, loopback(s.site.ComponentPort))
}

// HTTPAddr is the host:port of Prosody's HTTP server.
// It answers only when a module that serves HTTP is loaded.
func (s *Server) HTTPAddr() string { return loopback(s.site.HTTPPort) }

// Secret is what external components authenticate with.
func (s *Server) Secret() string { return s.site.Secret }

// Password returns the password of an account, given its bare JID; empty if there is none.
func (s *Server) Password(account string) string { return s.site.Accounts[account] }

// Dir is the server's own folder. It holds prosody.cfg.lua and the data, and is
// removed by Close.
func (s *Server) Dir() string { return s.site.Dir }

// Room returns the JID of a room on the main room domain.
func (s *Server) Room(name string) string { return name + "@" + s.Domains.MUC }

// TenantRoom returns the JID by which a tenant's people know a room. Prosody
// itself knows it as [tenant]name on the main room domain, which is what a
// component must say. It takes Options.DomainMapper.
func (s *Server) TenantRoom(tenant, name string) string {
	return name + "@" + s.site.MUCPrefix + "." + tenant + "." + s.site.Base
}

// Version returns what Prosody calls itself in its log, such as "0.12.3".
func (s *Server) Version() string {
	_, rest, _ := strings.Cut(s.Log(), "welcome to Prosody version ")
	version, _, _ := strings.Cut(rest, "\n")
	return strings.TrimSpace(version)
}

func loopback(port int) string { return net.JoinHostPort("127.0.0.1", strconv.Itoa(port)) }
