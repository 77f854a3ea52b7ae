package component

import "encoding/xml"

// What the tests of the wire look at.
type (
	Batch      = batch
	Subscribed = subscribed
)

// The payloads without content.
var (
	SubscribeStart   = subscribeStart
	UnsubscribeStart = xml.StartElement{Name: xml.Name{Space: Namespace, Local: "unsubscribe"}}
)

// DecodeBatch reads a batch from its start element on.
func DecodeBatch(t xml.TokenReader) (Batch, error) {
	for {
		tok, err := t.Token()
		if start, ok := tok.(xml.StartElement); ok {
			return decodeBatch(t, start)
		}
		if err != nil {
			return Batch{}, err
		}
	}
}
