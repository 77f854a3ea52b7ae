package admin_test

import (
	"bytes"
	"context"
	"encoding/xml"
	"fmt"
	"io"
	"log/slog"
	"net"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"mellium.im/xmlstream"
	"mellium.im/xmpp"
	xcomponent "mellium.im/xmpp/component"
	"mellium.im/xmpp/jid"
	"mellium.im/xmpp/mux"
	"mellium.im/xmpp/stanza"

	"ppch/component/admin"
	"ppch/component/componenttest"
	"ppch/component/stream"
)

const (
	account = "boss@auth.meet.jitsi"
	header  = `<?xml version='1.0'?><stream:stream xmlns:stream='http://etherx.jabber.org/streams' xmlns='jabber:component:accept' id='1'>`
)

// forward writes a client's stanza as Prosody forwards it.
var forward = componenttest.Forwarded

// guarded serves a stream without handlers. With an account, handler answers what that admin sends.
func guarded(account string, handler xmpp.Handler) func(string, net.Conn) error {
	return func(domain string, c net.Conn) error {
		cfg := stream.Config{Domain: jid.MustParse(domain), Log: slog.New(slog.DiscardHandler), Handler: mux.New(xcomponent.NSAccept)}
		var work []func(context.Context) error
		if account != "" {
			admins, answer := admin.NewVerified(jid.MustParse(account), handler)
			cfg.Observe = func(in *stream.Stanza) (bool, error) { return admins.Observe(in) }
			work = append(work, answer)
		}
		s, err := stream.Open(context.Background(), c, cfg)
		if err != nil {
			return err
		}
		return s.Run(context.Background(), work...)
	}
}

// bytesOf returns every byte that serve sends when Prosody forwards something.
func bytesOf(t testing.TB, serve func(string, net.Conn) error, forwarded string) string {
	t.Helper()
	ours, theirs := net.Pipe()
	done := make(chan error, 1)
	go func() {
		done <- serve(own, theirs)
		theirs.Close()
	}()
	read := make(chan string, 1)
	go func() {
		var b bytes.Buffer
		_, _ = io.Copy(&b, ours)
		read <- b.String()
	}()
	_ = ours.SetDeadline(time.Now().Add(2 * time.Minute))
	if _, err := io.WriteString(ours, header+`<handshake/>`+forwarded+`</stream:stream>`); err != nil {
		t.Fatal(err)
	}
	<-done
	return <-read
}

// echo answers every question with an empty result, and every message with a message.
var echo = xmpp.HandlerFunc(func(t xmlstream.TokenReadEncoder, start *xml.StartElement) error {
	if start.Name.Local == "message" {
		_, err := xmlstream.Copy(t, stanza.Message{Type: stanza.ChatMessage, ID: "m"}.Wrap(nil))
		return err
	}
	iq, err := stanza.NewIQ(*start)
	if err != nil {
		return err
	}
	_, err = xmlstream.Copy(t, iq.Result(nil))
	return err
})

func TestSession_InvisibleToOthers(t *testing.T) {
	withAdmin := guarded(account, echo)
	for i, from := range []string{
		"guest@meet.jitsi/x", "clerk@auth.meet.jitsi/x", "auth.meet.jitsi", "auth.meet.jitsi/x", "auth.meet.jitsi/boss@auth.meet.jitsi",
		"boss@auth.meet.jitsi.example/x", "boss@meet.jitsi/x", "boss@xauth.meet.jitsi/boss@auth.meet.jitsi",
		"muc.meet.jitsi", "room@muc.meet.jitsi/boss", own, "x@" + own + "/y", "", "@", "boss@auth.meet.jitsi/\u0640",
	} {
		var forwarded strings.Builder
		n := 0
		for _, h := range slices.Concat(componenttest.Hostile, componenttest.HostileByAdmin) {
			if len(h.XML) < 3_000 {
				n++
				forwarded.WriteString(forward(t, componenttest.Fill(h.XML, own, fmt.Sprintf("%d-%d", i, n)), from))
			}
		}
		for _, x := range slices.Concat(componenttest.AdminQuestions(), componenttest.AdminOthers) {
			n++
			forwarded.WriteString(forward(t, componenttest.Fill(x, own, fmt.Sprintf("%d-%d", i, n)), from))
		}
		want, got := bytesOf(t, guarded("", nil), forwarded.String()), bytesOf(t, withAdmin, forwarded.String())
		if want != got {
			t.Errorf("from %q: got\n%s\nwant\n%s", from, got, want)
		}
		if strings.Count(want, "<iq") < len(componenttest.AdminQuestions()) {
			t.Errorf("from %q: got %s want every question answered", from, want)
		}
	}
}

