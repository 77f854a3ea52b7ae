package admin_test

import (
	"encoding/xml"
	"errors"
	"io"
	"strings"
	"testing"

	"ppch/component/componenttest"
)

// wellFormed reports whether s is a sequence of elements and nothing else.
func wellFormed(s string) bool {
	_, ok := componenttest.Elements(s)
	return ok
}

// FuzzHandler handles any stanza of an admin: the answer is at most one stanza of bounded length.
func FuzzHandler(f *testing.F) {
	for _, seed := range []string{
		"<iq type='get' id='1'><query xmlns='http://jabber.org/protocol/disco#items' node='muc.meet.jitsi'><set xmlns='http://jabber.org/protocol/rsm'><max>1</max><after>x</after></set></query></iq>",
		"<iq type='get' id='1'><query xmlns='http://jabber.org/protocol/disco#info' node='planning@muc.meet.jitsi/nick'/></iq>",
		"<iq type='get' id='1'><query xmlns='http://jabber.org/protocol/disco#items' node='muc.meet.jitsi/[acme]'/></iq>",
		"<iq type='set' id='1'><command xmlns='http://jabber.org/protocol/commands' node='statistics'/></iq>",
		"<message type='chat'><body>room planning</body><thread>x</thread></message>",
		"<message><body>watch all</body></message>", "<message type='error'/>",
		"<presence/>", "<presence type='subscribe'/>", "<presence><x xmlns='http://jabber.org/protocol/muc'/></presence>",
	} {
		f.Add(seed)
	}
	s := newStage(f)
	s.set(f, "planning", "[acme]stand%20up", "%d0%bc")
	f.Fuzz(func(t *testing.T, stanza string) {
		name, rest, ok := strings.Cut(stanza, " ")
		if name != "<iq" && name != "<message" && name != "<presence" || !ok {
			name, rest = "<message", "type='chat'><body>"+strings.NewReplacer("<", "", "&", "").Replace(stanza)+"</body></message>"
		}
		stanza = name + " from='" + boss + "' to='" + own + "' " + rest
		if !wellFormed(stanza) || strings.Count(stanza, " from=") > 1 || strings.Count(stanza, " to=") > 1 {
			t.Skip()
		}
		got, err := s.try(stanza)
		if err != nil {
			return // the guard answers
		}
		if !wellFormed(got) || len(got) > 400<<10 {
			t.Errorf("%q got %q", stanza, got)
		}
		d := xml.NewDecoder(strings.NewReader(got))
		if _, err := d.Token(); err == nil {
			if err := d.Skip(); err != nil {
				t.Errorf("%q got %q: %v", stanza, got, err)
			}
			if _, err := d.Token(); !errors.Is(err, io.EOF) {
				t.Errorf("%q got more than one stanza: %q", stanza, got)
			}
		}
	})
}
