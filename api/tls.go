package api

import (
	"context"
	"crypto/sha256"
	"crypto/tls"
	"fmt"
	"log/slog"
	"os"
	"sync/atomic"
	"time"
)

// renewEvery is how often the files of the certificate are looked at.
// They are read, not watched: what renews them may replace a link, a folder or a mount, which no watcher sees alike.
const renewEvery = 10 * time.Second

// ParsePair returns the TLS certificate of a chain and its key, both PEM, as clients would accept it at that time.
// Of the chain only the first certificate is looked at, which is ours.
func ParsePair(chain, key []byte, at time.Time) (*tls.Certificate, error) {
	pair, err := tls.X509KeyPair(chain, key)
	switch {
	case err != nil:
		return nil, err
	case at.After(pair.Leaf.NotAfter):
		return nil, fmt.Errorf("the certificate expired at %s", pair.Leaf.NotAfter.UTC().Format(time.RFC3339))
	case at.Before(pair.Leaf.NotBefore):
		return nil, fmt.Errorf("the certificate is not valid before %s", pair.Leaf.NotBefore.UTC().Format(time.RFC3339))
	}
	return &pair, nil
}

// certificate is the one that a Server shows: the last good one that its files have held.
type certificate struct {
	chainFile, keyFile string

	log     *slog.Logger
	current atomic.Pointer[tls.Certificate]

	// seen is the sum of what the files last held, good or bad. Only renew uses it.
	seen [sha256.Size]byte
}

// loadCertificate returns the certificate of two files, which must be good.
func loadCertificate(chainFile, keyFile string, log *slog.Logger) (*certificate, error) {
	c := &certificate{chainFile: chainFile, keyFile: keyFile, log: log}
	pair, seen, err := c.read()
	if err != nil {
		return nil, fmt.Errorf("api: TLS: %w", err)
	}
	c.seen = seen
	c.current.Store(pair)
	return c, nil
}

// read returns what the files hold, or why that can't be used.
func (c *certificate) read() (pair *tls.Certificate, seen [sha256.Size]byte, err error) {
	chain, err := os.ReadFile(c.chainFile)
	if err != nil {
		return nil, sha256.Sum256([]byte(err.Error())), err
	}
	key, err := os.ReadFile(c.keyFile)
	if err != nil {
		return nil, sha256.Sum256([]byte(err.Error())), err
	}
	seen = sha256.Sum256(append(chain, key...))
	pair, err = ParsePair(chain, key, time.Now())
	return pair, seen, err
}

// watch renews the certificate until ctx ends.
func (c *certificate) watch(ctx context.Context, every time.Duration) {
	tick := time.NewTicker(every)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
			c.renew()
		}
	}
}

// renew shows from now on what the files hold, if they hold something else than before, and it is good.
// Connections that are there keep the certificate that they have.
func (c *certificate) renew() {
	pair, seen, err := c.read()
	if seen == c.seen {
		return
	}
	c.seen = seen
	if err != nil {
		// The two files are never replaced at the very same moment, so this may be mended the next time.
		c.log.Error("certificate kept, since the new one can't be used", "err", err, "expires", c.expires())
		return
	}
	c.current.Store(pair)
	c.log.Info("certificate replaced", "expires", c.expires())
}

func (c *certificate) expires() time.Time { return c.current.Load().Leaf.NotAfter }

// config returns how TLS is spoken.
func (c *certificate) config() *tls.Config {
	return &tls.Config{
		MinVersion: tls.VersionTLS12,
		NextProtos: []string{"h2", "http/1.1"},
		GetCertificate: func(*tls.ClientHelloInfo) (*tls.Certificate, error) {
			return c.current.Load(), nil
		},
	}
}
