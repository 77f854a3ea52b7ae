package cluster

import (
	"context"
	"crypto/rand"
	"encoding/json"
	"fmt"
	"log/slog"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/nats-io/nats.go"

	"ppch/component/occupancy"
)

// webhooksToken is the last token of the subject on which services of a shard speak about its webhooks.
const webhooksToken = "webhooks"

// maxServices is how many services of a shard are remembered.
const maxServices = 64

// ExchangeConfig configures an Exchange. All fields but Deliverer and Log are required.
type ExchangeConfig struct {
	Conn *Conn

	// Shard is the name of the shard, and Name that of the collector.
	Shard, Name string

	// Deliverer is the name of the service that is to deliver the shard's webhooks; empty if none was named.
	Deliverer string

	// Active reports whether this service has webhooks.
	Active func() bool

	// Answer answers a question of another service, or returns nil for no answer.
	Answer func(ctx context.Context, from string, question []byte) []byte

	Log *slog.Logger
}

// Exchange carries questions and answers between the services that record a shard, about its webhooks. It also notices
// if several of them deliver. It is safe for concurrent use.
type Exchange struct {
	cfg  ExchangeConfig
	conn *Conn
	log  *slog.Logger

	// mu protects what follows.
	mu     sync.Mutex
	others map[string]service
	warned bool
}

// service is another service of the shard, as last heard.
type service struct {
	deliverer string
	active    bool
	at        time.Time
}

// The kinds of notes.
const (
	noteHello  = "hello"
	noteAsk    = "ask"
	noteAnswer = "answer"
)

// note is what services of a shard send about its webhooks, sealed like a message.
type note struct {
	Note  string `json:"note"`
	Shard string `json:"shard"`
	From  string `json:"from"`
	To    string `json:"to,omitempty"` // empty for any other

	// Deliverer is whom From takes for the deliverer, and Active is whether it has webhooks.
	Deliverer string `json:"deliverer,omitempty"`
	Active    bool   `json:"active,omitempty"`

	// Nonce relates an answer to its question, so that an old one has no effect.
	Nonce string          `json:"nonce,omitempty"`
	Body  json.RawMessage `json:"body,omitempty"`
}

// NewExchange returns an Exchange.
func NewExchange(cfg ExchangeConfig) *Exchange {
	if cfg.Log == nil {
		cfg.Log = slog.New(slog.DiscardHandler)
	}
	return &Exchange{cfg: cfg, conn: cfg.Conn, log: cfg.Log.With("shard", cfg.Shard, "collector", cfg.Name), others: make(map[string]service)}
}

// Every is the time between two questions.
func (x *Exchange) Every() time.Duration { return x.conn.cfg.Heartbeat }

// Deliverer returns the name of the configured deliverer, or an empty string.
func (x *Exchange) Deliverer() string { return x.cfg.Deliverer }

// Shard returns the name of the shard.
func (x *Exchange) Shard() string { return x.cfg.Shard }

// subject is one for all services of a shard.
func (x *Exchange) subject() string {
	return x.conn.cfg.Prefix + "." + x.cfg.Shard + "." + webhooksToken
}

// Run answers questions, and tells the other services about this one, until ctx ends, then returns nil.
func (x *Exchange) Run(ctx context.Context) error {
	// Each question is answered before the next one: a service asks one at a time.
	sub, err := x.conn.nats.Subscribe(x.subject(), func(in *nats.Msg) { x.hear(ctx, in) })
	if err != nil {
		return fmt.Errorf("cluster: exchange: %w", err)
	}
	defer func() { _ = sub.Unsubscribe() }()
	tick := time.NewTicker(x.Every())
	defer tick.Stop()
	for {
		if n := x.note(noteHello); n.Active || n.Deliverer != "" {
			if err := x.conn.nats.Publish(x.subject(), x.seal(n)); err != nil {
				x.log.Debug("note not published", "err", err)
			}
		}
		x.check()
		select {
		case <-ctx.Done():
			return nil
		case <-tick.C:
		}
	}
}

func (x *Exchange) note(what string) note {
	return note{Note: what, Shard: x.cfg.Shard, From: x.cfg.Name, Deliverer: x.cfg.Deliverer, Active: x.cfg.Active()}
}

func (x *Exchange) seal(n note) []byte {
	body, err := json.Marshal(n)
	if err != nil {
		panic(err) // Body is JSON
	}
	return x.conn.sealer.wrap(body)
}

