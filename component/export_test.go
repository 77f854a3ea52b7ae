package component

import (
	"context"
	"log/slog"
	"net"
	"sync/atomic"

	"mellium.im/xmpp"
	xcomponent "mellium.im/xmpp/component"
	"mellium.im/xmpp/jid"
	"mellium.im/xmpp/mux"

	"ppch/component/occupancy"
)

// Directory returns the directory that c reports to.
func (c *Component) Directory() *occupancy.Directory { return c.cfg.Directory }

// Main returns how the main MUC domain is.
func (c *Component) Main() occupancy.Domain { return c.cfg.Directory.Domains()[0] }

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

// ServeWithAdmin is ServeGuarded with a face for the admin, whose host has been shown to be one of Prosody's own.
func ServeWithAdmin(domain, admin string, face xmpp.Handler) func(string, net.Conn) error {
	return func(_ string, nc net.Conn) error {
		d, a := jid.MustParse(domain), newAdmins([]jid.JID{jid.MustParse(admin)})
		a.local[a.entries[0].Domain().String()] = true
		log := slog.New(slog.DiscardHandler)
		s, err := handshake(context.Background(), nc, Config{Domain: d, Log: log}, func() {})
		if err != nil {
			return err
		}
		desk := &desk{admins: a, face: face, waiting: make(chan *incoming, deskSize), refused: new(atomic.Uint64)}
		g := &guard{own: domain, next: mux.New(xcomponent.NSAccept), log: log, progress: s.conn.progress, desk: desk, race: &s.race}
		ctx, cancel := context.WithCancel(context.Background())
		worked := make(chan error, 1)
		go func() { worked <- desk.work(ctx, g, s) }()
		err = s.xmpp.Serve(g)
		cancel()
		<-worked
		return err
	}
}
