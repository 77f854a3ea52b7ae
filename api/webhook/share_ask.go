package webhook

import (
	"context"
	"encoding/hex"
	"encoding/json"
	"errors"
	"time"

	"ppch/api/keys"
	"ppch/component/history"
)

// askAtOnce is how many messages a question is about: a message of NATS may have 1 MiB.
const askAtOnce = 1000

// question asks what became of messages for a webhook. Without a webhook it only asks for an answer.
type question struct {
	Owner   string   `json:"owner,omitempty"` // in hex
	Webhook string   `json:"webhook,omitempty"`
	Events  []string `json:"events,omitempty"`
}

// answer answers a question.
type answer struct {
	// Ready is whether the service can deliver: its file is usable.
	Ready bool `json:"ready"`

	// Has is whether the service has the webhook, and Off whether it doesn't send anything to it.
	Has bool `json:"has,omitempty"`
	Off bool `json:"off,omitempty"`

	// States has a letter for each event.
	States string `json:"states,omitempty"`
}

// The letters of answer.States.
const (
	letterUnknown   = '-'
	letterWaiting   = 'w'
	letterDelivered = 'd'
	letterFailed    = 'f'
)

// Problems of deliveries that another service is to send, or was.
const (
	problemHeld       = "held: another PPCH delivers the webhooks of this shard"
	problemPeerFailed = "failed on the PPCH that delivers the webhooks of this shard"
	problemPeerOff    = "disabled on the PPCH that delivers the webhooks of this shard"
)

var errNotReady = errors.New("webhook: the other service can't use its file")

// Answer answers a question of another service that shares a shard. fromDeliverer is whether that is the deliverer.
// It returns nil if the shard isn't shared here.
func (o *Outbox) Answer(ctx context.Context, shard string, fromDeliverer bool, asked []byte) []byte {
	s := o.shareOf(shard)
	if s == nil {
		return nil
	}
	if fromDeliverer && !s.cfg.Own {
		s.heard.Store(new(time.Now()))
		if s.Delivers() && s.try(ctx, true) { // before it answers, so that the two don't send at the same time
			s.log.Info("the deliverer of webhooks is back")
		}
	}
	var q question
	var a answer
	if err := json.Unmarshal(asked, &q); err != nil || len(q.Events) > askAtOnce {
		return nil
	}
	if err := o.cfg.Store.Read(ctx, func(tx *history.Tx) (err error) {
		a, err = o.answer(tx, q)
		return err
	}); err != nil && !errors.As(err, new(*history.Problem)) { // the Store logs its own
		s.log.Error("question about webhooks not answered", "err", err)
	}
	text, err := json.Marshal(a)
	if err != nil {
		panic(err) // it has no value that JSON lacks
	}
	return text
}

// answer looks the messages of a question up.
func (o *Outbox) answer(tx *history.Tx, q question) (a answer, err error) {
	a.Ready = o.isLoaded()
	var owner keys.Sum
	if b, err := hex.DecodeString(q.Owner); err != nil || copy(owner[:], b) != len(owner) {
		return a, nil
	}
	e := o.find(owner, q.Webhook)
	if e == nil {
		return a, nil
	}
	c := e.config.Load()
	a.Has, a.Off = true, !c.Enabled || !c.DisabledAt.IsZero()
	states := make([]byte, len(q.Events))
	for i, event := range q.Events {
		if states[i], err = stateOf(tx, e.number, event); err != nil {
			return answer{}, err
		}
	}
	a.States = string(states)
	return a, nil
}

// ask asks about all that is held, and acts upon the answers. Without anything to ask about it only asks for an answer.
func (s *Share) ask(ctx context.Context) error {
	asked := false
	for _, e := range *s.outbox.all.Load() {
		c := e.config.Load()
		waits := map[int64]bool{} // lanes whose first message is to wait
		for after := int64(0); !s.Delivers(); {
			var held []heldRow
			if err := s.outbox.cfg.Store.Read(ctx, func(tx *history.Tx) (err error) {
				held, err = readHeld(tx, e.number, s.cfg.Shard, after)
				return err
			}); err != nil {
				return err
			}
			if len(held) == 0 {
				break
			}
			q := question{Owner: hex.EncodeToString(c.Owner[:]), Webhook: c.ID}
			for _, h := range held {
				q.Events = append(q.Events, h.event)
			}
			a, err := s.put(ctx, q)
			if err != nil {
				return err
			}
			asked = true
			if err := s.apply(ctx, e, held, a, waits); err != nil {
				return err
			}
			if len(held) < askAtOnce {
				break
			}
			after = held[len(held)-1].number
			if !sleep(ctx, e.removed, sweepPause) {
				break
			}
		}
	}
	if asked {
		return nil
	}
	_, err := s.put(ctx, question{})
	return err
}

// put puts a question.
func (s *Share) put(ctx context.Context, q question) (a answer, err error) {
	text, err := json.Marshal(q)
	if err != nil {
		panic(err) // it has no value that JSON lacks
	}
	to := s.cfg.Deliverer
	if s.cfg.Own {
		to = ""
	}
	ctx, cancel := context.WithTimeout(ctx, s.cfg.Every)
	defer cancel()
	if text, err = s.cfg.Peers.Ask(ctx, to, text); err != nil {
		return answer{}, err
	}
	if err := json.Unmarshal(text, &a); err != nil {
		return answer{}, err
	}
	switch {
	case !a.Ready:
		return answer{}, errNotReady
	case a.Has && len(a.States) != len(q.Events):
		return answer{}, errors.New("webhook: the answer has another length than the question")
	}
	return a, nil
}

// apply settles, releases or keeps messages of an endpoint, by the answer about them. waits has the lanes of which a message is to wait:
// later ones wait, too, so that each room keeps its order.
func (s *Share) apply(ctx context.Context, e *endpoint, held []heldRow, a answer, waits map[int64]bool) error {
	var fates []fate
	released := false
	for i, h := range held {
		state := byte(letterUnknown)
		if a.Has {
			state = a.States[i]
		}
		f := fate{heldRow: h}
		switch age := time.Since(time.UnixMilli(h.created)); {
		case state == letterDelivered:
			f.state = stateDelivered
		case s.cfg.Own:
			f.state = stateWaiting // this service delivers it
		case state == letterFailed:
			f.state, f.problem = stateFailed, problemPeerFailed
		case state == letterWaiting:
			waits[h.lane] = true
			continue
		case h.room == "":
			f.drop = true // the deliverer reports its own gaps
		case a.Off:
			f.state, f.problem = stateFailed, problemPeerOff
		case waits[h.lane]:
			continue
		case !a.Has:
			f.state = stateWaiting
		case age < s.times(silence):
			waits[h.lane] = true // the deliverer may be about to store it
			continue
		case h.typ == ParticipantUpdated || age > s.outbox.cfg.KeepLog:
			f.drop = true // a later one has its changes, or the deliverer has forgotten it
		default:
			f.state = stateWaiting // the deliverer missed it
		}
		released = released || !f.drop && f.state == stateWaiting
		fates = append(fates, f)
	}
	if len(fates) == 0 {
		return nil
	}
	if released {
		e.queue.fill(true)
		defer e.queue.fill(false)
	}
	var rows int
	var size int64
	err := s.outbox.cfg.Store.Write(ctx, func(tx *history.Tx) (err error) {
		rows, size, err = settle(tx, e.number, fates)
		return err
	})
	if err == nil {
		e.queue.settled(rows, size)
	}
	return err
}
