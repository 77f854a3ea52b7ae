package keys

import (
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
	// ownKey is what the key that isn't from the file is called in logs. None in the file can have this name.
	ownKey = "PPCH_API_KEY"

	// shortestKey is the least number of characters of a key that guessing doesn't find.
	shortestKey = 16

	// maxKeysFile is room for thousands of keys.
	maxKeysFile = 1 << 20

	// lookEvery is how often Run reads the file.
	lookEvery = 2 * time.Second
)

// KeyringConfig is what a Keyring needs: Key, File, or both.
type KeyringConfig struct {
	// Key is a key that may be used for everything.
	Key string

	// File is the path of a file with further keys; see README for its form.
	File string

	// Rate is how often each key may be used, in requests a second, and twice as often for a moment; 0 is without bound.
	Rate int

	// Names reads the rooms that keys of the file are limited to. It may be nil without a file.
	Names *occupancy.NameResolver

	// Log receives what becomes of the file; nil discards it.
	Log *slog.Logger
}

// Keyring holds the API keys, none of them in clear. It is safe for concurrent use, but Run may be called only once.
type Keyring struct {
	own   *Key // nil if there is none; what counts is a copy of it
	file  string
	rate  int
	names *occupancy.NameResolver
	log   *slog.Logger
	wrong *wrongKeyLimiter

	// keys is never changed, only replaced, so that Find never waits.
	keys atomic.Pointer[keySet]

	// seen is what the file was when it was last read, taken when its keys came to count, and next what it may be about to become.
	// They belong to Run.
	seen, taken, next keysFile
}

// keySet is the keys that count at one time.
type keySet struct {
	bySum    map[Sum]*Key
	replaced chan struct{} // closed once others count
}

// NewKeyring returns the Keyring for cfg, or an error that names each line of the file that is wrong.
func NewKeyring(cfg KeyringConfig) (*Keyring, error) {
	wrong, err := newWrongKeyLimiter()
	if err != nil {
		return nil, fmt.Errorf("keys: %w", err)
	}
	k := &Keyring{file: cfg.File, rate: cfg.Rate, names: cfg.Names, log: cfg.Log, wrong: wrong}
	if k.log == nil {
		k.log = slog.New(slog.DiscardHandler)
	}
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
	if k.Count() == 0 {
		return nil, errors.New("keys: no API key is configured")
	}
	return k, nil
}

// Find returns the key with the given sum, or nil.
// Its duration reveals nothing about any key: a client can't choose the sum, and knows none that is similar.
func (k *Keyring) Find(sum Sum) *Key { return k.keys.Load().bySum[sum] }

// Count returns how many keys there are.
func (k *Keyring) Count() int { return len(k.keys.Load().bySum) }

// Replaced returns a channel that is closed when other keys count than at the time of this call.
func (k *Keyring) Replaced() <-chan struct{} { return k.keys.Load().replaced }

// Renew returns what the key of a grant allows now, or an error if the key was withdrawn or has expired.
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
// A key that is too long to be guessed passes even so: otherwise one client with an old key would lock out all clients
// of its address, such as those behind the same reverse proxy.
func (k *Keyring) Identify(text string, from netip.Prefix) (*Key, error) {
	found := k.Find(SumOf(text))
	switch {
	case found == nil:
		if limiter := k.wrong.of(from); !limiter.Allow() {
			return nil, exceeded(limiter, PolicyWrongKeys)
		}
		return nil, ErrWrongKey
	case found.guessable && k.wrong.blocked(from):
		return nil, exceeded(k.wrong.of(from), PolicyWrongKeys)
	}
	return found, nil
}

// Run follows the file until ctx ends, and returns nil. It reads the file at once with each value from reload,
// and otherwise when the file has changed.
//
// It reads the file every two seconds, rather than wait for the file system to report changes:
// editors rename, Kubernetes swaps folders beneath symbolic links, and network file systems report nothing.
// A change counts once it was seen twice, lest a file is read while it is being written.
func (k *Keyring) Run(ctx context.Context, reload <-chan os.Signal) error {
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
			k.log.Error("keys not read: those from before stay", "file", k.file, "err", err)
			continue
		}
		k.log.Info("keys read", "file", k.file, "keys", k.Count())
	}
}

// take makes the keys of f those that count, and our own. With an error everything stays as it was.
func (k *Keyring) take(f keysFile) error {
	if f.fault != "" {
		return fmt.Errorf("keys: file: %s", f.fault)
	}
	var known []*Key
	if k.own != nil {
		own := *k.own // requests may be reading the one from before
		known = []*Key{&own}
	}
	keys, err := parseKeys(f.text, k.names, known...)
	if err != nil {
		return fmt.Errorf("keys: file %s:\n  %w", k.file, err)
	}
	before := k.keys.Load()
	now := &keySet{bySum: map[Sum]*Key{}, replaced: make(chan struct{})}
	for _, key := range append(known, keys...) {
		if old := before.bySum[key.sum]; old != nil {
			key.limiter = old.limiter // a key that has used up its quota doesn't get a new one
		} else if k.rate > 0 {
			key.limiter = rate.NewLimiter(rate.Limit(k.rate), 2*k.rate)
		}
		now.bySum[key.sum] = key
	}
	k.keys.Store(now)
	close(before.replaced)
	k.taken = f
	switch {
	case f.mode&0o002 != 0:
		k.log.Warn("everybody on this machine can write the keys file, and so give themselves keys: chmod o-w", "file", k.file)
	case f.mode&0o004 != 0:
		k.log.Warn("everybody on this machine can read the keys file, which has no key in clear but all their names: chmod o-r", "file", k.file)
	}
	return nil
}

// keysFile is what a file was at one moment.
type keysFile struct {
	text  string
	mode  os.FileMode
	fault string // why it couldn't be read
}

// cutOff returns an error if a file seems to have lost its end since before, as on a disk that is full:
// that would withdraw keys, and leave a key whose line is cut more rooms and more time than it had.
func (f keysFile) cutOff(before keysFile) error {
	switch {
	case f.fault != "" || !strings.HasSuffix(before.text, "\n"):
		return nil
	case f.text == "":
		return errors.New("keys: file: it is empty, and may have been cut off, as by a full disk: to withdraw all keys, leave a line with a # in it")
	case !strings.HasSuffix(f.text, "\n"):
		return errors.New("keys: file: its last line has no end, unlike before, and may have been cut off, as by a full disk: end it with a line break")
	}
	return nil
}

// readKeysFile reads a file of any kind: it never blocks on a pipe, nor reads more than maxKeysFile.
func readKeysFile(path string) keysFile {
	info, err := os.Stat(path)
	if err != nil {
		return keysFile{fault: err.Error()}
	}
	if !info.Mode().IsRegular() {
		return keysFile{fault: path + " is no regular file"}
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
