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

// staged is a file written to disk next to its destination, or a file to remove.
type staged struct {
	*file
	dir     *folder.Dir
	name    string
	pending *folder.Staged // nil for a file to remove
}

// Apply carries the plan out. It first writes all files next to their destinations, where most errors show.
// Then it renames them in the plan's order, so that Prosody can start after each rename.
// If a rename fails, or ctx ends before the first, Apply restores everything.
// It must not be called twice.
func (p *Plan) Apply(ctx context.Context) error {
	for _, f := range p.files {
		if dir, name, err := p.scope.Locate(f.path); err == nil {
			dir.Sweep(name)
			_ = dir.Close()
		}
	}
	all, err := p.stage()
	if err == nil {
		err = ctx.Err()
	}
	if err == nil && !p.uninstall {
		err = p.journal.write()
	}
	if err != nil {
		discard(all)
		p.removePreparations()
		return p.withRemedy(err)
	}
	for i, s := range all {
		if err := s.replace(); err != nil {
			failed := p.rollBack(all[:i])
			discard(all[i:])
			if failed != nil {
				return errors.Join(err, failed)
			}
			p.removePreparations()
			return p.withRemedy(err)
		}
	}
	if p.uninstall {
		return p.finish()
	}
	return nil
}

// stage makes directories, writes each file next to its destination, and completes the journal.
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
		if !p.uninstall {
			p.journal.add(f)
		}
	}
	return all, nil
}

// makeDir makes a directory that Prosody's user can enter.
func (p *Plan) makeDir(d newDir) error {
	in, name, err := p.scope.Locate(d.path)
	if err != nil {
		return p.scope.withRemedy(err)
	}
	defer in.Close()
	made, err := in.Mkdir(name, 0o755, d.uid, d.gid)
	if err != nil {
		return err
	}
	_ = made.Close()
	p.madeDirs = append(p.madeDirs, d.path)
	p.journal.Dirs = append(p.journal.Dirs, relative(p.scope.dir, d.path))
	return nil
}

// stageFile writes a file next to its destination, unless that has changed since the plan was made.
func (p *Plan) stageFile(f *file) (*staged, error) {
	dir, name, err := p.scope.Locate(f.path)
	if err != nil {
		return nil, p.scope.withRemedy(err)
	}
	s := &staged{file: f, dir: dir, name: name}
	now, _, err := dir.Read(name)
	switch {
	case err != nil && !errors.Is(err, fs.ErrNotExist):
	case !bytes.Equal(now, f.before):
		err = fmt.Errorf("%s has changed since the plan was made: run this again", f.path)
	case f.after == nil:
		err = dir.Writable()
	default:
		s.pending, err = dir.Stage(name, f.after, f.mode, f.uid, f.gid)
	}
	if err != nil {
		_ = dir.Close()
		return nil, err
	}
	return s, nil
}

// replace moves the staged file to its destination, or removes the file.
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

// discard removes staged files that were not moved.
func discard(all []*staged) {
	for _, s := range all {
		if s.pending != nil {
			s.pending.Discard()
		}
		_ = s.dir.Close()
	}
}

// rollBack restores the files that were replaced.
func (p *Plan) rollBack(done []*staged) error {
	var failed error
	for _, s := range slices.Backward(done) {
		undo := &file{path: s.path, before: s.after, after: s.before, mode: s.mode, owner: s.owner}
		t, err := p.stageFile(undo)
		if err == nil {
			err = t.replace()
		}
		failed = errors.Join(failed, err)
	}
	if failed != nil {
		return fmt.Errorf("some files could not be restored: fix the cause, then run this or \"ppch jitsi uninstall\" again: %w", failed)
	}
	return nil
}

// removePreparations restores the journal and removes the directories made.
func (p *Plan) removePreparations() {
	if p.uninstall {
		return
	}
	_ = p.journal.restore()
	for _, path := range slices.Backward(p.madeDirs) {
		p.removeDir(path)
	}
}

// removeDir removes a directory if it is empty.
func (p *Plan) removeDir(path string) {
	if in, name, err := p.scope.Locate(path); err == nil {
		_ = in.RemoveDir(name)
		_ = in.Close()
	}
}

// finish ends an uninstallation: it removes the journal, and the directories that were made if they are empty.
func (p *Plan) finish() error {
	for _, d := range slices.Backward(p.journal.Dirs) {
		p.removeDir(p.journal.absolute(d))
	}
	return p.journal.remove()
}

// withRemedy adds to an error how to fix it.
func (p *Plan) withRemedy(err error) error {
	switch {
	case errors.Is(err, fs.ErrPermission), errors.Is(err, syscall.EROFS):
		return fmt.Errorf("%w: nothing was changed: run this as root (sudo) or as the owner of that directory", err)
	case errors.Is(err, syscall.ENOSPC), errors.Is(err, syscall.EDQUOT), errors.Is(err, syscall.EFBIG):
		return fmt.Errorf("%w: nothing was changed: free disk space and run this again", err)
	case errors.Is(err, syscall.EBUSY):
		return fmt.Errorf("%w: nothing was changed: this file is a mount of its own; run this where its directory is mounted", err)
	case errors.Is(err, context.Canceled):
		return fmt.Errorf("nothing was changed: %w", err)
	}
	return err
}
