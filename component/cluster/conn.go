package cluster

import (
	"cmp"
	"errors"
	"fmt"
	"regexp"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/nats-io/nats.go"

	"ppch/component/occupancy"
)

// offlineFor is how long a lost connection counts as a reconnect, not as a problem, in heartbeats.
const offlineFor = 1.5

// Conn is a connection to NATS, which is established again whenever it is lost. It is safe for concurrent use.
type Conn struct {
	cfg    Config
	nats   *nats.Conn
	sealer sealer

	slow    atomic.Uint64 // times that a subscription received faster than it was read
	foreign atomic.Uint64 // messages from senders without the secret

	// mu protects what follows.
	mu        sync.Mutex
	since     time.Time // of the connection, or of its loss
	lastErr   error     // of the last attempt to connect
	forbidden string    // what NATS forbade last, such as: Publish to "ppch.main"

	// The same for the store of NATS, and for questions about meetings and webhooks: none concerns what carries shards.
	forbiddenStore, forbiddenHistory, forbiddenWebhooks string
}

// Dial returns a connection. It tries each server once, for connectTimeout at most if that doesn't answer, and goes on in the
// background. It fails only if cfg makes no sense. The caller closes it.
func Dial(cfg Config) (*Conn, error) {
	cfg, err := cfg.withDefaults()
	if err != nil {
		return nil, err
	}
	c := &Conn{cfg: cfg, sealer: newSealer(cfg.Secret), since: time.Now()}
	options := []nats.Option{
		nats.Name(cfg.Name),
		nats.MaxReconnects(-1), nats.ReconnectWait(reconnectWait), nats.ReconnectJitter(reconnectWait/2, reconnectWait/2),
		nats.PingInterval(min(pingInterval, cfg.Heartbeat)), nats.MaxPingsOutstanding(2), nats.Timeout(connectTimeout),
		nats.RetryOnFailedConnect(true), nats.IgnoreAuthErrorAbort(),
		nats.ConnectHandler(func(*nats.Conn) { c.connected() }),
		nats.ReconnectHandler(func(*nats.Conn) { c.connected() }),
		nats.DisconnectErrHandler(func(_ *nats.Conn, err error) { c.disconnected(err) }),
		nats.ReconnectErrHandler(func(_ *nats.Conn, err error) { c.failed(err) }),
		nats.ErrorHandler(func(_ *nats.Conn, _ *nats.Subscription, err error) { c.failed(err) }),
	}
	t, err := cfg.tlsConfig()
	if err != nil {
		return nil, err
	}
	if t != nil {
		options = append(options, nats.Secure(t))
	}
	if cfg.Collector != "" {
		options = append(options, nats.CustomInboxPrefix(c.subject(cfg.Shard, cfg.Collector, "answer")))
	}
	switch {
	case cfg.Creds != "":
		options = append(options, nats.UserCredentials(cfg.Creds))
	case cfg.User != "":
		options = append(options, nats.UserInfo(cfg.User, cfg.Password))
	}
	c.mu.Lock() // the handlers wait until c.nats is set
	defer c.mu.Unlock()
	if c.nats, err = nats.Connect(strings.Join(cfg.URLs, ","), options...); err != nil {
		return nil, fmt.Errorf("cluster: %w", err)
	}
	return c, nil
}

// Close sends what waits and ends the connection.
func (c *Conn) Close() {
	_ = c.nats.FlushTimeout(time.Second)
	c.nats.Close()
}

func (c *Conn) connected() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.since, c.lastErr, c.forbidden = time.Now(), nil, ""
	c.forbiddenStore, c.forbiddenHistory, c.forbiddenWebhooks = "", "", ""
	c.cfg.Log.Info("connected to NATS", "nats", c.nats.ConnectedUrlRedacted())
}

func (c *Conn) disconnected(err error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.since = time.Now()
	if c.lastErr = err; !c.nats.IsClosed() {
		c.cfg.Log.Warn("connection to NATS lost", "err", err)
	}
}

// permission is NATS' text for what it forbids.
var permission = regexp.MustCompile(`(?i)permissions violation for (\w+) to "([^"]+)"`)

// lasting returns the subject to allow for one that NATS forbids: the last part of some is new at each start.
func lasting(subject string) string {
	if strings.HasPrefix(subject, nats.InboxPrefix) {
		return nats.InboxPrefix + ">"
	}
	for _, end := range []string{".snapshot.*", ".answer.>"} {
		if before, _, ok := strings.Cut(subject, end[:len(end)-1]); ok {
			return before + end
		}
	}
	return subject
}