// open returns a note of another service.
func (x *Exchange) open(data []byte) (n note, err error) {
	body, err := x.conn.sealer.unwrap(data)
	if err != nil {
		x.conn.foreign.Add(1)
		return note{}, err
	}
	if err := json.Unmarshal(body, &n); err != nil {
		return note{}, err
	}
	if n.Shard != x.cfg.Shard || n.From == "" {
		return note{}, errFormat
	}
	return n, nil
}

// hear takes a note of another service.
func (x *Exchange) hear(ctx context.Context, in *nats.Msg) {
	n, err := x.open(in.Data)
	if err != nil || n.From == x.cfg.Name || n.Note != noteHello && n.Note != noteAsk {
		return
	}
	x.mu.Lock()
	if _, known := x.others[n.From]; known || len(x.others) < maxServices {
		x.others[n.From] = service{n.Deliverer, n.Active, time.Now()}
	}
	x.mu.Unlock()
	if n.Note != noteAsk || in.Reply == "" || n.To != "" && n.To != x.cfg.Name {
		return
	}
	ctx, cancel := context.WithTimeout(ctx, x.Every())
	defer cancel()
	a := x.note(noteAnswer)
	if a.Body = x.cfg.Answer(ctx, n.From, n.Body); a.Body == nil {
		return
	}
	a.To, a.Nonce = n.From, n.Nonce
	if err := x.conn.nats.Publish(in.Reply, x.seal(a)); err != nil {
		x.log.Debug("answer not sent", "err", err)
	}
}

// Ask asks the service of a name, or any other if that is empty, and returns its answer. Both are JSON.
func (x *Exchange) Ask(ctx context.Context, to string, question []byte) ([]byte, error) {
	q := x.note(noteAsk)
	q.To, q.Nonce, q.Body = to, rand.Text(), question
	// A subject of this collector, so that it needs no permission to hear the answers that others get.
	inbox := x.conn.subject(x.cfg.Shard, x.cfg.Name, "answer."+q.Nonce)
	sub, err := x.conn.nats.SubscribeSync(inbox)
	if err != nil {
		return nil, fmt.Errorf("cluster: ask about webhooks: %w", err)
	}
	defer func() { _ = sub.Unsubscribe() }()
	if err := x.conn.nats.PublishRequest(x.subject(), inbox, x.seal(q)); err != nil {
		return nil, fmt.Errorf("cluster: ask about webhooks: %w", err)
	}
	for {
		in, err := sub.NextMsgWithContext(ctx)
		if err != nil {
			return nil, fmt.Errorf("cluster: ask about webhooks: %w", err)
		}
		if a, err := x.open(in.Data); err == nil && a.Note == noteAnswer && a.Nonce == q.Nonce && (to == "" || a.From == to) {
			return a.Body, nil
		}
	}
}

// Problem returns that another service delivers the same webhooks, too, or nil.
func (x *Exchange) Problem() *occupancy.UnavailableError {
	if !x.cfg.Active() {
		return nil
	}
	if p := x.conn.forbidsWebhooks(); p != nil && x.cfg.Deliverer != "" {
		return p
	}
	x.mu.Lock()
	defer x.mu.Unlock()
	var twice []string
	for name, s := range x.others {
		if s.active && time.Since(s.at) < 3*x.Every() && (x.cfg.Deliverer == "" || s.deliverer != x.cfg.Deliverer) {
			twice = append(twice, name)
		}
	}
	if len(twice) == 0 {
		return nil
	}
	slices.Sort(twice)
	return occupancy.ProblemDeliveredTwice.With(
		occupancy.Fact{Name: "shard", Value: x.cfg.Shard}, occupancy.Fact{Name: "collector", Value: strings.Join(twice, ", ")},
	).Err(nil)
}

// check writes a new problem to the log, and forgets services that have been silent for long.
func (x *Exchange) check() {
	p := x.Problem()
	x.mu.Lock()
	defer x.mu.Unlock()
	for name, s := range x.others {
		if time.Since(s.at) > forgetAfter {
			delete(x.others, name)
		}
	}
	if p != nil && !x.warned {
		x.log.Warn("webhooks of this shard are delivered twice", "reason", p.Error(), "remedy", p.Remedy)
	}
	x.warned = p != nil
}
