//go:build !linux

package stream

import "syscall"

// quickAck does nothing where there is no way to.
func quickAck(syscall.RawConn) {}
