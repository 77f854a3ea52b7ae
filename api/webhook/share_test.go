package webhook_test

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"slices"
	"sync"
	"testing"
	"time"

	"ppch/api/webhook"
	"ppch/component/componenttest"
	"ppch/component/history"
	"ppch/component/occupancy"
)

// every is the time between two questions, so that a silent deliverer is replaced after 15 times that.
const every = 200 * time.Millisecond

// colleagues are two stations that record the same shard. They reach each other unless the line is cut.
type colleagues struct {
	t    *testing.T
	a, b *colleague // a is the deliverer

	// mu protects what follows.
	mu  sync.Mutex
	cut bool
}

// colleague is one of them.
type colleague struct {
	*station
	all   *colleagues
	name  string
	share *webhook.Share
}

func newColleagues(t *testing.T) *colleagues {
	t.Helper()
	c := &colleagues{t: t}
	a, b := c.add("a"), c.add("b")
	c.mu.Lock()
	defer c.mu.Unlock()
	c.a, c.b = a, b
	return c
}

// add adds a station, whose service shares from its start.
func (c *colleagues) add(name string) *colleague {
	c.t.Helper()
	one := &colleague{all: c, name: name}
	one.station = newStation(c.t, func(cfg webhook.Config) webhook.Config {
		return cfg.Hasten(0, 0, 0, time.Millisecond, 20*time.Millisecond, time.Hour)
	})
	one.opened = func() func() {
		one.share = one.outbox.Share(webhook.ShareConfig{Shard: "main", Deliverer: "a", Own: name == "a", Peers: one, Every: every})
		return componenttest.Run(c.t, one.share.Run)
	}
	one.restart()
	return one
}

// Ask implements [webhook.Peers] without a network.
func (c *colleague) Ask(ctx context.Context, _ string, question []byte) ([]byte, error) {
	c.all.mu.Lock()
	other, cut := c.all.a, c.all.cut
	if c == other {
		other = c.all.b
	}
	c.all.mu.Unlock()
	if cut || other == nil || !other.running.Load() {
		return nil, errors.New("no answer")
	}
	answer := other.outbox.Answer(ctx, "main", c.name == "a", question)
	if answer == nil {
		return nil, errors.New("not shared")
	}
	return answer, nil
}

// interrupt cuts the line between them, or restores it.
func (c *colleagues) interrupt(cut bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.cut = cut
}

// hook adds a webhook on both.
func (c *colleagues) hook(url string) {
	for _, one := range []*colleague{c.a, c.b} {
		one.add("in", url, nil)
	}
}

// record records changes on both.
func (c *colleagues) record(changes ...history.Event) {
	c.a.record(changes...)
	c.b.record(changes...)
}

// waiting waits until n deliveries wait on a station.
func (c *colleague) waiting(n int) {
	c.t.Helper()
	eventually(c.t, func() string {
		if s, err := c.outbox.Get(c.t.Context(), c.owner, "in"); err != nil || s.Waiting != n {
			return fmt.Sprintf("%s: %d wait want %d (%v)", c.name, s.Waiting, n, err)
		}
		return ""
	})
}

// delivers waits until a station delivers, or holds.
func (c *colleague) delivers(want bool) {
	c.t.Helper()
	eventually(c.t, func() string {
		if got := c.share.Delivers(); got != want {
			return fmt.Sprintf("%s: delivers %v want %v", c.name, got, want)
		}
		return ""
	})
}

func TestShare_OneDelivers(t *testing.T) {
	t.Parallel()
	c := newColleagues(t)
	in := newInbox(t)
	c.hook(in.URL)
	c.a.delivers(true)
	c.record(c.a.joins("a", 0, 50)...)
	in.wait(50)
	c.a.waiting(0)
	c.b.waiting(0) // it learned that they were delivered
	log, err := c.b.outbox.Deliveries(t.Context(), c.b.owner, "in", webhook.LogQuery{State: "delivered", Limit: 100})
	if err != nil || len(log) != 50 || log[0].Attempts != 0 {
		t.Errorf("got %d deliveries in the log of the other service: %v", len(log), err)
	}
	time.Sleep(20 * every)
	if got := len(in.accepted()); got != 50 || c.b.share.Delivers() {
		t.Errorf("got %d deliveries want 50; the other service delivers: %v", got, c.b.share.Delivers())
	}
}

