package api

import (
	"cmp"
	"errors"
	"fmt"
	"maps"
	"net/http"
	"runtime/debug"
)

// What a request may weigh.
const (
	// maxURI is what RFC 9110 §4.1 asks servers to support at least.
	// The longest room name, 1023 bytes of three characters each once escaped, fits well.
	maxURI = 8000

	// maxBody is how much of a body that nobody reads net/http throws away before it closes the connection instead.
	// No route takes a body: a small one is ignored, since some clients send "{}" with everything.
	maxBody = 256 << 10
)

// secure sets the headers that every answer carries, unless a handler knows better.
func secure(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		maps.Copy(w.Header(), security)
		next.ServeHTTP(w, r)
	})
}

// security is the headers of an answer that is data: no browser should guess another type, render it, frame it or keep it.
// Every answer shares them, so what is different about one is replaced there, never changed.
var security = http.Header{
	"Cache-Control":                {"no-store"},
	"Content-Security-Policy":      {"default-src 'none'; frame-ancestors 'none'"},
	"Cross-Origin-Resource-Policy": {"same-origin"},
	"Referrer-Policy":              {"no-referrer"},
	"X-Content-Type-Options":       {"nosniff"},
	"X-Frame-Options":              {"DENY"},
}

// limit refuses what is larger than any honest request.
func (s *Server) limit(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		switch {
		case len(r.RequestURI) > maxURI:
			s.writeError(w, r, &problem{kind: kindURITooLong, detail: fmt.Sprintf("The request URI has more than %d bytes.", maxURI)})
		case r.ContentLength > maxBody:
			s.writeError(w, r, &problem{kind: kindBodyTooLarge, detail: "The body has more than 256 KiB: no request to this service needs one."})
		default:
			next.ServeHTTP(w, r)
		}
	})
}

// panicError is a panic of a handler as an error.
type panicError struct {
	value any
	stack string
}

func (e *panicError) Error() string { return fmt.Sprintf("api: panic: %v", e.value) }

// rescue makes an internal problem of a panic.
// If the answer has begun, the connection is cut: half an answer must not look like a whole one.
func (s *Server) rescue(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		defer func() {
			v := recover()
			if v == nil {
				return
			}
			if err, ok := v.(error); ok && errors.Is(err, http.ErrAbortHandler) {
				exchangeOf(w).err = cmp.Or(exchangeOf(w).err, err)
				panic(v) // net/http's own word for "cut the connection, quietly"
			}
			begun := exchangeOf(w).status != 0
			s.writeError(w, r, &panicError{value: v, stack: string(debug.Stack())})
			if begun {
				panic(http.ErrAbortHandler)
			}
		}()
		next.ServeHTTP(w, r)
	})
}
