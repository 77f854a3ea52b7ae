package webhook

import (
	"cmp"
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"maps"
	"net/http"
	"slices"
	"strings"
	"time"

	"ppch/api/keys"
	"ppch/component/history"
)

// How many endpoints there may be.
const (
	maxOfKey = 1000
	maxOfAll = 5000
)

// rotateFor is how long a replaced secret stays valid.
const rotateFor = 24 * time.Hour

// Errors of methods that manage endpoints.
var (
	// ErrOff means that there is no store.
	ErrOff error = history.ErrOff

	// ErrNotFound means that the key has no such endpoint or delivery.
	ErrNotFound = errors.New("webhook: not found")

	// ErrTooMany means that there are too many endpoints, of the key or of all.
	ErrTooMany = fmt.Errorf("webhook: a key may have %d webhooks, and all together %d", maxOfKey, maxOfAll)

	// ErrErased means that the body of a delivery was erased, so that it can't be replayed.
	ErrErased = errors.New("webhook: the body was erased")
)

// StoppedError means that nothing is sent to an endpoint, for Reason.
type StoppedError struct {
	Reason string

	// Owner is true if other settings start it, and false if only another key does.
	Owner bool
}

func (e *StoppedError) Error() string { return "webhook: stopped: " + e.Reason }

// SettingsError is the error of settings that can't be used.
type SettingsError struct{ Err error }

func (e *SettingsError) Error() string { return e.Err.Error() }

// Unwrap returns the mistakes.
func (e *SettingsError) Unwrap() error { return e.Err }

// Status is an endpoint with its state at one moment.
type Status struct {
	Endpoint

	// Stopped says why nothing is sent, or is empty.
	Stopped string

	// Waiting is how many deliveries wait.
	Waiting int

	// Elsewhere is true if only the nodes that deliver know Waiting, FailingSince, Down, and whether PPCH has disabled the endpoint.
	Elsewhere bool

	// Down is true if the last attempts failed, with any event.
	Down bool
}

// Put creates an endpoint, or replaces the settings of the one with that id. An empty id creates one with a new id.
// An empty secret generates one, or keeps the present one. A replaced secret stays valid for a day.
// The error is a [*SettingsError], a [*keys.ScopeError] or [keys.ErrRoomNotAllowed] if the endpoint could receive nothing,
// [ErrTooMany], a [*RegistryError], or of the store.
func (o *Outbox) Put(ctx context.Context, owner keys.Sum, id string, s Settings, secret string) (status Status, created bool, err error) {
	if secret != "" {
		if err := CheckSecret(secret); err != nil {
			return Status{}, false, &SettingsError{err}
		}
	}
	if o.cfg.Registry != nil {
		return o.putRegistered(ctx, owner, id, s, secret)
	}
	o.admin.Lock()
	defer o.admin.Unlock()
	if err := o.ready(ctx); err != nil {
		return Status{}, false, err
	}
	e := o.find(owner, id)
	var present map[string]string
	if e != nil {
		present = e.config.Load().Headers
	}
	if err := s.unhide(present); err != nil {
		return Status{}, false, err
	}
	if err := o.check(owner, &s); err != nil {
		return Status{}, false, err
	}
	if e != nil {
		status, err = o.replace(ctx, e, s, secret)
		return status, false, err
	}
	if id == "" {
		id = "wh_" + strings.ToLower(rand.Text())
	} else if err := CheckID(id); err != nil {
		return Status{}, false, &SettingsError{err}
	}
	if o.full(owner) {
		return Status{}, false, ErrTooMany
	}
	err = o.create(ctx, Endpoint{ID: id, Owner: owner, Settings: s, Secret: cmp.Or(secret, NewSecret()), CreatedAt: time.Now().UTC().Truncate(time.Millisecond)})
	if err != nil {
		return Status{}, false, err
	}
	return o.status(o.find(owner, id)), true, nil
}

// Hidden stands for the value of a header in answers. Sent back, it keeps the value.
const Hidden = "[hidden]"

// unhide replaces the values of headers that are Hidden by the present ones. Names of headers are equal in any case.
func (s *Settings) unhide(present map[string]string) error {
	all := maps.Clone(s.Headers)
	for name, value := range s.Headers {
		if value != Hidden {
			continue
		}
		found := false
		for was, value := range present {
			if strings.EqualFold(was, name) {
				all[name], found = value, true
			}
		}
		if !found {
			return &SettingsError{fmt.Errorf("headers: %s is %s, which keeps the value of a header, but the webhook has none of that name: send its value", shorten(name), Hidden)}
		}
	}
	s.Headers = all
	return nil
}

