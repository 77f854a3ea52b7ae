package api

import (
	"bytes"
	"encoding/json"
	"fmt"
	"net/http"
	"strconv"
	"sync"
	"sync/atomic"
	"time"

	"ppch/api/view"
)

const mediaJSON = "application/json"

// jsonWriter writes JSON. It panics with what JSON doesn't have.
//
// Other than json.Marshal it leaves <, > and & as they are. Nothing of this service puts JSON into HTML, and no browser takes
// its answers for that (nosniff); but in six bytes each, a name of these makes an answer six times as large.
type jsonWriter struct {
	bytes.Buffer
	encoder *json.Encoder
}

func newJSONWriter() *jsonWriter {
	w := &jsonWriter{}
	w.encoder = json.NewEncoder(&w.Buffer)
	w.encoder.SetEscapeHTML(false)
	return w
}

// text writes JSON as it stands.
func (w *jsonWriter) text(s string) { _, _ = w.WriteString(s) } // a bytes.Buffer never fails

// value writes v.
func (w *jsonWriter) value(v any) {
	if err := w.encoder.Encode(v); err != nil {
		panic(fmt.Errorf("api: marshal: %w", err))
	}
	w.Truncate(w.Len() - 1) // the line end of Encode's
}

// open writes the object that v is, and leaves it open: further members and its brace are to follow.
func (w *jsonWriter) open(v any) {
	w.value(v)
	w.Truncate(w.Len() - 1)
}

// members writes the members of the object that v is, after a comma if something stands before them.
func (w *jsonWriter) members(v any) {
	start := w.Len()
	w.value(v)
	object := w.Bytes()[start:]
	if start > 0 {
		object[0] = ','
	} else {
		copy(object, object[1:])
		w.Truncate(w.Len() - 1)
	}
	w.Truncate(w.Len() - 1)
}

func (w *jsonWriter) comma(needed bool) {
	if needed {
		w.text(",")
	}
}

// marshal returns v as JSON.
func marshal(v any) []byte {
	w := newJSONWriter()
	w.value(v)
	return w.Bytes()
}

// writeJSON answers with v.
func writeJSON(w http.ResponseWriter, status int, v any) error {
	return writeAs(w, status, mediaJSON, v)
}

// writeAs answers with v as JSON of the given media type.
// It marshals before it writes, so that a failure can still be told, and the length be given, which HEAD needs too.
func writeAs(w http.ResponseWriter, status int, mediaType string, v any) error {
	return writeBytes(w, status, mediaType, append(marshal(v), '\n')) // for people with curl
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

// timestampOf returns t as text.
// Most answers, and most rooms of a list, were last known to be true at the same time, so that the last one is kept.
func timestampOf(t time.Time) string {
	if last := lastTimestamp.Load(); last != nil && last.at.Equal(t) {
		return last.text
	}
	now := &instant{t, t.UTC().Format(view.Timestamp)}
	lastTimestamp.Store(now)
	return now.text
}

type instant struct {
	at   time.Time
	text string
}

var lastTimestamp atomic.Pointer[instant]

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
