package webhook_test

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"sync"
	"testing"
	"time"

	"ppch/api/webhook"
)

// registry implements [webhook.Registry] without NATS.
type registry struct {
	// mu protects what follows.
	mu      sync.Mutex
	all     map[string]webhook.Registered
	changed chan struct{}
	slow    chan struct{} // until it is closed, no service stores what it reads here; nil for none
	away    bool
}

func newRegistry() *registry {
	return &registry{all: map[string]webhook.Registered{}, changed: make(chan struct{})}
}

// Endpoints implements [webhook.Registry].
func (r *registry) Endpoints() (all []webhook.Registered, err error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.away {
		return nil, errors.New("away")
	}
	for _, e := range r.all {
		all = append(all, e)
	}
	return all, nil
}

// Update implements [webhook.Registry].
func (r *registry) Update(_ context.Context, name string, change func(webhook.Registered) (webhook.Registered, error)) (webhook.Registered, error) {
	r.mu.Lock()
	now := r.all[name]
	r.mu.Unlock()
	next, err := change(now)
	if err != nil {
		return webhook.Registered{}, err
	}
	next.Name, next.Generation = name, now.Generation+1
	r.mu.Lock()
	defer r.mu.Unlock()
	r.all[name] = next
	close(r.changed)
	r.changed = make(chan struct{})
	return next, nil
}

// Changed implements [webhook.Registry].
func (r *registry) Changed() <-chan struct{} {
	r.mu.Lock()
	changed, slow := r.changed, r.slow
	r.mu.Unlock()
	if slow != nil {
		<-slow
	}
	return changed
}

// delay makes all services wait before they store what they read here, until the function that it returns is called.
func (r *registry) delay(t *testing.T) (end func()) {
	t.Helper()
	slow := make(chan struct{})
	r.mu.Lock()
	defer r.mu.Unlock()
	r.slow = slow
	end = sync.OnceFunc(func() { close(slow) })
	t.Cleanup(end)
	return end
}

// leave makes the registry unusable.
func (r *registry) leave() {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.away = true
}

// registered returns two stations with one registry.
func registered(t *testing.T) (*registry, *station, *station) {
	t.Helper()
	r := newRegistry()
	change := func(c webhook.Config) webhook.Config {
		c.Registry = r
		return c
	}
	return r, newStation(t, change), newStation(t, change)
}

// has waits until a station has a webhook with a URL, or none if that is empty.
func (s *station) has(id, url string) {
	s.t.Helper()
	eventually(s.t, func() string {
		status, err := s.outbox.Get(s.t.Context(), s.owner, id)
		if url == "" && errors.Is(err, webhook.ErrNotFound) || err == nil && status.URL == url && !status.Elsewhere {
			return ""
		}
		return fmt.Sprintf("got %s, %v want %q", status.URL, err, url)
	})
}

// A webhook that was removed while a service was away gets nothing from it, neither what waited nor what the service finds first.
func TestRegistry_RemovedWhileAway(t *testing.T) {
	t.Parallel()
	r, a, b := registered(t)
	in := newInbox(t)
	in.fail(func(delivery) int { return http.StatusServiceUnavailable })
	a.add("in", in.URL, nil)
	b.has("in", in.URL)
	for i := range 20 {
		a.record(a.joins(fmt.Sprint("room", i), 0, 1)...)
	}
	a.stop()
	if err := b.outbox.Delete(t.Context(), b.owner, "in"); err != nil {
		t.Fatal(err)
	}
	b.has("in", "")
	in.fail(nil)
	other := newInbox(t)
	b.add("other", other.URL, nil)
	end := r.delay(t)
	a.start()
	a.record(a.joins("late", 0, 1)...)
	time.Sleep(50 * time.Millisecond)
	end()
	a.has("in", "")
	a.has("other", other.URL)
	a.record(a.joins("last", 0, 1)...)
	other.wait(1)
	if got := in.accepted(); len(got) > 0 {
		t.Errorf("got %d deliveries of a removed webhook", len(got))
	}
}

// Settings that were changed while a service was away are those of the first event that it stores. They stay changed after a restart.
func TestRegistry_ChangedWhileAway(t *testing.T) {
	t.Parallel()
	r, a, b := registered(t)
	old, in := newInbox(t), newInbox(t)
	a.add("in", old.URL, nil)
	b.has("in", old.URL)
	a.stop()
	b.add("in", in.URL, func(s *webhook.Settings) { s.Names = false })
	end := r.delay(t)
	a.start()
	a.record(a.joins("a", 0, 1)...)
	in.wait(1)
	end()
	a.has("in", in.URL)
	a.stop()
	r.leave()
	a.start()
	a.record(a.joins("a", 1, 2)...)
	in.wait(2)
	for _, d := range in.accepted() {
		if d.nick != "" {
			t.Errorf("got the name of %s", d.nick)
		}
	}
	if got := old.accepted(); len(got) > 0 {
		t.Errorf("got %d deliveries at the former URL", len(got))
	}
}
