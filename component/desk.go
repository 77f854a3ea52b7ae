package component

import (
	"context"
	"errors"
	"sync/atomic"

	"mellium.im/xmpp"

	"ppch/component/stream"
)

// deskSize is how many stanzas of admins may wait to be answered.
const deskSize = 256

var errDeskFull = errors.New("component: too many stanzas of admins")

// desk is where what admins send waits to be answered, since the read loop must neither ask a question nor send.
// What doesn't find room is refused, and counted.
type desk struct {
	admins *admins
	face   xmpp.Handler

	waiting chan *stream.Stanza
	refused *atomic.Uint64
	race    race
}

func newDesk(a *admins, face xmpp.Handler, refused *atomic.Uint64) *desk {
	return &desk{admins: a, face: face, waiting: make(chan *stream.Stanza, deskSize), refused: refused}
}

// observe takes what is an admin's, and what a question of our own waits for. It never blocks.
func (d *desk) observe(in *stream.Stanza) (taken bool, err error) {
	if d.race.sees(in) {
		return true, nil
	}
	if in.Name() == "iq" && !in.Asks() || !d.admins.has(in.Attr("from")) {
		return false, nil
	}
	select {
	case d.waiting <- in:
		return true, nil
	default:
		d.refused.Add(1)
		return true, errDeskFull
	}
}

// work answers what is on the desk until ctx ends, which returns nil.
func (d *desk) work(ctx context.Context) error {
	for {
		select {
		case <-ctx.Done():
			return nil
		case in := <-d.waiting:
			in.Answer(ctx, d.face)
		}
	}
}
