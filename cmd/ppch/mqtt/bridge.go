package mqtt

import (
	"context"
	"crypto/tls"
	"errors"
	"log/slog"
	"net/url"
	"time"

	"github.com/cenkalti/backoff/v5"
	"golang.org/x/sync/errgroup"

	"ppch/cmd/ppch/terminal"
)

// Config is the configuration of a Bridge.
type Config struct {
	// Client asks the service.
	Client *terminal.Client

	// Broker is mqtt://host:port or mqtts://host:port, without a user.
	Broker *url.URL

	// User and Password are for the broker; empty for none.
	User, Password string

	// TLS is for mqtts.
	TLS *tls.Config

	// Topic begins every topic of the rooms.
	Topic string

	// Discovery begins the topics that Home Assistant reads; empty publishes no sensors.
	Discovery string

	Rooms   []Room
	Version string
	Log     *slog.Logger
}

// How long the broker keeps a number, and how often it is renewed.
const (
	expiry     = 90 * time.Second
	renewEvery = expiry / 3
)

// Bridge publishes rooms. Run may be called once.
type Bridge struct {
	cfg    Config
	states chan update

	known map[string]terminal.RoomState // by id; only Run's goroutine uses it
}

// update is a new state of a room.
type update struct {
	room  Room
	state terminal.RoomState
}

// New returns a Bridge.
func New(cfg Config) *Bridge {
	return &Bridge{cfg: cfg, states: make(chan update), known: map[string]terminal.RoomState{}}
}

// Run publishes until ctx ends, which returns nil. It waits for a service and a broker that can't be reached,
// and returns an error if one of them refuses.
func (b *Bridge) Run(ctx context.Context) error {
	g, ctx := errgroup.WithContext(ctx)
	for _, r := range b.cfg.Rooms {
		g.Go(func() error {
			return b.cfg.Client.FollowRoom(ctx, r.Name, func(s terminal.RoomState) {
				select {
				case b.states <- update{r, s}:
				case <-ctx.Done():
				}
			})
		})
	}
	g.Go(func() error { return b.connect(ctx) })
	return g.Wait()
}

// connect publishes in one session after the other.
func (b *Bridge) connect(ctx context.Context) error {
	waits := backoff.NewExponentialBackOff()
	waits.InitialInterval, waits.MaxInterval = time.Second, 30*time.Second
	for {
		began := time.Now()
		err := b.session(ctx)
		if err == nil || errors.As(err, new(*RefusedError)) {
			return err
		}
		b.cfg.Log.Warn("no connection to the broker", "broker", b.cfg.Broker.Host, "err", err)
		if time.Since(began) > time.Minute {
			waits.Reset()
		}
		if !b.wait(ctx, waits.NextBackOff()) {
			return nil
		}
	}
}

// wait waits, and notes what it hears of the rooms. It returns false if ctx ends.
func (b *Bridge) wait(ctx context.Context, pause time.Duration) bool {
	over := time.After(pause)
	for {
		select {
		case u := <-b.states:
			b.note(u)
		case <-over:
			return true
		case <-ctx.Done():
			return false
		}
	}
}

// note keeps the state of a room, and reports whether that is news. It logs a problem once.
func (b *Bridge) note(u update) (news bool) {
	was, known := b.known[u.room.id]
	b.known[u.room.id] = u.state
	switch {
	case known && was == u.state:
		return false
	case u.state.Problem != "" && was.Problem != u.state.Problem:
		b.cfg.Log.Warn("the number is unknown", "room", u.room.Name, "why", u.state.Problem)
	case u.state.Problem == "" && (was.Problem != "" || !known):
		b.cfg.Log.Info("the number is current", "room", u.room.Name)
	}
	return true
}