// replace replaces the settings of an endpoint. That enables one which the service disabled, if Enabled is set. The caller holds admin.
func (o *Outbox) replace(ctx context.Context, e *endpoint, s Settings, secret string) (Status, error) {
	next := e.config.Load().Endpoint
	next.Settings = s
	if secret != "" && secret != next.Secret {
		next.Previous, next.PreviousUntil = next.Secret, time.Now().Add(rotateFor)
		next.Secret = secret
	}
	next.FailingSince = history.TimeOf(e.failingSince.Load())
	if !next.DisabledAt.IsZero() {
		next.DisabledAt, next.DisabledReason, next.FailingSince = time.Time{}, "", time.Time{}
	}
	if err := o.save(ctx, e, next, nil); err != nil {
		return Status{}, err
	}
	return o.status(e), nil
}

// save writes an endpoint and uses it from then on. more adds to the transaction; it may be nil. The caller holds admin.
func (o *Outbox) save(ctx context.Context, e *endpoint, next Endpoint, more func(*history.Tx) error) error {
	c, err := newConfig(next, o.cfg.Names)
	if err != nil {
		return err
	}
	if err := o.cfg.Store.Write(ctx, func(tx *history.Tx) error {
		if err := updateEndpoint(tx, e.number, next); err != nil || more == nil {
			return err
		}
		return more(tx)
	}); err != nil {
		return err
	}
	e.failingSince.Store(history.Milli(next.FailingSince))
	e.config.Store(c)
	o.mu.Lock()
	o.updateNeeds()
	o.mu.Unlock()
	e.queue.signal()
	return nil
}

// ready loads the endpoints if they haven't been, or returns why not.
func (o *Outbox) ready(ctx context.Context) error {
	if p := o.cfg.Store.Problem(); p != nil {
		return p
	}
	if o.isLoaded() {
		return nil
	}
	return o.cfg.Store.Read(ctx, o.load)
}

// find returns an endpoint of a key, or nil.
func (o *Outbox) find(owner keys.Sum, id string) *endpoint {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.byName[endpointName{owner, id}]
}

// get is find with an error.
func (o *Outbox) get(ctx context.Context, owner keys.Sum, id string) (*endpoint, error) {
	if err := o.ready(ctx); err != nil {
		return nil, err
	}
	if e := o.find(owner, id); e != nil {
		return e, nil
	}
	return nil, ErrNotFound
}

// delivered is get for what only the nodes that deliver can do.
func (o *Outbox) delivered(ctx context.Context, owner keys.Sum, id string) (*endpoint, error) {
	if o.cfg.Registry != nil && !o.stores() {
		return nil, ErrElsewhere
	}
	return o.get(ctx, owner, id)
}

// full reports whether a key can have no more endpoints.
func (o *Outbox) full(owner keys.Sum) bool {
	all := *o.all.Load()
	of := 0
	for _, e := range all {
		if e.config.Load().Owner == owner {
			of++
		}
	}
	return of >= maxOfKey || len(all) >= maxOfAll
}

// Get returns an endpoint of a key, or [ErrNotFound].
func (o *Outbox) Get(ctx context.Context, owner keys.Sum, id string) (Status, error) {
	if o.cfg.Registry != nil {
		found, err := o.listRegistered(func(e Endpoint) bool { return e.Owner == owner && e.ID == id })
		if err == nil && len(found) == 0 {
			err = ErrNotFound
		}
		if err != nil {
			return Status{}, err
		}
		return found[0], nil
	}
	e, err := o.get(ctx, owner, id)
	if err != nil {
		return Status{}, err
	}
	return o.status(e), nil
}

// List returns the endpoints of a key in the order of their ids.
func (o *Outbox) List(ctx context.Context, owner keys.Sum) ([]Status, error) {
	return o.list(ctx, func(e Endpoint) bool { return e.Owner == owner })
}

// ListAll returns the endpoints of all keys in the order of their ids.
func (o *Outbox) ListAll(ctx context.Context) ([]Status, error) {
	return o.list(ctx, func(Endpoint) bool { return true })
}

func (o *Outbox) list(ctx context.Context, wanted func(Endpoint) bool) ([]Status, error) {
	if o.cfg.Registry != nil {
		return o.listRegistered(wanted)
	}
	if err := o.ready(ctx); err != nil {
		return nil, err
	}
	all := []Status{}
	for _, e := range *o.all.Load() {
		if wanted(e.config.Load().Endpoint) {
			all = append(all, o.status(e))
		}
	}
	slices.SortStableFunc(all, byID)
	return all, nil
}

func byID(a, b Status) int {
	return cmp.Or(cmp.Compare(a.ID, b.ID), slices.Compare(a.Owner[:], b.Owner[:]))
}

// Delete removes an endpoint of a key with its deliveries, or returns [ErrNotFound].
func (o *Outbox) Delete(ctx context.Context, owner keys.Sum, id string) error {
	if o.cfg.Registry != nil {
		return o.deleteRegistered(ctx, owner, id)
	}
	o.admin.Lock()
	defer o.admin.Unlock()
	e, err := o.get(ctx, owner, id)
	if err != nil {
		return err
	}
	return o.drop(ctx, e)
}

