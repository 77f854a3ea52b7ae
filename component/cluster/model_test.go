package cluster_test

import (
	"cmp"
	"flag"
	"fmt"
	"slices"
	"strings"
	"testing"
)

// This is a model of the protocol between collectors and a node, explored exhaustively within small bounds:
// two rooms change, two collectors of one Prosody may fall behind, restart and be changed for each other, and the network loses,
// repeats, delays and reorders messages. A number is false if the room was not so at the time that the node states for it.
// The model leaves totals out: they would hide what the other rules have to find.
// The whole model is explored by: go test ./component/cluster -run TestModel_NoFalseNumber -whole

// rules are those of the protocol. Without any one of them, the model must find a false number.
type rules struct {
	gap      bool // a batch that isn't the next one ends the subscription
	repeat   bool // a batch that was already applied is ignored
	run      bool // a message of another collector, or of another run of it, is ignored
	newRun   bool // a collector that restarts names its run differently
	nonce    bool // a snapshot answers the last request, not an earlier one
	statedAt bool // the time of a batch is the one that it states, not that of its arrival
	unknown  bool // a collector that knows nothing reports that, not that there are no rooms
	loaded   bool // a collector publishes that it has loaded the rooms as a whole
	sealed   bool // a message without our seal is ignored
}

var allRules = rules{true, true, true, true, true, true, true, true, true}

const (
	modelChanges  = 2
	modelSeq      = 3 // of a run; further batches only confirm
	modelMessages = 2
	modelWaiting  = 2
	modelRequests = 2
)

// modelRestarts is how often each collector may restart.
var modelRestarts = [2]int8{1, 1}

var wholeModel = flag.Bool("whole", false, "explore the whole model: 13,203,030 states, 90 s, 6 GB")

type (
	// world is one state of everything.
	world struct {
		n          int8               // changes so far: the time
		changes    [modelChanges]int8 // the room that each one changed
		collectors [2]modelCollector
		network    [modelMessages]modelMessage // sorted
		node       modelNode
	}

	modelCollector struct {
		run, seq int8
		knows    int8 // the changes that it knows, -1 for nothing
		restarts int8
	}

	// modelMessage is a batch or a snapshot; the zero one is none.
	modelMessage struct {
		kind      int8 // 0 none, 1 batch, 2 snapshot
		collector int8
		run, seq  int8
		room      int8 // that a batch changes, -1 for none
		people    int8 // in it
		at        int8 // the time that it is true at, -1 if the collector knows nothing
		sent      int8
		nonce     int8
		lost      bool // a batch without its changes
	}

	modelNode struct {
		mode           int8 // 0 none, 1 waiting for a snapshot, 2 following
		collector, run int8
		seq            int8
		nonce, asked   int8
		waiting        [modelWaiting]modelMessage
		has            bool
		people         [2]int8
		at             int8
	}
)

// roomsAt returns how many people the rooms had after some changes: each change lets one come or go.
func (w *world) roomsAt(n int8) (people [2]int8) {
	for i := range n {
		people[w.changes[i]] ^= 1
	}
	return people
}

// isFalse reports whether the node has a number that wasn't true at its time.
func (w *world) isFalse() bool {
	return w.node.has && (w.node.at < 0 || w.node.at > w.n || w.node.people != w.roomsAt(w.node.at))
}

// send puts a message into the network. It is lost if that is full.
func (w *world) send(m modelMessage) {
	if w.network[modelMessages-1].kind != 0 {
		return
	}
	w.network[modelMessages-1] = m
	w.sort()
}

func (w *world) sort() {
	slices.SortFunc(w.network[:], func(a, b modelMessage) int {
		return cmp.Or(
			cmp.Compare(b.kind, a.kind), cmp.Compare(a.collector, b.collector), cmp.Compare(a.run, b.run), cmp.Compare(a.seq, b.seq),
			cmp.Compare(a.room, b.room), cmp.Compare(a.people, b.people), cmp.Compare(a.at, b.at), cmp.Compare(a.sent, b.sent), cmp.Compare(a.nonce, b.nonce),
		)
	})
}

// batch returns the next batch of a collector.
func (w *world) batch(c int8, room int8) modelMessage {
	s := &w.collectors[c]
	s.seq++
	m := modelMessage{kind: 1, collector: c, run: s.run, seq: s.seq, room: room, at: s.knows, sent: w.n}
	if room >= 0 {
		m.people = w.roomsAt(s.knows)[room]
	}
	return m
}

