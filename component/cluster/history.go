package cluster

import (
	"cmp"
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"sort"
	"sync"
	"sync/atomic"
	"time"

	"github.com/nats-io/nats.go"
)

const (
	// askTimeout bounds the wait for the next part of an answer, and answerTimeout that for the whole one.
	// A collector that is gone answers at once, through NATS.
	askTimeout    = 5 * time.Second
	answerTimeout = 15 * time.Second
)

// Errors of questions.
var (
	// ErrNoCollector means that no collector of the shard was ever heard.
	ErrNoCollector = errors.New("no collector of the shard was heard")

	// ErrSilent means that the collector wasn't heard lately.
	ErrSilent = errors.New("the collector is silent")

	errOffline = errors.New("this PPCH has no connection to NATS")
	errGone    = errors.New("the collector doesn't listen: it stopped, or its release knows no questions")
	errAnother = errors.New("answer to another question")
)

// HistoryConfig configures a History. Conn is required.
type HistoryConfig struct {
	Conn *Conn

	// Collectors returns those of this program, which aren't asked; nil for none.
	Collectors func() []*Collector

	Log *slog.Logger
}

// History asks collectors about the meetings that they recorded. It is safe for concurrent use.
type History struct {
	cfg  HistoryConfig
	conn *Conn
	log  *slog.Logger

	unanswered atomic.Uint64
	refused    atomic.Uint64 // messages that came as answers, but are none

	// mu protects what follows.
	mu    sync.Mutex
	began time.Time                      // when it was made, then when Run began
	known map[string]map[string]*witness // by shard and name; a collector is never forgotten, because it has what it recorded
	other map[subjectOf]otherVersion     // heartbeats that this program can't read, and can't know to be genuine
}

// subjectOf is what a subject says of a collector, whose name has underscores for dots.
type subjectOf struct{ shard, collector string }

// otherVersion is the version of a heartbeat, and when that came.
type otherVersion struct {
	err *VersionError
	at  time.Time
}

// witness is a collector that was heard.
type witness struct {
	name, epoch string
	at          int64 // of its last heartbeat, by its own clock
	heardAt     time.Time
	beat        time.Duration
	ended       bool
	own         bool  // whether it is of this program
	err         error // why it can't be asked, or nil
}

// NewHistory returns a History.
func NewHistory(cfg HistoryConfig) *History {
	if cfg.Log == nil {
		cfg.Log = slog.New(slog.DiscardHandler)
	}
	if cfg.Collectors == nil {
		cfg.Collectors = func() []*Collector { return nil }
	}
	return &History{cfg: cfg, conn: cfg.Conn, log: cfg.Log, began: time.Now(), known: make(map[string]map[string]*witness), other: make(map[subjectOf]otherVersion)}
}

// Run listens for collectors until ctx ends, then returns nil.
func (h *History) Run(ctx context.Context) error {
	sub, err := h.conn.nats.Subscribe(h.conn.subject("*", "*", string(kindState)), h.hear)
	if err != nil {
		return fmt.Errorf("cluster: history: %w", err)
	}
	h.mu.Lock()
	h.began = time.Now()
	h.mu.Unlock()
	<-ctx.Done()
	_ = sub.Unsubscribe()
	return nil
}

// hear notes a heartbeat.
func (h *History) hear(in *nats.Msg) {
	m, err := h.conn.open(in.Data)
	h.mu.Lock()
	defer h.mu.Unlock()
	var other *VersionError
	if errors.As(err, &other) {
		if len(h.other) >= maxPeers {
			clear(h.other)
		}
		h.other[h.conn.sender(in.Subject)] = otherVersion{other, time.Now()}
	}
	if err != nil || m.Kind != kindState {
		return
	}
	w := h.witness(m.Shard, m.Collector)
	switch {
	case w == nil:
		return
	case h.own(m.Shard, m.Collector):
		*w = witness{name: m.Collector, epoch: m.Epoch, own: true}
		return
	case m.Epoch > w.epoch: // an epoch begins with the time of its start
		*w = witness{epoch: m.Epoch, at: -1}
	}
	if m.Epoch != w.epoch || m.At <= w.at || w.own {
		return // repeated, or of a run that is over
	}
	w.name, w.at, w.heardAt, w.beat, w.ended = m.Collector, m.At, time.Now(), microseconds(m.Heartbeat), m.End
}

// witness returns a collector, nil if there are too many. The caller holds mu.
func (h *History) witness(shard, collector string) *witness {
	all := h.known[shard]
	if all == nil {
		if len(h.known) >= maxDomains {
			return nil
		}
		all = make(map[string]*witness)
		h.known[shard] = all
	}
	w := all[collector]
	if w == nil && len(all) < maxPeers {
		w = &witness{name: collector, at: -1}
		all[collector] = w
	}
	return w
}

// own reports whether a collector is one of this program.
func (h *History) own(shard, collector string) bool {
	return slices.ContainsFunc(h.cfg.Collectors(), func(c *Collector) bool {
		return c.cfg.Shard.Name() == shard && c.cfg.Name == collector
	})
}

