package api

import (
	"context"
	"fmt"
	"net"
	"net/http"
	"runtime/debug"
	"time"
)

// streamConn is a TCP connection that an event stream has taken over from net/http, as the last response on it.
//
// net/http would keep its buffers, and the stack that has read the request, for as long as the stream lasts:
// a stream would take 23 instead of 10 kB (BenchmarkStreams). It has written the header. A streamConn writes the body,
// in chunks (RFC 9112 §7.1) unless the client uses HTTP/1.0.
//
// As a http.ResponseWriter it is for one goroutine.
type streamConn struct {
	conn    *clientConn
	tcp     *net.TCPConn
	chunked bool
	leave   context.CancelFunc // ends the context of the request

	chunk  net.Buffers // what the next Flush sends, after a place for its size
	size   int
	failed bool // whether a write has failed
}

// endTimeout is how long the last chunk may take.
const endTimeout = time.Second

// serveStream writes the header of w and runs its stream. It returns when the stream ends, or at once if the stream takes over the connection.
func (s *Server) serveStream(w *response, r *http.Request) {
	tcp := ownTCP(w, r)
	if tcp != nil {
		w.Header().Set("Connection", "close")
	}
	w.WriteHeader(http.StatusOK)
	w.streaming = time.Now()
	if tcp != nil {
		s.takeOver(w, r, tcp)
		return
	}
	if !runStream(w, r) {
		panic(http.ErrAbortHandler)
	}
}

// ownTCP returns the connection of r that its stream can take over, or nil. HTTP/2 has other streams on it, and TLS needs net/http to end well.
func ownTCP(w *response, r *http.Request) *net.TCPConn {
	if w.conn == nil || r.TLS != nil || r.Method == http.MethodHead {
		return nil
	}
	tcp, _ := w.conn.duplex.(*net.TCPConn)
	return tcp
}

// takeOver runs the stream of w in a goroutine of its own, at whose end w is logged and counted.
func (s *Server) takeOver(w *response, r *http.Request, tcp *net.TCPConn) {
	s.streams.Add(1) // before Hijack, because from then on net/http doesn't wait for this function either
	defer s.streams.Done()
	ctx, leave := context.WithCancel(context.WithoutCancel(r.Context()))
	c := &streamConn{conn: w.conn, tcp: tcp, chunked: r.ProtoAtLeast(1, 1), leave: leave}
	_, _, err := http.NewResponseController(w).Hijack()
	w.ResponseWriter, w.taken = c, true
	if err != nil {
		c.fail() // so that the stream ends at once
	}
	r = r.WithContext(ctx)
	s.streams.Go(c.watch)
	s.streams.Go(func() {
		if runStream(w, r) {
			c.end()
		}
		c.close()
		s.gate.forget(c.conn)
		s.finish(w, r)
	})
}

// runStream runs the stream of w and keeps its error for the log. After a panic it returns false: then the answer must not look like a whole one.
func runStream(w *response, r *http.Request) (whole bool) {
	defer func() {
		if v := recover(); v != nil {
			w.err = &panicError{value: v, stack: string(debug.Stack())}
		}
	}()
	w.err = w.stream(r)
	return true
}

// watch waits until the client leaves. After input, which a client has no reason to send, only writes notice that it has left.
func (c *streamConn) watch() {
	var next [1]byte
	if _, err := c.tcp.Read(next[:]); err != nil {
		c.leave()
	}
}

// Header returns an empty header: that of the response has been sent.
func (c *streamConn) Header() http.Header { return http.Header{} }

// WriteHeader does nothing.
func (c *streamConn) WriteHeader(int) {}

// Write adds p to the next chunk. Until Flush it keeps p, which must not change.
func (c *streamConn) Write(p []byte) (int, error) {
	if c.chunk == nil {
		c.chunk = net.Buffers{nil}
	}
	c.chunk, c.size = append(c.chunk, p), c.size+len(p)
	return len(p), nil
}

// FlushError sends what was written, with one system call.
func (c *streamConn) FlushError() error {
	chunk, size := c.chunk, c.size
	c.chunk, c.size = nil, 0
	if size == 0 {
		return nil // a chunk without data would be the last
	}
	if c.chunked {
		chunk[0] = fmt.Appendf(nil, "%x\r\n", size)
		chunk = append(chunk, []byte("\r\n"))
	}
	_, err := chunk.WriteTo(c.tcp)
	if err != nil {
		c.fail()
	}
	return err
}

// SetWriteDeadline sets when writes give up.
func (c *streamConn) SetWriteDeadline(t time.Time) error { return c.tcp.SetWriteDeadline(t) }

// fail notes that the client doesn't get the whole body.
func (c *streamConn) fail() {
	c.failed = true
	c.leave()
}

// end sends the end of the body.
func (c *streamConn) end() {
	if c.chunked && !c.failed {
		_ = c.tcp.SetWriteDeadline(time.Now().Add(endTimeout)) // errors would change nothing: close follows
		_, _ = c.tcp.Write([]byte("0\r\n\r\n"))
	}
}

// close closes the connection, which ends watch.
func (c *streamConn) close() {
	c.leave()
	_ = c.tcp.Close() // an error would change nothing
}
