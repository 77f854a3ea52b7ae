package api

import (
	"context"
	"crypto/rand"
	"errors"
	"log/slog"
	"net/http"
	"strings"
	"time"

	"ppch/api/keys"
)

// statusClientGone is what the log says where the client left before the answer; it is never sent.
// There is no status for this; the number is the one that nginx logs.
const statusClientGone = 499

// exchange is one request while it is answered.
// It is the ResponseWriter too, for only so can the status be known.
type exchange struct {
	http.ResponseWriter
	conn      *clientConn // nil where requests share it
	requestID string
	route     string     // the template of the route
	grant     keys.Grant // what the key allows
	request   *keys.Key  // the key that has a place for the request, nil once it was given back

	ticketEnds time.Time // when the ticket of a stream ends, zero without one

	status    int // 0 until the answer begins
	bytes     int64
	streaming time.Time     // when an answer without end began; zero for all others
	held      time.Duration // how long the answer was held back because the client wished that
	err       error
}

// exchangeOf returns the exchange that observe opened, which is what handlers write to.
// It isn't in the request's context, since that would cost each request a copy of the request.
func exchangeOf(w http.ResponseWriter) *exchange { return w.(*exchange) }

// WriteHeader notes the status.
func (x *exchange) WriteHeader(status int) {
	if x.status == 0 {
		x.status = status
	}
	x.ResponseWriter.WriteHeader(status)
}

// Write notes how much was sent.
func (x *exchange) Write(p []byte) (int, error) {
	if x.status == 0 {
		x.status = http.StatusOK
	}
	n, err := x.ResponseWriter.Write(p)
	x.bytes += int64(n)
	return n, err
}

// writeWhole writes the body of an answer of which nothing was sent yet, and to which nothing is added.
func (x *exchange) writeWhole(body []byte) (int, error) {
	if x.conn != nil {
		x.conn.gather.expect = true
		defer func() { x.conn.gather.expect = false }()
	}
	return x.Write(body)
}

// Unwrap lets http.ResponseController reach the connection.
func (x *exchange) Unwrap() http.ResponseWriter { return x.ResponseWriter }

// observe opens an exchange for each request, and counts and logs it when it ends, however it ends.
func (s *Server) observe(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		start := time.Now()
		x := &exchange{ResponseWriter: w, conn: connOf(r), requestID: requestID(r), route: unmatched}
		defer func() {
			took := time.Since(start)
			s.logExchange(r, x, took)
			if !x.streaming.IsZero() {
				took = x.streaming.Sub(start) // how long it went on says nothing about us
			}
			s.traffic.observe(x.route, r.Method, x.status, took-x.held)
		}()
		x.Header().Set("X-Request-Id", x.requestID)
		next.ServeHTTP(x, r)
	})
}

// logExchange writes the one record of a request, which holds everything that is to be said about it.
// What went well is told at Debug only, for clients poll; the log is for what didn't, and has a sample of that.
// The path names a room, thus it is told at Debug only; of the key only its name is told.
func (s *Server) logExchange(r *http.Request, x *exchange, took time.Duration) {
	level := slog.LevelInfo
	switch {
	case x.status != 0 && x.status < http.StatusBadRequest && x.err == nil:
		level = slog.LevelDebug
	case x.status == http.StatusInternalServerError:
		level = slog.LevelError
	}
	if !s.log.Enabled(r.Context(), level) || level > slog.LevelDebug && !s.refusals.takes(r.RemoteAddr, x.reason()) {
		return
	}
	ctx := context.WithoutCancel(r.Context())
	attrs := []slog.Attr{
		slog.String("request_id", x.requestID),
		slog.String("method", r.Method),
		slog.String("route", x.route),
		slog.Int("status", x.status),
		slog.Int64("bytes", x.bytes),
		slog.Duration("duration", took),
		slog.String("remote", r.RemoteAddr),
	}
	if x.grant.Key != nil {
		attrs = append(attrs, slog.String("key", x.grant.Key.Name()))
	}
	if s.log.Enabled(ctx, slog.LevelDebug) {
		attrs = append(attrs, slog.String("path", r.URL.EscapedPath()))
	}
	if x.err != nil {
		attrs = append(attrs, slog.Any("err", x.err))
	}
	if p := (*panicError)(nil); errors.As(x.err, &p) {
		level = slog.LevelError
		attrs = append(attrs, slog.String("stack", p.stack))
	}
	s.log.LogAttrs(ctx, level, "request answered", attrs...)
}

// reason returns why a request failed, in a word. What this service is to blame for is told apart by route.
func (x *exchange) reason() string {
	panicked := new(*panicError)
	code := problemFor(x.err).kind.code
	switch {
	case x.status == statusClientGone:
		return "client-gone"
	case x.status < http.StatusBadRequest && !errors.As(x.err, panicked):
		return "not-sent"
	case code == kindInternal.code:
		return code + " " + x.route
	}
	return code
}

// requestID returns the request id that r came with, if it is sane, or a new one.
func requestID(r *http.Request) string {
	if id := r.Header.Get("X-Request-Id"); saneRequestID(id) {
		return id
	}
	return rand.Text()
}

// saneRequestID reports whether a request id of the client's can be taken over:
// it is echoed in a header and written to logs, so it has no character that means anything there.
func saneRequestID(id string) bool {
	foreign := func(r rune) bool {
		return (r < 'a' || r > 'z') && (r < 'A' || r > 'Z') && (r < '0' || r > '9') && r != '.' && r != '_' && r != '-'
	}
	return id != "" && len(id) <= 64 && !strings.ContainsFunc(id, foreign)
}
