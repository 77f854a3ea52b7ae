//go:build unix && !linux

package prosodytest

import "syscall"

// procAttr gives the child its own process group. Only Linux can also tie its
// life to ours; elsewhere Close must be reached.
func procAttr() *syscall.SysProcAttr {
	return &syscall.SysProcAttr{Setpgid: true}
}
