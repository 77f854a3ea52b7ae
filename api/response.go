package api

import (
	"crypto/rand"
	"fmt"
	"net/http"
	"strconv"
	"strings"
	"time"

	"ppch/api/keys"
	"ppch/api/view"
)

// statusClientGone is logged if the client leaves before the answer; it is never sent.
// HTTP has no status for this; nginx logs the same number.
const statusClientGone = 499

// response is the answer to one request. Handlers and middleware write to it, and leave in it what the log and the metrics need.
type response struct {
	http.ResponseWriter
	conn      *clientConn // nil if requests share it
	requestID string
	route     string            // its template
	vars      map[string]string // the parts of the path that the template names, escaped
	grant     keys.Grant        // what the key allows
	request   *keys.Key         // the key that holds a place for the request; nil once that is given back

	ticketEnds time.Time // when the ticket of a stream expires, zero without one

	status    int // 0 until the answer begins
	bytes     int64
	streaming time.Time     // when an endless answer began, zero for all others
	waited    time.Duration // how long the answer was delayed because the client asked for that
	err       error
}

// WriteHeader records the status.
func (w *response) WriteHeader(status int) {
	if w.status == 0 {
		w.status = status
	}
	w.ResponseWriter.WriteHeader(status)
}

// Write records how much is sent.
func (w *response) Write(p []byte) (int, error) {
	if w.status == 0 {
		w.status = http.StatusOK
	}
	n, err := w.ResponseWriter.Write(p)
	w.bytes += int64(n)
	return n, err
}

// writeWhole writes the body of an answer of which nothing was sent yet, and to which nothing is added.
func (w *response) writeWhole(body []byte) (int, error) {
	if w.conn != nil {
		w.conn.gather.expect = true
		defer func() { w.conn.gather.expect = false }()
	}
	return w.Write(body)
}

// Unwrap lets http.ResponseController reach the connection.
func (w *response) Unwrap() http.ResponseWriter { return w.ResponseWriter }

// requestID returns the request id in the header of r if it is sane, or a new one.
func requestID(r *http.Request) string {
	if id := r.Header.Get("X-Request-Id"); saneRequestID(id) {
		return id
	}
	return rand.Text()
}

// saneRequestID reports whether an id of the client is short and has no character with a meaning in headers or logs.
func saneRequestID(id string) bool {
	foreign := func(r rune) bool {
		return (r < 'a' || r > 'z') && (r < 'A' || r > 'Z') && (r < '0' || r > '9') && r != '.' && r != '_' && r != '-'
	}
	return id != "" && len(id) <= 64 && !strings.ContainsFunc(id, foreign)
}

const mediaJSON = "application/json"

// writeJSON answers with v.
func writeJSON(w *response, status int, v any) error {
	return writeAs(w, status, mediaJSON, v)
}

// writeAs answers with v as JSON of the given media type.
// It marshals before it writes, so that a failure can still be told, and the length be given, which HEAD needs too.
func writeAs(w *response, status int, mediaType string, v any) error {
	return writeBytes(w, status, mediaType, append(view.Marshal(v), '\n')) // for people with curl
}

// writeBytes answers with a body.
func writeBytes(w *response, status int, mediaType string, body []byte) error {
	w.Header().Set("Content-Type", mediaType)
	w.Header().Set("Content-Length", strconv.Itoa(len(body)))
	w.WriteHeader(status)
	if _, err := w.writeWhole(body); err != nil {
		return fmt.Errorf("api: write: %w", err)
	}
	return nil
}
