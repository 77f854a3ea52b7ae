package view

import (
	"bytes"
	"encoding/json"
	"fmt"
)

// Writer writes JSON. It panics with a value that JSON can't represent.
//
// Unlike json.Marshal it does not escape <, > and &, because six bytes for each would make hostile names six times as large.
// The service never puts JSON into HTML, and nosniff keeps browsers from rendering its responses as HTML.
type Writer struct {
	bytes.Buffer
	encoder *json.Encoder
}

// NewWriter returns an empty Writer.
func NewWriter() *Writer {
	w := &Writer{}
	w.encoder = json.NewEncoder(&w.Buffer)
	w.encoder.SetEscapeHTML(false)
	return w
}

// Text writes JSON unchanged.
func (w *Writer) Text(s string) { _, _ = w.WriteString(s) } // a bytes.Buffer never fails

// Value writes v.
func (w *Writer) Value(v any) {
	if err := w.encoder.Encode(v); err != nil {
		panic(fmt.Errorf("view: marshal: %w", err))
	}
	w.Truncate(w.Len() - 1) // the line break of Encode
}

// Open writes v as an object without its closing brace. The caller writes further members and the brace.
func (w *Writer) Open(v any) {
	w.Value(v)
	w.Truncate(w.Len() - 1)
}

// Members writes the members of v as an object, after a comma if others precede them.
func (w *Writer) Members(v any) {
	start := w.Len()
	w.Value(v)
	object := w.Bytes()[start:]
	if start > 0 {
		object[0] = ','
	} else {
		copy(object, object[1:])
		w.Truncate(w.Len() - 1)
	}
	w.Truncate(w.Len() - 1)
}

// Comma writes a comma if it is needed.
func (w *Writer) Comma(needed bool) {
	if needed {
		w.Text(",")
	}
}

// Marshal returns v as JSON.
func Marshal(v any) []byte {
	w := NewWriter()
	w.Value(v)
	return w.Bytes()
}