// The deliverer is killed, then returns. What waits on one of them reaches the receiver, and only what was under way twice.
func TestShare_PeerTakesOverAndHandsBack(t *testing.T) {
	t.Parallel()
	c := newColleagues(t)
	in := newInbox(t)
	c.hook(in.URL)
	c.a.delivers(true)
	c.record(c.a.joins("a", 0, 10)...)
	in.wait(10)
	in.fail(func(delivery) int { return http.StatusServiceUnavailable })
	c.record(c.a.joins("a", 10, 20)...)
	c.b.waiting(10)
	c.a.stop()
	in.fail(nil)
	c.b.record(c.a.joins("a", 20, 30)...)
	time.Sleep(5 * every)
	if got := len(in.accepted()); got != 10 {
		t.Errorf("got %d deliveries want 10 before the silence is long enough", got)
	}
	in.wait(30)
	c.b.waiting(0)
	c.a.start()
	c.a.record(c.a.joins("a", 20, 30)...) // what it finds when it is back
	c.b.delivers(false)
	c.record(c.a.joins("a", 30, 40)...)
	same(t, "nicks by room", map[string][]string{"a": nicks(0, 40)}, in.wait(40))
	c.a.waiting(0)
	c.b.waiting(0)
	if got := len(in.accepted()); got != 40 {
		t.Errorf("got %d deliveries want 40", got)
	}
}

// Without a connection between them both deliver, then one again.
func TestShare_LineIsCut(t *testing.T) {
	t.Parallel()
	c := newColleagues(t)
	in := newInbox(t)
	c.hook(in.URL)
	c.a.delivers(true)
	c.interrupt(true)
	c.b.delivers(true)
	c.record(c.a.joins("a", 0, 10)...)
	in.wait(20)
	c.interrupt(false)
	c.b.delivers(false)
	c.record(c.a.joins("a", 10, 20)...)
	c.a.waiting(0)
	c.b.waiting(0)
	same(t, "nicks by room", map[string][]string{"a": nicks(0, 20)}, in.wait(30))
	if got := len(in.accepted()); got != 30 {
		t.Errorf("got %d deliveries want 30", got)
	}
}

// What only the other service knows is sent by it, in the order of its room, once the deliverer has had time to store it.
func TestShare_DelivererMissesEvents(t *testing.T) {
	t.Parallel()
	c := newColleagues(t)
	in := newInbox(t)
	c.hook(in.URL)
	c.a.delivers(true)
	missed := c.a.joins("a", 0, 3)
	updated := c.a.joins("a", 3, 4)[0]
	updated.Kind, updated.Before = occupancy.EventUpdated, updated.Counts
	lost := history.Event{
		Event: occupancy.Event{Kind: occupancy.EventStatus, Room: missed[0].Room.Domain(), At: at(0)}, Shard: "main",
		Gap: &history.Gap{Domain: "muc.meet.jitsi", Began: at(0), Reason: history.GapResync},
	}
	c.b.record(append(missed, updated, lost)...)
	same(t, "nicks by room", map[string][]string{"a": nicks(0, 3)}, in.wait(3))
	c.b.waiting(0)
	time.Sleep(5 * every)
	if got := in.accepted(); len(got) != 3 {
		t.Errorf("got %v want three deliveries: the deliverer reports its own gaps, and a later change replaces an update", got)
	}
}

// A webhook that the deliverer lacks is served at once; one that it disabled isn't.
func TestShare_OnlyOneHasWebhook(t *testing.T) {
	t.Parallel()
	c := newColleagues(t)
	mine, off := newInbox(t), newInbox(t)
	c.b.add("mine", mine.URL, nil)
	c.b.add("off", off.URL, nil)
	c.a.add("off", off.URL, func(s *webhook.Settings) { s.Enabled = false })
	c.a.delivers(true)
	c.record(c.a.joins("a", 0, 5)...)
	mine.wait(5)
	eventually(t, func() string {
		log, err := c.b.outbox.Deliveries(t.Context(), c.b.owner, "off", webhook.LogQuery{State: "failed", Limit: 100})
		if err != nil || len(log) != 5 {
			return fmt.Sprintf("%d failed, %v", len(log), err)
		}
		return ""
	})
	if got := off.accepted(); len(got) > 0 {
		t.Errorf("got %v", got)
	}
}

