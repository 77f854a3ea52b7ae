package folder

import (
	"fmt"
	"runtime"

	"golang.org/x/sys/unix"
)

// As calls f with the rights that a user has to files, as a member of one group. Only root can.
// f must not start goroutines: they would have our own rights.
func As(uid, gid int, f func() error) error {
	result := make(chan error)
	go func() {
		// Rights to files are those of a thread (setfsuid(2)). This one ends with the goroutine, since it isn't unlocked.
		runtime.LockOSThread()
		result <- take(uid, gid, f)
	}()
	return <-result
}

func take(uid, gid int, f func() error) error {
	// The library's Setgroups is of all threads.
	if _, _, errno := unix.RawSyscall(unix.SYS_SETGROUPS, 0, 0, 0); errno != 0 {
		return fmt.Errorf("give up the groups of root: %w", errno)
	}
	_, _ = unix.SetfsgidRetGid(gid)
	_, _ = unix.SetfsuidRetUid(uid)
	// Neither says whether it failed, but which id was in force before.
	g, err := unix.SetfsgidRetGid(-1)
	if err != nil {
		return err
	}
	u, err := unix.SetfsuidRetUid(-1)
	if err != nil {
		return err
	}
	if u != uid || g != gid {
		return fmt.Errorf("take the rights of user %d: %w", uid, unix.EPERM)
	}
	return f()
}
