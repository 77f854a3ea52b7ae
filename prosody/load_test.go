package prosody_test

import (
	"context"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"ppch/prosody/prosodytest"
)

// The number of batches of a burst depends on its duration, not on its size.
func TestBatch_BurstsAreBatched(t *testing.T) {
	srv, cast, f, room := meeting(t, prosodytest.Options{ModuleConstants: map[string]string{"window_limit": "256"}})
	rooms := []string{room}
	for i := range 9 {
		rooms = append(rooms, srv.Room(sprint("r", i)))
		must(cast.Open(within(t), rooms[i+1]))(t)
	}
	f.matches(srv)
	crowd := must(srv.Crowd(within(t)))(t)
	defer func() { _ = crowd.Close() }()
	first, at := f.replica.seq, time.Now()
	members := must(crowd.Join(within(t), 60, rooms...))(t)
	took := time.Since(at)
	f.until("all of them", func(r *replica) bool { return r.count() == len(rooms)+len(members) })
	batches := f.replica.seq - first
	// Ten joins may be sent at once, and 250 a second; each tick sends all others in one batch. Add a few heartbeats.
	if most := 12 + int(250*took.Seconds()) + 2*int(took/(50*time.Millisecond)); batches > most {
		t.Errorf("%d batches for %d joins in %v, want %d at most", batches, len(members), took, most)
	}
	f.matches(srv)
}

// The component learns of a join about when another occupant does.
func TestBatch_JoinIsSentAtOnce(t *testing.T) {
	srv, cast, f, room := meeting(t, prosodytest.Options{})
	watcher := must(cast.User(within(t), room, "Watcher"))(t)
	f.occupant(room, watcher.Nick(), nil)
	people := newComponent(t, srv, srv.Domains.Cast)
	var seen, received []time.Duration
	for i := range 60 {
		nick := sprint("p", i)
		ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
		saw := make(chan time.Time, 1)
		go func() {
			_, err := watcher.Expect(ctx, func(st prosodytest.Stanza) bool { return strings.HasSuffix(st.From, "/"+nick) })
			if err != nil {
				t.Error(err)
			}
			saw <- time.Now()
		}()
		if i%2 == 0 { // each second one comes in the tick of the first
			time.Sleep(50 * time.Millisecond)
		}
		at := time.Now()
		check(t, people.Send("<presence from='"+nick+"@cast.meet.jitsi/x' to='"+room+"/"+nick+"'><x xmlns='http://jabber.org/protocol/muc'/></presence>"))
		f.occupant(room, nick, nil)
		received = append(received, time.Since(at))
		seen = append(seen, (<-saw).Sub(at))
		cancel()
	}
	slices.Sort(seen)
	slices.Sort(received)
	t.Logf("another occupant: median %v, worst %v; the component: median %v, worst %v", seen[30], seen[59], received[30], received[59])
	// Generous for busy machines, but too short for a batch that waits for the end of its tick or for a heartbeat.
	if received[42] > 2*seen[42]+5*time.Millisecond {
		t.Errorf("70th percentile: the component got joins after %v, another occupant after %v", received[42], seen[42])
	}
}

// A batch that leaves something out is no newer than the last that didn't.
func TestBatch_AtIsTimeOfLastCompleteState(t *testing.T) {
	t.Parallel()
	srv, _, f, _ := meeting(t, prosodytest.Options{ModuleConstants: map[string]string{"page_limit": "10", "window_limit": "2", "tick": "1"}})
	clock := func() float64 {
		return must(strconv.ParseFloat(lua(t, srv, `return ("%.3f"):format(require "util.time".monotonic());`), 64))(t)
	}
	before := clock()
	check(t, srv.Populate(within(t), 10, 10))
	for f.replica.count() < 101 {
		if b := f.next(); f.replica.count() < 101 && b.At > before {
			t.Errorf("%d of 101 occupants, and true at %f, but all came in one turn after %f", f.replica.count(), b.At, before)
		}
	}
	f.matches(srv)
	if now := clock(); f.last.At < before || f.last.At > now {
		t.Errorf("true at %f, want between %f and %f", f.last.At, before, now)
	}
}

// Where nothing happens, heartbeats confirm many rooms too, although each time an audit reads some of them again.
func TestBatch_AuditsDoNotAgeManyRooms(t *testing.T) {
	t.Parallel()
	srv := start(t, prosodytest.Options{HostConfig: eachMUC("room_participants_heartbeat = 1")})
	check(t, srv.Populate(within(t), 1000, 1))
	f := follow(t, srv)
	f.untilSynced()
	synced := f.last.At
	for range 8 {
		if f.next().At > synced {
			return
		}
	}
	t.Errorf("eight batches after the snapshot, rooms are still true at %f only", synced)
}
