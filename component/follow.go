package component

import (
	"context"
	"encoding/xml"
	"errors"
	"fmt"
	"time"

	"mellium.im/xmlstream"
	"mellium.im/xmpp/jid"
	"mellium.im/xmpp/mux"
	"mellium.im/xmpp/stanza"

	"ppch/component/follow"
	"ppch/component/protocol"
)

// subscriber subscribes to the Lua module on a domain (prosody/README.md).
type subscriber struct {
	*domain
	conn *connection
}

// Subscribe implements [follow.Carrier].
func (s subscriber) Subscribe(ctx context.Context, begin func(follow.Subscription)) error {
	slow, err := s.ask(ctx, true, begin)
	if err == nil && slow {
		_, err = s.ask(ctx, false, begin)
	}
	var refusal stanza.Error
	if errors.As(err, &refusal) && refusal.Condition == stanza.ServiceUnavailable {
		s.refusals.Add(1)
		return fmt.Errorf("%w: the Lua module is not loaded or does not allow this component", follow.ErrRefused)
	}
	return err
}

// ask subscribes and calls begin with the answer. If hurry, it ignores one that came too late to show what Prosody's clock is:
// perhaps Prosody was frozen, and answers now.
func (s subscriber) ask(ctx context.Context, hurry bool, begin func(follow.Subscription)) (slow bool, err error) {
	ctx, cancel := context.WithTimeout(ctx, askTimeout)
	defer cancel()
	asked := time.Now()
	err = s.conn.Ask(ctx, stanza.SetIQ, s.jid, xmlstream.Wrap(nil, xml.StartElement{Name: protocol.SubscribeName}), func(d *xml.Decoder) error {
		var answer protocol.Subscribed
		if err := d.Decode(&answer); err != nil {
			return err
		}
		s.refusals.Store(0)
		if slow = hurry && time.Since(asked) > follow.MaxClockSlack; slow {
			return nil
		}
		// The read loop waits until this returns, so the first batch comes after begin.
		begin(follow.Subscription{
			Epoch: answer.Epoch, Version: answer.Version, Heartbeat: answer.Heartbeat, At: answer.At, Time: answer.Time, Asked: asked, RoomCache: answer.RoomCache,
			Domains: []follow.Domain{{JID: s.jid, Accounts: answer.Accounts}},
		})
		return nil
	})
	return slow, err
}

// handleBatches returns the handlers of batches.
// The result of an IQ acknowledges its batch once it is applied; an error makes the module drop the subscription.
// A batch in a message needs no answer: one in an IQ follows later.
func (c *Component) handleBatches() []mux.Option {
	return []mux.Option{
		mux.IQFunc(stanza.SetIQ, protocol.BatchName, func(iq stanza.IQ, t xmlstream.TokenReadEncoder, start *xml.StartElement) error {
			if err := c.receiveBatch(iq.From, t, *start); err != nil {
				return err
			}
			_, err := xmlstream.Copy(t, iq.Result(nil))
			return err
		}),
		mux.MessageFunc(stanza.NormalMessage, protocol.BatchName, func(msg stanza.Message, t xmlstream.TokenReadEncoder) error {
			start, err := protocol.FindBatch(t)
			if err != nil {
				return err
			}
			return c.receiveBatch(msg.From, t, start)
		}),
	}
}

// receiveBatch applies a batch whose start element was read before.
func (c *Component) receiveBatch(from jid.JID, t xml.TokenReader, start xml.StartElement) error {
	d, err := c.domainOf(from)
	if err != nil || !from.Equal(d.jid) {
		// Only the MUC domain sends batches of its rooms, and Prosody guarantees from.
		return fmt.Errorf("component: batch from %s", from)
	}
	b, err := protocol.DecodeBatch(t, start)
	if err == nil {
		err = d.follower.Apply(follow.Batch{Batch: b, Domain: d.jid})
	} else {
		d.follower.End(err)
	}
	if err == nil {
		c.noteAnswer()
	}
	return err
}
