package view

import (
	"bytes"
	"encoding/json"
	"fmt"
)

// Writer writes JSON. It panics with what JSON doesn't have.
//
// Other than json.Marshal it leaves <, > and & as they are. Nothing of this service puts JSON into HTML, and no browser takes
// its answers for that (nosniff); but in six bytes each, a name of these makes an answer six times as large.
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

// Text writes JSON as it stands.
func (w *Writer) Text(s string) { _, _ = w.WriteString(s) } // a bytes.Buffer never fails

// Value writes v.
func (w *Writer) Value(v any) {
	if err := w.encoder.Encode(v); err != nil {
		panic(fmt.Errorf("view: marshal: %w", err))
	}
	w.Truncate(w.Len() - 1) // the line end of Encode's
}

// Open writes the object that v is, and leaves it open: further members and its brace are to follow.
func (w *Writer) Open(v any) {
	w.Value(v)
	w.Truncate(w.Len() - 1)
}

// Members writes the members of the object that v is, after a comma if something stands before them.
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
