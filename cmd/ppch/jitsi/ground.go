package jitsi

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"syscall"

	"ppch/cmd/ppch/jitsi/folder"
)

// ground is the folders that an installation reads and writes: --dir, and those that it or the operator names.
//
// Root may work in a --dir that another user owns, who can put anything there at any moment. What that user could not do
// alone isn't done for them: only root's links are followed, only folders of theirs are written to besides those that the
// operator names, and what lies elsewhere is read with their rights.
type ground struct {
	*folder.Set
	// dir is --dir without links, id its ID, and owner whose it is.
	dir, id string
	owner
	// named are the folders that the operator named to be written to.
	named []string
}

// newGround opens --dir and what else the operator names.
func newGround(o Options) (*ground, error) {
	g := &ground{owner: owner{-1, -1}}
	g.Set = folder.New(g.trusts)
	real, _, err := g.Add(o.Dir, anyones)
	switch {
	case errors.Is(err, syscall.ENOTDIR):
		return nil, fmt.Errorf("--dir: %s is a file: name the directory that it is in", o.Dir)
	case errors.Is(err, fs.ErrNotExist):
		return nil, fmt.Errorf("--dir: %w: in a container, mount it at the same path", err)
	case err != nil:
		return nil, fmt.Errorf("--dir: %w", g.why(err))
	}
	info, err := g.Stat(real)
	if err != nil {
		return nil, fmt.Errorf("--dir: %w", err)
	}
	g.dir, g.id, g.owner, g.named = real, info.ID(), owner{info.UID, info.GID}, []string{real}
	for _, path := range o.AllowDirs {
		if err := g.allow(path); err != nil {
			return nil, err
		}
	}
	if o.EnvFile != "" {
		if err := g.allowEnvFile(o.EnvFile); err != nil {
			return nil, err
		}
	}
	return g, nil
}

// anyones says whose links lead to what the operator names, but for root, who follows none but its own.
func anyones(uid int) bool { return isRoots(uid) || !isRoot() }

// allow makes a folder that the operator names one that is written to.
func (g *ground) allow(path string) error {
	real, _, err := g.Add(path, anyones)
	if err != nil {
		return fmt.Errorf("--allow-dir: %w", g.why(err))
	}
	g.named = append(g.named, real)
	return nil
}

// allowEnvFile makes the folder of a file that the operator names a known one.
func (g *ground) allowEnvFile(path string) error {
	if _, _, err := g.Add(filepath.Dir(path), anyones); err != nil {
		return fmt.Errorf("--env-file: %w", g.why(err))
	}
	return nil
}

func isRoot() bool { return os.Geteuid() == 0 }

func isRoots(uid int) bool { return uid == 0 }

// trusts reports whether links of a user are followed.
func (g *ground) trusts(uid int) bool { return isRoots(uid) || !isRoot() && uid == g.uid }

// foreign reports whether root works in a folder of another user.
func (g *ground) foreign() bool { return isRoot() && g.uid != 0 }

// know makes a folder that a file in --dir names one of those that are written to. what says which file does, and how.
func (g *ground) know(path, what string) (real string, err error) {
	for _, named := range g.named {
		if r, err := filepath.Rel(named, path); err == nil && r != ".." && !strings.HasPrefix(r, "../") {
			return g.real(path)
		}
	}
	real, owners, err := g.Add(path, g.trusts)
	if err != nil {
		return "", g.why(err)
	}
	theirs := !g.foreign()
	for _, uid := range owners {
		theirs = theirs || uid == g.uid
	}
	if !theirs {
		return "", fmt.Errorf("%s, which %s names, is not in a folder of user %d, who owns %s: if root is to write there, add --allow-dir %s", path, what, g.uid, g.dir, shell(path))
	}
	return real, nil
}

// real returns a path without links.
func (g *ground) real(path string) (string, error) {
	real, err := g.Real(path)
	return real, g.why(err)
}

// place returns a path without links whose end, or more of it, needn't be there.
func (g *ground) place(path string) (string, error) {
	real, err := g.real(path)
	if !errors.Is(err, fs.ErrNotExist) {
		return real, err
	}
	dir, err := g.place(filepath.Dir(path))
	return filepath.Join(dir, filepath.Base(path)), err
}

// read reads a file.
func (g *ground) read(path string) ([]byte, error) {
	data, _, err := g.Read(path)
	return data, g.why(err)
}

// readElsewhere reads a file that a file in --dir names, wherever that is: with the rights of the owner of --dir.
func (g *ground) readElsewhere(path string) (data []byte, err error) {
	failed := g.asOwner(func() error {
		data, err = folder.ReadFile(path)
		return nil
	})
	if failed != nil {
		return nil, failed
	}
	if g.foreign() && errors.Is(err, fs.ErrPermission) {
		err = fmt.Errorf("%w for user %d, who owns %s", err, g.uid, g.dir)
	}
	return data, err
}

// asOwner calls f with the rights of the owner of --dir, where those are fewer than ours. f must not start goroutines.
func (g *ground) asOwner(f func() error) error {
	if !g.foreign() {
		return f()
	}
	return folder.As(g.uid, g.gid, f)
}

// there reports whether there is something at a path. What can't be looked at counts as there, so that using it says why.
func (g *ground) there(path string) bool {
	_, err := g.Stat(path)
	return !errors.Is(err, fs.ErrNotExist)
}

// isDir reports whether a folder is at a path.
func (g *ground) isDir(path string) bool {
	info, err := g.Stat(path)
	return err == nil && info.Mode.IsDir()
}

// names returns what is in a folder, nothing where that can't be known.
func (g *ground) names(path string) []string {
	d, err := g.OpenDir(path)
	if err != nil {
		return nil
	}
	defer d.Close()
	names, _ := d.Names() // there may be none yet
	return names
}

// ownerOf returns whose a file is, and numbers of no user where that can't be known.
func (g *ground) ownerOf(path string) owner {
	info, err := g.Stat(path)
	if err != nil {
		return owner{-1, -1}
	}
	return owner{info.UID, info.GID}
}

// why adds to an error how to fix it.
func (g *ground) why(err error) error {
	var link *folder.LinkError
	var outside *folder.OutsideError
	switch {
	case errors.As(err, &link) && link.Outside:
		return fmt.Errorf("%w: put the file itself there, or allow the folder that it leads to with --allow-dir", err)
	case errors.As(err, &link) && isRoot():
		return fmt.Errorf("%w, as this runs as root: name the place that it leads to, put the file itself there, or run this as that user", err)
	case errors.As(err, &link):
		return fmt.Errorf("%w: only links of root and of the owner of --dir are: put the file itself there", err)
	case errors.As(err, &outside):
		return fmt.Errorf("%w: allow its folder with --allow-dir", err)
	}
	return err
}

// withRights adds to an error of rights who has them.
func withRights(err error, who string) error {
	if errors.Is(err, fs.ErrPermission) {
		return fmt.Errorf("%w: run this as %s", err, who)
	}
	return err
}

// owner is a user and a group by their numbers.
type owner struct{ uid, gid int }

// may reports whether o may read the file or enter the folder at a path, by its mode.
func (g *ground) may(o owner, path string) bool {
	info, err := g.Stat(path)
	if err != nil || o.uid <= 0 {
		return true // not there yet, or root, or not to be known
	}
	want := fs.FileMode(0o4)
	if info.Mode.IsDir() {
		want = 0o5
	}
	switch {
	case info.UID == o.uid:
		want <<= 6
	case info.GID == o.gid:
		want <<= 3
	}
	return info.Mode&want == want
}
