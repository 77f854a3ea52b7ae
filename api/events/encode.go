package events

import (
	"bytes"

	"ppch/api/view"
)

// encode returns an event as in the HTML standard, section 9.2 (Server-sent events); id may be empty.
// JSON has no line ends, so free text stays within its line.
func encode(id, name string, doc any) []byte {
	data := view.Marshal(doc)
	var b bytes.Buffer
	b.Grow(len(data) + len(id) + len(name) + 24)
	if id != "" {
		b.WriteString("id: " + id + "\n")
	}
	b.WriteString("event: " + name + "\ndata: ")
	b.Write(data)
	b.WriteString("\n\n")
	return b.Bytes()
}
