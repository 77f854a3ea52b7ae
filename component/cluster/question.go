package cluster

import (
	"context"
	"fmt"
	"sync"

	"github.com/nats-io/nats.go"

	"ppch/component/occupancy"
)

// Bounds of questions about recorded meetings and their answers.
const (
	// answerers is how many questions a collector answers at a time, and maxQuestions how many wait.
	answerers    = 4
	maxQuestions = 64

	maxAnswer = 32 << 20 // bytes, of all parts
	maxParts  = 100_000
	maxNonces = 65_536
)

// answerQuestions answers questions about recorded meetings until ctx ends.
func (c *Collector) answerQuestions(ctx context.Context, questions <-chan *nats.Msg, epoch string) error {
	for {
		select {
		case <-ctx.Done():
			return nil
		case in := <-questions:
			c.answerQuestion(ctx, in, epoch)
		}
	}
}

// answerQuestion answers one question, in as many parts as its answer needs.
func (c *Collector) answerQuestion(ctx context.Context, in *nats.Msg, epoch string) {
	q, err := c.conn.open(in.Data)
	if err != nil || q.Kind != kindQuestion || q.Shard != c.cfg.Shard.Name() || q.Collector != c.cfg.Name || in.Reply == "" {
		c.log.Debug("question refused", "err", err)
		return
	}
	// A program without the secret can only repeat old questions.
	if q.Epoch != epoch || q.Once && !c.once.add(q.Nonce) {
		c.log.Warn("question refused: it was sent before", "nats", in.Subject)
		return
	}
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), askTimeout)
	defer cancel()
	text, err := c.cfg.Answer(ctx, q.Payload)
	if err == nil && len(text) > maxAnswer {
		err = fmt.Errorf("the answer has %d MiB, and %d are allowed: ask for less", len(text)>>20, maxAnswer>>20)
	}
	m := c.message(kindAnswer, occupancy.Origin{Epoch: epoch})
	m.Nonce = q.Nonce
	if err != nil {
		m.Error, text = err.Error(), nil
	}
	size := max(1, min(pageLen, c.conn.maxBody()/2))
	m.Parts = max(1, (len(text)+size-1)/size)
	for m.Part = 1; m.Part <= m.Parts; m.Part++ {
		m.Payload = text[:min(size, len(text))]
		text = text[len(m.Payload):]
		if err := c.conn.send(in.Reply, m); err != nil {
			c.log.Debug("answer not sent", "err", err)
			return
		}
	}
	c.answers.Add(1)
}

// nonces are the nonces of questions that were answered. It is safe for concurrent use.
type nonces struct {
	// mu protects what follows.
	mu   sync.Mutex
	seen map[string]bool
	all  []string // oldest first
}

// add adds a nonce and reports whether it is new.
func (n *nonces) add(nonce string) bool {
	n.mu.Lock()
	defer n.mu.Unlock()
	if n.seen[nonce] {
		return false
	}
	if n.seen == nil {
		n.seen = make(map[string]bool)
	}
	if len(n.all) == maxNonces {
		delete(n.seen, n.all[0])
		n.all = n.all[1:]
	}
	n.seen[nonce] = true
	n.all = append(n.all, nonce)
	return true
}
