package keys

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/netip"
	"os"
	"strings"
	"sync/atomic"
	"time"

	"golang.org/x/time/rate"

	"ppch/component/occupancy"
)

const (
	// ownKey is the name of KeyringConfig.Key in logs. No key in the file can have it.
	ownKey = "PPCH_API_KEY"

	// shortestKey is the shortest length at which a key can't be guessed.
	shortestKey = 16

	// maxKeysFile is the maximum size of the file: enough for thousands of keys.
	maxKeysFile = 1 << 20

	// lookEvery is how often Run reads the file.
	lookEvery = 2 * time.Second
)

// KeyringConfig is the configuration of a Keyring: Key, and File or Shared; one of the three is enough.
type KeyringConfig struct {
	// Key is a key with all scopes.
	Key string

	// File is the path of a file with further keys; see README for its form.
	File string

	// Shared is a list of further keys, which needn't be known yet. It excludes File.
	Shared List

	// Rate is the maximum number of requests per second for each key, with bursts of twice as many; 0 means no limit.
	Rate int

	// Names resolves the rooms of further keys. It may be nil without any.
	Names *occupancy.NameResolver

	// Log receives messages about further keys; nil discards them.
	Log *slog.Logger
}

// Keyring holds the API keys, but not their text. It is safe for concurrent use, but Run may be called only once.
type Keyring struct {
	own   *Key // KeyringConfig.Key or nil; the key set has a copy
	file  string
	rate  int
	names *occupancy.NameResolver
	log   *slog.Logger
	wrong *wrongKeyLimiter

	// shared is KeyringConfig.Shared. sharedKnown is whether its lines have been taken over, and sharedLines which; only Run and NewKeyring write them.
	shared      List
	sharedKnown atomic.Bool
	sharedLines string

	// keys is replaced, never changed, so that Find never waits.
	keys atomic.Pointer[keySet]

	// seen is the file as last checked, taken as its keys were loaded, and next as last read, perhaps in the middle of a write.
	// Only Run uses them.
	seen, taken, next keysFile
}

// keySet is the set of valid keys at one time.
type keySet struct {
	bySum    map[Sum]*Key
	replaced chan struct{} // closed when another set replaces this one
}

// NewKeyring returns the Keyring for cfg, or an error that names each wrong line of the file.
func NewKeyring(cfg KeyringConfig) (*Keyring, error) {
	wrong, err := newWrongKeyLimiter()
	if err != nil {
		return nil, fmt.Errorf("keys: %w", err)
	}
	k := &Keyring{file: cfg.File, shared: cfg.Shared, rate: cfg.Rate, names: cfg.Names, log: cmp.Or(cfg.Log, slog.New(slog.DiscardHandler)), wrong: wrong}
	if cfg.Key != "" {
		k.own = &Key{name: ownKey, sum: SumOf(cfg.Key), scopes: scopeLive | ScopeHistory | ScopeWebhooks, guessable: len(cfg.Key) < shortestKey}
	}
	k.keys.Store(&keySet{replaced: make(chan struct{})})
	if k.file != "" {
		k.seen = readKeysFile(k.file)
	}
	if err := k.take(k.seen); err != nil {
		return nil, err
	}
	if k.shared != nil {
		k.takeShared()
		return k, nil
	}
	if k.Count() == 0 {
		return nil, errors.New("keys: no API key is configured")
	}
	return k, nil
}

// Find returns the key with the given sum, or nil.
// Its duration reveals nothing about a key, because a client can't choose the sum.
func (k *Keyring) Find(sum Sum) *Key { return k.keys.Load().bySum[sum] }

// IsOwn reports whether a key is KeyringConfig.Key, that of the operator.
func (k *Keyring) IsOwn(key *Key) bool { return k.own != nil && key.sum == k.own.sum }

// Count returns how many keys there are.
func (k *Keyring) Count() int { return len(k.keys.Load().bySum) }

// Replaced returns a channel that is closed when the keys change after this call.
func (k *Keyring) Replaced() <-chan struct{} { return k.keys.Load().replaced }

// Renew returns what the key of a grant allows now, or an error if the key was removed or has expired.
func (k *Keyring) Renew(g Grant, now time.Time) (Grant, error) {
	found := k.Find(g.Key.sum)
	if found == nil {
		return Grant{}, ErrWrongKey
	}
	return Grant{found}, found.Valid(now)
}

// Identify returns the key that a client at an address has sent. The error is [ErrWrongKey] or a [*RateLimitError].
//
// An address that has sent too many wrong keys must wait before it may try another.
// A key that is too long to be guessed is accepted even then: otherwise one client with an old key would lock out all clients
// with its address, such as those behind the same reverse proxy.
func (k *Keyring) Identify(text string, from netip.Prefix) (*Key, error) {
	found := k.Find(SumOf(text))
	switch {
	case (found == nil || found.IsLink()) && k.Unknown() != nil && !k.guessable():
		return nil, k.Unknown()
	case found == nil || found.IsLink():
		if limiter := k.wrong.of(from); !limiter.Allow() {
			return nil, exceeded(limiter, PolicyWrongKeys)
		}
		return nil, k.wrongKey()
	case found.guessable && k.wrong.blocked(from):
		return nil, exceeded(k.wrong.of(from), PolicyWrongKeys)
	}
	return found, nil
}

