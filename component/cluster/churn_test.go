package cluster_test

import (
	"fmt"
	"math/rand/v2"
	"sync"
	"testing"
	"time"

	"ppch/component/clustertest"
	"ppch/component/occupancy"
)

// truth is how each room was, and when.
type truth struct {
	mu    sync.Mutex
	rooms map[string][]moment
}

// moment is a state of a room, which some collector has had since from, and all since at.
type moment struct {
	from, at time.Time
	subject  string // different in each state; empty while there is no room
	people   int
}

func (w *truth) set(room, subject string, people int, apply func()) {
	w.mu.Lock()
	i := len(w.rooms[room])
	w.rooms[room] = append(w.rooms[room], moment{time.Now(), time.Now().Add(time.Hour), subject, people})
	w.mu.Unlock()
	apply()
	w.mu.Lock()
	defer w.mu.Unlock()
	w.rooms[room][i].at = time.Now()
}

// had reports whether a room was so at some moment between two times.
func (w *truth) had(room string, got occupancy.Room, from, to time.Time) bool {
	w.mu.Lock()
	defer w.mu.Unlock()
	all := w.rooms[room]
	for i, m := range all {
		ended := i+1 < len(all) && all[i+1].at.Before(from)
		if m.subject == got.Subject && m.people == got.Participants && !ended && !m.from.After(to) {
			return true
		}
	}
	return !got.Exists && (len(all) == 0 || from.Before(all[0].at))
}

const churnRooms = 5

// churn changes rooms at random on all collectors, as their one Prosody does.
type churn struct {
	random   *rand.Rand
	clock    int64
	present  map[string]map[string]occupancy.Occupant
	subjects map[string]string
	truth    truth
}

func newChurn(seed uint64) *churn {
	return &churn{
		random: rand.New(rand.NewPCG(seed, 2)), present: map[string]map[string]occupancy.Occupant{}, subjects: map[string]string{},
		truth: truth{rooms: map[string][]moment{}},
	}
}

// next returns a random change of a room, and its subject and number of people afterwards.
func (c *churn) next() (room string, d occupancy.Delta, subject string, people int) {
	room = fmt.Sprintf("room%d", c.random.IntN(churnRooms))
	address := room + "@muc.meet.jitsi"
	here := c.present[address]
	c.clock++
	nick := fmt.Sprintf("n%d", c.random.IntN(6))
	was, there := here[nick]
	switch {
	case here == nil:
		here = map[string]occupancy.Occupant{nick: person(nick, c.clock)}
		c.present[address] = here
		d = began(address, here[nick])
	case len(here) == 1 && there || c.random.IntN(20) == 0:
		delete(c.present, address)
		c.subjects[address] = ""
		return room, occupancy.Delta{Room: address, Gone: true, Reason: occupancy.LeaveRoomDestroyed}, "", 0
	case there && c.random.IntN(2) == 0:
		was.Name = fmt.Sprintf("Name %d\t\\", c.clock)
		was.Flags ^= occupancy.FlagHandRaised
		here[nick] = was
		d = occupancy.Delta{Room: address, Present: []occupancy.Occupant{was}}
	case there:
		delete(here, nick)
		d = occupancy.Delta{Room: address, Left: []string{nick}, Reasons: map[string]occupancy.LeaveReason{nick: occupancy.LeaveByChoice}}
	default:
		here[nick] = person(nick, c.clock)
		d = occupancy.Delta{Room: address, Present: []occupancy.Occupant{here[nick]}}
	}
	c.subjects[address] = fmt.Sprint(c.clock)
	d.Facts = c.facts(address)
	return room, d, c.subjects[address], len(here)
}

func (c *churn) facts(address string) *occupancy.RoomFacts {
	f := began(address).Facts
	f.Subject = c.subjects[address]
	return f
}

// rooms returns all rooms, for a snapshot.
func (c *churn) rooms() (all []occupancy.Delta) {
	for address, here := range c.present {
		var people []occupancy.Occupant
		for _, o := range here {
			people = append(people, o)
		}
		d := began(address, people...)
		d.Facts = c.facts(address)
		all = append(all, d)
	}
	return all
}

// Rooms change at random while the network fails in all ways: no answer of a node is false, and in the end all know the same.
func TestCluster_RandomFaults(t *testing.T) {
	if testing.Short() {
		t.Skip("it takes 10 s")
	}
	for seed := range uint64(3) {
		t.Run(fmt.Sprint(seed), func(t *testing.T) {
			t.Parallel()
			faults(t, seed, 6*time.Second)
		})
	}
}

