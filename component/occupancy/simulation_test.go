package occupancy_test

import (
	"context"
	"errors"
	"maps"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	gocmp "github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"

	"ppch/component/occupancy"
)

// pool are the rooms of a simulation. One is a health check, which counts in totals but is never shown.
var pool = []string{"a@muc.meet.jitsi", "b@muc.meet.jitsi", "[t]c@muc.meet.jitsi", "__jicofo-health-check@muc.meet.jitsi"}

func hidden(address string) bool { return strings.HasPrefix(address, "__jicofo") }

// simulation holds what happens on a server, what its module has reported, and what the Directory should hold.
type simulation struct {
	d     *occupancy.Directory
	clock int

	truth    model
	queue    []occupancy.Delta // changes that are not reported yet
	reported model             // what was reported since the last snapshot began; nil without one
	synced   bool              // reported is complete and readable
	served   model             // nil without a replica

	status    occupancy.Status
	asOf      time.Time // when served was confirmed
	heard     time.Time // when the module appeared, began a snapshot or sent a part of it
	followers []*follower
	reference *follower
	slow      []slowReader
	states    map[string]string
}

// TestDirectory_MatchesModel runs random simulations: people join, leave, change and are renamed, rooms end and start again,
// batches arrive twice, with rooms in another order, or not at all, and snapshots are loaded, abandoned and loaded again.
// Meanwhile the connection is lost and restored, the module comes and goes, and time passes.
func TestDirectory_MatchesModel(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		rapid.Check(noDeadline{t}, simulate)
	})
}

// noDeadline hides the deadline of a test, which can't be read in virtual time.
type noDeadline struct{ testing.TB }

func simulate(t *rapid.T) {
	h := &simulation{d: occupancy.NewDirectory(muc), truth: model{}, states: make(map[string]string)}
	h.reference = &follower{sub: h.d.Subscribe(1 << 16)}
	h.reference.load(t, h.d)
	ctx, stop := context.WithCancel(context.Background())
	var running sync.WaitGroup
	running.Go(func() { _ = h.d.Run(ctx) })
	defer running.Wait()
	defer stop()
	t.Repeat(map[string]func(*rapid.T){
		"":          h.check,
		"join":      func(t *rapid.T) { h.present(t, true) },
		"update":    func(t *rapid.T) { h.present(t, false) },
		"leave":     h.leave,
		"rename":    h.rename,
		"facts":     h.facts,
		"restate":   h.restate,
		"destroy":   h.destroy,
		"flush":     h.flush,
		"lose":      h.loseQueue,
		"begin":     h.begin,
		"forget":    h.forget,
		"report":    h.report,
		"wait":      h.wait,
		"subscribe": h.subscribe,
		"load":      h.load,
		"replay":    h.replay,
		"doze":      h.subscribeSlowly,
	})
	h.replayAll(t)
}

func (h *simulation) record(d occupancy.Delta) {
	h.truth.apply(d)
	h.queue = append(h.queue, d)
}

// person draws a record of nick, who joined at a time.
func (h *simulation) person(t *rapid.T, nick string, joined int) occupancy.Occupant {
	o := person(nick, joined)
	o.Name = rapid.SampledFrom([]string{"", "Ann", "Bob"}).Draw(t, "name")
	o.Role = rapid.SampledFrom([]string{"participant", "moderator", "visitor"}).Draw(t, "role")
	o.Flags = rapid.SampledFrom([]occupancy.PresenceFlags{0, occupancy.FlagHandRaised, occupancy.FlagInitiator}).Draw(t, "flags")
	if rapid.IntRange(0, 4).Draw(t, "machine") == 0 {
		o.RealJID = "recorder@hidden.meet.jitsi/j"
	}
	return o
}

func (h *simulation) present(t *rapid.T, join bool) {
	address := rapid.SampledFrom(pool).Draw(t, "room")
	nick := rapid.SampledFrom([]string{"focus", "x", "y", "z"}).Draw(t, "nick")
	was, there := h.truth[address].occupants[nick]
	h.clock++
	joined := h.clock
	if there && !join {
		joined = int(was.JoinedAt.Unix() - 1790000000)
	}
	_, exists := h.truth[address]
	h.record(occupancy.Delta{Room: address, New: !exists, Present: []occupancy.Occupant{h.person(t, nick, joined)}})
}

// draw returns a room and one of its occupants, or skips.
func (h *simulation) draw(t *rapid.T) (address, nick string) {
	address = rapid.SampledFrom(pool).Draw(t, "room")
	if len(h.truth[address].occupants) == 0 {
		t.Skip("the room is empty")
	}
	return address, rapid.SampledFrom(slices.Sorted(maps.Keys(h.truth[address].occupants))).Draw(t, "nick")
}

func (h *simulation) leave(t *rapid.T) {
	address, nick := h.draw(t)
	h.record(occupancy.Delta{Room: address, Left: []string{nick}})
}

func (h *simulation) rename(t *rapid.T) {
	address, nick := h.draw(t)
	o := h.truth[address].occupants[nick]
	o.ID = nick + "'"
	h.record(occupancy.Delta{Room: address, Left: []string{nick}, Present: []occupancy.Occupant{o}})
}

func (h *simulation) facts(t *rapid.T) {
	address, _ := h.draw(t)
	h.record(occupancy.Delta{Room: address, Facts: &occupancy.RoomFacts{Subject: rapid.SampledFrom([]string{"", "s"}).Draw(t, "subject")}})
}

