package adhoc

import (
	"cmp"
	"encoding/xml"

	"mellium.im/xmlstream"
	"mellium.im/xmpp/form"
)

// Column is one field of a Table.
type Column struct {
	Var, Label string

	// Type is the type of the values, text-single if empty.
	Type form.FieldType
}

// Field is a fact above a table. Several values are lines of text.
type Field struct {
	Var, Label string
	Values     []string
}

// Table is a result of several items (XEP-0004 §3.4).
//
// Some clients show no tables: repeat in Fields what they need.
// Fields and table are one form, since most clients show only one.
type Table struct {
	Title   string
	Fields  []Field
	Columns []Column

	// Rows hold a value for each column, in this order.
	Rows [][]string
}

// TokenReader implements xmlstream.Marshaler.
func (t Table) TokenReader() xml.TokenReader {
	var inner []xml.TokenReader
	if t.Title != "" {
		inner = append(inner, element("title", t.Title))
	}
	for _, f := range t.Fields {
		inner = append(inner, f.tokens())
	}
	reported := make([]xml.TokenReader, 0, len(t.Columns))
	for _, c := range t.Columns {
		typ := cmp.Or(c.Type, form.TypeText)
		reported = append(reported, xmlstream.Wrap(nil, start("field", "var", c.Var, "label", c.Label, "type", string(typ))))
	}
	inner = append(inner, xmlstream.Wrap(xmlstream.MultiReader(reported...), start("reported")))
	for _, row := range t.Rows {
		fields := make([]xml.TokenReader, 0, len(row))
		for i, value := range row[:min(len(row), len(t.Columns))] {
			fields = append(fields, xmlstream.Wrap(element("value", value), start("field", "var", t.Columns[i].Var)))
		}
		inner = append(inner, xmlstream.Wrap(xmlstream.MultiReader(fields...), start("item")))
	}
	x := start("x", "type", string(form.TypeResult))
	x.Name.Space = form.NS
	return xmlstream.Wrap(xmlstream.MultiReader(inner...), x)
}

func (f Field) tokens() xml.TokenReader {
	typ := form.TypeText
	if len(f.Values) > 1 {
		typ = form.TypeTextMulti
	}
	values := make([]xml.TokenReader, 0, len(f.Values))
	for _, v := range f.Values {
		values = append(values, element("value", v))
	}
	return xmlstream.Wrap(xmlstream.MultiReader(values...), start("field", "var", f.Var, "label", f.Label, "type", string(typ)))
}

func element(name, text string) xml.TokenReader {
	return xmlstream.Wrap(xmlstream.Token(xml.CharData(text)), start(name))
}

// start returns a start element with attributes given as name and value in turn.
func start(name string, attributes ...string) xml.StartElement {
	s := xml.StartElement{Name: xml.Name{Local: name}}
	for i := 0; i+1 < len(attributes); i += 2 {
		s.Attr = append(s.Attr, xml.Attr{Name: xml.Name{Local: attributes[i]}, Value: attributes[i+1]})
	}
	return s
}
