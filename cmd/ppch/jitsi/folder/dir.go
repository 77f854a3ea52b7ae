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

// MaxSize is the maximum size of a file, far above that of any handwritten one.
const MaxSize = 16 << 20

// Dir is an open folder. Its methods take a name in the folder, follow no link and never leave the folder,
// even if it is moved or replaced. Close it after use.
type Dir struct {
	file *os.File
	path string
}

// Info describes a file, a folder or a link.
type Info struct {
	Mode     fs.FileMode
	UID, GID int
	Size     int64

	links    uint64
	dev, ino uint64
}

func newInfo(st *unix.Stat_t) Info {
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

// ID identifies a file or folder while it exists.
func (i Info) ID() string { return fmt.Sprintf("%d:%d", i.dev, i.ino) }

// same reports whether both are the same file.
func (i Info) same(other Info) bool { return i.dev == other.dev && i.ino == other.ino }

// Path returns the path at which the folder was opened.
func (d *Dir) Path() string { return d.path }

// Close closes the folder.
func (d *Dir) Close() error { return d.file.Close() }

// do makes a system call with the descriptor, and repeats it if a signal interrupts it.
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

// pathError returns an error with the operation and the path.
func (d *Dir) pathError(op, name string, err error) error {
	return &fs.PathError{Op: op, Path: d.join(name), Err: err}
}

// errName is for a name that would lead out of the folder.
var errName = errors.New("not the name of a file")

func checkName(name string) error {
	if name == "" || name == "." || name == ".." || strings.ContainsAny(name, "/\x00") {
		return errName
	}
	return nil
}

// openat opens a name in the folder, which must not be a link.
func (d *Dir) openat(name string, flags int, mode uint32) (*os.File, error) {
	if err := checkName(name); err != nil {
		return nil, d.pathError("open", name, err)
	}
	fd, err := d.do(func(fd int) (int, error) { return unix.Openat(fd, name, flags|unix.O_NOFOLLOW|unix.O_CLOEXEC, mode) })
	if err != nil {
		return nil, d.pathError("open", name, err)
	}
	return os.NewFile(uintptr(fd), d.join(name)), nil
}

// Stat describes a name in the folder without following a link.
func (d *Dir) Stat(name string) (Info, error) {
	var st unix.Stat_t
	if err := checkName(name); err != nil {
		return Info{}, d.pathError("stat", name, err)
	}
	_, err := d.do(func(fd int) (int, error) { return 0, unix.Fstatat(fd, name, &st, unix.AT_SYMLINK_NOFOLLOW) })
	if err != nil {
		return Info{}, d.pathError("stat", name, err)
	}
	return newInfo(&st), nil
}

// statOf describes an open file.
func statOf(f *os.File) (Info, error) {
	var st unix.Stat_t
	if _, err := retry(f, func(fd int) (int, error) { return 0, unix.Fstat(fd, &st) }); err != nil {
		return Info{}, &fs.PathError{Op: "stat", Path: f.Name(), Err: err}
	}
	return newInfo(&st), nil
}

// Info describes the folder itself.
func (d *Dir) Info() (Info, error) { return statOf(d.file) }

// reopen opens the same folder again.
func (d *Dir) reopen() (*Dir, error) {
	fd, err := d.do(func(fd int) (int, error) { return unix.FcntlInt(uintptr(fd), unix.F_DUPFD_CLOEXEC, 0) })
	if err != nil {
		return nil, &fs.PathError{Op: "open", Path: d.path, Err: err}
	}
	return &Dir{os.NewFile(uintptr(fd), d.path), d.path}, nil
}

// Open opens a subfolder.
func (d *Dir) Open(name string) (*Dir, error) {
	f, err := d.openat(name, searchFlags|unix.O_DIRECTORY, 0)
	if err != nil {
		return nil, err
	}
	return &Dir{f, d.join(name)}, nil
}

// Names returns the names in the folder, unordered.
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

// Writable returns an error unless files can be created and removed in the folder.
func (d *Dir) Writable() error {
	if _, err := d.do(func(fd int) (int, error) { return 0, unix.Faccessat(fd, ".", unix.W_OK, 0) }); err != nil {
		return &fs.PathError{Op: "write", Path: d.path, Err: err}
	}
	return nil
}

// Read reads a regular file of at most MaxSize without NUL bytes.
// It never opens a pipe, which may not end, or a device, which may react to being opened.
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
	return data, info, d.checkHardLink(info, path)
}

