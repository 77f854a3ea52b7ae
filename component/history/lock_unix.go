//go:build unix

package history

import (
	"errors"
	"os"
	"syscall"
)

var errLocked = errors.New("history: another process holds the lock")

// lockFile locks a file for as long as it is open, against other processes that do the same. The kernel unlocks it when the process ends.
func lockFile(path string) (*os.File, error) {
	f, err := os.OpenFile(path, os.O_RDWR|os.O_CREATE, 0o600) // #nosec G304 -- in the data folder
	if err != nil {
		return nil, err
	}
	if err := syscall.Flock(int(f.Fd()), syscall.LOCK_EX|syscall.LOCK_NB); err != nil {
		_ = f.Close()
		if errors.Is(err, syscall.EWOULDBLOCK) {
			return nil, errLocked
		}
		return nil, err
	}
	return f, nil
}

func ids() (uid, gid int) { return os.Getuid(), os.Getgid() }
