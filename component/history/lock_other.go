//go:build !unix

package history

import (
	"errors"
	"os"
)

var errLocked = errors.New("history: another process holds the lock")

// lockFile only opens the file: this system has no such locks.
func lockFile(path string) (*os.File, error) { return os.OpenFile(path, os.O_RDWR|os.O_CREATE, 0o600) }

func ids() (uid, gid int) { return os.Getuid(), os.Getgid() }