func faults(t *testing.T, seed uint64, during time.Duration) {
	collectors, nodes := runNATS(t), runNATS(t)
	r := newRelay(t, collectors.ClientURL(), nodes.ClientURL(), seed, nil)
	c := newChurn(seed)
	sources := []*member{newCollector(t, options(t, collectors.ClientURL(), "a.meet.jitsi")), newCollector(t, options(t, collectors.ClientURL(), "b.meet.jitsi"))}
	for _, s := range sources {
		s.up()
	}
	var all []*member
	for i := range 2 {
		all = append(all, newNode(t, options(t, nodes.ClientURL(), fmt.Sprintf("node%d", i)), func(m *member) { m.directory.MaxStaleness = 2 * time.Second }))
	}
	stop := make(chan struct{})
	var readers sync.WaitGroup
	answers := 0
	var mu sync.Mutex
	for _, n := range all {
		readers.Go(func() {
			for {
				select {
				case <-stop:
					return
				case <-time.After(time.Millisecond):
				}
				for i := range churnRooms {
					room := fmt.Sprintf("room%d", i)
					got, err := n.directory.Room(roomOf(room))
					if err != nil {
						continue
					}
					mu.Lock()
					answers++
					mu.Unlock()
					// The time is as exact as package follow knows the collector's clock.
					const exact = time.Second
					if !c.truth.had(room, got, got.AsOf.Add(-exact), got.AsOf.Add(exact)) {
						t.Errorf("%s as of %s ago was not in state %q with %d people", room, time.Since(got.AsOf), got.Subject, got.Participants)
						return
					}
				}
			}
		})
	}
	end := time.Now().Add(during)
	back := map[*member]time.Time{} // when a collector finds Prosody again
	cut := []string{"a_meet_jitsi", "b_meet_jitsi"}
	for change := time.Now(); time.Now().Before(end); {
		room, d, subject, people := c.next()
		c.truth.set(room, subject, people, func() {
			for _, s := range sources {
				if back[s].IsZero() {
					s.apply(domain, d)
				}
			}
		})
		for s, at := range back {
			if !at.IsZero() && time.Now().After(at) {
				s.up(c.rooms()...)
				back[s] = time.Time{}
			}
		}
		time.Sleep(time.Duration(c.random.IntN(4)) * time.Millisecond)
		if time.Since(change) < 300*time.Millisecond {
			continue
		}
		change = time.Now()
		switch c.random.IntN(6) {
		case 0:
			r.set(0)
		case 1:
			r.set(0, cut[c.random.IntN(2)])
		case 2:
			r.set(0, cut...)
		case 3:
			servers := []*clustertest.NATS{collectors, nodes}
			s := servers[c.random.IntN(2)]
			s.Stop()
			s.Start()
		case 4:
			// A collector loses Prosody for a while.
			s := sources[c.random.IntN(2)]
			s.away()
			back[s] = time.Now().Add(time.Duration(c.random.IntN(2500)) * time.Millisecond)
		default:
			r.set(0.1)
		}
	}
	r.set(0)
	for s, at := range back {
		if !at.IsZero() {
			s.up(c.rooms()...)
		}
	}
	defer func() { // also after a failure
		close(stop)
		readers.Wait()
	}()
	for _, n := range all {
		equal(t, sources[0], n, 20*time.Second)
		n.reason("")
	}
	mu.Lock()
	defer mu.Unlock()
	if answers < 100 {
		t.Errorf("got only %d answers", answers)
	}
	for _, n := range all {
		t.Logf("%d answers; %+v", answers, n.node.Diagnostics())
	}
}

// Without faults, two nodes derive the same events with the same origins as the collector.
func TestNode_SameEventsEverywhere(t *testing.T) {
	s := runNATS(t)
	collector := newCollector(t, options(t, s.ClientURL(), "ppch.meet.jitsi"))
	collector.up()
	members := []*member{collector, newNode(t, options(t, s.ClientURL(), "node1")), newNode(t, options(t, s.ClientURL(), "node2"))}
	var streams []*occupancy.Subscription
	for _, m := range members {
		m.reason("")
		m.participants("nowhere", 0)
		streams = append(streams, m.directory.Subscribe(1<<16))
	}
	c := newChurn(7)
	for range 500 {
		var batch []occupancy.Delta
		for range 1 + c.random.IntN(3) {
			_, d, _, _ := c.next()
			batch = append(batch, d)
		}
		collector.apply(domain, batch...)
	}
	type event struct {
		kind      occupancy.EventKind
		room      string
		occupant  string
		name      string
		reason    occupancy.LeaveReason
		alternate string
		counts    occupancy.Counts
		origin    occupancy.Origin
	}
	var want []event
	for i, m := range members {
		equal(t, collector, m, 10*time.Second)
		var got []event
		for len(streams[i].Events()) > 0 {
			if e := <-streams[i].Events(); e.Kind != occupancy.EventStatus {
				got = append(got, event{e.Kind, e.Room.String(), e.Occupant.ID, e.Occupant.Name, e.Reason, e.Alternate, e.Counts, e.Origin})
			}
		}
		if i == 0 {
			want = got
		}
		if len(got) != len(want) {
			t.Fatalf("member %d: got %d events want %d", i, len(got), len(want))
		}
		for k := range got {
			if got[k] != want[k] {
				t.Fatalf("member %d: event %d: got %+v want %+v", i, k, got[k], want[k])
			}
		}
		if i > 0 && m.node.Diagnostics().Resyncs > 0 {
			t.Errorf("member %d resynced", i)
		}
	}
	if len(want) < 500 {
		t.Errorf("got only %d events", len(want))
	}
}
