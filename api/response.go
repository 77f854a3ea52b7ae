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

// statusClientGone is logged if the client leaves before the response; it is never sent.
// HTTP has no status for this; nginx logs the same number.
const statusClientGone = 499

// response is the response to one request. Handlers and middleware write to it, and store in it what the log and the metrics need.
type response struct {
	http.ResponseWriter
	conn      *clientConn // nil if requests share it
	began     time.Time
	requestID string
	route     string            // its template
	vars      map[string]string // the parts of the path that the template names, escaped
	grant     keys.Grant        // what the key allows
	request   *keys.Key         // the key that holds a place for the request; nil once that is given back

	shard string // in its parameter; empty for all

	ticketEnds time.Time // when the ticket of a stream expires, zero without one

	status    int // 0 until the answer begins
	bytes     int64
	stream    func(*http.Request) error // runs an event stream, see startStream; nil for other responses
	streaming time.Time                 // when the stream began
	taken     bool                      // whether the stream has taken over the connection, see streamConn
	waited    time.Duration             // how long the client had the response wait for a change
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
	n, err := w.ResponseWriter.Write(p) // #nosec G705 -- each handler sets a media type, and nosniff keeps browsers from guessing another
	w.bytes += int64(n)
	return n, err
}

// writeWhole writes the whole body of a response, before anything else of it was sent.
func (w *response) writeWhole(body []byte) (int, error) {
	if w.conn != nil {
		w.conn.gather.expect = true
		defer func() { w.conn.gather.expect = false }()
	}
	return w.Write(body)
}

// Unwrap lets http.ResponseController reach the connection.
func (w *response) Unwrap() http.ResponseWriter { return w.ResponseWriter }

// requestID returns the request id in the header of r if it is valid, otherwise a new one.
func requestID(r *http.Request) string {
	if id := r.Header.Get("X-Request-Id"); validRequestID(id) {
		return id
	}
	return rand.Text()
}

// validRequestID reports whether a client's id is short and has no special characters of headers or logs.
func validRequestID(id string) bool {
	foreign := func(r rune) bool {
		return (r < 'a' || r > 'z') && (r < 'A' || r > 'Z') && (r < '0' || r > '9') && r != '.' && r != '_' && r != '-'
	}
	return id != "" && len(id) <= 64 && !strings.ContainsFunc(id, foreign)
}

const (
	mediaJSON = "application/json"
	mediaSVG  = "image/svg+xml"
)

// writeJSON answers with v.
func writeJSON(w *response, status int, v any) error {
	return writeAs(w, status, mediaJSON, v)
}

// writeAs answers with v as JSON of the given media type.
// It marshals before it writes, so that it can still report a failure, and send the length, also for HEAD.
func writeAs(w *response, status int, mediaType string, v any) error {
	return writeBytes(w, status, mediaType, append(view.Marshal(v), '\n')) // for people who use curl
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