// next calls visit with each state that can follow, and what happened.
func (w world) next(r rules, visit func(world, string)) {
	if w.n < modelChanges {
		for room := range int8(2) {
			c := w
			c.changes[c.n] = room
			c.n++
			visit(c, fmt.Sprintf("room %d changes", room))
		}
	}
	for i := range int8(2) {
		w.collect(r, i, visit)
		if w.node.nonce < modelRequests {
			c := w
			c.node.mode, c.node.collector, c.node.run = 1, i, w.collectors[i].run
			c.node.nonce++
			c.node.asked, c.node.waiting, c.node.seq = w.n, [modelWaiting]modelMessage{}, 0
			visit(c, fmt.Sprintf("the node asks collector %d", i))
		}
	}
	for i, m := range w.network {
		if m.kind == 0 || i > 0 && m == w.network[i-1] {
			continue
		}
		gone := w
		gone.network[i] = modelMessage{}
		gone.sort()
		visit(gone, fmt.Sprintf("lost: %+v", m))
		gone.receive(r, m)
		visit(gone, fmt.Sprintf("received: %+v", m))
		again := w
		again.receive(r, m)
		visit(again, fmt.Sprintf("received, and again later: %+v", m))
	}
	if !r.sealed {
		c := w
		c.receive(r, modelMessage{kind: 1, collector: w.node.collector, run: w.node.run, seq: w.node.seq + 1, room: 0, people: 1 - w.node.people[0], at: w.n})
		visit(c, "a foreign batch")
	}
}

// collect is what a collector may do.
func (w world) collect(r rules, i int8, visit func(world, string)) {
	s := w.collectors[i]
	switch {
	case s.knows < 0:
		c := w
		c.collectors[i].knows = w.n
		m := c.batch(i, -1)
		m.lost = true
		if r.loaded {
			c.send(m)
		} else {
			c.collectors[i].seq--
		}
		visit(c, fmt.Sprintf("collector %d loads the rooms", i))
	case s.knows < w.n:
		c := w
		c.collectors[i].knows++
		c.send(c.batch(i, w.changes[s.knows]))
		visit(c, fmt.Sprintf("collector %d publishes a change", i))
	case s.seq < modelSeq:
		c := w
		c.send(c.batch(i, -1))
		visit(c, fmt.Sprintf("collector %d confirms", i))
	}
	if s.restarts < modelRestarts[i] {
		c := w
		next := modelCollector{run: s.run, knows: -1, restarts: s.restarts + 1}
		if r.newRun {
			next.run++
		}
		c.collectors[i] = next
		visit(c, fmt.Sprintf("collector %d restarts", i))
	}
	if n := w.node; n.mode == 1 && n.collector == i && n.run == s.run {
		c := w
		c.send(modelMessage{kind: 2, collector: i, run: s.run, seq: s.seq, at: s.knows, sent: w.n, nonce: n.nonce})
		visit(c, fmt.Sprintf("collector %d answers", i))
	}
}

// receive is what the node does with a message.
func (w *world) receive(r rules, m modelMessage) {
	n := &w.node
	if n.mode == 0 || r.run && (m.collector != n.collector || m.run != n.run) {
		return
	}
	switch {
	case m.kind == 1 && n.mode == 1:
		for i := range n.waiting {
			if n.waiting[i].kind == 0 {
				n.waiting[i] = m
				return
			}
		}
	case m.kind == 1:
		w.apply(r, m)
	case n.mode == 1 && (m.nonce == n.nonce || !r.nonce):
		n.mode, n.seq = 2, m.seq
		switch {
		case m.at >= 0:
			n.has, n.people, n.at = true, w.roomsAt(m.at), m.at
			if m.nonce != n.nonce {
				n.at += n.asked - m.sent // the age is counted from the wrong question
			}
		case !r.unknown:
			n.has, n.people, n.at = true, [2]int8{}, m.sent
		}
		for _, b := range n.waiting {
			if b.kind != 0 && n.mode == 2 {
				w.apply(r, b)
			}
		}
		n.waiting = [modelWaiting]modelMessage{}
	}
}

