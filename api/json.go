package api

import (
	"encoding/json"
	"fmt"
	"net/http"
	"strconv"
	"sync"
	"sync/atomic"
	"time"
)

const mediaJSON = "application/json"

// writeJSON answers with v.
func writeJSON(w http.ResponseWriter, status int, v any) error {
	return writeAs(w, status, mediaJSON, v)
}

// writeAs answers with v as JSON of the given media type.
// It marshals before it writes, so that a failure can still be told, and the length be given, which HEAD needs too.
func writeAs(w http.ResponseWriter, status int, mediaType string, v any) error {
	body, err := json.Marshal(v)
	if err != nil {
		return fmt.Errorf("api: marshal: %w", err)
	}
	return writeBytes(w, status, mediaType, append(body, '\n')) // for people with curl
}

// writeBytes answers with a body.
func writeBytes(w http.ResponseWriter, status int, mediaType string, body []byte) error {
	x := exchangeOf(w)
	x.setHeader("Content-Type", mediaType)
	x.setHeader("Content-Length", strconv.Itoa(len(body)))
	x.WriteHeader(status)
	if _, err := x.writeWhole(body); err != nil {
		return fmt.Errorf("api: write: %w", err)
	}
	return nil
}

// timestamp is RFC 3339 in UTC with milliseconds, always as many, so that timestamps sort as text.
const timestamp = "2006-01-02T15:04:05.000Z"

// timestampOf returns t as text.
// Most answers, and most rooms of a list, were last known to be true at the same time, so that the last one is kept.
func timestampOf(t time.Time) string {
	if last := lastTimestamp.Load(); last != nil && last.at.Equal(t) {
		return last.text
	}
	now := &instant{t, t.UTC().Format(timestamp)}
	lastTimestamp.Store(now)
	return now.text
}

type instant struct {
	at   time.Time
	text string
}

var lastTimestamp atomic.Pointer[instant]

// stamp returns t for a document, nil (null) for the zero time.
func stamp(t time.Time) *string {
	if t.IsZero() {
		return nil
	}
	text := t.UTC().Format(timestamp)
	return &text
}

// orNull returns s for a document, nil (null) for the empty string.
func orNull(s string) *string {
	if s == "" {
		return nil
	}
	return &s
}

// buffers lends memory in which an answer grows, since most of what requests would leave behind is that.
var buffers bufferPool

// maxBuffer is what is worth keeping; few answers are larger.
const maxBuffer = 256 << 10

type bufferPool struct{ pool sync.Pool }

// get returns an empty buffer, to be put back once it is written.
func (p *bufferPool) get() *[]byte {
	if b, ok := p.pool.Get().(*[]byte); ok {
		*b = (*b)[:0]
		return b
	}
	return new(make([]byte, 0, 4<<10))
}

func (p *bufferPool) put(b *[]byte) {
	if cap(*b) <= maxBuffer {
		p.pool.Put(b)
	}
}
