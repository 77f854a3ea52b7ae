package prosodytest

import (
	"encoding/xml"
	"fmt"
	"strings"
)

// Stanza is an element received on a stream. The caller may keep it.
type Stanza struct {
	Name, From, To, ID, Type string

	// XML is the whole element as received.
	XML string
}

// parseStanza parses only the start tag; the rest is parsed on demand.
func parseStanza(raw string) Stanza {
	st := Stanza{XML: raw}
	d := xml.NewDecoder(strings.NewReader(raw))
	tok, err := d.RawToken()
	start, ok := tok.(xml.StartElement)
	if err != nil || !ok {
		return st
	}
	st.Name = start.Name.Local
	for _, a := range start.Attr {
		if a.Name.Space != "" {
			continue
		}
		switch a.Name.Local {
		case "from":
			st.From = a.Value
		case "to":
			st.To = a.Value
		case "id":
			st.ID = a.Value
		case "type":
			st.Type = a.Value
		}
	}
	return st
}

// Has reports whether the raw XML contains text. Prosody writes attributes in
// single quotes and in no fixed order, so search for one attribute at a time.
func (st Stanza) Has(text string) bool { return strings.Contains(st.XML, text) }

// HasStatus reports whether a presence or message has a MUC status code (XEP-0045, 15.6).
func (st Stanza) HasStatus(code int) bool {
	for _, status := range st.muc().Status {
		if status.Code == code {
			return true
		}
	}
	return false
}

// Item is a MUC's data of one occupant.
type Item struct {
	JID         string `xml:"jid,attr"` // real full JID, if visible to the receiver
	Nick        string `xml:"nick,attr"`
	Role        string `xml:"role,attr"`
	Affiliation string `xml:"affiliation,attr"`
	Reason      string `xml:"reason"`
}

// Item returns the MUC item of a presence, or a zero one.
func (st Stanza) Item() Item { return st.muc().Item }

type mucUser struct {
	Item   Item `xml:"item"`
	Status []struct {
		Code int `xml:"code,attr"`
	} `xml:"status"`
	Destroy *struct {
		Reason string `xml:"reason"`
	} `xml:"destroy"`
}

func (st Stanza) muc() mucUser {
	var p struct {
		X mucUser `xml:"http://jabber.org/protocol/muc#user x"`
	}
	_ = st.Decode(&p) // an invalid stanza has no item
	return p.X
}

// Decode unmarshals the element into v with encoding/xml.
func (st Stanza) Decode(v any) error {
	if err := xml.Unmarshal([]byte(st.XML), v); err != nil {
		return fmt.Errorf("prosodytest: decode a stanza: %w", err)
	}
	return nil
}

// Err returns a *StanzaError if the stanza is of type error, otherwise nil.
func (st Stanza) Err() error {
	if st.Type != "error" {
		return nil
	}
	e := &StanzaError{Stanza: st}
	var body struct {
		Error struct {
			Type       string      `xml:"type,attr"`
			Conditions []condition `xml:",any"`
		} `xml:"error"`
	}
	if st.Decode(&body) == nil {
		e.Type = body.Error.Type
		e.Condition, e.Text = conditions(body.Error.Conditions)
	}
	return e
}

// StanzaError is an error stanza, such as the answer to a refused join.
type StanzaError struct {
	Type      string // "auth", "cancel", "modify", "wait"
	Condition string // "forbidden", "item-not-found", …
	Text      string // for people; may be empty
	Stanza    Stanza
}

// Error begins with the condition, which tests compare.
func (e *StanzaError) Error() string {
	return strings.TrimSuffix(fmt.Sprintf("%s (%s) from %s: %s", e.Condition, e.Type, e.Stanza.From, e.Text), ": ")
}

// StreamError is a stream error from Prosody, which ends the stream.
type StreamError struct{ Stanza Stanza }

// Condition returns the error's condition, such as "conflict" or "invalid-from".
func (e *StreamError) Condition() string {
	var body struct {
		Conditions []condition `xml:",any"`
	}
	// The prefix "stream" is declared in the stream header, outside the element.
	raw := strings.ReplaceAll(strings.ReplaceAll(e.Stanza.XML, "<stream:", "<"), "</stream:", "</")
	if xml.Unmarshal([]byte(raw), &body) != nil {
		return ""
	}
	name, _ := conditions(body.Conditions)
	return name
}

// Error names the condition.
func (e *StreamError) Error() string { return "stream error: " + e.Condition() }

type condition struct {
	XMLName xml.Name
	Text    string `xml:",chardata"`
}

func conditions(all []condition) (name, text string) {
	for _, c := range all {
		switch {
		case c.XMLName.Local == "text":
			text = c.Text
		case name == "":
			name = c.XMLName.Local
		}
	}
	return name, text
}

// Escape escapes text for XML, including quoted attributes.
func Escape(text string) string {
	var b strings.Builder
	_ = xml.EscapeText(&b, []byte(text)) // a strings.Builder never fails
	return b.String()
}
