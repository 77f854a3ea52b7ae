package folder

import (
	"io/fs"

	"golang.org/x/sys/unix"
)

// searchFlags open a folder for traversal, which needs no permission to list it.
const searchFlags = unix.O_PATH

// readLink returns target and owner of a link. It opens the link, so that both belong to the same one.
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
		return "", 0, d.pathError("open", name, errSwapped)
	}
	buf := make([]byte, unix.PathMax)
	n, err := retry(f, func(fd int) (int, error) { return unix.Readlinkat(fd, "", buf) })
	if err != nil {
		return "", 0, d.pathError("readlink", name, err)
	}
	return string(buf[:n]), info.UID, nil
}
