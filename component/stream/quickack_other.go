//go:build !linux

package stream

import "syscall"

// quickAck does nothing: only Linux has TCP_QUICKACK.
func quickAck(syscall.RawConn) {}
