package bucket

import (
	"context"
	"errors"
	"fmt"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"ppch/component/occupancy"
)

// pass is the state of reading a bucket from its beginning.
type pass struct {
	seq     uint64              // of the last change that was read
	stored  uint64              // entries at the last look
	missing map[string]struct{} // known entries that the pass hasn't met yet; nil after the first pass
}

// subject returns the subject of an entry; > stands for all.
func (b *Bucket) subject(name string) string { return "$KV." + b.cfg.Name + "." + name }

// stream returns the name of the stream behind the bucket.
func (b *Bucket) stream() string { return "KV_" + b.cfg.Name }

// read reads what has changed, and reports whether it has read everything. The caller holds reading.
func (b *Bucket) read(ctx context.Context) (done bool, err error) {
	if !b.cfg.Conn.Connected() {
		return false, nats.ErrConnectionReconnecting
	}
	s, err := b.js.Stream(ctx, b.stream())
	if err != nil {
		return false, err
	}
	info := s.CachedInfo()
	if state := info.State; !info.Created.Equal(b.created) || state.LastSeq < b.pass.seq || state.Msgs < b.pass.stored {
		b.created = info.Created
		b.pass = pass{missing: b.names()}
	}
	b.pass.stored = info.State.Msgs
	for begun := b.pass.seq; b.pass.seq < info.State.LastSeq; {
		m, err := s.GetMsg(ctx, b.pass.seq+1, jetstream.WithGetMsgSubject(b.subject(">")))
		switch {
		case errors.Is(err, jetstream.ErrMsgNotFound): // deleted, or not on that server yet
			return b.finish(), nil
		case err != nil && b.pass.seq > begun && ctx.Err() != nil: // many changes: go on at the next look
			return false, nil
		case err != nil:
			return false, err
		}
		b.pass.seq = m.Sequence
		name := m.Subject[len(b.subject("")):]
		delete(b.pass.missing, name)
		b.apply(name, m)
	}
	return b.finish(), nil
}

// names returns the names of the entries that exist.
func (b *Bucket) names() map[string]struct{} {
	b.mu.Lock()
	defer b.mu.Unlock()
	all := map[string]struct{}{}
	for name, e := range b.entries {
		if !e.Removed {
			all[name] = struct{}{}
		}
	}
	return all
}

// finish ends a pass. Entries that it hasn't met were deleted, but not by PPCH, and are kept.
func (b *Bucket) finish() bool {
	b.mu.Lock()
	defer b.mu.Unlock()
	for name := range b.pass.missing {
		b.refuse(name, occupancy.ProblemBucketDeleted, nil)
	}
	b.pass.missing = nil
	return true
}

// apply takes over an entry as it is stored, unless it must be refused.
func (b *Bucket) apply(name string, m *jetstream.RawStreamMsg) {
	e, err := b.open(name, m)
	b.mu.Lock()
	defer b.mu.Unlock()
	was, known := b.entries[name]
	var newer *versionError
	switch {
	case errors.Is(err, errDeleted):
		if known && !was.Removed {
			b.refuse(name, occupancy.ProblemBucketDeleted, err)
		}
	case errors.As(err, &newer):
		b.refuse(name, occupancy.ProblemBucketVersion, err)
	case err != nil:
		b.refuse(name, occupancy.ProblemBucketForeign, err)
	case known && e.Generation < was.Generation:
		b.refuse(name, occupancy.ProblemBucketReplayed, fmt.Errorf("bucket: generation %d after %d", e.Generation, was.Generation))
	default:
		b.take(e)
	}
}

// take replaces an entry. The caller holds mu.
func (b *Bucket) take(e Entry) {
	was, known := b.entries[e.Name]
	delete(b.refused, e.Name)
	if known && was.Generation == e.Generation {
		return
	}
	if !known && len(b.entries) >= maxEntries && !b.forget() {
		b.refuse(e.Name, occupancy.ProblemBucketFull, nil)
		return
	}
	b.entries[e.Name] = e
	b.changes++
	b.notify()
}

// forget forgets the oldest entry that was removed, and reports whether there was one. The caller holds mu.
func (b *Bucket) forget() bool {
	var oldest Entry
	for _, e := range b.entries {
		if e.Removed && (oldest.Name == "" || e.Generation < oldest.Generation) {
			oldest = e
		}
	}
	delete(b.entries, oldest.Name)
	return oldest.Name != ""
}

// refuse notes that an entry isn't used. The caller holds mu.
func (b *Bucket) refuse(name string, p occupancy.Problem, cause error) {
	b.count++
	before, known := b.refused[name]
	if !known && len(b.refused) >= maxRefused {
		return
	}
	// A foreign program chooses the name.
	problem := b.about(p, shorten(name)).Err(cause)
	b.refused[name] = problem
	if !known || before.Reason != problem.Reason {
		b.cfg.Log.Error("entry of settings in NATS refused", "bucket", b.cfg.Name, "entry", shorten(name), "reason", problem.Reason, "remedy", problem.Remedy)
	}
	if _, used := b.entries[name]; !used {
		b.notify() // why it is unknown has changed
	}
}

func shorten(name string) string {
	if len(name) > 80 {
		return name[:80] + "…"
	}
	return name
}

// errDeleted means that the last change of an entry is a deletion by a program that isn't PPCH.
var errDeleted = errors.New("bucket: deleted by another program")

// open returns the entry in a message.
func (b *Bucket) open(name string, m *jetstream.RawStreamMsg) (Entry, error) {
	if m.Header.Get("KV-Operation") != "" || m.Header.Get("Nats-Marker-Reason") != "" {
		return Entry{}, errDeleted
	}
	return b.sealer.open(name, m.Data)
}
