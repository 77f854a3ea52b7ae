package jitsi

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"syscall"

	"github.com/google/renameio/v2"
)

// staged is a file beside its place, written and on the disk, or one that is to go.
type staged struct {
	*file
	pending *renameio.PendingFile
}

// Apply carries the plan out. What can fail is done first, beside the places where the files go;
// then they are renamed in the plan's order, each of which leaves a Prosody that starts.
// If that fails half-way, or ctx ends before it begins, all is put back as it was.
// It must not be called twice.
func (p *Plan) Apply(ctx context.Context) error {
	for _, f := range p.files {
		sweep(f.path)
	}
	all, err := p.stage()
	if err == nil {
		err = ctx.Err()
	}
	if err == nil && !p.final {
		err = p.journal.write()
	}
	if err != nil {
		discard(all)
		p.forget()
		return p.explain(err)
	}
	for i, s := range all {
		if err := s.replace(); err != nil {
			failed := p.back(all[:i])
			discard(all[i:])
			if failed != nil {
				return errors.Join(err, failed)
			}
			p.forget()
			return p.explain(err)
		}
	}
	if p.final {
		return p.finish()
	}
	return nil
}

// leftover is the rest of the name of what was staged beside a file.
var leftover = regexp.MustCompile(`^[0-9]+$`)

// sweep removes what an earlier run that was killed left beside a file.
func sweep(path string) {
	dir, base := filepath.Split(path)
	entries, _ := os.ReadDir(dir)
	for _, e := range entries {
		if rest, ok := strings.CutPrefix(e.Name(), "."+base); ok && leftover.MatchString(rest) {
			_ = os.Remove(filepath.Join(dir, e.Name()))
		}
	}
}

// stage makes directories, writes every file beside its place, and completes the journal.
func (p *Plan) stage() (all []*staged, err error) {
	for _, d := range p.mkdirs {
		if err := os.Mkdir(d.path, 0o755); err != nil { //nolint:gosec // Prosody's user has to get in
			return nil, err
		}
		p.made = append(p.made, d.path)
		p.journal.Dirs = append(p.journal.Dirs, relative(p.dir, d.path))
		if err := give(d.path, d.owner); err != nil {
			return nil, err
		}
	}
	for _, f := range p.files {
		if !f.changed() {
			continue
		}
		now, err := readFile(f.path)
		if err != nil && !errors.Is(err, fs.ErrNotExist) {
			return all, err
		}
		if !bytes.Equal(now, f.was) {
			return all, fmt.Errorf("%s was changed in the meantime: run this again", f.path)
		}
		s, err := stage(f)
		if err != nil {
			return all, err
		}
		all = append(all, s)
		if !p.final {
			p.journal.add(f)
		}
	}
	return all, nil
}

func stage(f *file) (*staged, error) {
	dir := filepath.Dir(f.path)
	if f.data == nil {
		return &staged{file: f}, syscall.Access(dir, 2) // W_OK
	}
	t, err := renameio.NewPendingFile(f.path, renameio.WithTempDir(dir), renameio.WithStaticPermissions(0o600))
	if err != nil {
		return nil, err
	}
	s := &staged{f, t}
	_, err = t.Write(f.data)
	if err == nil {
		err = give(t.Name(), f.owner)
	}
	if err == nil {
		err = t.Chmod(f.mode)
	}
	if err == nil {
		err = t.Sync() // what doesn't fit on the disk is known here at the latest
	}
	if err != nil {
		discard([]*staged{s})
		return nil, err
	}
	return s, nil
}

// give makes a file somebody's, if it isn't. Only root can; others own what they write already, or aren't asked to.
func give(path string, o owner) error {
	if os.Geteuid() != 0 || o.uid < 0 || ownerOf(path) == o {
		return nil
	}
	return os.Chown(path, o.uid, o.gid)
}

func (s *staged) replace() error {
	if s.pending == nil {
		if err := os.Remove(s.path); err != nil && !errors.Is(err, fs.ErrNotExist) {
			return err
		}
		return nil
	}
	return s.pending.CloseAtomicallyReplace()
}

// discard removes what was not put into its place.
func discard(all []*staged) {
	for _, s := range all {
		if s.pending != nil {
			_ = s.pending.Cleanup()
		}
	}
}

// back puts files back as they were.
func (p *Plan) back(done []*staged) error {
	var failed error
	for _, s := range slices.Backward(done) {
		undo := &file{path: s.path, was: s.data, data: s.was, mode: s.mode, owner: s.owner}
		t, err := stage(undo)
		if err == nil {
			err = t.replace()
		}
		failed = errors.Join(failed, err)
	}
	if failed != nil {
		return fmt.Errorf("not all could be put back: mend that, and run this again or \"ppch jitsi uninstall\": %w", failed)
	}
	return nil
}

// forget leaves journal and directories as they were before.
func (p *Plan) forget() {
	if p.final {
		return
	}
	_ = p.journal.restore()
	for _, path := range slices.Backward(p.made) {
		_ = os.Remove(path)
	}
}

// finish ends an uninstallation: the directories that were made go, if nothing else is in them, and so does the journal.
func (p *Plan) finish() error {
	for _, d := range slices.Backward(p.journal.Dirs) {
		_ = os.Remove(p.journal.absolute(d))
	}
	return p.journal.remove()
}

// explain says what to do about an error.
func (p *Plan) explain(err error) error {
	switch {
	case errors.Is(err, fs.ErrPermission), errors.Is(err, syscall.EROFS):
		return fmt.Errorf("%w: nothing was changed: run this as root (sudo), or as whoever owns that directory", err)
	case errors.Is(err, syscall.ENOSPC), errors.Is(err, syscall.EDQUOT), errors.Is(err, syscall.EFBIG):
		return fmt.Errorf("%w: nothing was changed: make room on the disk and run this again", err)
	case errors.Is(err, syscall.EBUSY):
		return fmt.Errorf("%w: nothing was changed: this file is mounted by itself; run this where the directory is", err)
	case errors.Is(err, context.Canceled):
		return fmt.Errorf("nothing was changed: %w", err)
	}
	return err
}
