package webhook

import (
	"cmp"
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"sync"
	"sync/atomic"
	"time"

	"golang.org/x/sync/errgroup"

	"ppch/api/keys"
	"ppch/component/history"
	"ppch/component/occupancy"
)

// Config is what an Outbox needs. Keys and Names are required.
type Config struct {
	// Store is the file; nil for none, so that methods return [ErrOff].
	Store *history.Store
	Keys  *keys.Keyring
	Names *occupancy.NameResolver

	// Registry keeps the endpoints of all nodes; nil keeps them in the store.
	Registry Registry

	// Shard names the Prosody, and Epoch the run of this service: see [Position].
	Shard, Epoch string

	// Reach is which addresses deliveries may reach.
	Reach Reach

	// KeepLog is how long deliveries and their bodies are kept after they arrived or failed.
	KeepLog time.Duration

	Version string
	Log     *slog.Logger

	// What follows is for tests. Zero values are the normal ones.
	tls          *tls.Config
	resolver     *net.Resolver
	schedule     []time.Duration
	disableAfter time.Duration
	probeEvery   time.Duration
	maxRows      int
}

// drainFor is how long attempts under way may take when the service stops.
const drainFor = 3 * time.Second

// disableAfter is how long an endpoint may fail without a success.
const disableAfter = 5 * 24 * time.Hour

// Outbox stores what endpoints are to receive, in the transaction that records the events, and delivers it.
// It implements [history.Outbox]. Its methods are safe for concurrent use; call Run once.
type Outbox struct {
	cfg        Config
	log        *slog.Logger
	client     *client
	metrics    *metrics
	translator translator // of the recorder's goroutine
	missing    bool       // within transactions that write: whether webhooks miss events because their keys are unknown

	attempts, probes chan struct{} // slots
	outcomes         chan outcome
	stopping         atomic.Bool
	sweep            chan struct{} // has a value if a sweep is to start
	seq              atomic.Uint64 // of the last event

	// admin is held while an endpoint is created, changed or removed, also while that is written.
	admin sync.Mutex

	wake chan struct{} // has a value after endpoints were added

	loaded chan struct{} // closed once the endpoints in the store have been read

	changed func() // nil for none

	// needs is the level of personal data in the endpoints' bodies, a history.Level.
	needs atomic.Int32

	// mu protects what follows; it is never held while the store is used.
	mu     sync.Mutex
	byName map[endpointName]*endpoint
	added  []*endpoint // not started yet
	shares map[string]*Share

	arranged bool // whether the file agrees with shares

	// all are the endpoints in the order of their numbers. It is replaced, never changed.
	all atomic.Pointer[[]*endpoint]
}

// endpointName identifies an endpoint.
type endpointName struct {
	owner keys.Sum
	id    string
}

// endpoint is an endpoint with its queue.
type endpoint struct {
	number  int64
	queue   *queue
	removed chan struct{}
	config  atomic.Pointer[config]

	// failingSince is when it began to fail, in Unix milliseconds; 0 if it doesn't.
	failingSince atomic.Int64
}

func (e *endpoint) id() string { return e.config.Load().ID }

// config is an endpoint's settings, ready for use. It never changes.
type config struct {
	Endpoint
	parsed

	// wrong is why the settings have become invalid, for instance if the domain of a room is no longer watched.
	wrong error

	current, rotating *signer // rotating signs with both secrets until PreviousUntil
}

// active reports whether the endpoint is to receive events.
func (c *config) active() bool { return c.Enabled && c.DisabledAt.IsZero() && c.wrong == nil }

// variant identifies endpoints whose bodies are equal.
type variant struct {
	format   Format
	names    bool
	template string
}

func newConfig(e Endpoint, names *occupancy.NameResolver) (*config, error) {
	c := &config{Endpoint: e}
	if c.parsed, c.wrong = c.parse(names); c.wrong != nil {
		return c, nil
	}
	var err error
	if c.current, err = newSigner(c.Format, c.Secret); err != nil {
		return nil, err
	}
	if c.Previous != "" {
		c.rotating, err = newSigner(c.Format, c.Secret, c.Previous)
	}
	return c, err
}

