package folder

import (
	"fmt"
	"runtime"

	"golang.org/x/sys/unix"
)

// As calls f with a user's rights to files, as a member of one group. Only root can.
// f must not start goroutines: they would have root's rights.
func As(uid, gid int, f func() error) error {
	result := make(chan error)
	go func() {
		// Rights to files belong to a thread (setfsuid(2)). This thread ends with the goroutine, because it stays locked.
		runtime.LockOSThread()
		result <- withIDs(uid, gid, f)
	}()
	return <-result
}

func withIDs(uid, gid int, f func() error) error {
	// The library's Setgroups changes all threads.
	if _, _, errno := unix.RawSyscall(unix.SYS_SETGROUPS, 0, 0, 0); errno != 0 {
		return fmt.Errorf("drop root's groups: %w", errno)
	}
	_, _ = unix.SetfsgidRetGid(gid)
	_, _ = unix.SetfsuidRetUid(uid)
	// Neither reports an error; both return the previous ID.
	g, err := unix.SetfsgidRetGid(-1)
	if err != nil {
		return err
	}
	u, err := unix.SetfsuidRetUid(-1)
	if err != nil {
		return err
	}
	if u != uid || g != gid {
		return fmt.Errorf("assume the rights of user %d: %w", uid, unix.EPERM)
	}
	return f()
}
