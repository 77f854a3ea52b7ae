package stream

import (
	"bytes"
	"encoding/xml"
	"errors"
	"io"

	"mellium.im/xmlstream"
)

// buffer is the stream for a handler: it reads one stanza from memory and keeps what the handler writes.
type buffer struct {
	inner   []xml.Token
	written []xml.Token
	depth   int
}

var _ xmlstream.TokenReadEncoder = (*buffer)(nil)

// Token implements xml.TokenReader.
func (b *buffer) Token() (xml.Token, error) {
	if len(b.inner) == 0 {
		return nil, io.EOF
	}
	tok := b.inner[0]
	b.inner = b.inner[1:]
	return tok, nil
}

// EncodeToken implements xmlstream.TokenWriter.
func (b *buffer) EncodeToken(tok xml.Token) error {
	switch tok.(type) {
	case xml.StartElement:
		b.depth++
	case xml.EndElement:
		b.depth--
	}
	b.written = append(b.written, xml.CopyToken(tok))
	return nil
}

// Encode implements xmlstream.Encoder.
func (b *buffer) Encode(v any) error {
	x, err := xml.Marshal(v)
	if err != nil {
		return err
	}
	return b.copy(x)
}

// EncodeElement implements xmlstream.Encoder.
func (b *buffer) EncodeElement(v any, start xml.StartElement) error {
	var x bytes.Buffer
	if err := xml.NewEncoder(&x).EncodeElement(v, start); err != nil {
		return err
	}
	return b.copy(x.Bytes())
}

func (b *buffer) copy(x []byte) error {
	d := xml.NewDecoder(bytes.NewReader(x))
	for {
		tok, err := d.Token()
		if errors.Is(err, io.EOF) {
			return nil
		}
		if err != nil {
			return err
		}
		if err := b.EncodeToken(tok); err != nil {
			return err
		}
	}
}
