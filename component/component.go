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

// Timing of reconnecting.
const (
	firstWait = 500 * time.Millisecond
	maxWait   = 30 * time.Second

	// stableAfter is how long a stream must last to reset the backoff.
	stableAfter = 10 * time.Second

	// retryAfter is the least time between two attempts. A request cuts the wait down to that.
	retryAfter = time.Second
)

// Component keeps a stream to Prosody, follows the MUC domains and looks up rooms.
// All methods are safe for concurrent use.
type Component struct {
	cfg     Config
	domains []*domain

	admin   *admin.Handler
	resyncs resyncLimiter

	// retry ends the wait of Run, as the directory does after a read that needs a connection.
	retry chan struct{}

	// mu protects what follows; no code that holds it uses the network.
	// While mu is free, the statuses in the directory match the connection.
	mu         sync.Mutex
	conn       *connection // nil while there is no stream
	streams    uint64
	lastAnswer time.Time
}

// connection is an established stream with the answers that came over it.
type connection struct {
	*stream.Session
	answers  *answerCache
	services serviceCache
}

// New returns a Component that is not yet connected.
func New(cfg Config) (*Component, error) {
	cfg, err := cfg.withDefaults()
	if err != nil {
		return nil, err
	}
	c := &Component{
		cfg:     cfg,
		retry:   make(chan struct{}, 1),
		resyncs: resyncLimiter{last: make(map[string]time.Time)},
	}
	for _, d := range cfg.MUCDomains {
		c.domains = append(c.domains, newDomain(d, cfg))
	}
	prosody := admin.Prosody(c)
	if cfg.Router != nil {
		prosody = cfg.Router
	}
	c.admin = admin.New(admin.Config{
		Domain: cfg.Domain, Version: cfg.Version, Accounts: cfg.Admins, Log: cfg.Log,
		Prosody: prosody, Directory: cfg.Directory, Names: cfg.Names, Meetings: cfg.Meetings,
	})
	return c, nil
}

// Run keeps the component connected until ctx ends, then ends the stream and returns nil.
// It returns no other error: it reports problems to the directory and tries again.
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
		if established && time.Since(began) >= stableAfter {
			waits.Reset()
		}
		problem := explain(c.cfg, established, !c.answered().IsZero(), err)
		wait := min(max(waits.NextBackOff(), firstWait), maxWait)
		operator := needsOperator(problem.Reason, established)
		if operator {
			wait = operatorWait
		}
		c.down(problem, established, wait)
		if attempts, due := downs.due(problem.Reason, established, wait); due {
			c.cfg.Log.Warn("stream down", "reason", problem.Reason, "remedy", problem.Remedy, "err", err, "wait", wait, "attempts", attempts)
		}
		if !c.pause(ctx, wait, operator) {
			return nil
		}
	}
}

// downLog limits the log of failed attempts: it logs the end of a stream, and each reason at most once
// in the wait that it was last logged with. Requests cause up to one attempt a second.
type downLog struct {
	next     map[occupancy.Reason]time.Time
	attempts int // since the last line
}

func newDownLog() *downLog { return &downLog{next: make(map[occupancy.Reason]time.Time)} }

// due reports whether to log a failed attempt, and the number of attempts since the last one logged.
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

// connect makes one connection and serves it until it ends.
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
	l := &connection{Session: s, answers: newAnswerCache()}
	c.up(l)
	c.cfg.Log.Info("stream up", "prosody", c.cfg.Address, "component", c.cfg.Domain.String())
	work := []func(context.Context) error{func(ctx context.Context) error { return c.watchDomains(ctx, l) }}
	if admins != nil {
		work = append(work, func(ctx context.Context) error { return admins.Run(ctx, s) })
	}
	return true, s.Run(ctx, work...)
}

// pause waits, but a request ends the wait early unless an operator must act first. It reports whether to continue.
func (c *Component) pause(ctx context.Context, wait time.Duration, operator bool) bool {
	soonest, timer := time.NewTimer(min(retryAfter, wait)), time.NewTimer(wait)
	defer soonest.Stop()
	defer timer.Stop()
	select {
	case <-ctx.Done():
		return false
	case <-soonest.C:
	}
	var retry, unanswered <-chan struct{}
	if !operator {
		retry, unanswered = c.retry, c.cfg.Shard.Unanswered()
	}
	select {
	case <-ctx.Done():
		return false
	case <-retry:
	case <-unanswered:
	case <-timer.C:
	}
	return true
}

func (c *Component) up(l *connection) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.conn = l
	c.streams++
	now := time.Now()
	for _, d := range c.domains {
		d.connected(now)
	}
}

func (c *Component) down(p *occupancy.UnavailableError, established bool, wait time.Duration) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.conn = nil
	now := time.Now()
	for _, d := range c.domains {
		d.disconnected(p, established, now, now.Add(wait))
	}
	for _, earlier := range []<-chan struct{}{c.retry, c.cfg.Shard.Unanswered()} {
		select {
		case <-earlier: // drop requests from before this attempt
		default:
		}
	}
}

func (c *Component) noteAnswer() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.lastAnswer = time.Now()
}

// answered returns when Prosody last answered a question, or the zero time.
func (c *Component) answered() time.Time {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.lastAnswer
}

// session returns the connection, or why there is none.
func (c *Component) session() (*connection, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.conn == nil {
		return nil, c.domains[0].state().Problem
	}
	if err := context.Cause(c.conn.Context()); err != nil {
		// The stream just ended, and Run has not noticed yet.
		return nil, lost(c.cfg, err)
	}
	return c.conn, nil
}

// lost returns the error of a question whose stream ended.
func lost(cfg Config, err error) *occupancy.UnavailableError {
	p := explain(cfg, true, true, err)
	p.RetryAfter = time.Second
	return p
}

// retryNow makes a waiting Run try again soon, unless an operator must act first.
func (c *Component) retryNow() {
	select {
	case c.retry <- struct{}{}:
	default:
	}
}

// established returns how many streams there have been, including the present one.
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
