package api_test

import (
	"fmt"
	"maps"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"ppch/component/occupancy"
)

// mirror is what a client knows by a stream with snapshots: for each room who is in it, by nick and name.
type mirror struct {
	t     *testing.T
	name  string
	known map[string]map[string]string
	ready bool // not before the first snapshot is whole
	ids   map[string]bool
	parts map[string]map[string]string // of a snapshot that isn't whole yet
}

// take takes in one event, which has to fit what was before.
func (m *mirror) take(e event) {
	m.t.Helper()
	switch e.name {
	case "status":
		return
	case "reset":
		m.ready, m.known = false, nil
		return
	case "snapshot":
		m.snapshot(e)
		return
	}
	if e.id == "" || m.ids[e.id] {
		m.t.Fatalf("%s: got the event %q a second time: %v", m.name, e.id, e)
	}
	m.ids[e.id] = true
	if !m.ready {
		m.t.Fatalf("%s: got %v before a snapshot", m.name, e)
	}
	at := e.text("room_jid")
	room, exists := m.known[at]
	occupant, _ := e.data["occupant"].(map[string]any)
	name, _ := occupant["name"].(string)
	was, there := room[e.nick()]
	fits := exists
	switch e.name {
	case "room.started":
		fits = !exists
		m.known[at] = map[string]string{}
	case "room.ended":
		fits = exists && len(room) == 0
		delete(m.known, at)
	case "participant.joined":
		if fits = exists && !there; fits {
			room[e.nick()] = name
		}
	case "participant.updated":
		if fits = there; fits {
			room[e.nick()] = name
		}
	case "participant.left":
		fits = there && was == name
		delete(room, e.nick())
	}
	if !fits || e.data["participant_count"] != float64(len(m.known[at])) {
		m.t.Fatalf("%s: got %v, known is %v", m.name, e, m.known)
	}
}

func (m *mirror) snapshot(e event) {
	if e.data["part"] == 1.0 {
		m.parts = map[string]map[string]string{}
	}
	for _, r := range e.data["rooms"].([]any) {
		r := r.(map[string]any)
		at := r["room_jid"].(string)
		if m.parts[at] == nil {
			m.parts[at] = map[string]string{}
		}
		for _, o := range r["occupants"].([]any) {
			o := o.(map[string]any)
			m.parts[at][o["id"].(string)] = o["name"].(string)
		}
	}
	if e.data["last"] == true {
		m.known, m.ready = m.parts, true
	}
}

// client is a mirror and its stream, which may be lost and opened again.
type client struct {
	mirror
	*follower
	target string
	room   string // that it follows, or empty
}

// told returns what the directory serves, as a client of that room would know it.
func (d *site) told(room string) map[string]map[string]string {
	all := map[string]map[string]string{}
	for r := range d.Snapshot().Rooms(0) {
		if at := r.JID.String(); room == "" || room == at {
			all[at] = map[string]string{}
			for _, o := range r.Occupants {
				all[at][o.ID] = o.Name
			}
		}
	}
	return all
}

// Whatever happens, whenever somebody subscribes, and however often a stream is lost: what is known by the stream is what the directory serves,
// every event comes once, and each fits what was before.
func TestSnapshotAndEventsAreTheDirectory(t *testing.T) {
	for seed := range uint64(4) {
		t.Run(fmt.Sprintf("seed %d", seed), func(t *testing.T) {
			random := rand.New(rand.NewPCG(seed, 0))
			d := newSite(t)
			s := start(t, telling(d.Directory))
			clients := []*client{}
			open := func(c *client, headers ...string) {
				c.follower = s.follow(c.target, headers...)
			}
			for range 40 {
				for range random.IntN(20) {
					d.step(random)
				}
				switch random.IntN(4) {
				case 0:
					c := &client{target: "/api/events?snapshot=true"}
					if random.IntN(2) == 0 {
						c.room, c.target = "r1@muc.meet.jitsi", "/api/rooms/r1/events?snapshot=true"
					}
					c.mirror = mirror{t: t, name: fmt.Sprint(len(clients), c.room), ids: map[string]bool{}}
					open(c)
					clients = append(clients, c)
				case 1:
					if len(clients) > 0 {
						c := clients[random.IntN(len(clients))]
						c.leave()
						for e := range c.events {
							c.take(e) // what had come before the stream was lost
						}
						d.step(random)
						if id := c.id(); id != "" {
							open(c, "Last-Event-ID", id)
						} else {
							open(c)
						}
					}
				}
				for range random.IntN(20) {
					d.step(random)
				}
				for _, c := range clients {
					c.settle(d)
				}
			}
		})
	}
}

// settle takes in events until the client knows what the directory serves.
func (c *client) settle(d *site) {
	c.mirror.t.Helper()
	want := d.told(c.room)
	deadline := time.After(20 * time.Second)
	for {
		if c.ready && cmp.Equal(want, c.known) && len(c.events) == 0 {
			return
		}
		select {
		case e, ok := <-c.events:
			if !ok {
				c.mirror.t.Fatalf("%s: the stream ended", c.name)
			}
			c.take(e)
		case <-time.After(10 * time.Millisecond):
		case <-deadline:
			c.mirror.t.Fatalf("%s: -directory +client:\n%s", c.name, cmp.Diff(want, c.known))
		}
	}
}

// step has something happen.
func (d *site) step(random *rand.Rand) {
	at := fmt.Sprintf("r%d@muc.meet.jitsi", random.IntN(4))
	nick := fmt.Sprintf("n%d", random.IntN(3))
	d.mu.Lock()
	there := slices.Sorted(maps.Keys(d.rooms[at]))
	d.mu.Unlock()
	o := person(nick)
	o.Name = strings.Repeat(nick, 1+random.IntN(3))
	switch n := random.IntN(100); {
	case n == 0:
		d.Forget(mainDomain)
		d.learn()
	case n == 1:
		d.again()
	case n < 10:
		d.mu.Lock()
		exists := d.rooms[at] != nil
		d.mu.Unlock()
		if exists {
			d.tell(occupancy.Delta{Room: at, Gone: true})
		}
	case n < 35 && len(there) > 0:
		d.tell(occupancy.Delta{Room: at, Left: there[:1]})
	default:
		d.tell(occupancy.Delta{Room: at, Present: []occupancy.Occupant{o}})
	}
}

// again has everything told anew as it is, but for one that has gone meanwhile.
func (d *site) again() {
	rooms := d.told("")
	d.mu.Lock()
	d.rooms = map[string]map[string]bool{}
	d.mu.Unlock()
	var deltas []occupancy.Delta
	for i, at := range slices.Sorted(maps.Keys(rooms)) {
		delta := occupancy.Delta{Room: at, New: true}
		for j, nick := range slices.Sorted(maps.Keys(rooms[at])) {
			if i+j > 0 {
				o := person(nick)
				o.Name = rooms[at][nick]
				delta.Present = append(delta.Present, o)
			}
		}
		deltas = append(deltas, delta)
	}
	d.Begin(mainDomain, occupancy.SystemAccounts{})
	d.tell(deltas...)
}
