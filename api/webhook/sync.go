package webhook

import (
	"context"
	"errors"
	"time"

	"ppch/component/history"
)

// followRegistry keeps the endpoints in the store equal to those in the Registry until ctx ends.
func (o *Outbox) followRegistry(ctx context.Context) {
	select {
	case <-ctx.Done():
		return
	case <-o.loaded:
	}
	for {
		changed := o.cfg.Registry.Changed()
		var again <-chan time.Time
		if err := o.sync(ctx); err != nil {
			if ctx.Err() == nil && !errors.As(err, new(*RegistryError)) && !errors.As(err, new(*history.Problem)) { // these are logged where they arise
				o.log.Error("webhooks not applied", "err", err)
			}
			again = time.After(retryStore)
		}
		select {
		case <-ctx.Done():
			return
		case <-changed:
		case <-again:
		}
	}
}

// sync applies what has changed in the Registry, and registers the endpoints that it lacks: they were made before there was one,
// or the Registry was lost. One that was removed isn't missing there.
func (o *Outbox) sync(ctx context.Context) error {
	if err := o.ready(ctx); err != nil {
		return err
	}
	entries, err := o.cfg.Registry.Endpoints()
	if err != nil {
		return &RegistryError{err}
	}
	here := map[string]*endpoint{}
	for _, e := range *o.all.Load() {
		c := e.config.Load()
		here[registryName(c.Owner, c.ID)] = e
	}
	for _, r := range entries {
		e := here[r.Name]
		if e == nil && r.Removed || e != nil && e.config.Load().Generation == r.Generation {
			delete(here, r.Name)
			continue
		}
		delete(here, r.Name)
		if err := o.apply(ctx, r); err != nil {
			return err
		}
	}
	for _, e := range here {
		if err := o.register(ctx, e); err != nil {
			return err
		}
	}
	return nil
}

// errRegistered means that an endpoint has been registered by another node.
var errRegistered = errors.New("webhook: registered already")

// register registers an endpoint that is only here. If another node has registered one of that name, sync applies that one.
func (o *Outbox) register(ctx context.Context, e *endpoint) error {
	next := e.config.Load().Endpoint
	r, err := o.cfg.Registry.Update(ctx, registryName(next.Owner, next.ID), func(now Registered) (Registered, error) {
		if now.Generation != 0 {
			return Registered{}, errRegistered
		}
		return encodeRegistered(next)
	})
	switch {
	case errors.Is(err, errRegistered):
		return nil
	case err != nil:
		return &RegistryError{err}
	}
	o.admin.Lock()
	defer o.admin.Unlock()
	if next = e.config.Load().Endpoint; o.find(next.Owner, next.ID) != e {
		return nil
	}
	next.Generation, next.FailingSince = r.Generation, history.TimeOf(e.failingSince.Load())
	return o.save(ctx, e, next, nil) // as it is, also if PPCH has disabled it
}

// apply makes an endpoint here equal to the registered one.
func (o *Outbox) apply(ctx context.Context, r Registered) error {
	next, found, err := decodeRegistered(r)
	if err != nil {
		o.log.Error("webhook can't be read", "err", err)
		return nil // until it changes
	}
	o.admin.Lock()
	defer o.admin.Unlock()
	if err := o.ready(ctx); err != nil {
		return err
	}
	e := o.byRegistryName(r.Name)
	switch {
	case !found && e == nil:
		return nil
	case !found:
		return o.drop(ctx, e)
	case e == nil:
		return o.create(ctx, next)
	}
	was := e.config.Load().Endpoint
	if was.Generation >= r.Generation {
		return nil
	}
	was.FailingSince = history.TimeOf(e.failingSince.Load())
	return o.save(ctx, e, succeed(was, next), nil)
}

// succeed returns the registered settings of an endpoint with its state here, as far as that outlasts the former settings.
func succeed(was, next Endpoint) Endpoint {
	next.FailingSince = was.FailingSince
	if was.Generation == 0 {
		next.DisabledAt, next.DisabledReason = was.DisabledAt, was.DisabledReason // it was only registered
	} else if !was.DisabledAt.IsZero() {
		next.FailingSince = time.Time{} // a change enables it
	}
	return next
}

// registeredNow returns what the Registry has, by name; nothing while that is unknown.
func (o *Outbox) registeredNow() map[string]Registered {
	if o.cfg.Registry == nil {
		return nil
	}
	entries, err := o.cfg.Registry.Endpoints()
	if err != nil {
		return nil // followRegistry tries again
	}
	all := make(map[string]Registered, len(entries))
	for _, r := range entries {
		all[r.Name] = r
	}
	return all
}

// current returns a stored endpoint as it is registered now. It keeps its generation, so that sync stores what has changed.
// An endpoint that was removed is disabled until sync removes it.
func current(stored Endpoint, registered map[string]Registered) Endpoint {
	r, ok := registered[registryName(stored.Owner, stored.ID)]
	if !ok || r.Generation <= stored.Generation {
		return stored
	}
	next, found, err := decodeRegistered(r)
	switch {
	case err != nil: // sync logs it
		return stored
	case !found:
		stored.Enabled = false
		return stored
	}
	next = succeed(stored, next)
	next.Generation = stored.Generation
	return next
}

// byRegistryName returns an endpoint, or nil.
func (o *Outbox) byRegistryName(name string) *endpoint {
	for _, e := range *o.all.Load() {
		if c := e.config.Load(); registryName(c.Owner, c.ID) == name {
			return e
		}
	}
	return nil
}

// create adds an endpoint. The caller holds admin.
func (o *Outbox) create(ctx context.Context, settings Endpoint) error {
	c, err := newConfig(settings, o.cfg.Names)
	if err != nil {
		return err
	}
	var number int64
	if err := o.cfg.Store.Write(ctx, func(tx *history.Tx) (err error) {
		number, err = insertEndpoint(tx, c.Endpoint)
		return err
	}); err != nil {
		return err
	}
	o.mu.Lock()
	o.add(o.newEndpoint(number, c))
	o.mu.Unlock()
	return nil
}

// drop removes an endpoint with its deliveries. The caller holds admin.
func (o *Outbox) drop(ctx context.Context, e *endpoint) error {
	c := e.config.Load()
	if err := o.cfg.Store.Write(ctx, func(tx *history.Tx) error { return deleteEndpoint(tx, c.Owner, c.ID) }); err != nil {
		return err
	}
	o.mu.Lock()
	delete(o.byName, endpointName{c.Owner, c.ID})
	kept := make([]*endpoint, 0, len(*o.all.Load()))
	for _, other := range *o.all.Load() {
		if other != e {
			kept = append(kept, other)
		}
	}
	o.all.Store(&kept)
	o.updateNeeds()
	o.mu.Unlock()
	close(e.removed)
	o.sweepSoon()
	return nil
}
