package jitsi

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"slices"
	"syscall"

	"ppch/cmd/ppch/jitsi/folder"
)

// staged is a file beside its place, written and on the disk, or one that is to go.
type staged struct {
	*file
	dir     *folder.Dir
	name    string
	pending *folder.Staged // nil for one that is to go
}

// Apply carries the plan out. What can fail is done first, beside the places where the files go;
// then they are renamed in the plan's order, each of which leaves a Prosody that starts.
// If that fails half-way, or ctx ends before it begins, all is put back as it was.
// It must not be called twice.
func (p *Plan) Apply(ctx context.Context) error {
	for _, f := range p.files {
		if dir, name, err := p.g.Locate(f.path); err == nil {
			dir.Sweep(name)
			_ = dir.Close()
		}
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

// stage makes directories, writes every file beside its place, and completes the journal.
func (p *Plan) stage() (all []*staged, err error) {
	for _, d := range p.mkdirs {
		if err := p.makeDir(d); err != nil {
			return nil, err
		}
	}
	for _, f := range p.files {
		if !f.changed() {
			continue
		}
		s, err := p.stageFile(f)
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

// makeDir makes a directory that Prosody's user has to get into.
func (p *Plan) makeDir(d newDir) error {
	in, name, err := p.g.Locate(d.path)
	if err != nil {
		return p.g.why(err)
	}
	defer in.Close()
	made, err := in.Mkdir(name, 0o755, d.uid, d.gid)
	if err != nil {
		return err
	}
	_ = made.Close()
	p.made = append(p.made, d.path)
	p.journal.Dirs = append(p.journal.Dirs, relative(p.g.dir, d.path))
	return nil
}

// stageFile writes a file beside its place, if that still holds what the plan was made for.
func (p *Plan) stageFile(f *file) (*staged, error) {
	dir, name, err := p.g.Locate(f.path)
	if err != nil {
		return nil, p.g.why(err)
	}
	s := &staged{file: f, dir: dir, name: name}
	now, _, err := dir.Read(name)
	switch {
	case err != nil && !errors.Is(err, fs.ErrNotExist):
	case !bytes.Equal(now, f.was):
		err = fmt.Errorf("%s was changed in the meantime: run this again", f.path)
	case f.data == nil:
		err = dir.Writable()
	default:
		s.pending, err = dir.Stage(name, f.data, f.mode, f.uid, f.gid)
	}
	if err != nil {
		_ = dir.Close()
		return nil, err
	}
	return s, nil
}

// replace puts what was staged into its place, or removes what is to go.
func (s *staged) replace() error {
	defer s.dir.Close()
	if s.pending != nil {
		return s.pending.Replace()
	}
	if err := s.dir.Remove(s.name); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	return nil
}

// discard removes what was not put into its place.
func discard(all []*staged) {
	for _, s := range all {
		if s.pending != nil {
			s.pending.Discard()
		}
		_ = s.dir.Close()
	}
}

// back puts files back as they were.
func (p *Plan) back(done []*staged) error {
	var failed error
	for _, s := range slices.Backward(done) {
		undo := &file{path: s.path, was: s.data, data: s.was, mode: s.mode, owner: s.owner}
		t, err := p.stageFile(undo)
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
		p.removeDir(path)
	}
}

// removeDir removes a directory if nothing is in it.
func (p *Plan) removeDir(path string) {
	if in, name, err := p.g.Locate(path); err == nil {
		_ = in.RemoveDir(name)
		_ = in.Close()
	}
}

// finish ends an uninstallation: the directories that were made go, if nothing else is in them, and so does the journal.
func (p *Plan) finish() error {
	for _, d := range slices.Backward(p.journal.Dirs) {
		p.removeDir(p.journal.absolute(d))
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
