//go:build unix && !linux

package folder

import "golang.org/x/sys/unix"

// search opens a folder to go through it.
const search = unix.O_RDONLY

// readLink returns where a link leads and whose it is.
func readLink(d *Dir, name string) (target string, uid int, err error) {
	info, err := d.Stat(name)
	if err != nil {
		return "", 0, err
	}
	buf := make([]byte, unix.PathMax)
	n, err := d.do(func(fd int) (int, error) { return unix.Readlinkat(fd, name, buf) })
	if err != nil {
		return "", 0, d.fail("readlink", name, err)
	}
	return string(buf[:n]), info.UID, nil
}
