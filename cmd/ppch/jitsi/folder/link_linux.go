package folder

import (
	"io/fs"

	"golang.org/x/sys/unix"
)

// search opens a folder to go through it, for which its names needn't be readable.
const search = unix.O_PATH

// readLink returns where a link leads and whose it is. Both are of one link, whatever is swapped meanwhile: it is held open.
func readLink(d *Dir, name string) (target string, uid int, err error) {
	f, err := d.openat(name, unix.O_PATH, 0)
	if err != nil {
		return "", 0, err
	}
	defer f.Close()
	info, err := statOf(f)
	if err != nil {
		return "", 0, err
	}
	if info.Mode&fs.ModeSymlink == 0 {
		return "", 0, d.fail("open", name, errSwapped)
	}
	buf := make([]byte, unix.PathMax)
	n, err := retry(f, func(fd int) (int, error) { return unix.Readlinkat(fd, "", buf) })
	if err != nil {
		return "", 0, d.fail("readlink", name, err)
	}
	return string(buf[:n]), info.UID, nil
}
