package folder

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"math/rand/v2"
	"os"
	"path/filepath"
	"regexp"
	"runtime"
	"strconv"
	"strings"
	"syscall"

	"golang.org/x/sys/unix"
)

// MaxSize is more than any file has that people write.
const MaxSize = 16 << 20

// Dir is an open folder. Its methods take the name of something in it, follow no link and never leave it,
// even if the folder is moved or replaced meanwhile. Close it after use.
type Dir struct {
	file *os.File
	path string
}

// Info is what the system says of a file, a folder or a link.
type Info struct {
	Mode     fs.FileMode
	UID, GID int
	Size     int64

	links    uint64
	dev, ino uint64
}

func infoOf(st *unix.Stat_t) Info {
	i := Info{
		Mode: fs.FileMode(st.Mode & 0o777),
		UID:  int(st.Uid), GID: int(st.Gid), Size: st.Size,
		links: uint64(st.Nlink), dev: uint64(st.Dev), ino: st.Ino, //nolint:unconvert // other systems have other types
	}
	switch st.Mode & unix.S_IFMT {
	case unix.S_IFREG:
	case unix.S_IFDIR:
		i.Mode |= fs.ModeDir
	case unix.S_IFLNK:
		i.Mode |= fs.ModeSymlink
	default:
		i.Mode |= fs.ModeIrregular
	}
	return i
}

// ID tells a file or folder from all others, as long as it is there.
func (i Info) ID() string { return fmt.Sprintf("%d:%d", i.dev, i.ino) }

// same reports whether both are the same file.
func (i Info) same(other Info) bool { return i.dev == other.dev && i.ino == other.ino }

// Path returns where the folder was when it was opened.
func (d *Dir) Path() string { return d.path }

// Close closes the folder.
func (d *Dir) Close() error { return d.file.Close() }

// do calls the system with the descriptor, again where a signal interrupted that.
func (d *Dir) do(call func(fd int) (int, error)) (int, error) {
	return retry(d.file, call)
}

func retry(f *os.File, call func(fd int) (int, error)) (int, error) {
	defer runtime.KeepAlive(f) // it is closed when nothing refers to it
	for {
		if n, err := call(int(f.Fd())); !errors.Is(err, syscall.EINTR) {
			return n, err
		}
	}
}

func (d *Dir) join(name string) string { return filepath.Join(d.path, name) }

// fail says what failed with which path.
func (d *Dir) fail(op, name string, err error) error {
	return &fs.PathError{Op: op, Path: d.join(name), Err: err}
}

// errName is for a name that would lead elsewhere.
var errName = errors.New("not the name of a file")

func check(name string) error {
	if name == "" || name == "." || name == ".." || strings.ContainsAny(name, "/\x00") {
		return errName
	}
	return nil
}

// openat opens a name of the folder, which must not be a link.
func (d *Dir) openat(name string, flags int, mode uint32) (*os.File, error) {
	if err := check(name); err != nil {
		return nil, d.fail("open", name, err)
	}
	fd, err := d.do(func(fd int) (int, error) { return unix.Openat(fd, name, flags|unix.O_NOFOLLOW|unix.O_CLOEXEC, mode) })
	if err != nil {
		return nil, d.fail("open", name, err)
	}
	return os.NewFile(uintptr(fd), d.join(name)), nil
}

// Stat returns what a name of the folder is, a link included.
func (d *Dir) Stat(name string) (Info, error) {
	var st unix.Stat_t
	if err := check(name); err != nil {
		return Info{}, d.fail("stat", name, err)
	}
	_, err := d.do(func(fd int) (int, error) { return 0, unix.Fstatat(fd, name, &st, unix.AT_SYMLINK_NOFOLLOW) })
	if err != nil {
		return Info{}, d.fail("stat", name, err)
	}
	return infoOf(&st), nil
}

// statOf returns what an open file is.
func statOf(f *os.File) (Info, error) {
	var st unix.Stat_t
	if _, err := retry(f, func(fd int) (int, error) { return 0, unix.Fstat(fd, &st) }); err != nil {
		return Info{}, &fs.PathError{Op: "stat", Path: f.Name(), Err: err}
	}
	return infoOf(&st), nil
}

// Info returns what the folder itself is.
func (d *Dir) Info() (Info, error) { return statOf(d.file) }

// reopen opens the same folder once more.
func (d *Dir) reopen() (*Dir, error) {
	fd, err := d.do(func(fd int) (int, error) { return unix.FcntlInt(uintptr(fd), unix.F_DUPFD_CLOEXEC, 0) })
	if err != nil {
		return nil, &fs.PathError{Op: "open", Path: d.path, Err: err}
	}
	return &Dir{os.NewFile(uintptr(fd), d.path), d.path}, nil
}

