package cluster

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"time"

	"github.com/nats-io/nats.go"

	"ppch/component/follow"
	"ppch/component/occupancy"
	"ppch/component/protocol"
)

const (
	// pageTimeout bounds the wait for one page. A collector that is gone answers at once, through NATS.
	pageTimeout = 5 * time.Second

	// maxPages is the most pages of one snapshot.
	maxPages = 100_000
)

// subscription is what a node receives from one run of a collector.
//
// To the follower it looks as if the collector numbered the batches for this node alone: first the pages of the snapshot, then the changes.
type subscription struct {
	node *Node
	peer *peer
	sub  *nats.Subscription

	epoch  string // for the follower: no other subscription has it
	pages  uint64
	base   uint64        // the number of the last batch in the snapshot
	seq    uint64        // of the last batch
	lastAt time.Duration // of the last message
}

// load loads the snapshot, page by page.
func (s *subscription) load(ctx context.Context, begin func(follow.Subscription)) error {
	s.epoch = s.peer.epoch + " " + rand.Text()
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	for p := range s.fetch(ctx) {
		if p.err != nil {
			return p.err
		}
		if s.pages == 0 {
			s.base, s.seq = p.Seq, p.Seq
			begin(s.begin(p.message, p.asked))
			s.forget(p.message)
		} else if p.Seq != s.base || p.Snapshot != p.of {
			return errors.New("page of another snapshot")
		}
		s.pages++
		if err := s.node.follower.Apply(s.batch(p.message, s.pages)); err != nil {
			return err
		}
		if p.Next == nil {
			return nil
		}
	}
	if err := ctx.Err(); err != nil {
		return err
	}
	return errors.New("it never ends")
}

// fetched is a page of a snapshot, or why there is none.
type fetched struct {
	message
	of    string // the snapshot that was asked for; empty for a new one
	asked time.Time
	err   error
}

// fetch requests all pages until ctx ends, each while the caller applies the one before.
func (s *subscription) fetch(ctx context.Context) <-chan fetched {
	pages := make(chan fetched)
	request := message{Kind: kindRequest, Shard: s.node.cfg.Shard, Collector: s.peer.name, Epoch: s.peer.epoch}
	s.node.delivery.Go(func() error {
		defer close(pages)
		for n := range maxPages {
			p := fetched{of: request.Snapshot, asked: time.Now()}
			p.message, p.err = s.request(ctx, request)
			if n == 0 && p.err == nil && time.Since(p.asked) > follow.MaxClockSlack {
				// It was on its way for too long to show what the collector's clock is.
				p.asked = time.Now()
				p.message, p.err = s.request(ctx, request)
			}
			select {
			case pages <- p:
			case <-ctx.Done():
				return nil
			}
			if p.err != nil || p.Next == nil {
				return nil
			}
			request.Snapshot, request.From = p.Snapshot, p.Next
		}
		return nil
	})
	return pages
}

// request asks for one page.
func (s *subscription) request(ctx context.Context, m message) (message, error) {
	ctx, cancel := context.WithTimeout(ctx, pageTimeout)
	defer cancel()
	m.Nonce = rand.Text()
	n := s.node
	answer, err := n.conn.nats.RequestWithContext(ctx, n.conn.subject(n.cfg.Shard, s.peer.name, "snapshot."+s.peer.epoch), n.conn.sealer.wrap(m.encode()))
	if err != nil {
		return message{}, err
	}
	page, err := n.conn.open(answer.Data)
	switch {
	case err != nil:
		n.count(err)
		return message{}, err
	case page.Kind != kindPage || page.Shard != m.Shard || page.Collector != m.Collector || page.Epoch != m.Epoch || page.Nonce != m.Nonce:
		n.garbage.Add(1)
		return message{}, errors.New("answer to another question")
	case page.Error != "":
		return message{}, errors.New(page.Error)
	case m.From == nil && page.Heartbeat == 0:
		return message{}, errors.New("the first page has no heartbeat")
	}
	return page, nil
}

