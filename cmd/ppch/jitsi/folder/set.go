package folder

import (
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"syscall"

	"golang.org/x/sys/unix"
)

// Set is the known folders. Its methods take absolute paths in them, through trusted links that end in a known folder;
// for other paths they return a *LinkError or an *OutsideError.
// It isn't safe for concurrent use.
type Set struct {
	trust func(uid int) bool
	known []known
}

// known is a folder with its paths: the one without links, and the one given to Add.
type known struct {
	dir   *Dir
	paths []string
}

// maxLinks is the maximum number of links in a path, as on Linux.
const maxLinks = 40

// New returns a Set without folders. It follows links of users that trust accepts.
func New(trust func(uid int) bool) *Set { return &Set{trust: trust} }

// Close closes all folders.
func (s *Set) Close() {
	for _, k := range s.known {
		_ = k.dir.Close()
	}
	s.known = nil
}

// LinkError is for a link that is not followed.
type LinkError struct {
	Path, Target string
	// UID is the link's owner.
	UID int
	// Outside means that the link is trusted, but leads out of the known folders.
	Outside bool
}

func (e *LinkError) Error() string {
	if e.Outside {
		return fmt.Sprintf("%s is a link out of the allowed folders, to %s", e.Path, e.Target)
	}
	return fmt.Sprintf("%s is a link of user %d to %s and is not followed", e.Path, e.UID, e.Target)
}

// OutsideError is for a path outside the known folders.
type OutsideError struct{ Path string }

func (e *OutsideError) Error() string { return e.Path + " is outside the allowed folders" }

// Add opens a folder and adds it to the known ones. It follows links of users that trust accepts.
// It returns the path without links, and the owners of the folders on it, from / on.
func (s *Set) Add(path string, trust func(uid int) bool) (real string, owners []int, err error) {
	f, err := os.OpenFile("/", searchFlags|unix.O_DIRECTORY|unix.O_CLOEXEC, 0)
	if err != nil {
		return "", nil, err
	}
	root := &Dir{f, "/"}
	all := &Set{trust, []known{{root, []string{"/"}}}}
	defer all.Close()
	if real, err = all.Real(path); err != nil {
		return "", nil, err
	}
	d, err := root.reopen()
	for _, name := range append(splitPath(real), "") {
		if err != nil {
			return "", nil, err
		}
		info, failed := d.Info()
		owners = append(owners, info.UID)
		if failed != nil || name == "" {
			err = failed
			break
		}
		up := d
		d, err = up.Open(name)
		_ = up.Close()
	}
	if err != nil {
		return "", nil, err
	}
	s.known = append(s.known, known{d, []string{real, filepath.Clean(path)}})
	return real, owners, nil
}

// splitPath splits a path into names.
func splitPath(path string) []string {
	return strings.FieldsFunc(path, func(r rune) bool { return r == filepath.Separator })
}

// within returns the innermost known folder that contains a path, and the names from there on.
func (s *Set) within(path string) (dir *Dir, rest []string) {
	longest := -1
	for _, k := range s.known {
		for _, folder := range k.paths {
			if r, err := filepath.Rel(folder, path); err == nil && r != ".." && !strings.HasPrefix(r, "../") && len(folder) > longest {
				dir, longest, rest = k.dir, len(folder), nil
				if r != "." {
					rest = splitPath(r)
				}
			}
		}
	}
	return dir, rest
}

// Has reports whether a path is a known folder or in one, judging by the path alone.
func (s *Set) Has(path string) bool {
	dir, _ := s.within(filepath.Clean(path))
	return dir != nil
}

// Locate returns the last folder of a path, open, and the name in it, after following all links, a final one included.
// The name need not exist. The caller closes the folder.
func (s *Set) Locate(path string) (*Dir, string, error) {
	d, name, err := s.locate(path)
	if err == nil && name == "" {
		_ = d.Close()
		return nil, "", &fs.PathError{Op: "open", Path: path, Err: syscall.EISDIR}
	}
	return d, name, err
}

// locate is Locate, but returns an empty name for a known folder itself.
func (s *Set) locate(path string) (*Dir, string, error) {
	if strings.ContainsRune(path, 0) {
		return nil, "", &fs.PathError{Op: "open", Path: path, Err: errName}
	}
	path = filepath.Clean(path)
	var link *LinkError
	for range maxLinks {
		dir, rest := s.within(path)
		switch {
		case dir == nil && link != nil:
			if info, err := os.Stat(link.Target); err == nil && !info.Mode().IsRegular() && !info.IsDir() {
				return nil, "", notAFile(link.Path)
			}
			link.Outside = true
			return nil, "", link
		case dir == nil:
			return nil, "", &OutsideError{path}
		}
		d, name, next, err := s.follow(dir, rest)
		if next == nil {
			return d, name, err
		}
		link, path = next, filepath.Join(next.Target, name)
	}
	return nil, "", &fs.PathError{Op: "open", Path: path, Err: syscall.ELOOP}
}

// follow opens folders up to the last name, or up to a link. Then it returns the link, and the rest of the path as name.
func (s *Set) follow(from *Dir, rest []string) (d *Dir, name string, link *LinkError, err error) {
	if d, err = from.reopen(); err != nil || len(rest) == 0 {
		return d, "", nil, err
	}
	for i, name := range rest {
		link, err := s.link(d, name)
		if link != nil || err != nil {
			_ = d.Close()
			return nil, filepath.Join(rest[i+1:]...), link, err
		}
		if i == len(rest)-1 {
			break
		}
		up := d
		d, err = up.Open(name)
		_ = up.Close()
		if err != nil {
			return nil, "", nil, err
		}
	}
	return d, rest[len(rest)-1], nil, nil
}

// link returns the trusted link of this name, nil if it is no link, or an error for an untrusted one.
func (s *Set) link(d *Dir, name string) (*LinkError, error) {
	if info, err := d.Stat(name); err != nil || info.Mode&fs.ModeSymlink == 0 {
		return nil, nil //nolint:nilerr // opening it will report the error
	}
	target, uid, err := readLink(d, name)
	if err != nil {
		return nil, err
	}
	if !filepath.IsAbs(target) {
		target = d.join(target)
	}
	link := &LinkError{Path: d.join(name), Target: filepath.Clean(target), UID: uid}
	if !s.trust(uid) {
		return nil, link
	}
	return link, nil
}

// Real returns a path without links.
func (s *Set) Real(path string) (string, error) {
	d, name, err := s.locate(path)
	if err != nil {
		return "", err
	}
	defer d.Close()
	return d.join(name), nil
}

// OpenDir opens a folder. The caller closes it.
func (s *Set) OpenDir(path string) (*Dir, error) {
	d, name, err := s.locate(path)
	if err != nil || name == "" {
		return d, err
	}
	defer d.Close()
	return d.Open(name)
}

// Stat describes what a path leads to.
func (s *Set) Stat(path string) (Info, error) {
	d, name, err := s.locate(path)
	if err != nil {
		return Info{}, err
	}
	defer d.Close()
	if name == "" {
		return d.Info()
	}
	return d.Stat(name)
}

// Read reads the file that a path leads to; see Dir.Read.
func (s *Set) Read(path string) ([]byte, Info, error) {
	d, name, err := s.Locate(path)
	if err != nil {
		return nil, Info{}, err
	}
	defer d.Close()
	return d.Read(name)
}
