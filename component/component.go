package component

import (
	"context"
	"sync"
	"time"

	"github.com/cenkalti/backoff/v5"
	xcomponent "mellium.im/xmpp/component"
	"mellium.im/xmpp/jid"
	"mellium.im/xmpp/mux"

	"ppch/component/admin"
	"ppch/component/occupancy"
	"ppch/component/stream"
)

// askTimeout bounds one question to Prosody.
const askTimeout = 5 * time.Second

// The clock of reconnecting.
const (
	firstWait = 500 * time.Millisecond
	maxWait   = 30 * time.Second

	// lived is how long a session must have held for the waits to begin anew.
	lived = 10 * time.Second

	// urgeAfter is how soon after the last attempt somebody's question brings on the next one.
	urgeAfter = time.Second
)

// Component is PPCH's end of the XEP-0114 stream: it stays connected to Prosody and asks it about rooms.
// All methods are safe for concurrent use.
type Component struct {
	cfg     Config
	domains []*domain

	admin  *admin.Handler
	wishes wishes

	// urge wakes a waiting Run, as the directory does after a read that needs a connection.
	urge chan struct{}

	// mu protects what follows; it is never held while the network is used.
	// The directory has the statuses of a connection whenever mu is free.
	mu         sync.Mutex
	live       *live // nil while the stream is down
	streams    uint64
	lastAnswer time.Time
}

// live is an established session with what was learnt on it.
type live struct {
	*stream.Session
	held   *holder
	survey survey
}

// New returns a Component that is not yet connected.
func New(cfg Config) (*Component, error) {
	if err := cfg.validate(); err != nil {
		return nil, err
	}
	c := &Component{
		cfg:    cfg,
		urge:   make(chan struct{}, 1),
		wishes: wishes{last: make(map[string]time.Time)},
	}
	for _, d := range cfg.MUCDomains {
		c.domains = append(c.domains, newDomain(d, cfg))
	}
	c.admin = admin.New(admin.Config{
		Domain: cfg.Domain, Version: cfg.Version, Accounts: cfg.Admins, Log: cfg.Log,
		Prosody: c, Directory: cfg.Directory, Names: occupancy.NewNames(cfg.MUCDomains...),
	})
	return c, nil
}

// Run keeps the component connected until ctx ends, then ends the stream and returns nil.
// It returns no other error: what goes wrong is reported to the directory, and tried again.
func (c *Component) Run(ctx context.Context) error {
	waits := backoff.NewExponentialBackOff()
	waits.InitialInterval, waits.MaxInterval, waits.Multiplier = firstWait, maxWait, 2
	downs := newDownLog()
	for {
		began := time.Now()
		established, err := c.connect(ctx)
		if ctx.Err() != nil {
			return nil
		}
		if established && time.Since(began) >= lived {
			waits.Reset()
		}
		problem := explain(c.cfg, established, err)
		wait := min(max(waits.NextBackOff(), firstWait), maxWait)
		patient := needsOperator(problem.Reason, established)
		if patient {
			wait = operatorWait
		}
		c.down(problem, established, wait)
		if attempts, due := downs.due(problem.Reason, established, wait); due {
			c.cfg.Log.Warn("stream down", "reason", problem.Reason, "mend", problem.Mend, "err", err, "wait", wait, "attempts", attempts)
		}
		if !c.pause(ctx, wait, patient) {
			return nil
		}
	}
}

// downLog says which failed attempts are logged: the end of a stream, and each reason at most once
// in the wait that it was last logged with. Requests have the stream tried again up to once a second.
type downLog struct {
	next     map[occupancy.Reason]time.Time
	attempts int // since the last line
}

func newDownLog() *downLog { return &downLog{next: make(map[occupancy.Reason]time.Time)} }

// due reports whether a failed attempt is to be logged, and how many there were since the last one that was.
func (d *downLog) due(reason occupancy.Reason, established bool, wait time.Duration) (attempts int, due bool) {
	if established {
		clear(d.next)
	}
	d.attempts++
	now := time.Now()
	if now.Before(d.next[reason]) {
		return 0, false
	}
	attempts, d.attempts = d.attempts, 0
	d.next[reason] = now.Add(wait)
	return attempts, true
}