// IdentifyLink returns the share link with a token that a client at an address has sent. The error is [ErrWrongKey],
// an [*ExpiredError] or a [*RateLimitError]. An address has one quota for wrong tokens and wrong keys.
func (k *Keyring) IdentifyLink(token string, from netip.Prefix) (*Key, error) {
	if found := k.Find(SumOf(token)); found != nil && found.IsLink() {
		return found, found.Valid(time.Now())
	}
	if err := k.Unknown(); err != nil {
		return nil, err
	}
	if limiter := k.wrong.of(from); !limiter.Allow() {
		return nil, exceeded(limiter, PolicyWrongKeys)
	}
	return nil, ErrWrongKey
}

// guessable reports whether our own key is short enough to be found by guessing.
func (k *Keyring) guessable() bool { return k.own != nil && k.own.guessable }

// Run takes over changes of the shared list, or reloads the file when it changes, until ctx ends, and returns nil.
// Each value from reload reloads the file immediately.
//
// It polls every two seconds instead of watching the file system, because editors rename files,
// Kubernetes replaces folders behind symbolic links, and network file systems report no changes.
// It loads a changed file when two reads in a row are equal, so as not to load it in the middle of a write.
func (k *Keyring) Run(ctx context.Context, reload <-chan os.Signal) error {
	if k.shared != nil {
		return k.followShared(ctx)
	}
	if k.file == "" {
		return nil
	}
	look := time.NewTicker(lookEvery)
	defer look.Stop()
	for {
		asked := false
		select {
		case <-ctx.Done():
			return nil
		case <-reload:
			asked = true
		case <-look.C:
		}
		now := readKeysFile(k.file)
		settled := now == k.next
		k.next = now
		if !asked && (now == k.seen || !settled) {
			continue
		}
		k.seen = now
		err := now.cutOff(k.taken)
		if err == nil {
			err = k.take(now)
		}
		if err != nil {
			k.log.Error("keys file invalid, keeping previous keys", "file", k.file, "err", err)
			continue
		}
		k.log.Info("keys read", "file", k.file, "keys", k.Count())
	}
}

// take replaces the keys by those of f and our own. If it returns an error, it changes nothing.
func (k *Keyring) take(f keysFile) error {
	if f.fault != "" {
		return fmt.Errorf("keys: file: %s", f.fault)
	}
	known := k.ownKeys()
	keys, err := parseKeys(f.text, k.names, known...)
	if err != nil {
		return fmt.Errorf("keys: file %s:\n  %w", k.file, err)
	}
	k.replace(append(known, keys...))
	k.taken = f
	switch {
	case f.mode&0o002 != 0:
		k.log.Warn("keys file is world-writable: run chmod o-w", "file", k.file)
	case f.mode&0o004 != 0:
		k.log.Warn("keys file is world-readable, it shows the names of keys: run chmod o-r", "file", k.file)
	}
	return nil
}

// ownKeys returns a copy of our own key, if there is one: requests may be reading the previous copy.
func (k *Keyring) ownKeys() []*Key {
	if k.own == nil {
		return nil
	}
	own := *k.own
	return []*Key{&own}
}

// replace replaces all keys.
func (k *Keyring) replace(keys []*Key) {
	before := k.keys.Load()
	now := &keySet{bySum: map[Sum]*Key{}, replaced: make(chan struct{})}
	for _, key := range keys {
		if old := before.bySum[key.sum]; old != nil {
			key.limiter = old.limiter // a reload doesn't reset a key's quota
		} else if k.rate > 0 {
			key.limiter = rate.NewLimiter(rate.Limit(k.rate), 2*k.rate)
		}
		now.bySum[key.sum] = key
	}
	k.keys.Store(now)
	close(before.replaced)
}

// keysFile is the state of a file at one moment.
type keysFile struct {
	text  string
	mode  os.FileMode
	fault string // why it couldn't be read
}

// cutOff returns an error if a file seems to be truncated, as by a full disk:
// that would remove keys, and a truncated line could allow more rooms and a longer time.
func (f keysFile) cutOff(before keysFile) error {
	switch {
	case f.fault != "" || !strings.HasSuffix(before.text, "\n"):
		return nil
	case f.text == "":
		return errors.New("keys: file: it is empty, perhaps truncated by a full disk: to remove all keys, leave a line with a #")
	case !strings.HasSuffix(f.text, "\n"):
		return errors.New("keys: file: the last line has no line break, perhaps truncated by a full disk: add a line break")
	}
	return nil
}

// readKeysFile reads a file. It never blocks on a pipe, and reads at most maxKeysFile.
func readKeysFile(path string) keysFile {
	info, err := os.Stat(path)
	if err != nil {
		return keysFile{fault: err.Error()}
	}
	if !info.Mode().IsRegular() {
		return keysFile{fault: path + " is not a regular file"}
	}
	f, err := os.Open(path) // #nosec G304 -- the operator names it
	if err != nil {
		return keysFile{fault: err.Error()}
	}
	defer f.Close()
	text, err := io.ReadAll(io.LimitReader(f, maxKeysFile+1))
	if err != nil {
		return keysFile{fault: err.Error()}
	}
	if len(text) > maxKeysFile {
		return keysFile{fault: fmt.Sprintf("%s has more than %d bytes", path, maxKeysFile)}
	}
	return keysFile{text: string(text), mode: info.Mode().Perm()}
}
