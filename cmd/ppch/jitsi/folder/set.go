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

// Set is the known folders. Its methods take absolute paths of what is in them, through links that are trusted
// and end in a known folder; for anything else they return a *LinkError or an *OutsideError.
// It isn't safe for concurrent use.
type Set struct {
	trust func(uid int) bool
	known []known
}

// known is a folder and the paths that it goes by: the one without links, and the one that it was added by.
type known struct {
	dir   *Dir
	paths []string
}

// maxLinks is how many links may be on one way, as Linux has it.
const maxLinks = 40

// New returns a Set without folders. trust says whose links are followed.
func New(trust func(uid int) bool) *Set { return &Set{trust: trust} }

// Close closes all folders.
func (s *Set) Close() {
	for _, k := range s.known {
		_ = k.dir.Close()
	}
	s.known = nil
}

// LinkError is for a link that isn't followed.
type LinkError struct {
	Path, Target string
	// UID is whose link it is.
	UID int
	// Outside means that the link is trusted, and leads out of the known folders.
	Outside bool
}

func (e *LinkError) Error() string {
	if e.Outside {
		return fmt.Sprintf("%s is a link that leads outside, to %s", e.Path, e.Target)
	}
	return fmt.Sprintf("%s is a link of user %d, to %s, and isn't followed", e.Path, e.UID, e.Target)
}

// OutsideError is for a path that is in no known folder.
type OutsideError struct{ Path string }

func (e *OutsideError) Error() string { return e.Path + " is in none of the folders that are meant" }

// Add opens a folder and makes it a known one. trust says whose links on the way are followed.
// It returns the path without links, and whose the folders on it are, from / on.
func (s *Set) Add(path string, trust func(uid int) bool) (real string, owners []int, err error) {
	f, err := os.OpenFile("/", search|unix.O_DIRECTORY|unix.O_CLOEXEC, 0)
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
	for _, name := range append(names(real), "") {
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

// names splits a path.
func names(path string) []string {
	return strings.FieldsFunc(path, func(r rune) bool { return r == filepath.Separator })
}

// within returns the innermost known folder that a path is in, and the names from there on.
func (s *Set) within(path string) (dir *Dir, rest []string) {
	longest := -1
	for _, k := range s.known {
		for _, folder := range k.paths {
			if r, err := filepath.Rel(folder, path); err == nil && r != ".." && !strings.HasPrefix(r, "../") && len(folder) > longest {
				dir, longest, rest = k.dir, len(folder), nil
				if r != "." {
					rest = names(r)
				}
			}
		}
	}
	return dir, rest
}

// Has reports whether a path is in a known folder, or is one, going by the path alone.
func (s *Set) Has(path string) bool {
	dir, _ := s.within(filepath.Clean(path))
	return dir != nil
}

// Locate returns the open folder that a path ends in, and the name there, with all links followed, one at the end included.
// Nothing of that name needs to be there. The caller closes the folder.
func (s *Set) Locate(path string) (*Dir, string, error) {
	d, name, err := s.locate(path)
	if err == nil && name == "" {
		_ = d.Close()
		return nil, "", &fs.PathError{Op: "open", Path: path, Err: syscall.EISDIR}
	}
	return d, name, err
}

// locate is Locate, with no name for a path that is a known folder itself.
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

// follow goes from a folder on as far as the last name, or to a link: then it returns that, and what comes after it as the name.
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

// link returns a trusted link, nil where there is something else or nothing, or what is wrong with the link.
func (s *Set) link(d *Dir, name string) (*LinkError, error) {
	if info, err := d.Stat(name); err != nil || info.Mode&fs.ModeSymlink == 0 {
		return nil, nil //nolint:nilerr // opening it will say so
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

// Stat returns what a path leads to.
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
