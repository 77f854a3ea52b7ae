package stream_test

import (
	"context"
	"encoding/xml"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"mellium.im/xmlstream"
	xcomponent "mellium.im/xmpp/component"
	"mellium.im/xmpp/jid"
	"mellium.im/xmpp/mux"
	"mellium.im/xmpp/stanza"

	"ppch/component/componenttest"
	"ppch/component/stream"
)

const (
	own    = "ppch.meet.jitsi"
	header = `<?xml version='1.0'?><stream:stream xmlns:stream='http://etherx.jabber.org/streams' xmlns='jabber:component:accept' id='1'>`
)

// answer is what a sender gets back.
type answer struct{ ID, Type, To, From, Condition string }

// exchange sends what Prosody forwards to serve, then a last question that shows whether the stream is still alive.
// It returns the answers except that to the last question.
func exchange(t testing.TB, serve func(string, net.Conn) error, forwarded string) (answers []answer, alive bool) {
	t.Helper()
	ours, theirs := net.Pipe()
	served := make(chan error, 1)
	go func() {
		served <- serve(own, theirs)
		theirs.Close()
	}()
	const last = "the-last-question"
	go func() {
		_, _ = io.WriteString(ours, header+`<handshake/>`+forwarded+
			`<iq type='get' id='`+last+`' from='a@meet.jitsi/b' to='`+own+`'><ping xmlns='urn:xmpp:ping'/></iq>`)
	}()
	_ = ours.SetDeadline(time.Now().Add(20 * time.Second))
	d := xml.NewDecoder(ours)
	for {
		tok, err := d.Token()
		if err != nil {
			ours.Close()
			<-served
			return answers, false
		}
		start, ok := tok.(xml.StartElement)
		if !ok || start.Name.Local != "iq" {
			continue
		}
		var iq struct {
			ID    string `xml:"id,attr"`
			Type  string `xml:"type,attr"`
			To    string `xml:"to,attr"`
			From  string `xml:"from,attr"`
			Error struct {
				Condition struct{ XMLName xml.Name } `xml:",any"`
			} `xml:"error"`
		}
		if err := d.DecodeElement(&iq, &start); err != nil {
			t.Fatalf("the answer is not XML: %v", err)
		}
		if iq.ID == last {
			ours.Close()
			<-served
			return answers, true
		}
		answers = append(answers, answer{iq.ID, iq.Type, iq.To, iq.From, iq.Error.Condition.XMLName.Local})
	}
}

// forward writes a client's stanza as Prosody forwards it.
var forward = componenttest.Forwarded

// guarded serves a stream with handlers.
func guarded(handlers ...mux.Option) func(string, net.Conn) error {
	return func(domain string, c net.Conn) error {
		s, err := stream.Open(context.Background(), c, stream.Config{
			Domain: jid.MustParse(domain), Log: slog.New(slog.DiscardHandler), Handler: mux.New(xcomponent.NSAccept, handlers...),
		})
		if err != nil {
			return err
		}
		return s.Run(context.Background())
	}
}

// naked is mellium alone, without guard and neutralizer.
func naked(domain string, c net.Conn) error {
	x, err := xcomponent.NewSession(context.Background(), jid.MustParse(domain), nil, c)
	if err != nil {
		return err
	}
	return x.Serve(mux.New(xcomponent.NSAccept))
}

func TestGuard_HostileStanzas(t *testing.T) {
	for i, tt := range componenttest.Hostile {
		t.Run(tt.Name, func(t *testing.T) {
			id := fmt.Sprintf("id-%d", i)
			got, alive := exchange(t, guarded(), forward(t, componenttest.Fill(tt.XML, own, id), "guest@meet.jitsi/\u0640"))
			if !alive {
				t.Fatal("the stream ended")
			}
			if tt.Condition == "" && !strings.Contains(tt.XML, "<iq type='get'") && !strings.Contains(tt.XML, "<iq type='set'") {
				if len(got) != 0 {
					t.Errorf("got %v want no answer", got)
				}
				return
			}
			if len(got) != 1 || got[0].Type != "error" || !strings.HasSuffix(got[0].ID, id) || got[0].To != "guest@meet.jitsi/\u0640" {
				t.Fatalf("got %+v want one error for the sender", got)
			}
			if tt.Condition != "" && got[0].Condition != tt.Condition {
				t.Errorf("condition got %s want %s", got[0].Condition, tt.Condition)
			}
		})
	}
}

