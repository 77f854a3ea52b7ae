package stream

import (
	"net"
	"testing"

	"ppch/component/componenttest"

	"golang.org/x/sys/unix"
)

// Data is acknowledged once it is read: otherwise Nagle's algorithm holds back Prosody's next write.
func TestQuickAck_AcknowledgesAtOnce(t *testing.T) {
	l := componenttest.Must(net.Listen("tcp4", "127.0.0.1:0"))(t)
	defer l.Close()
	dialled := componenttest.Must(net.Dial("tcp4", l.Addr().String()))(t)
	defer dialled.Close()
	prosody := componenttest.Must(l.Accept())(t)
	defer prosody.Close()
	raw := componenttest.Must(prosody.(*net.TCPConn).SyscallConn())(t)
	c := newConn(dialled, writeTimeout)
	const batches = 200
	open := 0
	for range batches {
		// The kernel delays the acknowledgements of a connection that sometimes answers, as the component does.
		componenttest.Must(c.Write([]byte("?")))(t)
		for _, side := range []func([]byte) (int, error){prosody.Read, prosody.Write, c.Read} {
			componenttest.Must(side([]byte{'!'}))(t)
		}
		var info *unix.TCPInfo
		var err error
		componenttest.Check(t, raw.Control(func(fd uintptr) { info, err = unix.GetsockoptTCPInfo(int(fd), unix.IPPROTO_TCP, unix.TCP_INFO) }))
		componenttest.Check(t, err)
		if info.Unacked > 0 {
			open++
		}
	}
	// The kernel may be busy elsewhere for a moment.
	if open > batches/10 {
		t.Errorf("got %d of %d batches read but not acknowledged", open, batches)
	}
}
