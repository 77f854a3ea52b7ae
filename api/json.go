package api

import (
	"fmt"
	"strconv"
	"sync"

	"ppch/api/view"
)

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

// buffers lends memory in which an answer grows, since most of what requests would leave behind is that.
var buffers bufferPool

// maxBuffer is what is worth keeping; no answer grows in more than that.
const maxBuffer = maxWhole + maxChunk

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
