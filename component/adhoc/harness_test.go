package adhoc_test

import (
	"bytes"
	"encoding/xml"
	"errors"
	"io"
	"strings"
	"testing"

	"mellium.im/xmlstream"
	"mellium.im/xmpp/form"
	"mellium.im/xmpp/jid"
	"mellium.im/xmpp/mux"
	"mellium.im/xmpp/stanza"

	"ppch/component/adhoc"
)

const responder = "responder.example"

// answer is what a requester gets back.
type answer struct {
	Type    string `xml:"type,attr"`
	Command struct {
		Node    string `xml:"node,attr"`
		Session string `xml:"sessionid,attr"`
		Status  string `xml:"status,attr"`
		Actions *struct {
			Default string `xml:"execute,attr"`
			All     []struct {
				XMLName xml.Name
			} `xml:",any"`
		} `xml:"actions"`
		Notes []struct {
			Type string `xml:"type,attr"`
			Text string `xml:",chardata"`
		} `xml:"note"`
		Form []struct {
			Type  string `xml:"type,attr"`
			Title string `xml:"title"`
			Items []struct {
				Fields []struct {
					Var   string `xml:"var,attr"`
					Value string `xml:"value"`
				} `xml:"field"`
			} `xml:"item"`
		} `xml:"jabber:x:data x"`
	} `xml:"http://jabber.org/protocol/commands command"`
	Error struct {
		Type       string `xml:"type,attr"`
		Conditions []struct {
			XMLName xml.Name
			Text    string `xml:",chardata"`
		} `xml:",any"`
	} `xml:"error"`
}

// actions returns the actions that are offered, in order, the default one with !.
func (a answer) actions() string {
	if a.Command.Actions == nil {
		return ""
	}
	var all []string
	for _, e := range a.Command.Actions.All {
		name := e.XMLName.Local
		if name == a.Command.Actions.Default {
			name += "!"
		}
		all = append(all, name)
	}
	return strings.Join(all, " ")
}

// conditions returns those of an error, without its text.
func (a answer) conditions() string {
	var all []string
	for _, c := range a.Error.Conditions {
		if c.XMLName.Local != "text" {
			all = append(all, c.XMLName.Local)
		}
	}
	return strings.Join(all, " ")
}

func (a answer) title() string {
	if len(a.Command.Form) == 0 {
		return ""
	}
	return a.Command.Form[0].Title
}

// stream is what a handler reads from and writes to.
type stream struct {
	xml.TokenReader
	*xml.Encoder
}

// ask sends r a payload in an IQ of type set.
func ask(t testing.TB, r *adhoc.Responder, from, payload string) (a answer, raw string) {
	t.Helper()
	d := xml.NewDecoder(strings.NewReader(`<iq xmlns='jabber:client' type='set' id='1' from='` + from + `' to='` + responder + `'>` + payload + `</iq>`))
	tok, err := d.Token()
	if err != nil {
		t.Fatal(err)
	}
	start := tok.(xml.StartElement)
	var out bytes.Buffer
	e := xml.NewEncoder(&out)
	m := mux.New(stanza.NSClient, adhoc.Handle(r))
	if err := m.HandleXMPP(stream{d, e}, &start); err != nil {
		t.Fatalf("%s: %v", payload, err)
	}
	if err := e.Flush(); err != nil {
		t.Fatal(err)
	}
	raw = out.String()
	if err := xml.Unmarshal(out.Bytes(), &a); err != nil {
		t.Fatalf("%s: the answer %q is not XML: %v", payload, raw, err)
	}
	if rest := xml.NewDecoder(&out); rest.Skip() != nil && out.Len() > 0 {
		if _, err := rest.Token(); !errors.Is(err, io.EOF) {
			t.Fatalf("%s: more than one answer: %q", payload, raw)
		}
	}
	return a, raw
}

// command is a <command/>; attributes are XML.
func command(attributes, inside string) string {
	return `<command xmlns='http://jabber.org/protocol/commands' ` + attributes + `>` + inside + `</command>`
}

// submit is a form with one field.
func submit(field, value string) string {
	return `<x xmlns='jabber:x:data' type='submit'><field var='` + field + `'><value>` + value + `</value></field></x>`
}

// order is a command of three steps; the first refuses an empty form.
func order() adhoc.Command {
	ask := func(title string, last bool, next adhoc.Stage) adhoc.Reply {
		return adhoc.Reply{Form: form.New(form.Title(title), form.Text("what")), Next: next, Last: last}
	}
	return adhoc.Command{Node: "order", Name: "Order", Start: func(adhoc.Request) (adhoc.Reply, error) {
		return ask("drink", false, func(r adhoc.Request) (adhoc.Reply, error) {
			drink := r.Form.Value("what")
			if drink == "" {
				return adhoc.Reply{}, adhoc.BadPayload("say what you want")
			}
			return ask("size of the "+drink, true, func(r adhoc.Request) (adhoc.Reply, error) {
				return adhoc.Info(r.Form.Value("what") + " " + drink), nil
			}), nil
		}), nil
	}}
}

func newResponder(cfg adhoc.Config) *adhoc.Responder {
	cfg.JID = jid.MustParse(responder)
	return adhoc.NewResponder(cfg, order(),
		adhoc.Command{Node: "menu", Name: "Menu", Start: func(adhoc.Request) (adhoc.Reply, error) {
			return adhoc.Reply{Table: &adhoc.Table{
				Title:   "Menu",
				Columns: []adhoc.Column{{Var: "name", Label: "Name"}, {Var: "price", Label: "Price"}},
				Fields:  []adhoc.Field{{Var: "note", Label: "Note", Values: []string{"hot"}}, {Var: "lines", Values: []string{"a", "b"}}},
				Rows:    [][]string{{"tea <&'\">", "1"}, {"кофе", "2"}, {"short"}, {"too", "3", "long"}},
			}}, nil
		}},
		adhoc.Command{Node: "circle", Name: "Circle", Start: circle},
		adhoc.Command{Node: "broken", Name: "Broken", Start: func(adhoc.Request) (adhoc.Reply, error) {
			return adhoc.Reply{}, io.ErrUnexpectedEOF
		}},
	)
}

// circle is a stage that leads to itself.
func circle(adhoc.Request) (adhoc.Reply, error) {
	return adhoc.Reply{Form: form.New(form.Title("again")), Next: circle}, nil
}

var _ xmlstream.TokenReadEncoder = stream{}