// checkHardLink returns an error if root reads a file with another name that may be anywhere:
// without protected_hardlinks (proc(5)) any user can link another user's file into their own folder.
func (d *Dir) checkHardLink(info Info, path string) error {
	if info.links < 2 || os.Geteuid() != 0 {
		return nil
	}
	folder, err := d.Info()
	if err == nil && folder.UID != info.UID {
		err = fmt.Errorf("%s is a hard link to a file of user %d: put a copy there", path, info.UID)
	}
	return err
}

// ReadFile reads the file at any path, through any link. Like Dir.Read it reads only regular files.
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

// read reads an open file if it is readable.
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
		return nil, Info{}, fmt.Errorf("%s is not a text file: byte %d is NUL", path, i)
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

func notAFile(path string) error { return fmt.Errorf("%s is a pipe or a device, not a file", path) }

func tooLarge(path string, size int64) error {
	return fmt.Errorf("%s is too large: %d bytes, the maximum is %d", path, size, MaxSize)
}

// Mkdir makes a subfolder and opens it. With negative IDs it belongs to us.
func (d *Dir) Mkdir(name string, mode fs.FileMode, uid, gid int) (*Dir, error) {
	if err := checkName(name); err != nil {
		return nil, d.pathError("mkdir", name, err)
	}
	if _, err := d.do(func(fd int) (int, error) { return 0, unix.Mkdirat(fd, name, 0o700) }); err != nil {
		return nil, d.pathError("mkdir", name, err)
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

// finish sets owner and mode of a new folder. If it isn't ours and empty, it was swapped.
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
	if err := chown(d.file, info, uid, gid); err != nil {
		return err
	}
	return d.file.Chmod(mode)
}

// errSwapped means that another process replaced a new file or folder.
var errSwapped = errors.New("another process replaced it: find out which one writes there, then run this again")

// chown changes the owner of an open file if necessary. Only root can.
func chown(f *os.File, info Info, uid, gid int) error {
	if os.Geteuid() != 0 || uid < 0 || info.UID == uid && info.GID == gid {
		return nil
	}
	return f.Chown(uid, gid)
}

// Remove removes a file or a link.
func (d *Dir) Remove(name string) error { return d.unlink(name, 0) }

// RemoveDir removes an empty folder.
func (d *Dir) RemoveDir(name string) error { return d.unlink(name, unix.AT_REMOVEDIR) }

func (d *Dir) unlink(name string, flags int) error {
	if err := checkName(name); err != nil {
		return d.pathError("remove", name, err)
	}
	if _, err := d.do(func(fd int) (int, error) { return 0, unix.Unlinkat(fd, name, flags) }); err != nil {
		return d.pathError("remove", name, err)
	}
	return nil
}

// Staged is a file written to disk next to its destination.
// Its folder must stay open until Replace or Discard.
type Staged struct {
	dir        *Dir
	file       *os.File
	temp, name string
}

// Stage writes a file for the destination name, with mode and owner. With negative IDs it belongs to us.
func (d *Dir) Stage(name string, data []byte, mode fs.FileMode, uid, gid int) (*Staged, error) {
	if err := checkName(name); err != nil {
		return nil, d.pathError("write", name, err)
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
		err = chown(s.file, info, uid, gid)
	}
	if err == nil {
		err = s.file.Chmod(mode)
	}
	if err == nil {
		err = s.file.Sync() // reports a full disk, if Write did not
	}
	if err != nil {
		s.Discard()
		return nil, err
	}
	return s, nil
}

// Replace moves the file to its destination and replaces what is there. It doesn't follow a link.
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
		return d.pathError("write", s.name, errSwapped)
	}
	return nil
}

// Discard removes the file unless Replace has moved it.
func (s *Staged) Discard() {
	_ = s.dir.Remove(s.temp)
	_ = s.file.Close()
}

// stagedSuffix is what the name of a staged file ends with.
var stagedSuffix = regexp.MustCompile(`^[0-9]+$`)

// Sweep removes files that a killed run staged for a name.
func (d *Dir) Sweep(name string) {
	names, _ := d.Names() // best effort
	for _, n := range names {
		if rest, ok := strings.CutPrefix(n, "."+name); ok && stagedSuffix.MatchString(rest) {
			_ = d.Remove(n)
		}
	}
}
