package bucket

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"ppch/component/occupancy"
)

const (
	// replicas is how many servers of a cluster keep the bucket.
	replicas = 3

	// maxBytes is the largest size of the bucket.
	maxBytes = 64 << 20

	// attempts is how often Update tries when other programs change the same entry.
	attempts = 10
)

// errConflict means that other programs changed an entry all the time.
var errConflict = errors.New("bucket: other programs change this entry all the time: try again")

// Update changes an entry, and creates the bucket if it is missing. change gets the present entry, without a value if there is none,
// and returns its new value, or one with Removed; if other programs change the entry too, it is called again.
// The new entry counts on this node at once.
//
// Update waits for NATS until ctx ends. Its error is that of change, or an [*occupancy.UnavailableError].
func (b *Bucket) Update(ctx context.Context, name string, change func(now Entry) (Entry, error)) (Entry, error) {
	return b.update(ctx, name, change, false)
}

// Replace is Update for an entry that may be damaged, foreign or of another release: change gets an empty entry then.
func (b *Bucket) Replace(ctx context.Context, name string, change func(now Entry) (Entry, error)) (Entry, error) {
	return b.update(ctx, name, change, true)
}

func (b *Bucket) update(ctx context.Context, name string, change func(now Entry) (Entry, error), replace bool) (Entry, error) {
	if err := b.await(ctx); err != nil {
		return Entry{}, err
	}
	for range attempts {
		now, seq, err := b.present(ctx, name, replace)
		if err != nil {
			return Entry{}, b.problemOf(err)
		}
		next, err := change(now)
		if err != nil {
			return Entry{}, err
		}
		if len(next.Value) > MaxValue {
			return Entry{}, errTooLarge
		}
		// A time, so that it also grows if the bucket was lost and made again.
		next.Name, next.Generation = name, max(now.Generation+1, uint64(time.Now().UnixMilli())) // #nosec G115 -- after 1970
		_, err = b.js.Publish(ctx, b.subject(name), b.sealer.seal(next), jetstream.WithExpectLastSequencePerSubject(seq))
		switch {
		case isConflict(err), errors.Is(err, jetstream.ErrNoStreamResponse), errors.Is(err, nats.ErrNoResponders): // the latter of a cluster in which the bucket is new
			if !sleep(ctx, 50*time.Millisecond) {
				return Entry{}, b.problemOf(ctx.Err())
			}
			continue
		case err != nil:
			return Entry{}, b.problemOf(err)
		}
		b.mu.Lock()
		defer b.mu.Unlock()
		if b.entries[name].Generation < next.Generation {
			b.take(next)
		}
		return next, nil
	}
	return Entry{}, errConflict
}

// present returns an entry as it is in the bucket now, and the number of its last change, which is 0 if there is none.
// If this node has seen a later generation, it returns that: the bucket was set back.
func (b *Bucket) present(ctx context.Context, name string, replace bool) (Entry, uint64, error) {
	s, err := b.js.Stream(ctx, b.stream())
	if errors.Is(err, jetstream.ErrStreamNotFound) {
		s, err = b.create(ctx)
	}
	if err != nil {
		return Entry{}, 0, err
	}
	b.mu.Lock()
	known, used := b.entries[name]
	b.mu.Unlock()
	m, err := s.GetLastMsgForSubject(ctx, b.subject(name))
	if errors.Is(err, jetstream.ErrMsgNotFound) {
		return known, 0, nil
	}
	if err != nil {
		return Entry{}, 0, err
	}
	e, err := b.open(name, m)
	switch {
	case err == nil && e.Generation >= known.Generation:
		return e, m.Sequence, nil
	case used, replace, errors.Is(err, errDeleted):
		return known, m.Sequence, nil
	case errors.As(err, new(*versionError)):
		return Entry{}, 0, b.about(occupancy.ProblemBucketVersion, name).Err(err)
	}
	return Entry{}, 0, b.about(occupancy.ProblemBucketForeign, name).Err(err)
}

// create creates the bucket, on three servers if the cluster has as many, and returns its stream.
func (b *Bucket) create(ctx context.Context) (jetstream.Stream, error) {
	// What nats.go's CreateKeyValue makes, but that needs one more permission.
	cfg := jetstream.StreamConfig{
		Name: b.stream(), Subjects: []string{b.subject(">")}, Description: "Keys and share links of PPCH, sealed with PPCH_CLUSTER_SECRET",
		MaxMsgsPerSubject: 1, MaxMsgSize: MaxValue + overhead, MaxBytes: maxBytes, MaxMsgs: -1, MaxConsumers: -1, Storage: jetstream.FileStorage, Replicas: replicas,
		Discard: jetstream.DiscardNew, AllowRollup: true, DenyDelete: true, AllowDirect: true,
	}
	s, err := b.js.CreateStream(ctx, cfg)
	var refused *jetstream.APIError
	if errors.As(err, &refused) && !errors.Is(err, jetstream.ErrStreamNameAlreadyInUse) {
		cfg.Replicas = 1 // a single server, or a cluster of two
		s, err = b.js.CreateStream(ctx, cfg)
	}
	if errors.Is(err, jetstream.ErrStreamNameAlreadyInUse) {
		return b.js.Stream(ctx, b.stream())
	}
	if err != nil {
		return nil, fmt.Errorf("bucket: create %s: %w", b.cfg.Name, err)
	}
	return s, nil
}

// await waits until there is a connection.
func (b *Bucket) await(ctx context.Context) error {
	for !b.cfg.Conn.Connected() {
		if p := b.cfg.Conn.Unavailable(); p != nil && p.Reason == occupancy.ReasonNATSLogin {
			return p
		}
		if !sleep(ctx, 20*time.Millisecond) {
			return b.problemOf(ctx.Err())
		}
	}
	return nil
}

// isConflict reports whether another program has changed the entry.
func isConflict(err error) bool {
	var refused *jetstream.APIError
	return errors.As(err, &refused) && (refused.ErrorCode == jetstream.JSErrCodeStreamWrongLastSequence || refused.ErrorCode == jetstream.JSErrCodeStreamWrongLastSequenceConstant)
}

// sleep waits, and returns false if ctx ends.
func sleep(ctx context.Context, d time.Duration) bool {
	select {
	case <-ctx.Done():
		return false
	case <-time.After(d):
		return true
	}
}