// restate sends a room whole, as the module does after it has lost track of changes.
func (h *simulation) restate(t *rapid.T) {
	address, _ := h.draw(t)
	deltas := h.truth.fullRoom(address, rapid.IntRange(1, 4).Draw(t, "page"))
	if rapid.Bool().Draw(t, "without facts") {
		deltas[0].Facts = nil
	}
	for _, d := range deltas {
		h.record(d)
	}
}

func (h *simulation) destroy(t *rapid.T) {
	address, _ := h.draw(t)
	h.record(occupancy.Delta{Room: address, Gone: true})
}

// flush sends the queue: rooms in any order, in several batches, some of them twice.
func (h *simulation) flush(t *rapid.T) {
	if h.reported == nil {
		t.Skip("no subscription")
	}
	byRoom := make(map[string][]occupancy.Delta)
	for _, d := range h.queue {
		byRoom[d.Room] = append(byRoom[d.Room], d)
	}
	h.queue = nil
	var all []occupancy.Delta
	for _, address := range rapid.Permutation(slices.Sorted(maps.Keys(byRoom))).Draw(t, "order") {
		all = append(all, byRoom[address]...)
	}
	for more := true; more; {
		n := rapid.IntRange(0, len(all)).Draw(t, "batch")
		var deltas []occupancy.Delta
		deltas, all = all[:n], all[n:]
		more = len(all) > 0
		for _, d := range deltas {
			h.reported.apply(d)
		}
		b := h.reported.batch(deltas...)
		b.Synced = h.synced || !more
		for range rapid.IntRange(1, 2).Draw(t, "times") {
			h.apply(t, b)
			if b.Synced {
				h.synced = true
			}
		}
	}
	if diff := gocmp.Diff(h.truth, h.reported, gocmp.AllowUnexported(modelRoom{})); diff != "" {
		t.Fatalf("the reports differ from what happened: %s", diff)
	}
}

func (h *simulation) apply(t *rapid.T, b occupancy.Batch) {
	h.clock++
	now := time.Now()
	if err := mainOf(h.d).Apply(muc, b, now); err != nil {
		t.Fatal(err)
	}
	if !b.Synced {
		h.heard = now
	}
	if b.Synced {
		h.served, h.asOf = h.reported.clone(), now
		if got, ok := confirmed(h.d, muc); !ok || !got.Equal(now) {
			t.Fatalf("got as of %s, %t after a batch of %s", got, ok, now)
		}
	}
}

// loseQueue drops the queue. The totals reveal that, unless they are equal by chance.
func (h *simulation) loseQueue(t *rapid.T) {
	if !h.synced || len(h.queue) == 0 {
		t.Skip("nothing to lose")
	}
	h.queue = nil
	heartbeat, known := h.truth.batch(), h.reported.batch()
	err := mainOf(h.d).Apply(muc, heartbeat, time.Now())
	if err == nil {
		h.asOf = time.Now()
	}
	if differ := heartbeat.Rooms != known.Rooms || heartbeat.Occupants != known.Occupants; errors.Is(err, occupancy.ErrTotals) != differ {
		t.Fatalf("got error %v, want one: %t", err, differ)
	}
	h.begin(t)
}

// begin begins a snapshot of the present and sends all of it except the batch that completes it.
func (h *simulation) begin(t *rapid.T) {
	mainOf(h.d).Begin(muc, jitsi)
	h.reported, h.synced, h.queue, h.heard = model{}, false, nil, time.Now()
	for _, address := range rapid.Permutation(slices.Sorted(maps.Keys(h.truth))).Draw(t, "order") {
		for _, d := range h.truth.fullRoom(address, rapid.IntRange(1, 3).Draw(t, "page")) {
			h.reported.apply(d)
			h.apply(t, occupancy.Batch{Deltas: []occupancy.Delta{d}})
		}
	}
}

func (h *simulation) forget(t *rapid.T) {
	if rapid.IntRange(0, 3).Draw(t, "really") > 0 {
		t.Skip("not now")
	}
	mainOf(h.d).Forget(muc)
	h.reported, h.synced, h.served, h.queue = nil, false, nil, nil
}

// report draws and reports a status.
func (h *simulation) report(t *rapid.T) {
	before := h.status
	h.status = occupancy.Status{
		Connected: rapid.Bool().Draw(t, "connected"),
		Since:     time.Now().Add(-time.Duration(rapid.IntRange(0, 20).Draw(t, "since")) * time.Second),
		Mode:      rapid.SampledFrom([]occupancy.Mode{occupancy.ModeUndecided, occupancy.ModeModule, occupancy.ModeModule, occupancy.ModeExistence}).Draw(t, "mode"),
	}
	if !h.status.Connected || rapid.IntRange(0, 3).Draw(t, "problem") == 0 {
		h.status.Problem = &occupancy.UnavailableError{Reason: rapid.SampledFrom([]occupancy.Reason{occupancy.ReasonLost, occupancy.ReasonNoMUC}).Draw(t, "reason")}
	}
	loadable := func(s occupancy.Status) bool { return s.Mode == occupancy.ModeModule && s.Problem == nil }
	if loadable(h.status) && !loadable(before) {
		h.heard = time.Now()
	}
	mainOf(h.d).SetStatus(muc, h.status)
}

// wait lets time pass.
func (h *simulation) wait(t *rapid.T) {
	time.Sleep(time.Duration(rapid.SampledFrom([]int{1, 14, 16, 31}).Draw(t, "seconds")) * time.Second)
}
