package api

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"maps"
	"net/http"
	"regexp"
	"runtime/debug"
	"slices"
	"time"

	"github.com/rs/cors"
)

// handler answers a request within middleware.
type handler func(*response, *http.Request)

// wrap returns next inside of the middleware of every request, whether or not it matches a route.
func (s *Server) wrap(next handler) http.Handler {
	return s.logAndMeasure(securityHeaders(s.cors(s.cfg.Origins, s.recoverPanic(s.limitSize(next)))))
}

// The size limits of a request.
const (
	// maxURI is what RFC 9110 §4.1 asks servers to support at least.
	// The longest room name, 1023 bytes of three characters each once escaped, fits well.
	maxURI = 8000

	// maxBody is how much of an unread body net/http discards before it closes the connection instead.
	// No route takes a body; small ones are ignored, because some clients send "{}" with every request.
	maxBody = 256 << 10
)

// securityHeaders sets headers that handlers may replace.
func securityHeaders(next handler) handler {
	return func(w *response, r *http.Request) {
		maps.Copy(w.Header(), dataHeaders)
		next(w, r)
	}
}

// dataHeaders are for answers that are data: no browser should guess another type, render, frame or store them.
// All answers share the values, so a handler may replace them but never change them.
var dataHeaders = http.Header{
	"Cache-Control":                {"no-store"},
	"Content-Security-Policy":      {"default-src 'none'; frame-ancestors 'none'"},
	"Cross-Origin-Resource-Policy": {"same-origin"},
	"Referrer-Policy":              {"no-referrer"},
	"X-Content-Type-Options":       {"nosniff"},
	"X-Frame-Options":              {"DENY"},
}

// limitSize refuses requests that are larger than any honest one.
func (s *Server) limitSize(next handler) handler {
	return func(w *response, r *http.Request) {
		switch {
		case len(r.RequestURI) > maxURI:
			s.writeError(w, r, &problem{kind: kindURITooLong, detail: fmt.Sprintf("The request URI has more than %d bytes.", maxURI)})
		case r.ContentLength > maxBody:
			s.writeError(w, r, &problem{kind: kindBodyTooLarge, detail: "The body has more than 256 KiB: no request to this service needs one."})
		default:
			next(w, r)
		}
	}
}

// panicError is a panic of a handler as an error.
type panicError struct {
	value any
	stack string
}

func (e *panicError) Error() string { return fmt.Sprintf("api: panic: %v", e.value) }

// recoverPanic answers a panic with an internal error.
// If the answer has begun, it closes the connection: half an answer must not look like a whole one.
func (s *Server) recoverPanic(next handler) handler {
	return func(w *response, r *http.Request) {
		defer func() {
			v := recover()
			if v == nil {
				return
			}
			if err, ok := v.(error); ok && errors.Is(err, http.ErrAbortHandler) {
				w.err = cmp.Or(w.err, err)
				panic(v) // net/http closes the connection without a log record
			}
			begun := w.status != 0
			s.writeError(w, r, &panicError{value: v, stack: string(debug.Stack())})
			if begun {
				panic(http.ErrAbortHandler)
			}
		}()
		next(w, r)
	}
}

// preflight is the route in logs and metrics of a browser's question whether a page may send a request.
const preflight = "preflight"

// preflightAge is how many seconds a browser may cache the response. A removed origin can remain allowed for that long.
const preflightAge = 600

// cors lets pages of the given origins read answers and send the headers of this API (Fetch standard, CORS protocol).
//
// It allows no credentials of the browser: there are no cookies, and a page sends its key itself.
func (s *Server) cors(origins []string, next handler) handler {
	if len(origins) == 0 {
		return next
	}
	var methods []string
	for _, route := range s.routes() {
		methods = append(methods, route.methods()...)
	}
	slices.Sort(methods)
	rules := cors.New(cors.Options{
		// Exactly these: in AllowedOrigins a * would be a pattern.
		AllowOriginFunc: func(origin string) bool { return slices.Contains(origins, origin) },
		AllowedMethods:  slices.Compact(methods),
		AllowedHeaders:  []string{"X-API-Key", "Authorization", "If-None-Match", "Last-Event-ID", "X-Request-ID"},
		ExposedHeaders:  []string{"Content-Disposition", "ETag", "Link", "PPCH-As-Of", "PPCH-Unanswered", "RateLimit", "RateLimit-Policy", "Retry-After", "X-Request-ID"},
		MaxAge:          preflightAge,
	})
	return func(w *response, r *http.Request) {
		rules.HandlerFunc(w, r)
		if r.Method == http.MethodOptions && r.Header.Get("Access-Control-Request-Method") != "" {
			w.route = preflight // which it has answered
			return
		}
		next(w, r)
	}
}

