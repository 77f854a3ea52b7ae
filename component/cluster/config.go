package cluster

import (
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"log/slog"
	"net/url"
	"os"
	"strings"
	"time"
	"unicode"
)

// DefaultPrefix is the first token of all subjects.
const DefaultPrefix = "ppch"

// Timing. A collector that falls silent is replaced within 15 s: two and a half heartbeats, and the check for silence.
const (
	heartbeat     = 4 * time.Second
	pingInterval  = 5 * time.Second
	reconnectWait = 500 * time.Millisecond

	// connectTimeout bounds one attempt to connect. A frozen server delays the start of a service by this.
	connectTimeout = 2 * time.Second
)

// Config configures a connection to NATS. URLs and Secret are required.
type Config struct {
	// URLs are the servers, such as nats://nats-1:4222 or tls://nats-1:4222.
	URLs []string

	// CA is a PEM file with the authorities of the servers' certificates, instead of the system's.
	// Cert and Key are PEM files with a client certificate. Each may be empty.
	CA, Cert, Key string

	// Creds is a file with a user's JWT and seed. User and Password are used without it.
	Creds, User, Password string

	// Prefix begins all subjects; DefaultPrefix if empty. It may contain dots.
	Prefix string

	// Secret seals the messages. All nodes have the same.
	Secret string

	// Name is shown to the operators of NATS.
	Name string

	// Shard and Collector name a collector of this program; empty for none. Answers are sent to a subject of its own then,
	// so that it needs no permission to read what is sent to others.
	Shard, Collector string

	Log *slog.Logger

	// Heartbeat is the longest time between two messages of a collector, and other times follow it; 4 s if zero.
	Heartbeat time.Duration
}

func (c Config) withDefaults() (Config, error) {
	switch {
	case len(c.URLs) == 0:
		return c, errors.New("cluster: no URL of NATS")
	case c.Secret == "":
		return c, errors.New("cluster: no secret")
	case (c.Cert == "") != (c.Key == ""):
		return c, errors.New("cluster: a client certificate needs its key, and a key its certificate")
	}
	for _, u := range c.URLs {
		if err := CheckURL(u); err != nil {
			return c, fmt.Errorf("cluster: %w", err)
		}
	}
	if c.Prefix == "" {
		c.Prefix = DefaultPrefix
	}
	if err := CheckPrefix(c.Prefix); err != nil {
		return c, fmt.Errorf("cluster: prefix %w", err)
	}
	if c.Log == nil {
		c.Log = slog.New(slog.DiscardHandler)
	}
	if c.Heartbeat == 0 {
		c.Heartbeat = heartbeat
	}
	return c, nil
}

// CheckURL returns an error for what can't be the URL of a NATS server.
func CheckURL(s string) error {
	u, err := url.Parse(s)
	switch {
	case err != nil || u.Host == "":
		return fmt.Errorf("%q is not a URL of NATS: write nats://HOST:4222, or tls://HOST:4222", redact(s))
	case u.Scheme != "nats" && u.Scheme != "tls":
		return fmt.Errorf("%q: the scheme is %s, not nats or tls", redact(s), u.Scheme)
	}
	return nil
}

// redact returns a URL without its password.
func redact(s string) string {
	if u, err := url.Parse(s); err == nil {
		return u.Redacted()
	}
	if _, host, found := strings.Cut(s, "@"); found {
		return host
	}
	return s
}

// CheckPrefix returns an error for what can't begin subjects.
func CheckPrefix(prefix string) error {
	for token := range strings.SplitSeq(prefix, ".") {
		if err := CheckToken(token); err != nil {
			return fmt.Errorf("%q: %w", prefix, err)
		}
	}
	return nil
}

// CheckToken returns an error for a name that can't be a part of a subject, such as that of a shard.
func CheckToken(s string) error {
	if s == "" || strings.ContainsFunc(s, func(r rune) bool { return unicode.IsSpace(r) || unicode.IsControl(r) || strings.ContainsRune(".*>", r) }) {
		return fmt.Errorf("%q can't be a part of a subject: it is empty or contains a space, a dot, * or >", s)
	}
	return nil
}

// tlsConfig returns the TLS settings, or nil for those of the system.
func (c Config) tlsConfig() (*tls.Config, error) {
	if c.CA == "" && c.Cert == "" {
		return nil, nil
	}
	t := &tls.Config{MinVersion: tls.VersionTLS12}
	if c.CA != "" {
		pem, err := os.ReadFile(c.CA)
		if err != nil {
			return nil, fmt.Errorf("cluster: authorities: %w", err)
		}
		t.RootCAs = x509.NewCertPool()
		if !t.RootCAs.AppendCertsFromPEM(pem) {
			return nil, fmt.Errorf("cluster: authorities: %s contains no certificate in PEM", c.CA)
		}
	}
	if c.Cert != "" {
		if _, err := tls.LoadX509KeyPair(c.Cert, c.Key); err != nil {
			return nil, fmt.Errorf("cluster: client certificate: %w", err)
		}
		// Read it at each connection, so that a renewed one takes effect.
		t.GetClientCertificate = func(*tls.CertificateRequestInfo) (*tls.Certificate, error) {
			cert, err := tls.LoadX509KeyPair(c.Cert, c.Key)
			return &cert, err
		}
	}
	return t, nil
}

// token returns the name of a collector as a part of subjects: dots separate those.
func token(collector string) string { return strings.ReplaceAll(collector, ".", "_") }
