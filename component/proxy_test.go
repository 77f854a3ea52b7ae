package component_test

import (
	"io"
	"net"
	"sync"
	"sync/atomic"
	"testing"
)

// proxy is a network between the component and Prosody that can be cut without either end being told.
type proxy struct {
	listener net.Listener
	cut      atomic.Bool

	mu    sync.Mutex
	conns []net.Conn
}

func newProxy(t *testing.T, to string) *proxy {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	p := &proxy{listener: l}
	var running sync.WaitGroup
	t.Cleanup(func() {
		l.Close()
		p.mu.Lock()
		for _, c := range p.conns {
			c.Close()
		}
		p.mu.Unlock()
		running.Wait()
	})
	running.Go(func() {
		for {
			from, err := l.Accept()
			if err != nil {
				return
			}
			into, err := net.Dial("tcp", to)
			if err != nil {
				from.Close()
				continue
			}
			p.mu.Lock()
			p.conns = append(p.conns, from, into)
			p.mu.Unlock()
			// A cut lasts for the connections of its time; those that come later get through.
			lost := new(atomic.Bool)
			running.Go(func() { p.copy(into, from, lost) })
			running.Go(func() { p.copy(from, into, lost) })
		}
	})
	return p
}

// copy forwards until the connection ends; what comes during and after a cut is swallowed.
func (p *proxy) copy(to io.WriteCloser, from io.Reader, lost *atomic.Bool) {
	buf := make([]byte, 4096)
	for {
		n, err := from.Read(buf)
		if p.cut.Load() {
			lost.Store(true)
		}
		if lost.Load() {
			if err != nil {
				return // the other end isn't told either
			}
			continue
		}
		if _, werr := to.Write(buf[:n]); err != nil || werr != nil {
			to.Close()
			return
		}
	}
}
