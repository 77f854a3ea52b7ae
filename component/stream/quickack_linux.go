package stream

import "syscall"

// quickAck makes the kernel acknowledge received data at once instead of up to 40 ms later.
// The option is not permanent (tcp(7), TCP_QUICKACK), so set it after each Read. A failure is harmless.
func quickAck(c syscall.RawConn) {
	_ = c.Control(func(fd uintptr) {
		_ = syscall.SetsockoptInt(int(fd), syscall.IPPROTO_TCP, syscall.TCP_QUICKACK, 1)
	})
}