// signerAt returns the signer for a time.
func (c *config) signerAt(now time.Time) (*signer, error) {
	switch {
	case c.current == nil:
		return nil, c.wrong
	case c.rotating != nil && now.Before(c.PreviousUntil):
		return c.rotating, nil
	}
	return c.current, nil
}

// New returns an Outbox.
func New(cfg Config) *Outbox {
	cfg.Log = cmp.Or(cfg.Log, slog.New(slog.DiscardHandler))
	if cfg.schedule == nil {
		cfg.schedule = schedule
	}
	if cfg.Store == nil {
		cfg.Store = history.New("", history.Options{})
	}
	cfg.disableAfter = cmp.Or(cfg.disableAfter, disableAfter)
	cfg.probeEvery = cmp.Or(cfg.probeEvery, probeEvery)
	cfg.maxRows = cmp.Or(cfg.maxRows, maxRows)
	cfg.Shard = cmp.Or(cfg.Shard, "main")
	o := &Outbox{
		cfg: cfg, log: cfg.Log, client: newClient(cfg.Reach, cfg.Version, cfg.tls, cfg.resolver), metrics: newMetrics(),
		translator: translator{names: cfg.Names, epoch: cfg.Epoch, origins: make(map[string]occupancy.Origin)},
		attempts:   make(chan struct{}, maxAttempts), probes: make(chan struct{}, maxProbes),
		outcomes: make(chan outcome, maxOutcomes), wake: make(chan struct{}, 1), loaded: make(chan struct{}), sweep: make(chan struct{}, 1), byName: map[endpointName]*endpoint{}, shares: map[string]*Share{},
	}
	o.all.Store(&[]*endpoint{})
	return o
}

// OnChange sets a function to call when Needs has changed. Set it before the first use.
func (o *Outbox) OnChange(changed func()) { o.changed = changed }

// Run delivers until ctx ends, then gives the attempts under way a moment and returns nil. What isn't delivered stays in the store.
func (o *Outbox) Run(ctx context.Context) error {
	if o.cfg.Store.Problem() == history.ErrOff {
		<-ctx.Done()
		return nil
	}
	defer o.client.close()
	written, lasting := make(chan struct{}), context.WithoutCancel(ctx)
	go func() {
		defer close(written)
		o.runOutcomes(lasting)
	}()
	var endpoints sync.WaitGroup
	attempts, cut := context.WithCancel(lasting)
	defer cut()
	defer context.AfterFunc(ctx, func() { time.AfterFunc(drainFor, cut) })()
	g, ctx := errgroup.WithContext(ctx)
	g.Go(func() error {
		for {
			if !o.arrange(ctx) {
				return nil
			}
			for _, e := range o.takeAdded() {
				endpoints.Go(func() { o.runEndpoint(ctx, attempts, e) })
			}
			select {
			case <-ctx.Done():
				return nil
			case <-o.wake:
			}
		}
	})
	g.Go(func() error {
		o.awaitStore(ctx)
		return nil
	})
	if o.cfg.Registry != nil {
		g.Go(func() error {
			o.followRegistry(ctx)
			return nil
		})
	}
	g.Go(func() error {
		o.runSweep(ctx)
		return nil
	})
	err := g.Wait()
	endpoints.Wait()
	o.stopping.Store(true)
	close(o.outcomes)
	<-written
	return err
}

// awaitStore loads the endpoints as soon as the store is usable.
func (o *Outbox) awaitStore(ctx context.Context) {
	for {
		err := o.cfg.Store.Read(ctx, o.load)
		if err == nil {
			return
		}
		if !errors.As(err, new(*history.Problem)) && ctx.Err() == nil {
			o.log.Error("webhooks not loaded", "err", err)
		}
		if !sleep(ctx, o.loaded, retryStore) {
			return
		}
	}
}

