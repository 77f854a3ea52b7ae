package component

import (
	"encoding/xml"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"slices"
	"strings"

	"mellium.im/xmlstream"
	"mellium.im/xmpp"
	"mellium.im/xmpp/jid"
	"mellium.im/xmpp/stanza"
)

// maxStanza bounds what the guard keeps of one incoming stanza, in bytes as the decoder holds them.
// What is longer is read to its end and forgotten.
// Prosody lets a guest send 256 KiB, which namespaces repeated by its serializer can turn into gigabytes.
const maxStanza = 512 << 10

// guard stands between the stream and the handlers, since any Jitsi guest can send stanzas to a component.
//
// xmpp.Session.Serve ends the session on every handler error, and mux.ServeMux returns errors for stanzas that anybody can send:
// an IQ with text before its payload, one from a JID that PRECIS refuses, an empty one.
// The guard reads the whole stanza tolerantly, gives the handlers a copy that is known to be well-formed,
// holds their answer until it is complete, and never returns an error.
// Every IQ of type get or set gets exactly one answer (RFC 6120 §8.2.3); nothing else gets any.
type guard struct {
	own  string // the component's domain
	next xmpp.Handler
	log  *slog.Logger

	// progress is called for each token read.
	progress func()

	// desk takes what admins send; nil where there are none.
	desk *desk

	// race sees what comes before anybody else does, or is nil.
	race *race
}

// HandleXMPP implements xmpp.Handler. It always returns nil.
func (g *guard) HandleXMPP(t xmlstream.TokenReadEncoder, start *xml.StartElement) error {
	in := g.read(t, start)
	if in.err != nil {
		// The stream is gone; Serve meets the same error next and ends the session with it.
		return nil
	}
	if g.race != nil && g.race.sees(in) {
		return nil
	}
	answer, err := g.answer(in)
	if err != nil {
		g.log.Debug("stanza refused", "stanza", start.Name.Local, "type", in.attr("type"), "err", err)
	}
	if len(answer) == 0 {
		return nil
	}
	// A token that can't be encoded would leave half a stanza on the stream, so it is tried on nobody first.
	if err := encode(xml.NewEncoder(io.Discard), answer); err != nil {
		g.log.Error("answer can't be encoded", "stanza", start.Name.Local, "err", err)
		answer = g.refuse(in, stanza.InternalServerError)
	}
	if err := encode(t, answer); err != nil {
		g.log.Debug("answer not sent", "err", err)
	}
	return nil
}

// incoming is a stanza as it came.
type incoming struct {
	start    xml.StartElement
	inner    []xml.Token // everything inside, the end tag excluded; nil if tooLarge
	children int
	text     bool // there is more than white space beside the children
	tooLarge bool
	err      error
}

// attr returns the attribute without a namespace of that name: a guest can send others of the same local name.
func (in *incoming) attr(name string) string { return attribute(in.start, name) }

// asks reports whether the stanza must be answered.
func (in *incoming) asks() bool {
	typ := in.attr("type")
	return in.start.Name.Local == "iq" && (typ == string(stanza.GetIQ) || typ == string(stanza.SetIQ))
}

// read consumes the stanza up to its end tag.
func (g *guard) read(t xml.TokenReader, start *xml.StartElement) *incoming {
	in := &incoming{start: start.Copy()}
	size, depth := 0, 0
	for depth >= 0 {
		tok, err := t.Token()
		g.progress()
		switch tok := tok.(type) {
		case xml.StartElement:
			if depth == 0 {
				in.children++
			}
			depth++
			size += 64 + len(tok.Name.Local) + len(tok.Name.Space)
			for _, a := range tok.Attr {
				size += 64 + len(a.Name.Local) + len(a.Name.Space) + len(a.Value)
			}
		case xml.EndElement:
			depth--
		case xml.CharData:
			if depth == 0 && strings.TrimSpace(string(tok)) != "" {
				in.text = true
			}
			size += 24 + len(tok)
		}
		if size > maxStanza {
			in.tooLarge, in.inner = true, nil
		}
		if tok != nil && depth >= 0 && !in.tooLarge {
			in.inner = append(in.inner, xml.CopyToken(tok))
		}
		if err != nil && depth >= 0 {
			in.err = err
			return in
		}
	}
	return in
}

