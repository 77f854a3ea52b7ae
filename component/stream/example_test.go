package stream_test

import (
	"context"
	"encoding/xml"
	"fmt"
	"log/slog"

	xcomponent "mellium.im/xmpp/component"
	"mellium.im/xmpp/disco"
	"mellium.im/xmpp/jid"
	"mellium.im/xmpp/mux"
	"mellium.im/xmpp/stanza"

	"ppch/component/componenttest"
	"ppch/component/stream"
)

// A component connects, asks a host what it is, and ends its stream.
func ExampleSession() {
	server := componenttest.New("secret", func(c *componenttest.Conn) error {
		if err := c.Handshake(); err != nil {
			return err
		}
		return c.Serve(func(componenttest.Stanza) string {
			return "<query xmlns='http://jabber.org/protocol/disco#info'><identity category='server' type='im' name='Prosody'/></query>"
		})
	})
	ctx, stop := context.WithCancel(context.Background())
	defer stop()
	conn, err := server.Dial(ctx, "tcp", "localhost:5347")
	if err != nil {
		fmt.Println(err)
		return
	}
	s, err := stream.Open(ctx, conn, stream.Config{
		Domain: jid.MustParse("ppch.meet.jitsi"), Secret: "secret",
		Log: slog.New(slog.DiscardHandler), Handler: mux.New(xcomponent.NSAccept),
	})
	if err != nil {
		fmt.Println(err)
		return
	}
	err = s.Run(ctx, func(ctx context.Context) error {
		defer stop()
		var answer disco.Info
		err := s.Ask(ctx, stanza.GetIQ, jid.MustParse("meet.jitsi"), disco.InfoQuery{}.TokenReader(), func(d *xml.Decoder) error {
			return d.Decode(&answer)
		})
		if err == nil {
			fmt.Println(answer.Identity[0].Name)
		}
		return err
	})
	fmt.Println(err)
	// Output:
	// Prosody
	// <nil>
}
