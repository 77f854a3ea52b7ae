package stream_test

import (
	"bytes"
	"encoding/xml"
	"strings"
	"testing"

	"ppch/component/componenttest"
	"ppch/component/stream"
)

// FuzzGuard sends anything that Prosody could forward through a whole session:
// the stream must survive, and only a question gets an answer, exactly one.
func FuzzGuard(f *testing.F) {
	for _, h := range componenttest.Hostile {
		if len(h.XML) < 2000 {
			f.Add(componenttest.Fill(h.XML, own, "id"), "guest@meet.jitsi/x")
		}
	}
	f.Add(`<iq type='get' id='1' to='`+own+`'><x xmlns='x'/></iq>`, "\u0640")
	f.Fuzz(func(t *testing.T, stanza, from string) {
		if !strings.Contains(from, "@") {
			from += "@meet.jitsi" // Prosody stamps every stanza with an address other than ours
		}
		forwarded, err := componenttest.Forward(stanza, from)
		if err != nil || xml.Unmarshal([]byte("<s>"+forwarded+"</s>"), new(struct{})) != nil {
			t.Skip() // Prosody never sends this
		}
		got, alive := exchange(t, guarded(), forwarded)
		if !alive {
			t.Fatalf("%q ended the stream", forwarded)
		}
		if want := questions(forwarded); len(got) != want {
			t.Errorf("%q: got %d answers want %d", forwarded, len(got), want)
		}
		for _, a := range got {
			if a.Type != "error" || a.Condition == "" || a.From != own && !strings.HasSuffix(strings.Split(a.From, "/")[0], "@"+own) {
				t.Errorf("%q: got %+v", forwarded, a)
			}
		}
	})
}

// questions counts the stanzas that must be answered.
func questions(forwarded string) (n int) {
	d := xml.NewDecoder(strings.NewReader(forwarded))
	depth := 0
	for {
		tok, err := d.Token()
		if err != nil {
			return n
		}
		switch tok := tok.(type) {
		case xml.StartElement:
			if depth == 0 && tok.Name.Local == "iq" {
				for _, a := range tok.Attr {
					if a.Name.Space == "" && a.Name.Local == "type" {
						if a.Value == "get" || a.Value == "set" {
							n++
						}
						break
					}
				}
			}
			depth++
		case xml.EndElement:
			depth--
		}
	}
}

// FuzzNeutralizer checks that chunks make no difference and that nothing else changes.
func FuzzNeutralizer(f *testing.F) {
	const pattern = " xmlns='http://etherx.jabber.org/streams"
	f.Add([]byte("<a"+pattern+"'/>"), 5)
	f.Add([]byte(pattern+pattern), 41)
	f.Add([]byte(" xmlns=' xmlns='http://etherx.jabber.org/streams'"), 9)
	f.Fuzz(func(t *testing.T, in []byte, cut int) {
		want := bytes.ReplaceAll(in, []byte(pattern), []byte(pattern[:len(pattern)-1]+"S"))
		got := bytes.Clone(in)
		cut = min(max(cut, 0), len(got))
		stream.Neutralize(got[:cut], got[cut:])
		if !bytes.Equal(got, want) {
			t.Errorf("got %q want %q", got, want)
		}
	})
}