// answer returns the stanza to send back, or none, and why the stanza wasn't served.
func (g *guard) answer(in *incoming) (tokens []xml.Token, err error) {
	switch err := g.desk.take(in); {
	case err == nil:
		return nil, nil // it is answered later
	case errors.Is(err, errDeskFull) && in.asks():
		return g.refuse(in, stanza.ResourceConstraint), err
	case errors.Is(err, errDeskFull):
		return nil, err
	}
	if !in.asks() {
		if in.tooLarge {
			return nil, errors.New("component: stanza too large")
		}
		_, err = g.serve(g.next, in)
		return nil, err
	}
	switch {
	case in.tooLarge:
		return g.refuse(in, stanza.PolicyViolation), errors.New("component: stanza too large")
	case in.children != 1 || in.text:
		// RFC 6120 §8.2.3 rule 4: one payload, and RFC 6120 §8.1 has no text beside it.
		return g.refuse(in, stanza.BadRequest), fmt.Errorf("component: IQ with %d payloads", in.children)
	}
	return g.reply(g.next, in)
}

// reply has a handler answer a stanza: a question by one answer, anything else by what the handler writes.
func (g *guard) reply(h xmpp.Handler, in *incoming) ([]xml.Token, error) {
	tokens, err := g.serve(h, in)
	switch {
	case !in.asks():
		return tokens, err
	case err == nil && len(tokens) > 0:
		return g.address(in, tokens), nil
	}
	return g.refuse(in, stanza.ServiceUnavailable), err
}

// serve runs a handler on a copy and returns what it wrote.
func (g *guard) serve(h xmpp.Handler, in *incoming) (written []xml.Token, err error) {
	defer func() {
		if p := recover(); p != nil {
			g.log.Error("stanza handler panicked", "stanza", in.start.Name.Local, "panic", fmt.Sprint(p))
			written, err = nil, errors.New("component: stanza handler panicked")
		}
	}()
	for _, name := range []string{"from", "to"} {
		if j := in.attr(name); j != "" {
			if _, err := jid.Parse(j); err != nil {
				// Prosody's stringprep lets more pass than PRECIS does; handlers work with jid.JID.
				return nil, fmt.Errorf("component: %s of a stanza: %w", name, err)
			}
		}
	}
	start := in.start.Copy()
	start.Attr = start.Attr[:0]
	for _, a := range in.start.Attr {
		if a.Name.Space == "" {
			start.Attr = append(start.Attr, a)
		}
	}
	rec := &recorder{inner: append(in.inner[:len(in.inner):len(in.inner)], start.End())}
	if err := h.HandleXMPP(rec, &start); err != nil {
		return nil, err
	}
	if rec.depth != 0 {
		return nil, errors.New("component: handler wrote half a stanza")
	}
	return rec.written, nil
}

// refuse returns an error answer to in.
func (g *guard) refuse(in *incoming, condition stanza.Condition) []xml.Token {
	typ := stanza.Cancel
	switch condition {
	case stanza.BadRequest, stanza.PolicyViolation:
		typ = stanza.Modify
	case stanza.ResourceConstraint:
		typ = stanza.Wait
	}
	iq := xml.StartElement{Name: xml.Name{Local: "iq"}, Attr: []xml.Attr{{Name: xml.Name{Local: "type"}, Value: string(stanza.ErrorIQ)}}}
	tokens, _ := xmlstream.ReadAll(xmlstream.Wrap(stanza.Error{Type: typ, Condition: condition}.TokenReader(), iq))
	return g.address(in, tokens)
}

// address makes an answer one to in.
// It takes the addresses as they came, since those that can't be parsed are among the ones to be answered.
func (g *guard) address(in *incoming, answer []xml.Token) []xml.Token {
	to, from := in.attr("from"), in.attr("to")
	if to == "" {
		to = g.own // mellium takes it away from what we sent ourselves
	}
	if domain, _, _ := strings.Cut(from[strings.IndexByte(from, '@')+1:], "/"); domain != g.own {
		// Prosody ends the stream of a component that speaks for another domain, or none (mod_component.lua, invalid-from).
		from = g.own
	}
	start, ok := answer[0].(xml.StartElement)
	if !ok {
		return answer
	}
	start.Attr = slices.DeleteFunc(slices.Clone(start.Attr), func(a xml.Attr) bool {
		return a.Name.Space == "" && (a.Name.Local == "id" || a.Name.Local == "to" || a.Name.Local == "from")
	})
	answer[0] = xml.StartElement{Name: start.Name, Attr: append(start.Attr,
		xml.Attr{Name: xml.Name{Local: "id"}, Value: in.attr("id")},
		xml.Attr{Name: xml.Name{Local: "to"}, Value: to},
		xml.Attr{Name: xml.Name{Local: "from"}, Value: from},
	)}
	return answer
}

func encode(w xmlstream.TokenWriter, tokens []xml.Token) error {
	for _, tok := range tokens {
		if err := w.EncodeToken(tok); err != nil {
			return err
		}
	}
	if f, ok := w.(xmlstream.Flusher); ok {
		return f.Flush()
	}
	return nil
}
