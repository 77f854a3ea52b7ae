package bucket

import (
	"cmp"
	"context"
	"errors"
	"log/slog"
	"maps"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"ppch/component/cluster"
	"ppch/component/occupancy"
)

const (
	// lookEvery is how often Run compares the bucket with what it has read.
	lookEvery = 400 * time.Millisecond

	// answerWithin limits one look.
	answerWithin = 3 * time.Second

	// maxEntries is the maximum number of entries that are kept, those that say that something was removed included.
	maxEntries = 12_000

	// maxRefused is the maximum number of refused entries whose names are kept.
	maxRefused = 100
)

// Config configures a Bucket. Conn and Secret are required.
type Config struct {
	// Conn is the connection to NATS, which the caller closes.
	Conn *cluster.Conn

	// Name is that of the bucket; see [NameFor].
	Name string

	// Secret seals the entries. All nodes have the same.
	Secret string

	// File is where the settings are saved, sealed, for a start while NATS is away; empty for nowhere.
	File string

	Log *slog.Logger
}

// NameFor returns the name of the bucket of a prefix of subjects, so that two clusters in one NATS don't share settings.
func NameFor(prefix string) string {
	return strings.Map(func(r rune) rune {
		if r == '-' || '0' <= r && r <= '9' || 'A' <= r && r <= 'Z' || 'a' <= r && r <= 'z' {
			return r
		}
		return '_'
	}, cmp.Or(prefix, cluster.DefaultPrefix)) + "_config"
}

// Entry is a setting. Its value belongs to the Bucket and must not be changed.
type Entry struct {
	Name  string
	Value []byte

	// Generation grows with every change of the entry.
	Generation uint64

	// Removed is set if there is no such setting any more.
	Removed bool
}

// Bucket is a replica of the settings in NATS. Its methods are safe for concurrent use; call Run once.
type Bucket struct {
	cfg    Config
	js     jetstream.JetStream
	sealer sealer

	// reading is held during a look, and protects what follows.
	reading    sync.Mutex
	pass       pass
	created    time.Time // of the bucket that was read
	written    uint64    // changes that were saved
	writtenAt  time.Time
	unwritable bool

	// mu protects what follows. It is never held while NATS is asked.
	mu      sync.Mutex
	entries map[string]Entry
	refused map[string]*occupancy.UnavailableError // by the name of the entry
	count   uint64                                 // of entries that were refused
	changes uint64                                 // of entries
	loaded  bool
	saved   *saved // used until loaded; nil for none
	readAt  time.Time
	problem *occupancy.UnavailableError // of the last look
	changed chan struct{}               // closed at the next change
}

// New returns the replica of a bucket, which needn't exist. It has the saved settings, and asks nothing yet.
func New(cfg Config) (*Bucket, error) {
	if cfg.Log == nil {
		cfg.Log = slog.New(slog.DiscardHandler)
	}
	if cfg.Name == "" {
		cfg.Name = NameFor("")
	}
	s, err := newSealer(cfg.Secret)
	if err != nil {
		return nil, err
	}
	js, err := cfg.Conn.JetStream()
	if err != nil {
		return nil, err
	}
	b := &Bucket{cfg: cfg, js: js, sealer: s, entries: map[string]Entry{}, refused: map[string]*occupancy.UnavailableError{}, changed: make(chan struct{})}
	b.problem = b.about(occupancy.ProblemBucketSilent, "").Err(nil)
	b.load()
	return b, nil
}

// Name returns the name of the bucket.
func (b *Bucket) Name() string { return b.cfg.Name }

// Run follows the bucket until ctx ends, and returns nil.
func (b *Bucket) Run(ctx context.Context) error {
	look := time.NewTicker(lookEvery)
	defer look.Stop()
	for {
		b.Look(ctx)
		select {
		case <-ctx.Done():
			return nil
		case <-look.C:
		}
	}
}