// begin returns the answer to a subscription, from the first page.
func (s *subscription) begin(page message, asked time.Time) follow.Subscription {
	out := follow.Subscription{
		Epoch: s.epoch, Version: page.Version, Heartbeat: microseconds(page.Heartbeat), At: microseconds(page.At), Time: unixMilli(page.Time), Asked: asked,
	}
	for _, d := range page.Domains {
		if d.Known && s.watched(d.JID) {
			out.Domains = append(out.Domains, follow.Domain{
				JID: domainJID(d.JID), Accounts: occupancy.SystemAccounts{Classified: true, Type: roomType(d.Type), VisitorNode: d.VisitorNode},
			})
		}
	}
	return out
}

// forget discards the rooms of domains that the same run of the collector knew before, and doesn't know any more.
// What another one knew stays until it is too old.
func (s *subscription) forget(page message) {
	n := s.node
	n.mu.Lock()
	same := n.followed == s.peer.key
	n.mu.Unlock()
	for _, d := range page.Domains {
		if same && !d.Known && s.watched(d.JID) {
			n.cfg.Replica.Forget(domainJID(d.JID))
		}
	}
}

// watched reports whether the node keeps a replica of a domain.
func (s *subscription) watched(domain string) bool {
	for _, d := range s.node.cfg.Domains {
		if d.Domainpart() == domain {
			return true
		}
	}
	return false
}

// batch returns a message as the follower's batch of a number.
func (s *subscription) batch(m message, seq uint64) follow.Batch {
	b := follow.Batch{
		Batch: protocol.Batch{Epoch: s.epoch, Seq: seq, At: microseconds(m.At), End: m.End},
		Age:   microseconds(m.Age),
		Beat:  m.Kind == kindState,
	}
	if m.Kind == kindState || m.Domain == "" || !s.watched(m.Domain) {
		return b
	}
	b.Domain = domainJID(m.Domain)
	b.Batch.Batch = occupancy.Batch{
		Deltas: m.Deltas, Synced: m.Synced, Rooms: m.Rooms, Occupants: m.Occupants, Unseen: m.Unseen,
		Origin: occupancy.Origin{Epoch: m.Epoch, Seq: m.Seq},
	}
	return b
}

// deliver passes batches to the follower until ctx ends, then returns nil, or until the subscription has to end.
func (s *subscription) deliver(ctx context.Context) error {
	for {
		in, err := s.sub.NextMsgWithContext(ctx)
		switch {
		case ctx.Err() != nil:
			return nil
		case errors.Is(err, nats.ErrSlowConsumer):
			return fmt.Errorf("%w: this node reads too slowly", follow.ErrGap)
		case err != nil:
			return err
		}
		m, err := s.node.conn.open(in.Data)
		if err == nil && (m.Shard != s.node.cfg.Shard || m.Kind != kindBatch && m.Kind != kindState) {
			err = errFormat
		}
		if err != nil {
			s.node.count(err) // it may come from any program, so it ends nothing
			continue
		}
		if m.Collector != s.peer.name || m.Epoch != s.peer.epoch {
			continue // another run of this collector
		}
		if err := s.take(m); err != nil {
			return err
		}
	}
}

// take passes a message of the collector to the follower.
func (s *subscription) take(m message) error {
	n := s.node
	if m.Kind == kindBatch && m.Seq <= s.seq || m.Kind == kindState && (microseconds(m.At) <= s.lastAt || m.Seq < s.seq) {
		if m.Kind == kindBatch && m.Seq > s.base {
			n.repeated.Add(1)
		}
		return nil // in the snapshot, or repeated
	}
	if m.Lost && s.watched(m.Domain) {
		if !m.Synced {
			n.cfg.Replica.Forget(domainJID(m.Domain))
		}
		return follow.ErrEnded
	}
	if err := n.follower.Apply(s.batch(m, s.pages+m.Seq-s.base)); err != nil {
		if errors.Is(err, follow.ErrGap) {
			n.gaps.Add(1)
		}
		return err
	}
	s.seq, s.lastAt = m.Seq, max(s.lastAt, microseconds(m.At))
	n.mu.Lock()
	defer n.mu.Unlock()
	s.peer.takenAt, s.peer.seq = time.Now(), m.Seq
	if m.Kind == kindState {
		n.note(m)
		if n.current == s.peer && !m.End {
			n.report(s.peer)
		}
	}
	return nil
}