// Held deliveries survive a restart, count for the limit, and are released if the shard isn't shared any more.
func TestShare_HeldSurvivesRestart(t *testing.T) {
	t.Parallel()
	c := newColleagues(t)
	in := newInbox(t)
	c.hook(in.URL)
	c.a.stop()
	c.b.record(c.a.joins("a", 0, 5)...)
	c.b.restart()
	c.b.waiting(5)
	log, err := c.b.outbox.Deliveries(t.Context(), c.b.owner, "in", webhook.LogQuery{State: "waiting", Limit: 100})
	if err != nil || len(log) != 5 || log[0].Problem == "" {
		t.Errorf("got %+v, %v", log, err)
	}
	c.b.outbox.Alone("main")
	same(t, "nicks by room", map[string][]string{"a": nicks(0, 5)}, in.wait(5))
	c.b.waiting(0)
}

// A replay on the service that holds is sent by it: a person asked for it.
func TestShare_ReplayIsSent(t *testing.T) {
	t.Parallel()
	c := newColleagues(t)
	in := newInbox(t)
	c.hook(in.URL)
	c.a.delivers(true)
	c.record(c.a.joins("a", 0, 1)...)
	in.wait(1)
	c.b.waiting(0)
	log, err := c.b.outbox.Deliveries(t.Context(), c.b.owner, "in", webhook.LogQuery{Limit: 1})
	if err != nil || len(log) != 1 {
		t.Fatal(log, err)
	}
	check(t, c.b.outbox.Replay(t.Context(), c.b.owner, "in", log[0].Number))
	in.wait(2)
	if got := in.accepted(); got[0].id != got[1].id {
		t.Errorf("got ids %v", got)
	}
}

// Rooms keep their order while services take over and hand back under load, and nothing is lost.
func TestShare_OrderUnderFaults(t *testing.T) {
	t.Parallel()
	c := newColleagues(t)
	in := newInbox(t)
	c.hook(in.URL)
	c.a.delivers(true)
	want := map[string][]string{}
	done := make(chan struct{})
	go func() {
		defer close(done)
		for range 3 {
			c.interrupt(true)
			time.Sleep(17 * every)
			c.interrupt(false)
			time.Sleep(3 * every)
		}
	}()
	n := 0
	for running := true; running; n++ {
		select {
		case <-done:
			running = false
		case <-time.After(5 * time.Millisecond):
		}
		room := fmt.Sprintf("room%d", n%5)
		want[room] = append(want[room], nicks(n, n+1)...)
		c.record(c.a.joins(room, n, n+1)...)
	}
	c.a.waiting(0)
	c.b.waiting(0)
	got := in.byRoom()
	same(t, "nicks by room", want, got)
	var ids []string
	for _, d := range in.accepted() {
		ids = append(ids, d.id)
	}
	slices.Sort(ids)
	if unique := len(slices.Compact(ids)); unique != n {
		t.Errorf("got %d ids want %d", unique, n)
	}
}

// What the deliverer missed doesn't overtake earlier events of the room that it is still trying to deliver.
func TestShare_MissedEventWaitsForItsRoom(t *testing.T) {
	t.Parallel()
	c := newColleagues(t)
	in := newInbox(t)
	in.fail(func(d delivery) int {
		if d.nick == "nick00000" {
			return http.StatusServiceUnavailable
		}
		return http.StatusNoContent
	})
	c.hook(in.URL)
	c.a.delivers(true)
	c.record(c.a.joins("a", 0, 1)...)
	c.b.record(c.a.joins("a", 1, 2)...)
	c.b.record(c.a.joins("b", 2, 3)...)
	in.wait(1) // of the other room
	time.Sleep(5 * every)
	in.fail(nil)
	same(t, "nicks by room", map[string][]string{"a": nicks(0, 2), "b": nicks(2, 3)}, in.wait(3))
}
