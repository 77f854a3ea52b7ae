package component

import (
	"context"
	"log/slog"
	"net"

	xcomponent "mellium.im/xmpp/component"
	"mellium.im/xmpp/jid"
	"mellium.im/xmpp/mux"
)

// Neutralize applies the neutralizer to one chunk after the other, in place.
func Neutralize(chunks ...[]byte) {
	var n neutralizer
	for _, c := range chunks {
		n.apply(c)
	}
}

// ServeGuarded shakes hands over nc and serves what comes as an established session does until the stream ends.
func ServeGuarded(domain string, nc net.Conn, handlers ...mux.Option) error {
	d := jid.MustParse(domain)
	log := slog.New(slog.DiscardHandler)
	s, err := handshake(context.Background(), nc, Config{Domain: d, Log: log}, func() {})
	if err != nil {
		return err
	}
	return s.xmpp.Serve(&guard{own: domain, next: mux.New(xcomponent.NSAccept, handlers...), log: log, progress: s.conn.progress})
}

// ServeNaked is ServeGuarded without guard and neutralizer: mellium alone.
func ServeNaked(domain string, nc net.Conn) error {
	x, err := xcomponent.NewSession(context.Background(), jid.MustParse(domain), nil, nc)
	if err != nil {
		return err
	}
	return x.Serve(mux.New(xcomponent.NSAccept))
}