// connect makes one connection and serves it to its end.
func (c *Component) connect(ctx context.Context) (established bool, err error) {
	nc, err := c.cfg.Dial(ctx, "tcp", c.cfg.Address)
	if err != nil {
		return false, err
	}
	cfg := stream.Config{
		Domain: c.cfg.Domain, Secret: c.cfg.Secret, Log: c.cfg.Log,
		Handler: mux.New(xcomponent.NSAccept, c.handleBatches()...), Answered: c.noteAnswer,
	}
	var admins *admin.Session
	if len(c.cfg.Admins) > 0 {
		admins = c.admin.NewSession()
		cfg.Observe = func(in *stream.Stanza) (bool, error) { return admins.Observe(in) }
	}
	s, err := stream.Open(ctx, nc, cfg)
	if err != nil {
		return false, err
	}
	l := &live{Session: s, held: newHolder()}
	c.up(l)
	c.cfg.Log.Info("stream up", "prosody", c.cfg.Address, "component", c.cfg.Domain.String())
	work := []func(context.Context) error{func(ctx context.Context) error { return c.watchDomains(ctx, l) }}
	if admins != nil {
		work = append(work, func(ctx context.Context) error { return admins.Run(ctx, s) })
	}
	return true, s.Run(ctx, work...)
}

// pause waits, less if a read needs the connection meanwhile and patient is not set. It reports whether to go on.
func (c *Component) pause(ctx context.Context, wait time.Duration, patient bool) bool {
	soonest, timer := time.NewTimer(min(urgeAfter, wait)), time.NewTimer(wait)
	defer soonest.Stop()
	defer timer.Stop()
	select {
	case <-ctx.Done():
		return false
	case <-soonest.C:
	}
	var urge, unanswered <-chan struct{}
	if !patient {
		urge, unanswered = c.urge, c.cfg.Directory.Unanswered()
	}
	select {
	case <-ctx.Done():
		return false
	case <-urge:
	case <-unanswered:
	case <-timer.C:
	}
	return true
}

func (c *Component) up(l *live) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.live = l
	c.streams++
	now := time.Now()
	for _, d := range c.domains {
		d.connected(now)
	}
}

func (c *Component) down(p *occupancy.UnknownError, established bool, wait time.Duration) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.live = nil
	now := time.Now()
	for _, d := range c.domains {
		d.disconnected(p, established, now, now.Add(wait))
	}
	for _, earlier := range []<-chan struct{}{c.urge, c.cfg.Directory.Unanswered()} {
		select {
		case <-earlier: // a question from before this attempt says nothing about the next one
		default:
		}
	}
}

func (c *Component) noteAnswer() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.lastAnswer = time.Now()
}

// answered returns when Prosody last answered a question, or zero.
func (c *Component) answered() time.Time {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.lastAnswer
}

// session returns the established session, or why there is none.
func (c *Component) session() (*live, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.live == nil {
		return nil, c.domains[0].state().Problem
	}
	if err := context.Cause(c.live.Context()); err != nil {
		// The session just ended and Run has not yet said so.
		return nil, lost(c.cfg, err)
	}
	return c.live, nil
}

// lost is the error of a question whose session ended under it.
func lost(cfg Config, err error) *occupancy.UnknownError {
	p := explain(cfg, true, err)
	p.RetryAfter = time.Second
	return p
}

// hurryUp makes a waiting Run try again soon, if trying is all it takes.
func (c *Component) hurryUp() {
	select {
	case c.urge <- struct{}{}:
	default:
	}
}

// established returns how many streams there have been, the present one included.
func (c *Component) established() uint64 {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.streams
}

// domainOf returns the watched domain that room is on.
func (c *Component) domainOf(room jid.JID) (*domain, error) {
	for _, d := range c.domains {
		if d.jid.Equal(room.Domain()) {
			return d, nil
		}
	}
	return nil, occupancy.ErrNotWatched
}
