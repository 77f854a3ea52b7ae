package stream

import (
	"net"
	"testing"

	"golang.org/x/sys/unix"
)

// What was read is acknowledged by the time it is here: else Nagle's algorithm on Prosody's side keeps back what follows.
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
		// Who answers a question now and then, as the component does, is taken for one whose acknowledgements can wait for answers.
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
		t.Errorf("got %d of %d batches that were read and not acknowledged", open, batches)
	}
}
