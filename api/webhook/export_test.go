package webhook

import (
	"context"
	"crypto/tls"
	"net"
	"net/http"
	"net/url"
	"time"

	"ppch/component/occupancy"
)

// Sign signs a delivery.
func Sign(h http.Header, f Format, id string, now time.Time, body []byte, secrets ...string) error {
	s, err := newSigner(f, secrets...)
	if err != nil {
		return err
	}
	return s.sign(h, id, now, body)
}

// Attempt is the outcome of one attempt.
type Attempt struct {
	Status           int
	Problem, Excerpt string
	RetryAfter       time.Duration
	Gone             bool
}

// Post sends a message once.
func Post(ctx context.Context, reach Reach, config *tls.Config, resolver *net.Resolver, to *url.URL, m Message) Attempt {
	c := newClient(reach, "test", config, resolver)
	defer c.close()
	r := c.post(ctx, to, http.Header{}, m)
	return Attempt{r.status, r.problem, r.excerpt, r.retryAfter, r.gone}
}

// Check returns why deliveries may not reach an address, given as host:port.
func (r Reach) Check(address string) error { return r.control()("tcp", address, nil) }

// Check returns the mistakes in s.
func (s Settings) Check(names *occupancy.NameResolver) error {
	_, err := s.parse(names)
	return err
}

// Hasten makes an Outbox retry after the given waits, and disable endpoints after a time.
func (c Config) Hasten(disableAfter time.Duration, maxRows int, schedule ...time.Duration) Config {
	c.schedule, c.disableAfter, c.maxRows, c.probeEvery = schedule, disableAfter, maxRows, 10*time.Millisecond
	return c
}

// Sweep deletes what isn't needed any more.
func (o *Outbox) Sweep(ctx context.Context) error { return o.sweepAll(ctx) }
