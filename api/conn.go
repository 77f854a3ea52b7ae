package api

import (
	"context"
	"crypto/tls"
	"net"
	"net/http"
	"net/netip"
	"sync/atomic"
)

// gateListener accepts the connections that the gate admits.
type gateListener struct {
	net.Listener
	gate *gate
}

// Accept waits for the next connection that is admitted.
func (l gateListener) Accept() (net.Conn, error) {
	for {
		accepted, err := l.Listener.Accept()
		tcp, ok := accepted.(*net.TCPConn)
		if !ok {
			return accepted, err
		}
		c := newClientConn(tcp)
		if l.gate.admit(c) {
			return c, nil
		}
		_ = tcp.Close() // an error would change nothing
	}
}

// duplex is a connection whose sending side can be closed. After an early error net/http does only that, so that its answer arrives.
type duplex interface {
	net.Conn
	CloseWrite() error
}

// clientConn is a connection of a client, without TLS. Beside the connection it holds what the gate knows of it.
type clientConn struct {
	duplex
	gather gatherer

	from   netip.Prefix // the address by which it is limited
	state  atomic.Int64 // since when it is busy or idle, and which, see turn
	hasKey atomic.Bool  // whether a valid key was sent on it
}

func newClientConn(c duplex) *clientConn {
	return &clientConn{duplex: c, gather: gatherer{to: c}}
}

// Write sends p.
func (c *clientConn) Write(p []byte) (int, error) { return c.gather.Write(p) }

// connKey is the context key of a request's connection.
type connKey struct{}

// withConn is the ConnContext hook of the http.Server.
func withConn(ctx context.Context, c net.Conn) context.Context {
	return context.WithValue(ctx, connKey{}, clientConnOf(c))
}

// clientConnOf returns the connection beneath c, or nil if it is not one of a gateListener.
func clientConnOf(c net.Conn) *clientConn {
	if encrypted, ok := c.(*tls.Conn); ok {
		c = encrypted.NetConn()
	}
	own, _ := c.(*clientConn)
	return own
}

// sharedConnOf returns the connection of r, or nil if it has none of ours. With HTTP/2 several requests share it.
func sharedConnOf(r *http.Request) *clientConn {
	c, _ := r.Context().Value(connKey{}).(*clientConn)
	return c
}

// connOf returns the connection that r has to itself until it is answered, or nil.
func connOf(r *http.Request) *clientConn {
	if r.ProtoMajor != 1 {
		return nil
	}
	return sharedConnOf(r)
}
