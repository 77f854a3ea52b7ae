package stream

import "syscall"

// quickAck has the kernel acknowledge what was read at once, instead of within 40 ms along with what we may send.
// The kernel forgets the wish (tcp(7), TCP_QUICKACK), so it is made after each Read. That it fails harms nothing.
func quickAck(c syscall.RawConn) {
	_ = c.Control(func(fd uintptr) {
		_ = syscall.SetsockoptInt(int(fd), syscall.IPPROTO_TCP, syscall.TCP_QUICKACK, 1)
	})
}