// status returns the state of an endpoint.
func (o *Outbox) status(e *endpoint) Status {
	c := e.config.Load()
	s := Status{Endpoint: c.Endpoint, Down: e.queue.isDown()}
	s.Waiting, _, _ = e.queue.size()
	s.FailingSince = history.TimeOf(e.failingSince.Load())
	s.Stopped = o.stopped(c)
	return s
}

// stopped returns why nothing is sent to an endpoint, or "".
func (o *Outbox) stopped(c *config) string {
	switch {
	case !c.DisabledAt.IsZero():
		return "disabled by PPCH: " + c.DisabledReason
	case !c.Enabled:
		return "enabled is false"
	case c.wrong != nil:
		return c.wrong.Error()
	}
	_, denied := o.grant(c)
	return denied
}

// disable disables an endpoint, and reports that to the other endpoints of its key.
func (o *Outbox) disable(e *endpoint, reason string, now time.Time) {
	o.admin.Lock()
	defer o.admin.Unlock()
	next := e.config.Load().Endpoint
	if !next.DisabledAt.IsZero() || o.find(next.Owner, next.ID) != e {
		return
	}
	next.DisabledAt, next.DisabledReason, next.FailingSince = now.UTC(), reason, history.TimeOf(e.failingSince.Load())
	var a *appender
	err := o.save(context.Background(), e, next, func(tx *history.Tx) error {
		a = o.newAppender(tx)
		a.targets = slices.DeleteFunc(a.targets, func(t *target) bool { return t.endpoint == e || t.Owner != next.Owner })
		event := Event{
			ID: "disabled-" + next.ID + "-" + fmt.Sprint(now.UnixMilli()), Type: EndpointDisabled, At: now, Position: o.position(), Webhook: next.ID, Reason: reason,
		}
		if err := a.add(&event, history.ID{}, nil); err != nil {
			return err
		}
		return a.limit()
	})
	if err != nil {
		o.log.Error("webhook not disabled", "webhook", next.ID, "err", err)
		return
	}
	a.commit()
	o.metrics.disabled.Inc()
	o.log.Warn("webhook disabled", "webhook", next.ID, "reason", reason)
	o.sweepSoon()
}

// saveFailing writes since when an endpoint has failed.
func (o *Outbox) saveFailing(e *endpoint) {
	err := o.cfg.Store.Write(context.Background(), func(tx *history.Tx) error {
		_, err := tx.Exec(`UPDATE webhooks SET failing_since = ? WHERE number = ?`, e.failingSince.Load(), e.number)
		return err
	})
	if err != nil && !errors.As(err, new(*history.Problem)) { // the Store logs its own
		o.log.Error("state of webhook not written", "webhook", e.id(), "err", err)
	}
}

// position returns the position of the last event.
func (o *Outbox) position() Position {
	return Position{o.cfg.Shard, o.cfg.Epoch, o.seq.Load()}
}

// TestResult is the result of a test.
type TestResult struct {
	Delivered       bool
	Status          int
	Problem, Answer string
	Took            time.Duration
}

// Test sends an event of type "webhook.test" once, also to an endpoint that is disabled, and returns what came of it. It isn't logged.
// If it arrives, the deliveries that wait for their next attempt are sent at once.
func (o *Outbox) Test(ctx context.Context, owner keys.Sum, id string) (TestResult, error) {
	e, err := o.delivered(ctx, owner, id)
	if err != nil {
		return TestResult{}, err
	}
	c := e.config.Load()
	now := time.Now()
	signer, err := c.signerAt(now)
	if err != nil {
		return TestResult{}, &SettingsError{err}
	}
	event := o.testEvent(c, now)
	m, ok := Render(&event, c.Format, c.Names, c.template)
	if !ok {
		return TestResult{}, &SettingsError{fmt.Errorf("format: %s has no test event", c.Format)}
	}
	header := c.header.Clone()
	if header == nil {
		header = http.Header{}
	}
	if err := signer.sign(header, event.ID, now, m.Body); err != nil {
		return TestResult{}, err
	}
	r := o.client.post(ctx, c.url, header, m)
	if r.ok() {
		e.queue.retryNow(now)
	}
	return TestResult{Delivered: r.ok(), Status: r.status, Problem: r.problem, Answer: r.excerpt, Took: r.duration}, nil
}

// testEvent returns an event for a test. Formats that have no event of that type get a room that ended, which no receiver counts.
func (o *Outbox) testEvent(c *config, now time.Time) Event {
	e := Event{ID: "test-" + strings.ToLower(rand.Text()), Type: Test, At: now, Position: o.position(), Webhook: c.ID}
	e.Room = Room{JID: "ppch-test@test.invalid", Name: "ppch-test@test.invalid", Display: "ppch-test"}
	if c.Format.needsNames() {
		e.Type = RoomEnded
	}
	return e
}
