package main

import (
	"net"
	"os"
	"syscall"
	"testing"
	"time"
)

// swallows returns an address that neither accepts nor refuses connections.
func swallows(t *testing.T) string {
	t.Helper()
	fd := must(socketWithoutRoom())(t)
	t.Cleanup(func() { _ = fd.Close() })
	l := must(net.FileListener(fd))(t)
	t.Cleanup(func() { _ = l.Close() })
	for range 3 { // nothing accepts, so these fill the queue
		c, err := net.DialTimeout("tcp", l.Addr().String(), 200*time.Millisecond)
		if err != nil {
			break
		}
		t.Cleanup(func() { _ = c.Close() })
	}
	return l.Addr().String()
}

// socketWithoutRoom listens on a free loopback port with a queue for one connection.
func socketWithoutRoom() (*os.File, error) {
	fd, err := syscall.Socket(syscall.AF_INET, syscall.SOCK_STREAM, 0)
	if err != nil {
		return nil, err
	}
	f := os.NewFile(uintptr(fd), "listener")
	if err = syscall.Bind(fd, &syscall.SockaddrInet4{Addr: [4]byte{127, 0, 0, 1}}); err == nil {
		err = syscall.Listen(fd, 0)
	}
	return f, err
}