// logAndMeasure makes the response of each request, and logs and counts it when the handler ends, also by a panic.
func (s *Server) logAndMeasure(next handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		resp := &response{ResponseWriter: w, conn: connOf(r), began: time.Now(), requestID: requestID(r), route: unmatched}
		defer func() {
			if !resp.taken {
				s.finish(resp, r)
			}
		}()
		resp.Header().Set("X-Request-Id", resp.requestID)
		next(resp, r)
		if resp.stream != nil {
			s.serveStream(resp, r)
		}
	})
}

// finish logs and counts a response that has ended.
func (s *Server) finish(w *response, r *http.Request) {
	took := time.Since(w.began)
	s.logRequest(r, w, took)
	if !w.streaming.IsZero() {
		took = w.streaming.Sub(w.began) // its length says nothing about the service
	}
	s.traffic.observe(w.route, r.Method, w.status, took-w.waited)
}

// logRequest writes the one log record of a request.
// Successes are at Debug, because clients poll; of failures it logs a sample.
// The path names a room, so it is logged at Debug only. Of the key it logs the name.
func (s *Server) logRequest(r *http.Request, w *response, took time.Duration) {
	level := slog.LevelInfo
	switch {
	case w.status != 0 && w.status < http.StatusBadRequest && w.err == nil:
		level = slog.LevelDebug
	case w.status == http.StatusInternalServerError:
		level = slog.LevelError
	}
	if !s.cfg.Log.Enabled(r.Context(), level) || level > slog.LevelDebug && !s.refusals.allows(r.RemoteAddr, w.reason()) {
		return
	}
	ctx := context.WithoutCancel(r.Context())
	attrs := []slog.Attr{
		slog.String("request_id", w.requestID),
		slog.String("method", r.Method),
		slog.String("route", w.route),
		slog.Int("status", w.status),
		slog.Int64("bytes", w.bytes),
		slog.Duration("duration", took),
		slog.String("remote", r.RemoteAddr),
	}
	if w.grant.Key != nil {
		attrs = append(attrs, slog.String("key", w.grant.Key.Name()))
	}
	if s.cfg.Log.Enabled(ctx, slog.LevelDebug) {
		path := r.URL.EscapedPath()
		if shareToken.MatchString(r.URL.Path) { // the token itself can be encoded
			path = shareToken.ReplaceAllString(r.URL.Path, "…")
		}
		attrs = append(attrs, slog.String("path", path))
	}
	if w.err != nil {
		attrs = append(attrs, slog.Any("err", w.err))
	}
	if p := (*panicError)(nil); errors.As(w.err, &p) {
		level = slog.LevelError
		attrs = append(attrs, slog.String("stack", p.stack))
	}
	s.cfg.Log.LogAttrs(ctx, level, "request answered", attrs...)
}

// shareToken is the token of a share link in a path, wherever that leads. It is a secret.
var shareToken = regexp.MustCompile(`pps_[0-9A-Za-z]+`)

// reason returns why a request failed, in a word. Internal errors differ by route.
func (w *response) reason() string {
	panicked := new(*panicError)
	code := problemFor(w.err).kind.code
	switch {
	case w.status == statusClientGone:
		return "client-gone"
	case w.status < http.StatusBadRequest && !errors.As(w.err, panicked):
		return "not-sent"
	case code == kindInternal.code:
		return code + " " + w.route
	}
	return code
}