// load reads the endpoints unless that has been done. What was changed in the Registry since they were stored has its effect at once.
func (o *Outbox) load(tx *history.Tx) error {
	o.mu.Lock()
	defer o.mu.Unlock()
	if o.isLoaded() {
		return nil
	}
	endpoints, err := readEndpoints(tx)
	if err != nil {
		return err
	}
	all, changed := make([]*endpoint, 0, len(endpoints)), o.registeredNow()
	for _, stored := range endpoints {
		c, err := newConfig(current(stored.Endpoint, changed), o.cfg.Names)
		if err != nil {
			return err
		}
		if c.wrong != nil {
			o.log.Warn("webhook can't be used", "webhook", c.ID, "err", c.wrong)
		}
		e := o.newEndpoint(stored.number, c)
		e.queue.rows, e.queue.bytes, e.queue.more = stored.rows, stored.bytes, stored.rows > 0
		all = append(all, e)
	}
	for _, e := range all {
		o.add(e)
	}
	close(o.loaded)
	return nil
}

func (o *Outbox) newEndpoint(number int64, c *config) *endpoint {
	e := &endpoint{number: number, queue: newQueue(o.cfg.probeEvery), removed: make(chan struct{})}
	e.failingSince.Store(history.Milli(c.FailingSince))
	e.config.Store(c)
	return e
}

// add adds an endpoint to the registry and starts it. The caller holds mu.
func (o *Outbox) add(e *endpoint) {
	c := e.config.Load()
	o.byName[endpointName{c.Owner, c.ID}] = e
	all := append(append([]*endpoint{}, *o.all.Load()...), e)
	o.all.Store(&all)
	o.updateNeeds()
	o.added = append(o.added, e)
	select {
	case o.wake <- struct{}{}:
	default:
	}
}

// takeAdded returns the endpoints that Run has yet to start.
func (o *Outbox) takeAdded() []*endpoint {
	o.mu.Lock()
	defer o.mu.Unlock()
	added := o.added
	o.added = nil
	return added
}

// updateNeeds computes what the endpoints need. The caller holds mu.
func (o *Outbox) updateNeeds() {
	needs := history.LevelOff
	for _, e := range *o.all.Load() {
		c := e.config.Load()
		switch {
		case !c.active():
		case c.Names:
			needs = history.LevelNames
		default:
			needs = max(needs, history.LevelNumbers)
		}
	}
	if o.needs.Swap(int32(needs)) != int32(needs) && o.changed != nil { // #nosec G115 -- a level is small
		o.changed()
	}
}

// Needs implements [history.Outbox]. Its first call reads the endpoints.
func (o *Outbox) Needs() history.Level {
	if !o.isLoaded() && o.cfg.Store.Read(context.Background(), o.load) != nil {
		return history.LevelNumbers // LevelOff would end open records
	}
	return history.Level(o.needs.Load())
}

func (o *Outbox) isLoaded() bool {
	select {
	case <-o.loaded:
		return true
	default:
		return false
	}
}

// grant returns the grant of an endpoint's key, and why that lets nothing through to the endpoint, or "".
func (o *Outbox) grant(c *config) (g keys.Grant, denied string) {
	g.Key = o.cfg.Keys.Find(c.Owner)
	switch {
	case g.Key == nil && o.cfg.Keys.Unknown() != nil:
		return g, "the list of API keys is unknown"
	case g.Key == nil || g.Key.Valid(time.Now()) != nil || !g.Has(keys.ScopeWebhooks):
		return g, "the API key has expired or lacks the scope webhooks"
	}
	switch err := denies(g, c.Format, c.rooms); {
	case err == nil:
		return g, ""
	case errors.Is(err, keys.ErrRoomNotAllowed):
		return g, "the API key is limited to other rooms"
	}
	return g, fmt.Sprintf("the format %s has names, and the API key lacks the scope participants", c.Format)
}

// denies returns why a grant lets nothing through to an endpoint: a [*keys.ScopeError] or [keys.ErrRoomNotAllowed], or nil.
func denies(g keys.Grant, f Format, rooms keys.RoomFilter) error {
	switch {
	case f.needsNames() && !g.HasNames():
		return &keys.ScopeError{Missing: keys.ScopeParticipants}
	case !g.AllowsAny(rooms):
		return keys.ErrRoomNotAllowed
	}
	return nil
}

// check validates settings for an endpoint of a key.
func (o *Outbox) check(owner keys.Sum, s *Settings) error {
	p, err := s.parse(o.cfg.Names)
	if err != nil {
		return &SettingsError{err}
	}
	if key := o.cfg.Keys.Find(owner); key != nil {
		return denies(keys.Grant{Key: key}, s.Format, p.rooms)
	}
	return nil
}
