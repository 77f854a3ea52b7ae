package adhoc

import (
	"encoding/xml"
	"errors"
	"io"
	"strings"

	"mellium.im/xmlstream"
	"mellium.im/xmpp/commands"
	"mellium.im/xmpp/form"
)

// Submission is a submitted form: the values of each field by its name. It need not match the form that was sent.
type Submission map[string][]string

// Value returns the first value of a field, trimmed, or an empty string.
func (s Submission) Value(field string) string {
	if len(s[field]) == 0 {
		return ""
	}
	return strings.TrimSpace(s[field][0])
}

// request is a <command/> as it came.
type request struct {
	node, session string
	action        string // never empty
	form          Submission
}

// parse reads the rest of a <command/>. Its error is an Error.
func parse(t xml.TokenReader, start xml.StartElement) (request, error) {
	r := request{action: "execute"}
	for _, a := range start.Attr {
		switch {
		case a.Name.Space != "":
		case a.Name.Local == "node":
			r.node = a.Value
		case a.Name.Local == "sessionid":
			r.session = a.Value
		case a.Name.Local == "action":
			r.action = a.Value
		}
	}
	switch r.action {
	case "execute", "next", "prev", "complete", "cancel":
	default:
		return r, errMalformedAction
	}
	children := xmlstream.NewIter(t)
	for children.Next() {
		child, inner := children.Current()
		if child == nil || child.Name != (xml.Name{Space: form.NS, Local: "x"}) {
			continue
		}
		if r.form != nil {
			return r, errBadForm // two forms
		}
		var err error
		if r.form, err = submission(inner, *child); err != nil {
			return r, errBadForm
		}
	}
	if err := children.Err(); err != nil && !errors.Is(err, io.EOF) {
		return r, errBadForm
	}
	return r, nil
}

// submission reads the rest of a submitted form (XEP-0004 §3.2).
func submission(t xml.TokenReader, start xml.StartElement) (Submission, error) {
	for _, a := range start.Attr {
		if a.Name.Space == "" && a.Name.Local == "type" && a.Value != string(form.TypeSubmit) {
			return nil, errBadForm
		}
	}
	var data form.Data
	d := xml.NewTokenDecoder(xmlstream.MultiReader(xmlstream.Token(start), t))
	if err := d.Decode(&data); err != nil {
		return nil, err
	}
	s := make(Submission)
	data.ForFields(func(f form.FieldData) {
		if _, twice := s[f.Var]; !twice {
			s[f.Var] = f.Raw
		}
	})
	return s, nil
}

// tokens returns the reply as a <command/>.
func (r Reply) tokens(node, session, status string, back bool) xml.TokenReader {
	var inner []xml.TokenReader
	if r.Next != nil {
		inner = append(inner, r.actions(back).TokenReader())
	}
	for _, n := range r.Notes {
		inner = append(inner, n.TokenReader())
	}
	if r.Form != nil {
		inner = append(inner, r.Form.TokenReader())
	}
	if r.Table != nil {
		inner = append(inner, r.Table.TokenReader())
	}
	c := start("command", "node", node, "sessionid", session, "status", status)
	c.Name.Space = commands.NS
	return xmlstream.Wrap(xmlstream.MultiReader(inner...), c)
}
