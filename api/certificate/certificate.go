// Package certificate keeps the TLS certificate of a server up to date with its files.
package certificate

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

// Parse returns the TLS certificate of a chain and its key, both PEM, or an error if it isn't valid at that time.
// It checks only the first certificate of the chain, the server's own.
func Parse(chain, key []byte, at time.Time) (*tls.Certificate, error) {
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

// Certificate is the last good certificate in two files. It is safe for concurrent use, but Watch may be called only once.
type Certificate struct {
	chainFile, keyFile string

	log     *slog.Logger
	current atomic.Pointer[tls.Certificate]

	// seen is the hash of the files when they were last read, good or bad. Only renew uses it.
	seen [sha256.Size]byte
}

// Load returns the certificate in two files, both PEM.
func Load(chainFile, keyFile string, log *slog.Logger) (*Certificate, error) {
	c := &Certificate{chainFile: chainFile, keyFile: keyFile, log: log}
	pair, seen, err := c.read()
	if err != nil {
		return nil, fmt.Errorf("certificate: %w", err)
	}
	c.seen = seen
	c.current.Store(pair)
	return c, nil
}

// read returns the certificate in the files and the hash of the files.
func (c *Certificate) read() (pair *tls.Certificate, seen [sha256.Size]byte, err error) {
	chain, err := os.ReadFile(c.chainFile)
	if err != nil {
		return nil, sha256.Sum256([]byte(err.Error())), err
	}
	key, err := os.ReadFile(c.keyFile)
	if err != nil {
		return nil, sha256.Sum256([]byte(err.Error())), err
	}
	seen = sha256.Sum256(append(chain, key...))
	pair, err = Parse(chain, key, time.Now())
	return pair, seen, err
}

// Watch reads the files at intervals until ctx ends. It polls because programs that renew certificates may replace a link,
// a folder or a mount, which file watchers don't report reliably.
func (c *Certificate) Watch(ctx context.Context, every time.Duration) {
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

// renew replaces the certificate if the files have changed and are good. Open connections keep theirs.
func (c *Certificate) renew() {
	pair, seen, err := c.read()
	if seen == c.seen {
		return
	}
	c.seen = seen
	if err != nil {
		// The two files are not replaced at the same moment, so the next read may succeed.
		c.log.Error("new certificate is invalid, keeping the old one", "err", err, "expires", c.Expires())
		return
	}
	c.current.Store(pair)
	c.log.Info("certificate replaced", "expires", c.Expires())
}

// Expires returns when the certificate expires.
func (c *Certificate) Expires() time.Time { return c.current.Load().Leaf.NotAfter }

// Matches reports whether the certificate is for a host name.
func (c *Certificate) Matches(host string) bool {
	return c.current.Load().Leaf.VerifyHostname(host) == nil
}

// Config returns the TLS configuration of a server that always uses the current certificate.
func (c *Certificate) Config() *tls.Config {
	return &tls.Config{
		MinVersion: tls.VersionTLS12,
		NextProtos: []string{"h2", "http/1.1"},
		GetCertificate: func(*tls.ClientHelloInfo) (*tls.Certificate, error) {
			return c.current.Load(), nil
		},
	}
}
