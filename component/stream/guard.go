package stream

import (
	"cmp"
	"context"
	"encoding/xml"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"

	"mellium.im/xmlstream"
	"mellium.im/xmpp"
	"mellium.im/xmpp/jid"
	"mellium.im/xmpp/stanza"
)

// maxStanza bounds the memory for one incoming stanza, in bytes. The guard reads a longer one to its end and drops it.
// Prosody lets a guest send 256 KiB; its serializer repeats namespaces, which can make gigabytes of that.
const maxStanza = 512 << 10

var errTooLarge = errors.New("stream: stanza too large")

// guard protects the stream from the stanzas that any Jitsi guest can send to a component.
//
// xmpp.Session.Serve ends the session on every handler error, and mux.ServeMux returns errors for stanzas that any client can send:
// an IQ with text before its payload, one from a JID that PRECIS refuses, an empty one.
// The guard reads the whole stanza tolerantly, gives the handlers a well-formed copy,
// buffers their answer until it is complete, and never returns an error.
// Every IQ of type get or set gets exactly one answer (RFC 6120 §8.2.3); other stanzas get none.
type guard struct {
	Config
	own     string // the component's domain
	session *Session
}

// HandleXMPP implements xmpp.Handler. It always returns nil.
func (g *guard) HandleXMPP(t xmlstream.TokenReadEncoder, start *xml.StartElement) error {
	in := g.read(t, start)
	if in.err != nil {
		// The stream is broken; Serve gets the same error next and ends the session.
		return nil
	}
	answer, err := g.answer(in)
	if err != nil {
		g.Log.Debug("stanza refused", "stanza", start.Name.Local, "type", in.Attr("type"), "err", err)
	}
	if len(answer) == 0 {
		return nil
	}
	// A token that can't be encoded would leave half a stanza on the stream, so discard a first try.
	if err := encode(xml.NewEncoder(io.Discard), answer); err != nil {
		g.Log.Error("answer can't be encoded", "stanza", start.Name.Local, "err", err)
		answer = g.refuse(in, stanza.InternalServerError)
	}
	if err := encode(t, answer); err != nil {
		g.Log.Debug("answer not sent", "err", err)
	}
	return nil
}

// Stanza is an incoming stanza. It may be answered later and on another goroutine, but only once.
type Stanza struct {
	guard    *guard
	start    xml.StartElement
	inner    []xml.Token // without the end tag; nil if tooLarge
	children int
	text     bool // there is text between the children
	tooLarge bool
	err      error
}

// Name returns iq, message or presence.
func (in *Stanza) Name() string { return in.start.Name.Local }

// Attr returns an attribute that has no namespace, or an empty string.
func (in *Stanza) Attr(name string) string { return attribute(in.start, name) }

// Asks reports whether the stanza requires an answer.
func (in *Stanza) Asks() bool {
	typ := in.Attr("type")
	return in.start.Name.Local == "iq" && (typ == string(stanza.GetIQ) || typ == string(stanza.SetIQ))
}

// Decode decodes the first payload into v.
func (in *Stanza) Decode(v any) error {
	return xml.NewTokenDecoder(&buffer{inner: in.inner}).Decode(v)
}

// Answer calls a handler and sends what it writes; a stanza that asks gets an error if that is nothing. It blocks as Send does.
func (in *Stanza) Answer(ctx context.Context, h xmpp.Handler) {
	g := in.guard
	answer, err := g.reply(h, in)
	if err != nil {
		g.Log.Debug("stanza refused", "stanza", in.Name(), "type", in.Attr("type"), "err", err)
	}
	if len(answer) == 0 {
		return
	}
	if err := g.session.Send(ctx, answer); errors.Is(err, errUnsendable) && in.Asks() {
		g.Log.Error("answer can't be sent", "stanza", in.Name(), "err", err)
		_ = g.session.Send(ctx, g.refuse(in, stanza.InternalServerError))
	}
}

// read reads the stanza up to its end tag.
func (g *guard) read(t xml.TokenReader, start *xml.StartElement) *Stanza {
	in := &Stanza{guard: g, start: start.Copy()}
	size, depth := 0, 0
	for depth >= 0 {
		tok, err := t.Token()
		g.session.conn.progress()
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

// answer returns the stanza to send back, or nil, and why no handler served the stanza.
func (g *guard) answer(in *Stanza) (tokens []xml.Token, err error) {
	switch {
	case in.tooLarge && in.Asks():
		return g.refuse(in, stanza.PolicyViolation), errTooLarge
	case in.tooLarge:
		return nil, errTooLarge
	case in.Asks() && (in.children != 1 || in.text):
		// RFC 6120 §8.2.3 rule 4: one payload; RFC 6120 §8.1: no other text.
		return g.refuse(in, stanza.BadRequest), fmt.Errorf("stream: IQ with %d payloads", in.children)
	}
	if g.Observe != nil {
		switch taken, err := g.Observe(in); {
		case taken && err != nil && in.Asks():
			return g.refuse(in, stanza.ResourceConstraint), err
		case taken:
			return nil, err
		}
	}
	tokens, err = g.reply(g.Handler, in)
	if !in.Asks() {
		tokens = nil
	}
	return tokens, err
}

// reply returns what a handler writes about a stanza; a question always gets one answer.
func (g *guard) reply(h xmpp.Handler, in *Stanza) ([]xml.Token, error) {
	tokens, err := g.serve(h, in)
	switch {
	case !in.Asks():
		return tokens, err
	case err == nil && len(tokens) > 0:
		return g.address(in, tokens), nil
	}
	return g.refuse(in, stanza.ServiceUnavailable), err
}

// serve runs a handler on a copy of the stanza and returns what it wrote.
func (g *guard) serve(h xmpp.Handler, in *Stanza) (written []xml.Token, err error) {
	defer func() {
		if p := recover(); p != nil {
			g.Log.Error("stanza handler panicked", "stanza", in.start.Name.Local, "panic", fmt.Sprint(p))
			written, err = nil, errors.New("stream: stanza handler panicked")
		}
	}()
	for _, name := range []string{"from", "to"} {
		if j := in.Attr(name); j != "" {
			if _, err := jid.Parse(j); err != nil {
				// Prosody's stringprep accepts more than PRECIS does, and handlers use jid.JID.
				return nil, fmt.Errorf("stream: address %s: %w", name, err)
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
	out := &buffer{inner: append(in.inner[:len(in.inner):len(in.inner)], start.End())}
	if err := h.HandleXMPP(out, &start); err != nil {
		return nil, err
	}
	if out.depth != 0 {
		return nil, errors.New("stream: handler wrote an incomplete stanza")
	}
	return out.written, nil
}

// refuse returns an error for the sender of in.
func (g *guard) refuse(in *Stanza, condition stanza.Condition) []xml.Token {
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

// address sets the id and addresses of an answer to in.
// It copies the addresses as text: senders whose address can't be parsed get an answer as well.
func (g *guard) address(in *Stanza, answer []xml.Token) []xml.Token {
	to, from := cmp.Or(in.Attr("from"), g.own), in.Attr("to") // mellium removes our own address
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
		xml.Attr{Name: xml.Name{Local: "id"}, Value: in.Attr("id")},
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

// attribute returns the attribute of that name that has no namespace, or an empty string: a guest can send others of the same local name.
func attribute(start xml.StartElement, name string) string {
	for _, a := range start.Attr {
		if a.Name.Space == "" && a.Name.Local == name {
			return a.Value
		}
	}
	return ""
}
