//go:build unix && !linux

package folder

import "golang.org/x/sys/unix"

// searchFlags open a folder for traversal.
const searchFlags = unix.O_RDONLY

// readLink returns target and owner of a link.
func readLink(d *Dir, name string) (target string, uid int, err error) {
	info, err := d.Stat(name)
	if err != nil {
		return "", 0, err
	}
	buf := make([]byte, unix.PathMax)
	n, err := d.do(func(fd int) (int, error) { return unix.Readlinkat(fd, name, buf) })
	if err != nil {
		return "", 0, d.pathError("readlink", name, err)
	}
	return string(buf[:n]), info.UID, nil
}