func TestSession_AnswersOnceFromTheAddressAsked(t *testing.T) {
	serve := guarded(account, echo)
	for from, want := range map[string]string{boss: "result", "BOSS@Auth.meet.jitsi/desk": "result", "guest@meet.jitsi/x": "error"} {
		ours, theirs := net.Pipe()
		go func() { _ = serve(own, theirs) }()
		_ = ours.SetDeadline(time.Now().Add(time.Minute))
		go func() {
			_, _ = io.WriteString(ours, header+`<handshake/>`+forward(t, `<iq type='get' id='1' to='`+own+`'><x xmlns='x'/></iq>`, from))
		}()
		d := xml.NewDecoder(ours)
		for {
			tok, err := d.Token()
			if err != nil {
				t.Fatal(err)
			}
			start, ok := tok.(xml.StartElement)
			if !ok || start.Name.Local != "iq" {
				continue
			}
			got := map[string]string{}
			for _, a := range start.Attr {
				got[a.Name.Local] = a.Value
			}
			if got["type"] != want || got["id"] != "1" || got["to"] != from || got["from"] != own {
				t.Errorf("from %s: got %v want a %s", from, got, want)
			}
			break
		}
		ours.Close()
	}
}

func TestSession_FullQueueRefuses(t *testing.T) {
	slow := make(chan struct{})
	release := sync.OnceFunc(func() { close(slow) })
	handler := xmpp.HandlerFunc(func(t xmlstream.TokenReadEncoder, start *xml.StartElement) error {
		<-slow
		return echo(t, start)
	})
	const total = 2000
	var b strings.Builder
	for i := range total {
		b.WriteString(forward(t, fmt.Sprintf("<iq type='get' id='n%d' to='%s'><x xmlns='x'/></iq>", i, own), boss))
	}
	ours, theirs := net.Pipe()
	defer ours.Close()
	go func() { _ = guarded(account, handler)(own, theirs) }()
	_ = ours.SetDeadline(time.Now().Add(time.Minute))
	go func() { _, _ = io.WriteString(ours, header+`<handshake/>`+b.String()) }()
	d := xml.NewDecoder(ours)
	refused, answered := 0, 0
	seen := map[string]bool{}
	for refused+answered < total {
		tok, err := d.Token()
		if err != nil {
			t.Fatalf("after %d refusals and %d answers: %v", refused, answered, err)
		}
		start, ok := tok.(xml.StartElement)
		if !ok || start.Name.Local != "iq" {
			continue
		}
		var iq struct {
			ID    string    `xml:"id,attr"`
			Type  string    `xml:"type,attr"`
			Error *struct{} `xml:"error>resource-constraint"`
		}
		if err := d.DecodeElement(&iq, &start); err != nil {
			t.Fatal(err)
		}
		if seen[iq.ID] {
			t.Fatalf("%s got two answers", iq.ID)
		}
		seen[iq.ID] = true
		if iq.Type == "result" {
			answered++
		} else if iq.Error != nil {
			refused++
		}
		if refused == total-300 {
			release() // the blocked handler never blocks the read loop
		}
	}
	if answered < 256 || answered > 300 {
		t.Errorf("got %d answers want as many as fit into the queue", answered)
	}
}