// apply is what the node does with a batch while it follows.
func (w *world) apply(r rules, m modelMessage) {
	n := &w.node
	switch {
	case m.seq <= n.seq && r.repeat:
		return
	case m.seq > n.seq+1 && r.gap, m.lost:
		n.mode = 0
		return
	}
	n.seq = m.seq
	if !n.has {
		return
	}
	if m.room >= 0 {
		n.people[m.room] = m.people
	}
	n.at = m.at
	if !r.statedAt {
		n.at = w.n
	}
}

// prune forgets what can't matter any more with all rules, so that fewer states differ: messages that the node would ignore now and ever,
// and what only a missing rule would read. A batch that was sent before a snapshot is in it.
func (w *world) prune() {
	n := &w.node
	ours := func(m modelMessage) bool { return n.mode != 0 && m.collector == n.collector && m.run == n.run }
	base := n.seq
	if n.mode == 1 {
		base = 127
		for _, m := range w.network {
			if m.kind == 2 && ours(m) && m.nonce == n.nonce {
				base = min(base, m.seq)
			}
		}
	}
	for i, m := range w.network {
		if !ours(m) || m.kind == 1 && m.seq <= base || m.kind == 2 && (n.mode != 1 || m.nonce != n.nonce) {
			w.network[i] = modelMessage{}
		}
		w.network[i].sent = 0
	}
	for i := range n.waiting {
		n.waiting[i].sent = 0
	}
	if n.asked = 0; n.mode == 0 {
		*n = modelNode{nonce: n.nonce, has: n.has, people: n.people, at: n.at}
	}
	w.sort()
}

// explore visits all states that can be reached, and returns how a false number arises, or nil, and the number of states.
func explore(r rules) (trace []string, states int) {
	all, parents := []world{{}}, []int32{0}
	seen := map[world]struct{}{{}: {}}
	for i := 0; i < len(all); i++ {
		w, found := all[i], false
		w.next(r, func(c world, _ string) {
			if r == allRules {
				c.prune()
			}
			if _, ok := seen[c]; ok || found {
				return
			}
			seen[c] = struct{}{}
			all, parents = append(all, c), append(parents, int32(i)) // #nosec G115 -- the bounds are small
			found = c.isFalse()
		})
		if !found {
			continue
		}
		for at := len(all) - 1; at != 0; at = int(parents[at]) {
			all[parents[at]].next(r, func(c world, what string) {
				if r == allRules {
					c.prune()
				}
				if c == all[at] && (len(trace) == 0 || trace[len(trace)-1] != what) {
					trace = append(trace, what)
				}
			})
		}
		slices.Reverse(trace)
		break
	}
	return trace, len(all)
}

func TestModel_NoFalseNumber(t *testing.T) {
	if testing.Short() || raceDetector {
		t.Skip("it takes 10 s, and with the race detector, which finds nothing in one goroutine, some minutes; make test runs it without")
	}
	if !*wholeModel {
		modelRestarts = [2]int8{}
		defer func() { modelRestarts = [2]int8{1, 1} }()
	}
	trace, states := explore(allRules)
	if trace != nil {
		t.Errorf("a false number:\n%s", strings.Join(trace, "\n"))
	}
	t.Logf("%d states", states)
}

// Each rule is needed: without it, the model finds a false number.
func TestModel_FindsMissingRule(t *testing.T) {
	if testing.Short() || raceDetector {
		t.Skip("it takes 10 s, and with the race detector, which finds nothing in one goroutine, some minutes; make test runs it without")
	}
	modelRestarts = [2]int8{1, 0}
	defer func() { modelRestarts = [2]int8{1, 1} }()
	for name, remove := range map[string]func(*rules){
		"gap":      func(r *rules) { r.gap = false },
		"repeat":   func(r *rules) { r.repeat = false },
		"run":      func(r *rules) { r.run = false },
		"newRun":   func(r *rules) { r.newRun = false },
		"nonce":    func(r *rules) { r.nonce = false },
		"statedAt": func(r *rules) { r.statedAt = false },
		"unknown":  func(r *rules) { r.unknown = false },
		"loaded":   func(r *rules) { r.loaded = false },
		"sealed":   func(r *rules) { r.sealed = false },
	} {
		t.Run(name, func(t *testing.T) {
			r := allRules
			remove(&r)
			trace, states := explore(r)
			if trace == nil {
				t.Fatalf("no false number in %d states", states)
			}
			t.Logf("%d states:\n%s", states, strings.Join(trace, "\n"))
		})
	}
}
