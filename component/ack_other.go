//go:build !linux

package component

import "syscall"

// acknowledge does nothing where there is no way to.
func acknowledge(syscall.RawConn) {}