// unheard returns why a collector isn't asked now, or nil.
func (h *History) unheard(w witness) error {
	switch {
	case !h.conn.Connected():
		return errOffline
	case w.err != nil:
		return w.err
	case w.ended || time.Since(w.heardAt) > max(h.conn.cfg.Heartbeat, w.beat)*5/2:
		return ErrSilent
	}
	return nil
}

// await waits until every collector had the time to be heard since there is a connection.
func (h *History) await(ctx context.Context) {
	for ctx.Err() == nil {
		h.mu.Lock()
		began := h.began
		h.mu.Unlock()
		if up := h.conn.changedAt(); up.After(began) {
			began = up
		}
		wait := time.Until(began.Add(h.conn.cfg.Heartbeat * 5 / 4))
		if wait <= 0 {
			return
		}
		time.Sleep(min(50*time.Millisecond, wait))
	}
}

// witnesses returns the collectors of a shard in the order of their names.
func (h *History) witnesses(shard string) (all []witness) {
	h.mu.Lock()
	defer h.mu.Unlock()
	genuine := map[string]bool{}
	for _, w := range h.known[shard] {
		genuine[token(w.name)] = w.own || h.unheard(*w) == nil
		if !w.own {
			all = append(all, *w)
		}
	}
	for subject, theirs := range h.other {
		if subject.shard == shard && !genuine[subject.collector] && time.Since(theirs.at) <= h.conn.cfg.Heartbeat*5/2 {
			all = append(all, witness{name: subject.collector, err: theirs.err})
		}
	}
	sort.Slice(all, func(i, k int) bool { return all[i].name < all[k].name })
	return all
}

// Ask asks all collectors of a shard a question, and calls each with the name of every one and its answer, or why there is none, one after the other.
// It blocks until all have answered or had the time to. A collector that is silent has no answer, for however long it has been so.
// With once, each answers at most once, even if NATS or another program repeats the question.
func (h *History) Ask(ctx context.Context, shard string, question []byte, once bool, each func(collector string, answer []byte, err error)) {
	h.await(ctx)
	all := h.witnesses(shard)
	if len(all) == 0 {
		each("", nil, ErrNoCollector)
		return
	}
	var asked sync.WaitGroup
	var turn sync.Mutex
	for _, w := range all {
		err := h.unheard(w)
		asked.Go(func() {
			var answer []byte
			if err == nil {
				answer, err = h.ask(ctx, shard, w, question, once)
			}
			if err != nil {
				h.unanswered.Add(1)
			}
			if err != nil && !errors.Is(err, ErrSilent) { // which the node reports
				h.log.Warn("a collector did not answer a question about meetings", "shard", shard, "collector", w.name, "err", err)
			}
			turn.Lock()
			defer turn.Unlock()
			each(w.name, answer, err)
		})
	}
	asked.Wait()
}

// ask asks one collector.
func (h *History) ask(ctx context.Context, shard string, w witness, question []byte, once bool) ([]byte, error) {
	ctx, cancel := context.WithTimeout(ctx, answerTimeout)
	defer cancel()
	q := message{Kind: kindQuestion, Shard: shard, Collector: w.name, Epoch: w.epoch, Nonce: rand.Text(), Once: once, Payload: question}
	body := q.encode()
	if len(body) > h.conn.maxBody() {
		return nil, errors.New("the question is too long for NATS")
	}
	inbox := h.conn.nats.NewRespInbox()
	sub, err := h.conn.nats.SubscribeSync(inbox)
	if err != nil {
		return nil, err
	}
	defer func() { _ = sub.Unsubscribe() }()
	if err := h.conn.nats.PublishRequest(h.conn.subject(shard, w.name, "history"), inbox, h.conn.sealer.wrap(body)); err != nil {
		return nil, err
	}
	var parts [][]byte
	size := 0
	for received := 0; ; {
		part, err := h.next(ctx, sub, q)
		if err != nil {
			return nil, err
		}
		if parts == nil {
			parts = make([][]byte, part.Parts)
		}
		if part.Parts != len(parts) {
			return nil, errAnother
		}
		if parts[part.Part-1] != nil {
			continue // repeated
		}
		if size += len(part.Payload); size > maxAnswer {
			return nil, fmt.Errorf("the answer has more than %d MiB", maxAnswer>>20)
		}
		parts[part.Part-1] = append([]byte{}, part.Payload...)
		if received++; received == len(parts) {
			return slices.Concat(parts...), nil
		}
	}
}

// next returns the next part of the answer to q. It ignores what others send there.
func (h *History) next(ctx context.Context, sub *nats.Subscription, q message) (message, error) {
	ctx, cancel := context.WithTimeout(ctx, askTimeout)
	defer cancel()
	var ignored error
	for {
		in, err := sub.NextMsgWithContext(ctx)
		switch {
		case errors.Is(err, nats.ErrNoResponders):
			return message{}, errGone
		case err != nil:
			return message{}, cmp.Or(h.conn.historyForbidden(), ignored, err)
		}
		m, err := h.conn.open(in.Data)
		switch {
		case err != nil:
			ignored = err
		case m.Kind != kindAnswer || m.Shard != q.Shard || m.Collector != q.Collector || m.Epoch != q.Epoch || m.Nonce != q.Nonce:
			ignored = errAnother
		case m.Error != "":
			return message{}, errors.New(m.Error)
		default:
			return m, nil
		}
		h.refused.Add(1)
	}
}
