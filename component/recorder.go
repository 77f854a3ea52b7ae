package component

import (
	"bytes"
	"encoding/xml"
	"errors"
	"io"

	"mellium.im/xmlstream"
)

// recorder is the stream as a handler behind the guard sees it:
// it reads one stanza from memory, and what it writes is kept.
type recorder struct {
	inner   []xml.Token
	written []xml.Token
	depth   int
}

var _ xmlstream.TokenReadEncoder = (*recorder)(nil)

// Token implements xml.TokenReader.
func (r *recorder) Token() (xml.Token, error) {
	if len(r.inner) == 0 {
		return nil, io.EOF
	}
	tok := r.inner[0]
	r.inner = r.inner[1:]
	return tok, nil
}

// EncodeToken implements xmlstream.TokenWriter.
func (r *recorder) EncodeToken(tok xml.Token) error {
	switch tok.(type) {
	case xml.StartElement:
		r.depth++
	case xml.EndElement:
		r.depth--
	}
	r.written = append(r.written, xml.CopyToken(tok))
	return nil
}

// Encode implements xmlstream.Encoder.
func (r *recorder) Encode(v any) error {
	b, err := xml.Marshal(v)
	if err != nil {
		return err
	}
	return r.copy(b)
}

// EncodeElement implements xmlstream.Encoder.
func (r *recorder) EncodeElement(v any, start xml.StartElement) error {
	var b bytes.Buffer
	if err := xml.NewEncoder(&b).EncodeElement(v, start); err != nil {
		return err
	}
	return r.copy(b.Bytes())
}

func (r *recorder) copy(b []byte) error {
	d := xml.NewDecoder(bytes.NewReader(b))
	for {
		tok, err := d.Token()
		if errors.Is(err, io.EOF) {
			return nil
		}
		if err != nil {
			return err
		}
		if err := r.EncodeToken(tok); err != nil {
			return err
		}
	}
}