// Look compares the bucket with what was read, and reports whether the settings are known now. It takes at most three seconds.
func (b *Bucket) Look(ctx context.Context) bool {
	b.reading.Lock()
	defer b.reading.Unlock()
	defer b.save()
	limited, cancel := context.WithTimeout(ctx, answerWithin)
	defer cancel()
	done, err := b.read(limited)
	if ctx.Err() != nil {
		return false
	}
	var p *occupancy.UnavailableError
	if err != nil {
		p = b.problemOf(err)
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	switch before := b.problem; {
	case p != nil && (before == nil || before.Reason != p.Reason):
		log := b.cfg.Log.With("bucket", b.cfg.Name, "reason", p.Reason, "remedy", p.Remedy, "err", err)
		if b.saved != nil {
			log = log.With("using", "saved settings", "of", b.saved.Looked, "age", time.Since(b.saved.Looked).Round(time.Second).String())
		}
		log.Warn("settings in NATS not read")
	case p == nil && before != nil && done:
		b.cfg.Log.Info("settings in NATS read", "bucket", b.cfg.Name, "entries", len(b.entries))
	}
	b.problem = p
	if err == nil && done {
		if !b.loaded {
			b.loaded = true
			b.notify()
		}
		b.readAt = time.Now()
	}
	b.dropSaved()
	return b.loaded
}

// notify reports a change. The caller holds mu.
func (b *Bucket) notify() {
	close(b.changed)
	b.changed = make(chan struct{})
}

// Changed returns a channel that is closed when settings change after this call.
func (b *Bucket) Changed() <-chan struct{} {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.changed
}

// Get returns an entry, and false if there is none. The error, an [*occupancy.UnavailableError], says why that isn't known.
func (b *Bucket) Get(name string) (Entry, bool, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if e, ok := b.entries[name]; ok {
		return e, !e.Removed, nil
	}
	if b.saved != nil {
		e, ok := b.saved.Entries[name]
		return e, ok && !e.Removed, nil
	}
	switch p := b.refused[name]; {
	case p != nil:
		return Entry{}, false, p
	case !b.loaded && b.problem != nil:
		return Entry{}, false, b.problem
	case !b.loaded:
		return Entry{}, false, b.about(occupancy.ProblemBucketSilent, "").Err(nil)
	}
	return Entry{}, false, nil
}

// Entries returns the entries whose names begin with a prefix, those that were removed included, in the order of their names.
// The error, an [*occupancy.UnavailableError], says why they aren't known.
func (b *Bucket) Entries(prefix string) ([]Entry, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	known := b.entries
	switch {
	case b.saved != nil:
		known = b.saved.Entries
	case !b.loaded:
		return nil, cmp.Or(b.problem, b.about(occupancy.ProblemBucketSilent, "").Err(nil))
	}
	var found []Entry
	for name, e := range known {
		if strings.HasPrefix(name, prefix) {
			found = append(found, e)
		}
	}
	slices.SortStableFunc(found, func(a, b Entry) int { return strings.Compare(a.Name, b.Name) })
	return found, nil
}

// Diagnostics returns the state of the bucket, without Keys and Unknown.
func (b *Bucket) Diagnostics() occupancy.BucketDiagnostics {
	b.mu.Lock()
	defer b.mu.Unlock()
	d := occupancy.BucketDiagnostics{Name: b.cfg.Name, Loaded: b.loaded, ReadAt: b.readAt, Refused: b.count, Problem: b.problem}
	if b.saved != nil {
		d.Loaded, d.ReadAt = true, b.saved.Looked
	}
	if names := slices.Sorted(maps.Keys(b.refused)); d.Problem == nil && len(names) > 0 {
		d.Problem = b.refused[names[0]]
	}
	return d
}

// About returns a problem with the facts of the bucket.
func (b *Bucket) About(p occupancy.Problem) *occupancy.UnavailableError {
	return b.about(p, "").Err(nil)
}

// about returns a problem of the bucket, or of an entry in it.
func (b *Bucket) about(p occupancy.Problem, entry string) occupancy.Problem {
	return p.With(append(b.cfg.Conn.Facts(), occupancy.Fact{Name: "bucket", Value: b.cfg.Name}, occupancy.Fact{Name: "entry", Value: entry})...)
}

// problemOf returns the problem behind an error of NATS.
func (b *Bucket) problemOf(err error) *occupancy.UnavailableError {
	var known *occupancy.UnavailableError
	switch {
	case errors.As(err, &known):
		return known
	case errors.Is(err, jetstream.ErrJetStreamNotEnabled), errors.Is(err, jetstream.ErrJetStreamNotEnabledForAccount), errors.Is(err, nats.ErrNoResponders):
		return b.about(occupancy.ProblemJetStreamOff, "").Err(err)
	case errors.Is(err, jetstream.ErrStreamNotFound), errors.Is(err, jetstream.ErrNoStreamResponse):
		return b.about(occupancy.ProblemBucketMissing, "").Err(err)
	}
	if p := b.cfg.Conn.Unavailable(); p != nil {
		return p
	}
	return b.about(occupancy.ProblemBucketSilent, "").Err(err)
}
