package cluster_test

import (
	"math/rand/v2"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/nats-io/nats.go"
)

// relay carries messages between two NATS servers, one for the collectors and one for the nodes, as badly as the test wants.
type relay struct {
	collectors, nodes *nats.Conn

	// change changes each message of a collector, unless it is nil.
	change func([]byte) []byte

	// mu protects what follows.
	mu       sync.Mutex
	random   *rand.Rand
	lossy    float64 // the probability that a message is lost, repeated or overtaken
	cut      map[string]bool
	recorded []*nats.Msg // to be repeated much later
	waiting  *nats.Msg   // to be overtaken by the next one
}

func newRelay(t *testing.T, collectors, nodes string, seed uint64, change func([]byte) []byte) *relay {
	t.Helper()
	r := &relay{change: change, random: rand.New(rand.NewPCG(seed, 1)), cut: make(map[string]bool)}
	for url, conn := range map[string]**nats.Conn{collectors: &r.collectors, nodes: &r.nodes} {
		c, err := nats.Connect(url, nats.MaxReconnects(-1), nats.ReconnectWait(50*time.Millisecond))
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(c.Close)
		*conn = c
	}
	_, err := r.collectors.Subscribe("ppch.>", r.carry)
	if err == nil {
		_, err = r.nodes.Subscribe("ppch.*.*.snapshot.*", r.ask)
	}
	if err != nil {
		t.Fatal(err)
	}
	_ = r.collectors.Flush()
	_ = r.nodes.Flush()
	return r
}

// set sets how bad the relay is, and which collectors are cut off, by their names in subjects.
func (r *relay) set(lossy float64, cut ...string) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.lossy = lossy
	clear(r.cut)
	for _, c := range cut {
		r.cut[c] = true
	}
}

// carry carries a message of a collector.
func (r *relay) carry(m *nats.Msg) {
	r.mu.Lock()
	defer r.mu.Unlock()
	part := strings.Split(m.Subject, ".")
	if r.cut[part[2]] || part[3] == "snapshot" {
		return
	}
	send := func(m *nats.Msg) { _ = r.nodes.Publish(m.Subject, r.changed(m.Data)) }
	if len(r.recorded) < 200 {
		r.recorded = append(r.recorded, m)
	} else {
		r.recorded[r.random.IntN(len(r.recorded))] = m
	}
	if w := r.waiting; w != nil {
		r.waiting = nil
		defer send(w)
	}
	if r.random.Float64() >= r.lossy {
		send(m)
		return
	}
	switch r.random.IntN(4) {
	case 0: // lost
	case 1:
		send(m)
		send(m)
	case 2:
		send(m)
		send(r.recorded[r.random.IntN(len(r.recorded))])
	default:
		r.waiting = m
	}
}

// ask carries a request of a node and its answer.
func (r *relay) ask(m *nats.Msg) {
	r.mu.Lock()
	part := strings.Split(m.Subject, ".")
	lost := r.cut[part[2]] || r.random.Float64() < r.lossy
	twice := r.random.Float64() < r.lossy
	r.mu.Unlock()
	if lost {
		return
	}
	go func() {
		answer, err := r.collectors.Request(m.Subject, m.Data, time.Second)
		if err != nil {
			return
		}
		_ = r.nodes.Publish(m.Reply, r.changed(answer.Data))
		if twice {
			_ = r.nodes.Publish(m.Reply, r.changed(answer.Data))
		}
	}()
}

func (r *relay) changed(data []byte) []byte {
	if r.change == nil {
		return data
	}
	return r.change(data)
}