// failed notes an error of an attempt to connect, or of a subscription.
func (c *Conn) failed(err error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	switch {
	case errors.Is(err, nats.ErrSlowConsumer):
		c.slow.Add(1)
	case errors.Is(err, nats.ErrPermissionViolation):
		what, of := err.Error(), &c.forbidden
		if found := permission.FindStringSubmatch(err.Error()); found != nil {
			what = map[string]string{"publish": "publish to ", "subscription": "subscribe to "}[strings.ToLower(found[1])] + lasting(found[2])
			switch {
			case ofStore(found[2]):
				of = &c.forbiddenStore
			case c.ofHistory(found[2]):
				of = &c.forbiddenHistory
			case strings.HasSuffix(found[2], "."+webhooksToken):
				of = &c.forbiddenWebhooks
			}
		}
		if *of != what { // the store is asked again and again
			c.cfg.Log.Error("NATS forbids what PPCH needs", "remedy", c.forbids(what).Remedy)
		}
		*of = what
	default:
		if c.lastErr == nil || c.lastErr.Error() != err.Error() {
			c.cfg.Log.Warn("no connection to NATS", "err", err)
		}
		c.lastErr = err
	}
}

// problem returns why nothing can be carried, or nil.
func (c *Conn) problem() *occupancy.UnavailableError {
	c.mu.Lock()
	defer c.mu.Unlock()
	up := c.nats.IsConnected()
	patience := time.Duration(offlineFor * float64(c.cfg.Heartbeat))
	switch {
	case up && c.forbidden != "":
		return c.forbids(c.forbidden)
	case up:
		return nil
	case errors.Is(c.lastErr, nats.ErrAuthorization), errors.Is(c.lastErr, nats.ErrAuthExpired), errors.Is(c.lastErr, nats.ErrAuthRevoked):
		return occupancy.ProblemNATSLogin.With(c.facts()...).Err(c.lastErr)
	case time.Since(c.since) < patience:
		return nil
	}
	return occupancy.ProblemNATSUnreachable.With(c.facts()...).Err(c.lastErr)
}

// changedAt returns when the connection was established or lost.
func (c *Conn) changedAt() time.Time {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.since
}

// historyForbidden returns the error of a missing permission for questions about meetings, or nil.
func (c *Conn) historyForbidden() error {
	c.mu.Lock()
	defer c.mu.Unlock()
	if what := cmp.Or(c.forbiddenHistory, c.forbidden); what != "" {
		return errors.New("NATS forbids this PPCH to " + what)
	}
	return nil
}

// ofHistory reports whether a subject serves questions about meetings alone.
func (c *Conn) ofHistory(subject string) bool {
	parts := strings.Split(strings.TrimPrefix(subject, c.cfg.Prefix+"."), ".")
	return len(parts) > 2 && (parts[2] == "history" || parts[0] == "*" && parts[2] == string(kindState))
}

// forbids returns the problem of a missing permission.
func (c *Conn) forbids(permission string) *occupancy.UnavailableError {
	return occupancy.ProblemNATSForbidden.With(append(c.facts(), occupancy.Fact{Name: "permission", Value: permission})...).Err(nil)
}

// forbidsWebhooks returns that NATS forbids what the services of a shard need to agree on who delivers its webhooks, or nil.
func (c *Conn) forbidsWebhooks() *occupancy.UnavailableError {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.forbiddenWebhooks == "" {
		return nil
	}
	return c.forbids(c.forbiddenWebhooks)
}

func (c *Conn) facts() []occupancy.Fact {
	var hosts []string
	for _, u := range c.cfg.URLs {
		_, host, _ := strings.Cut(u, "://")
		hosts = append(hosts, host[strings.LastIndexByte(host, '@')+1:])
	}
	return []occupancy.Fact{{Name: "nats", Value: strings.Join(hosts, ", ")}}
}

// subject returns a subject of a collector of a shard; * stands for any.
func (c *Conn) subject(shard, collector, what string) string {
	return c.cfg.Prefix + "." + shard + "." + token(collector) + "." + what
}

// sender returns the shard and the collector in a subject, dots in the name of the collector being underscores.
func (c *Conn) sender(subject string) (of subjectOf) {
	of.shard, subject, _ = strings.Cut(strings.TrimPrefix(subject, c.cfg.Prefix+"."), ".")
	of.collector, _, _ = strings.Cut(subject, ".")
	return of
}

// open returns the message in data. It counts messages from senders without the secret.
func (c *Conn) open(data []byte) (message, error) {
	body, err := c.sealer.unwrap(data)
	if err != nil {
		c.foreign.Add(1)
		return message{}, err
	}
	return decode(body)
}

// send publishes a message. It doesn't wait for NATS.
func (c *Conn) send(subject string, m message) error {
	return c.nats.Publish(subject, c.sealer.wrap(m.encode()))
}

// maxBody is how long the body of a message may be.
func (c *Conn) maxBody() int {
	limit := int(c.nats.MaxPayload())
	if limit <= 0 {
		limit = 1 << 20 // NATS' default, before the first connection
	}
	return limit - len(magic) - sealLen - 16
}
