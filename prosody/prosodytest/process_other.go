//go:build unix && !linux

package prosodytest

import "syscall"

// procAttr gives the child its own process group. Only Linux also kills it with
// its parent; elsewhere Close must be called.
func procAttr() *syscall.SysProcAttr {
	return &syscall.SysProcAttr{Setpgid: true}
}
