package componenttest

import (
	"encoding/xml"
	"errors"
	"fmt"
	"io"
	"strings"
	"testing"
)

var prosodyEscape = strings.NewReplacer("'", "&apos;", `"`, "&quot;", "<", "&lt;", ">", "&gt;", "&", "&amp;")

// Forward writes a client's stanza as Prosody does when it routes it to a component (util/stanza.lua _dostring):
// prefixes are resolved, every element whose namespace isn't its parent's has an xmlns attribute,
// and attributes of a namespace get a prefix of their own.
func Forward(stanza, from string) (string, error) {
	d := xml.NewDecoder(strings.NewReader(stanza))
	var b strings.Builder
	var parents []string // namespaces
	var names []string
	for {
		tok, err := d.Token()
		if errors.Is(err, io.EOF) {
			if len(names) > 0 || b.Len() == 0 {
				return "", errors.New("not a stanza")
			}
			return b.String(), nil
		}
		if err != nil {
			return "", err
		}
		switch tok := tok.(type) {
		case xml.StartElement:
			if len(names) == 0 {
				switch tok.Name.Local {
				case "iq", "message", "presence":
				default:
					return "", errors.New("not a stanza")
				}
				tok.Name.Space = ""
			}
			b.WriteString("<" + tok.Name.Local)
			if len(names) > 0 && tok.Name.Space != parents[len(parents)-1] {
				fmt.Fprintf(&b, " xmlns='%s'", prosodyEscape.Replace(tok.Name.Space))
			}
			for i, a := range tok.Attr {
				switch {
				case a.Name.Space == "xmlns" || a.Name.Local == "xmlns" || len(names) == 0 && a.Name.Space == "" && a.Name.Local == "from":
				case a.Name.Space == "http://www.w3.org/XML/1998/namespace" || a.Name.Space == "xml":
					fmt.Fprintf(&b, " xml:%s='%s'", a.Name.Local, prosodyEscape.Replace(a.Value))
				case a.Name.Space != "":
					fmt.Fprintf(&b, " xmlns:ns%d='%s' ns%[1]d:%[3]s='%[4]s'", i, prosodyEscape.Replace(a.Name.Space), a.Name.Local, prosodyEscape.Replace(a.Value))
				default:
					fmt.Fprintf(&b, " %s='%s'", a.Name.Local, prosodyEscape.Replace(a.Value))
				}
			}
			if len(names) == 0 {
				fmt.Fprintf(&b, " from='%s'", prosodyEscape.Replace(from))
			}
			b.WriteString(">")
			names, parents = append(names, tok.Name.Local), append(parents, tok.Name.Space)
		case xml.EndElement:
			b.WriteString("</" + names[len(names)-1] + ">")
			names, parents = names[:len(names)-1], parents[:len(parents)-1]
		case xml.CharData:
			if len(names) > 0 {
				b.WriteString(prosodyEscape.Replace(string(tok)))
			}
		default:
			return "", errors.New("restricted XML") // RFC 6120 §11.1: Prosody ends the sender's stream
		}
	}
}

// Forwarded is Forward for a stanza that must be one.
func Forwarded(t testing.TB, stanza, from string) string {
	t.Helper()
	return Must(Forward(stanza, from))(t)
}

// Elements returns how many elements s consists of. It is false if s is anything else.
func Elements(s string) (n int, ok bool) {
	depth := 0
	for d := xml.NewDecoder(strings.NewReader(s)); ; {
		tok, err := d.Token()
		if err != nil {
			return n, errors.Is(err, io.EOF)
		}
		switch tok := tok.(type) {
		case xml.StartElement:
			if depth == 0 {
				n++
			}
			depth++
		case xml.EndElement:
			depth--
		case xml.CharData:
			if depth == 0 && strings.TrimSpace(string(tok)) != "" {
				return n, false
			}
		default:
			return n, false // RFC 6120 §11.1
		}
	}
}
