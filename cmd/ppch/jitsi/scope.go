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

// scope is the folders that an installation reads and writes: --dir, and those that its files or the operator name.
//
// Root may work in a --dir of another user, who can change it at any time. Root then does nothing that this user could
// not do: it follows only root's links, writes only to that user's folders and those that the operator names, and reads
// other files with that user's rights.
type scope struct {
	*folder.Set
	// dir is --dir without links, id its ID, and owner its owner.
	dir, id string
	owner
	// operatorDirs are the folders that the operator named.
	operatorDirs []string
}

// newScope opens --dir and the other folders that the operator names.
func newScope(o Options) (*scope, error) {
	sc := &scope{owner: owner{-1, -1}}
	sc.Set = folder.New(sc.trustsLinks)
	real, _, err := sc.Add(o.Dir, trustsOperatorPath)
	switch {
	case errors.Is(err, syscall.ENOTDIR):
		return nil, fmt.Errorf("--dir: %s is a file: use its directory", o.Dir)
	case errors.Is(err, fs.ErrNotExist):
		return nil, fmt.Errorf("--dir: %w: check the path, which must be that of docker-jitsi-meet or /etc/prosody; in a container, also mount it at the same path", err)
	case err != nil:
		return nil, fmt.Errorf("--dir: %w", sc.withRemedy(err))
	}
	info, err := sc.Stat(real)
	if err != nil {
		return nil, fmt.Errorf("--dir: %w", err)
	}
	sc.dir, sc.id, sc.owner, sc.operatorDirs = real, info.ID(), owner{info.UID, info.GID}, []string{real}
	for _, path := range o.AllowDirs {
		if err := sc.allow(path); err != nil {
			return nil, err
		}
	}
	if o.EnvFile != "" {
		if err := sc.allowEnvFile(o.EnvFile); err != nil {
			return nil, err
		}
	}
	return sc, nil
}

// trustsOperatorPath reports whether links of a user are followed in paths that the operator names. Root follows only its own.
func trustsOperatorPath(uid int) bool { return isRootUID(uid) || !isRoot() }

// allow adds a folder that the operator names.
func (sc *scope) allow(path string) error {
	real, _, err := sc.Add(path, trustsOperatorPath)
	if err != nil {
		return fmt.Errorf("--allow-dir: %w", sc.withRemedy(err))
	}
	sc.operatorDirs = append(sc.operatorDirs, real)
	return nil
}

// allowEnvFile adds the folder of a file that the operator names.
func (sc *scope) allowEnvFile(path string) error {
	if _, _, err := sc.Add(filepath.Dir(path), trustsOperatorPath); err != nil {
		return fmt.Errorf("--env-file: %w", sc.withRemedy(err))
	}
	return nil
}

func isRoot() bool { return os.Geteuid() == 0 }

func isRootUID(uid int) bool { return uid == 0 }

// trustsLinks reports whether links of a user are followed.
func (sc *scope) trustsLinks(uid int) bool { return isRootUID(uid) || !isRoot() && uid == sc.uid }

// ownedByAnother reports whether root works in another user's folder.
func (sc *scope) ownedByAnother() bool { return isRoot() && sc.uid != 0 }

// allowReferenced adds a folder that a file in --dir names. what describes that file.
func (sc *scope) allowReferenced(path, what string) (real string, err error) {
	for _, named := range sc.operatorDirs {
		if r, err := filepath.Rel(named, path); err == nil && r != ".." && !strings.HasPrefix(r, "../") {
			return sc.realPath(path)
		}
	}
	real, owners, err := sc.Add(path, sc.trustsLinks)
	if err != nil {
		return "", sc.withRemedy(err)
	}
	allowed := !sc.ownedByAnother()
	for _, uid := range owners {
		allowed = allowed || uid == sc.uid
	}
	if !allowed {
		return "", fmt.Errorf("%s, named by %s, is not in a folder of user %d, the owner of %s: to let root write there, add --allow-dir %s", path, what, sc.uid, sc.dir, shellQuote(path))
	}
	return real, nil
}

