package component

import (
	"context"
	"errors"
	"sync/atomic"

	"mellium.im/xmpp"
	"mellium.im/xmpp/stanza"
)

// deskSize is how many stanzas of admins may wait to be answered.
const deskSize = 256

var errDeskFull = errors.New("component: too many stanzas of admins")

// desk is where what admins send waits to be answered, since the read loop must neither ask a question nor send.
// What doesn't find room is refused, and counted.
type desk struct {
	admins *admins
	face   xmpp.Handler

	waiting chan *incoming
	refused *atomic.Uint64
}

// errNotForUs is returned for what is not an admin's, or nothing that the face answers.
var errNotForUs = errors.New("component: not for the face")

// take puts a stanza on the desk. It never blocks. A nil desk takes nothing.
func (d *desk) take(in *incoming) error {
	if d == nil || in.tooLarge || !d.admins.has(in.attr("from")) {
		return errNotForUs
	}
	switch in.start.Name.Local {
	case "iq":
		if !in.asks() || in.children != 1 || in.text {
			return errNotForUs // the guard knows what to say
		}
	case "message", "presence":
	default:
		return errNotForUs
	}
	select {
	case d.waiting <- in:
		return nil
	default:
		d.refused.Add(1)
		return errDeskFull
	}
}

// work answers what is on the desk until ctx ends, which returns nil.
func (d *desk) work(ctx context.Context, g *guard, s *session) error {
	for {
		select {
		case <-ctx.Done():
			return nil
		case in := <-d.waiting:
			answer, err := g.reply(d.face, in)
			if err != nil {
				g.log.Debug("stanza of an admin refused", "stanza", in.start.Name.Local, "type", in.attr("type"), "err", err)
			}
			if len(answer) == 0 {
				continue
			}
			if err := s.send(ctx, answer); errors.Is(err, errUnsendable) && in.asks() {
				g.log.Error("answer can't be sent", "stanza", in.start.Name.Local, "err", err)
				_ = s.send(ctx, g.refuse(in, stanza.InternalServerError))
			}
		}
	}
}
