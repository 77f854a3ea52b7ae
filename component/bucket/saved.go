package bucket

import (
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"time"
)

const (
	// savedFor is how long after the last look at the bucket a node uses settings that it saved.
	savedFor = 24 * time.Hour

	// saveEvery is how often the file is written without a change, so that it says when the settings were last compared.
	saveEvery = 10 * time.Minute

	// maxSaved is the maximum size of the file in bytes: all of the largest bucket, as JSON.
	maxSaved = 2 * maxBytes
)

// savedName is what the file is sealed under. No entry in NATS has it, since a subject contains no blank.
const savedName = "saved settings"

// saved are the settings that a node has read earlier, and uses until it can read the bucket.
type saved struct {
	Bucket  string
	Looked  time.Time // when they were last compared with the bucket
	Entries map[string]Entry
}

// isUsable reports whether the settings may be used now: neither too old, nor of a clock that was set back.
func (s *saved) isUsable() bool { return s != nil && time.Since(s.Looked).Abs() < savedFor }

// load takes over the settings in the file, if there are any. A file that can't be used is reported.
func (b *Bucket) load() {
	if b.cfg.File == "" {
		return
	}
	s, err := b.readSaved()
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return
	case err != nil:
		b.cfg.Log.Warn("saved settings not usable", "path", b.cfg.File, "remedy", "the settings are unknown until NATS answers, and are saved again then", "err", err)
		return
	case !s.isUsable():
		b.cfg.Log.Warn("saved settings too old", "path", b.cfg.File, "of", s.Looked, "limit", savedFor.String())
		return
	}
	b.saved = s
}

func (b *Bucket) readSaved() (*saved, error) {
	info, err := os.Stat(b.cfg.File)
	if err != nil {
		return nil, err
	}
	if !info.Mode().IsRegular() || info.Size() > maxSaved {
		return nil, fmt.Errorf("bucket: %s is not a file of at most %d MiB", b.cfg.File, maxSaved>>20)
	}
	data, err := os.ReadFile(b.cfg.File)
	if err != nil {
		return nil, fmt.Errorf("bucket: %w", err)
	}
	e, err := b.sealer.openSized(savedName, data, maxSaved)
	if err != nil {
		return nil, err
	}
	s := &saved{}
	if err := json.Unmarshal(e.Value, s); err != nil {
		return nil, fmt.Errorf("bucket: %s: %w", b.cfg.File, err)
	}
	if s.Bucket != b.cfg.Name {
		return nil, fmt.Errorf("bucket: %s has the settings of the bucket %q", b.cfg.File, s.Bucket)
	}
	return s, nil
}

// dropSaved ends the use of saved settings once the bucket has been read, or they are too old. The caller holds mu.
func (b *Bucket) dropSaved() {
	switch {
	case b.saved == nil:
	case b.loaded:
		b.saved = nil
	case !b.saved.isUsable():
		b.cfg.Log.Error("saved settings too old: clients with keys in NATS are refused until NATS answers", "of", b.saved.Looked, "limit", savedFor.String())
		b.saved = nil
		b.notify()
	}
}

// save writes the settings to the file if they have changed, or were last written a while ago. The caller holds reading.
func (b *Bucket) save() {
	b.mu.Lock()
	changes, due := b.changes, b.changes != b.written || time.Since(b.writtenAt) >= saveEvery
	if b.cfg.File == "" || !b.loaded || b.problem != nil || !due {
		b.mu.Unlock()
		return
	}
	s := saved{Bucket: b.cfg.Name, Looked: b.readAt, Entries: maps.Clone(b.entries)}
	b.mu.Unlock()
	b.written, b.writtenAt = changes, time.Now() // also after an error: the next attempt is not sooner
	err := b.writeSaved(s)
	switch {
	case err != nil && !b.unwritable:
		b.cfg.Log.Warn("settings not saved: a start while NATS is away will have none", "path", b.cfg.File, "remedy", "make the folder writable for PPCH, and check that the disk has space", "err", err)
	case err == nil && b.unwritable:
		b.cfg.Log.Info("settings saved again", "path", b.cfg.File)
	}
	b.unwritable = err != nil
}

// writeSaved replaces the file, which only its owner may read.
func (b *Bucket) writeSaved(s saved) error {
	value, err := json.Marshal(s)
	if err != nil {
		return fmt.Errorf("bucket: %w", err)
	}
	if err := os.MkdirAll(filepath.Dir(b.cfg.File), 0o700); err != nil {
		return fmt.Errorf("bucket: %w", err)
	}
	next := b.cfg.File + ".new"
	f, err := os.OpenFile(next, os.O_WRONLY|os.O_CREATE|os.O_TRUNC, 0o600) // #nosec G304 -- in the data folder
	if err != nil {
		return fmt.Errorf("bucket: %w", err)
	}
	err = f.Chmod(0o600)
	if err == nil {
		_, err = f.Write(b.sealer.seal(Entry{Name: savedName, Value: value}))
	}
	if err = errors.Join(err, f.Sync(), f.Close()); err == nil {
		err = os.Rename(next, b.cfg.File)
	}
	if err != nil {
		return fmt.Errorf("bucket: %w", err)
	}
	return nil
}