// realPath returns a path without links.
func (sc *scope) realPath(path string) (string, error) {
	real, err := sc.Real(path)
	return real, sc.withRemedy(err)
}

// resolve returns a path without links. Its last elements need not exist.
func (sc *scope) resolve(path string) (string, error) {
	real, err := sc.realPath(path)
	if !errors.Is(err, fs.ErrNotExist) {
		return real, err
	}
	dir, err := sc.resolve(filepath.Dir(path))
	return filepath.Join(dir, filepath.Base(path)), err
}

// read reads a file.
func (sc *scope) read(path string) ([]byte, error) {
	data, _, err := sc.Read(path)
	return data, sc.withRemedy(err)
}

// readAsOwner reads a file outside the scope that a file in --dir names, with the rights of the owner of --dir.
func (sc *scope) readAsOwner(path string) (data []byte, err error) {
	failed := sc.asOwner(func() error {
		data, err = folder.ReadFile(path)
		return nil
	})
	if failed != nil {
		return nil, failed
	}
	if sc.ownedByAnother() && errors.Is(err, fs.ErrPermission) {
		err = fmt.Errorf("%w for user %d, the owner of %s: let this user read it", err, sc.uid, sc.dir)
	}
	return data, err
}

// asOwner calls f with the rights of the owner of --dir if they are fewer than ours. f must not start goroutines.
func (sc *scope) asOwner(f func() error) error {
	if !sc.ownedByAnother() {
		return f()
	}
	return folder.As(sc.uid, sc.gid, f)
}

// exists reports whether a path exists. A path that can't be examined exists, so that using it reports why.
func (sc *scope) exists(path string) bool {
	_, err := sc.Stat(path)
	return !errors.Is(err, fs.ErrNotExist)
}

// isDir reports whether a path is a folder.
func (sc *scope) isDir(path string) bool {
	info, err := sc.Stat(path)
	return err == nil && info.Mode.IsDir()
}

// list returns the names in a folder, none if it can't be read.
func (sc *scope) list(path string) []string {
	d, err := sc.OpenDir(path)
	if err != nil {
		return nil
	}
	defer d.Close()
	names, _ := d.Names() // unreadable: none
	return names
}

// ownerOf returns the owner of a file, -1 and -1 if unknown.
func (sc *scope) ownerOf(path string) owner {
	info, err := sc.Stat(path)
	if err != nil {
		return owner{-1, -1}
	}
	return owner{info.UID, info.GID}
}

// withRemedy adds to an error how to fix it.
func (sc *scope) withRemedy(err error) error {
	var link *folder.LinkError
	var outside *folder.OutsideError
	switch {
	case errors.As(err, &link) && link.Outside:
		return fmt.Errorf("%w: replace the link with a file, or allow its target's folder with --allow-dir", err)
	case errors.As(err, &link) && isRoot():
		return fmt.Errorf("%w: root follows only its own links: use the target's path, replace the link with a file, or run this as that user", err)
	case errors.As(err, &link):
		return fmt.Errorf("%w: only links of root and of the owner of --dir are followed: replace the link with a file", err)
	case errors.As(err, &outside):
		return fmt.Errorf("%w: allow its folder with --allow-dir", err)
	}
	return err
}

// ownerOrRoot is the user to suggest for a file.
const ownerOrRoot = "root or as its owner"

// suggestUser adds to a permission error which user has the permission.
func suggestUser(err error, who string) error {
	if errors.Is(err, fs.ErrPermission) && !isRoot() {
		return fmt.Errorf("%w: run this as %s", err, who)
	}
	return err
}

// owner is a user ID and a group ID.
type owner struct{ uid, gid int }

// canRead reports whether o may read the file or enter the folder at a path, judging by its mode.
func (sc *scope) canRead(o owner, path string) bool {
	info, err := sc.Stat(path)
	if err != nil || o.uid <= 0 {
		return true // missing, or root, or unknown
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