// Open opens a folder in the folder.
func (d *Dir) Open(name string) (*Dir, error) {
	f, err := d.openat(name, search|unix.O_DIRECTORY, 0)
	if err != nil {
		return nil, err
	}
	return &Dir{f, d.join(name)}, nil
}

// Names returns what is in the folder, in no order.
func (d *Dir) Names() ([]string, error) {
	fd, err := d.do(func(fd int) (int, error) {
		return unix.Openat(fd, ".", unix.O_RDONLY|unix.O_DIRECTORY|unix.O_CLOEXEC, 0)
	})
	if err != nil {
		return nil, &fs.PathError{Op: "open", Path: d.path, Err: err}
	}
	f := os.NewFile(uintptr(fd), d.path)
	defer f.Close()
	return f.Readdirnames(-1)
}

// Writable returns an error unless files can be made and removed in the folder.
func (d *Dir) Writable() error {
	if _, err := d.do(func(fd int) (int, error) { return 0, unix.Faccessat(fd, ".", unix.W_OK, 0) }); err != nil {
		return &fs.PathError{Op: "write", Path: d.path, Err: err}
	}
	return nil
}

// Read reads a file: a regular one of at most MaxSize without NUL bytes.
// A pipe would never end, and opening a device may do something, so that neither is even opened.
func (d *Dir) Read(name string) ([]byte, Info, error) {
	before, err := d.Stat(name)
	if err != nil {
		return nil, Info{}, err
	}
	path := d.join(name)
	if err := before.readable(path); err != nil {
		return nil, Info{}, err
	}
	f, err := d.openat(name, unix.O_RDONLY|unix.O_NONBLOCK|unix.O_NOCTTY, 0)
	if err != nil {
		return nil, Info{}, err
	}
	defer f.Close()
	data, info, err := read(f, path)
	if err != nil {
		return nil, Info{}, err
	}
	return data, info, d.foreign(info, path)
}

// foreign returns an error for a file that root reads here, and whose other name may be anywhere:
// without protected_hardlinks (proc(5)) any user can give another user's file a name in a folder of their own.
func (d *Dir) foreign(info Info, path string) error {
	if info.links < 2 || os.Geteuid() != 0 {
		return nil
	}
	folder, err := d.Info()
	if err == nil && folder.UID != info.UID {
		err = fmt.Errorf("%s is a hard link to a file of user %d: put a copy there", path, info.UID)
	}
	return err
}

// ReadFile reads the file at a path that may lead anywhere, through any link. Like Dir.Read it takes regular files only.
func ReadFile(path string) ([]byte, error) {
	info, err := os.Stat(path)
	switch {
	case err != nil:
		return nil, err
	case !info.Mode().IsRegular() && !info.IsDir():
		return nil, notAFile(path)
	}
	f, err := os.OpenFile(path, os.O_RDONLY|unix.O_NONBLOCK|unix.O_NOCTTY, 0) // #nosec G304 -- a path of /proc for a descriptor of ours
	if err != nil {
		return nil, err
	}
	defer f.Close()
	data, _, err := read(f, path)
	return data, err
}

// read reads an open file if it is one to be read.
func read(f *os.File, path string) ([]byte, Info, error) {
	info, err := statOf(f)
	if err != nil {
		return nil, Info{}, err
	}
	if err := info.readable(path); err != nil {
		return nil, Info{}, err
	}
	data, err := io.ReadAll(io.LimitReader(f, MaxSize+1))
	if err != nil {
		return nil, Info{}, err
	}
	if len(data) > MaxSize {
		return nil, Info{}, tooLarge(path, int64(len(data)))
	}
	if i := bytes.IndexByte(data, 0); i >= 0 {
		return nil, Info{}, fmt.Errorf("%s is no text: its byte %d is NUL", path, i)
	}
	return data, info, nil
}

func (i Info) readable(path string) error {
	switch {
	case i.Mode.IsDir():
		return &fs.PathError{Op: "read", Path: path, Err: syscall.EISDIR}
	case i.Mode&fs.ModeSymlink != 0:
		return &fs.PathError{Op: "read", Path: path, Err: syscall.ELOOP}
	case !i.Mode.IsRegular():
		return notAFile(path)
	case i.Size > MaxSize:
		return tooLarge(path, i.Size)
	}
	return nil
}

func notAFile(path string) error { return fmt.Errorf("%s is no file, but a pipe or a device", path) }

func tooLarge(path string, size int64) error {
	return fmt.Errorf("%s is larger than any that is meant here: %d bytes", path, size)
}

