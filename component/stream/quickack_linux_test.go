package stream

import (
	"net"
	"testing"

	"golang.org/x/sys/unix"
)

// Data is acknowledged once it is read: otherwise Nagle's algorithm holds back Prosody's next write.
func TestQuickAck_AcknowledgesAtOnce(t *testing.T) {
	l, err := net.Listen("tcp4", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	dialled, err := net.Dial("tcp4", l.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	defer dialled.Close()
	prosody, err := l.Accept()
	if err != nil {
		t.Fatal(err)
	}
	defer prosody.Close()
	raw, err := prosody.(*net.TCPConn).SyscallConn()
	if err != nil {
		t.Fatal(err)
	}
	c := newConn(dialled, writeTimeout)
	const batches = 200
	open := 0
	for range batches {
		// The kernel delays the acknowledgements of a connection that sometimes answers, as the component does.
		if _, err := c.Write([]byte("?")); err != nil {
			t.Fatal(err)
		}
		for _, side := range []func([]byte) (int, error){prosody.Read, prosody.Write, c.Read} {
			if _, err := side([]byte{'!'}); err != nil {
				t.Fatal(err)
			}
		}
		var info *unix.TCPInfo
		if err := raw.Control(func(fd uintptr) { info, err = unix.GetsockoptTCPInfo(int(fd), unix.IPPROTO_TCP, unix.TCP_INFO) }); err != nil || info == nil {
			t.Fatal(err)
		}
		if info.Unacked > 0 {
			open++
		}
	}
	// The kernel may be busy elsewhere for a moment.
	if open > batches/10 {
		t.Errorf("got %d of %d batches read but not acknowledged", open, batches)
	}
}