// This is why the guard and the neutralizer exist: remove them once mellium survives all this.
func TestGuard_IsNeeded(t *testing.T) {
	var fatal []string
	for _, tt := range componenttest.Hostile {
		if _, alive := exchange(t, naked, forward(t, componenttest.Fill(tt.XML, own, "x"), "guest@meet.jitsi/x")); !alive {
			fatal = append(fatal, tt.Name)
		}
	}
	if len(fatal) < 5 {
		t.Errorf("got only %q to end a naked session", fatal)
	}
	t.Logf("%d of %d end a naked session: %q", len(fatal), len(componenttest.Hostile), fatal)
}

func TestGuard_RepliesToInvalidJID(t *testing.T) {
	for _, from := range []string{"guest@meet.jitsi/\u115f", "guest@under_score.example/x", "a b@meet.jitsi", "@", "x@y@z//"} {
		got, alive := exchange(t, guarded(), forward(t, `<iq type='get' id='1' to='`+own+`'><x xmlns='x'/></iq>`, from))
		want := []answer{{"1", "error", from, own, "service-unavailable"}}
		if d := cmp.Diff(want, got); d != "" || !alive {
			t.Errorf("from %q: alive %t, %s", from, alive, d)
		}
	}
}

func TestGuard_SendsWholeAnswersOnly(t *testing.T) {
	result := func(iq stanza.IQ, t xmlstream.TokenReadEncoder, _ *xml.StartElement) error {
		_, err := xmlstream.Copy(t, iq.Result(nil))
		return err
	}
	for name, tt := range map[string]struct {
		handler        mux.IQHandlerFunc
		wantType, want string
	}{
		"an answer": {result, "result", ""},
		"an encoded answer": {func(iq stanza.IQ, t xmlstream.TokenReadEncoder, _ *xml.StartElement) error {
			return t.Encode(stanza.IQ{Type: stanza.ResultIQ, ID: iq.ID, To: iq.From, From: iq.To})
		}, "result", ""},
		"silence":        {func(stanza.IQ, xmlstream.TokenReadEncoder, *xml.StartElement) error { return nil }, "error", "service-unavailable"},
		"an error":       {func(stanza.IQ, xmlstream.TokenReadEncoder, *xml.StartElement) error { return errors.New("broken") }, "error", "service-unavailable"},
		"a panic":        {func(stanza.IQ, xmlstream.TokenReadEncoder, *xml.StartElement) error { panic("broken") }, "error", "service-unavailable"},
		"half an answer": {func(iq stanza.IQ, t xmlstream.TokenReadEncoder, s *xml.StartElement) error { return t.EncodeToken(*s) }, "error", "service-unavailable"},
		"an answer, then an error": {func(iq stanza.IQ, t xmlstream.TokenReadEncoder, s *xml.StartElement) error {
			return errors.Join(result(iq, t, s), errors.New("broken"))
		}, "error", "service-unavailable"},
		"a token that can't be encoded": {func(iq stanza.IQ, t xmlstream.TokenReadEncoder, s *xml.StartElement) error {
			_, err := xmlstream.Copy(t, iq.Result(xmlstream.Wrap(nil, xml.StartElement{})))
			return err
		}, "error", "internal-server-error"},
	} {
		t.Run(name, func(t *testing.T) {
			got, alive := exchange(t, guarded(mux.IQ(stanza.GetIQ, xml.Name{Space: "x", Local: "x"}, tt.handler)), forward(t, `<iq type='get' id='1' to='`+own+`'><x xmlns='x'/></iq>`, "a@b/c"))
			if !alive || len(got) != 1 || got[0].Type != tt.wantType || got[0].Condition != tt.want {
				t.Errorf("got %+v, alive %t want one %s %s", got, alive, tt.wantType, tt.want)
			}
		})
	}
}