// Mkdir makes a folder in the folder and opens it. Negative numbers leave it ours.
func (d *Dir) Mkdir(name string, mode fs.FileMode, uid, gid int) (*Dir, error) {
	if err := check(name); err != nil {
		return nil, d.fail("mkdir", name, err)
	}
	if _, err := d.do(func(fd int) (int, error) { return 0, unix.Mkdirat(fd, name, 0o700) }); err != nil {
		return nil, d.fail("mkdir", name, err)
	}
	f, err := d.openat(name, unix.O_RDONLY|unix.O_DIRECTORY, 0)
	if err != nil {
		return nil, err
	}
	made := &Dir{f, d.join(name)}
	if err := made.finish(mode, uid, gid); err != nil {
		_ = d.RemoveDir(name)
		_ = made.Close()
		return nil, err
	}
	return made, nil
}

// finish gives away a folder that was just made: it is ours and empty, or it isn't that one.
func (d *Dir) finish(mode fs.FileMode, uid, gid int) error {
	info, err := d.Info()
	if err != nil {
		return err
	}
	names, err := d.Names()
	if err != nil {
		return err
	}
	if info.UID != os.Geteuid() || len(names) > 0 {
		return &fs.PathError{Op: "mkdir", Path: d.path, Err: errSwapped}
	}
	if err := give(d.file, info, uid, gid); err != nil {
		return err
	}
	return d.file.Chmod(mode)
}

// errSwapped means that something else came into the place of what was just made.
var errSwapped = errors.New("something else came into its place meanwhile: find out what writes there, and run this again")

// give makes an open file another user's, if it isn't. Only root can.
func give(f *os.File, is Info, uid, gid int) error {
	if os.Geteuid() != 0 || uid < 0 || is.UID == uid && is.GID == gid {
		return nil
	}
	return f.Chown(uid, gid)
}

// Remove removes a file or a link.
func (d *Dir) Remove(name string) error { return d.unlink(name, 0) }

// RemoveDir removes an empty folder.
func (d *Dir) RemoveDir(name string) error { return d.unlink(name, unix.AT_REMOVEDIR) }

func (d *Dir) unlink(name string, flags int) error {
	if err := check(name); err != nil {
		return d.fail("remove", name, err)
	}
	if _, err := d.do(func(fd int) (int, error) { return 0, unix.Unlinkat(fd, name, flags) }); err != nil {
		return d.fail("remove", name, err)
	}
	return nil
}

// Staged is a file that is written and on the disk, beside its place.
// The folder that it is in has to stay open until Replace or Discard.
type Staged struct {
	dir        *Dir
	file       *os.File
	temp, name string
}

// Stage writes a file that is to come to name. Its mode and owner are set by its descriptor; negative numbers leave it ours.
func (d *Dir) Stage(name string, data []byte, mode fs.FileMode, uid, gid int) (*Staged, error) {
	if err := check(name); err != nil {
		return nil, d.fail("write", name, err)
	}
	s := &Staged{dir: d, name: name, temp: "." + name + strconv.FormatUint(rand.Uint64()|1<<63, 10)} // #nosec G404 -- it needn't be secret
	var err error
	if s.file, err = d.openat(s.temp, unix.O_WRONLY|unix.O_CREAT|unix.O_EXCL, 0o600); err != nil {
		return nil, err
	}
	var info Info
	if _, err = s.file.Write(data); err == nil {
		info, err = statOf(s.file)
	}
	if err == nil {
		err = give(s.file, info, uid, gid)
	}
	if err == nil {
		err = s.file.Chmod(mode)
	}
	if err == nil {
		err = s.file.Sync() // what doesn't fit on the disk is known here at the latest
	}
	if err != nil {
		s.Discard()
		return nil, err
	}
	return s, nil
}

// Replace puts the file into its place, whatever is there: a link is replaced, and not followed.
func (s *Staged) Replace() error {
	defer s.file.Close()
	d := s.dir
	if _, err := d.do(func(fd int) (int, error) { return 0, unix.Renameat(fd, s.temp, fd, s.name) }); err != nil {
		_ = d.Remove(s.temp)
		return &os.LinkError{Op: "rename", Old: d.join(s.temp), New: d.join(s.name), Err: err}
	}
	written, err := statOf(s.file)
	if err != nil {
		return err
	}
	if there, err := d.Stat(s.name); err != nil || !there.same(written) {
		return d.fail("write", s.name, errSwapped)
	}
	return nil
}

// Discard removes the file unless it was put into its place.
func (s *Staged) Discard() {
	_ = s.dir.Remove(s.temp)
	_ = s.file.Close()
}

// leftover is the rest of the name of what was staged beside a file.
var leftover = regexp.MustCompile(`^[0-9]+$`)

// Sweep removes what a killed run staged for a name and left behind.
func (d *Dir) Sweep(name string) {
	names, _ := d.Names() // what can't be seen stays
	for _, n := range names {
		if rest, ok := strings.CutPrefix(n, "."+name); ok && leftover.MatchString(rest) {
			_ = d.Remove(n)
		}
	}
}
