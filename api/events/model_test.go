package events_test

import (
	"fmt"
	"maps"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"ppch/api/apitest"
	"ppch/component/occupancy"
)

// mirror is what a client knows from a stream with snapshots: the name of each occupant, by room and nick.
type mirror struct {
	t     *testing.T
	name  string
	known map[string]map[string]string
	ready bool // not before the first snapshot is whole
	ids   map[string]bool
	parts map[string]map[string]string // of a snapshot that isn't whole yet
}

// take applies one event, which has to fit the state before it.
func (m *mirror) take(e apitest.Event) {
	m.t.Helper()
	switch e.Name {
	case "status":
		return
	case "reset":
		m.ready, m.known = false, nil
		return
	case "snapshot":
		m.snapshot(e)
		return
	}
	if e.ID == "" || m.ids[e.ID] {
		m.t.Fatalf("%s: got the event %q a second time: %v", m.name, e.ID, e)
	}
	m.ids[e.ID] = true
	if !m.ready {
		m.t.Fatalf("%s: got %v before a snapshot", m.name, e)
	}
	at := e.Text("room_jid")
	room, exists := m.known[at]
	occupant, _ := e.Data["occupant"].(map[string]any)
	name, _ := occupant["name"].(string)
	was, there := room[e.Nick()]
	fits := exists
	switch e.Name {
	case "room.started":
		fits = !exists
		m.known[at] = map[string]string{}
	case "room.ended":
		fits = exists && len(room) == 0
		delete(m.known, at)
	case "participant.joined":
		if fits = exists && !there; fits {
			room[e.Nick()] = name
		}
	case "participant.updated":
		if fits = there; fits {
			room[e.Nick()] = name
		}
	case "participant.left":
		fits = there && was == name
		delete(room, e.Nick())
	}
	if !fits || e.Data["participant_count"] != float64(len(m.known[at])) {
		m.t.Fatalf("%s: got %v, known is %v", m.name, e, m.known)
	}
}

func (m *mirror) snapshot(e apitest.Event) {
	if e.Data["part"] == 1.0 {
		m.parts = map[string]map[string]string{}
	}
	for _, r := range e.Data["rooms"].([]any) {
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
	if e.Data["last"] == true {
		m.known, m.ready = m.parts, true
	}
}

// client is a mirror and its stream, which may be lost and opened again.
type client struct {
	mirror
	*apitest.Stream
	target string
	room   string // that it follows, or empty
}

// roomsOf returns the rooms of the directory, or one of them, as a client knows them.
func roomsOf(d *apitest.Directory, room string) map[string]map[string]string {
	all := map[string]map[string]string{}
	for r := range d.Snapshot().Rooms(0) {
		if at := r.JID.String(); room == "" || room == at {
			all[at] = map[string]string{}
			for _, record := range r.Occupants {
				o := record.Occupant()
				all[at][o.ID] = o.Name
			}
		}
	}
	return all
}

// Clients subscribe, lose their streams and resume at any time. Each event comes once and fits the state before it,
// and what a client knows in the end is what the directory has.
func TestStream_MirrorsTheDirectory(t *testing.T) {
	t.Parallel()
	for seed := range uint64(4) {
		t.Run(fmt.Sprintf("seed %d", seed), func(t *testing.T) {
			random := rand.New(rand.NewPCG(seed, 0))
			d := apitest.NewDirectory(t)
			s := start(t, d.Directory)
			clients := []*client{}
			for range 40 {
				for range random.IntN(20) {
					step(d, random)
				}
				switch random.IntN(4) {
				case 0:
					c := &client{target: "/?snapshot=true"}
					if random.IntN(2) == 0 {
						c.room, c.target = "r1@muc.meet.jitsi", "/r1?snapshot=true"
					}
					c.mirror = mirror{t: t, name: fmt.Sprint(len(clients), c.room), ids: map[string]bool{}}
					c.Stream = s.follow(c.target)
					clients = append(clients, c)
				case 1:
					if len(clients) > 0 {
						c := clients[random.IntN(len(clients))]
						c.Leave()
						for e := range c.Events {
							c.take(e) // what came before the stream was lost
						}
						step(d, random)
						c.Stream = s.follow(c.target, c.ID())
					}
				}
				for range random.IntN(20) {
					step(d, random)
				}
				for _, c := range clients {
					c.settle(d)
				}
			}
		})
	}
}

// settle takes events until the client knows what the directory has.
func (c *client) settle(d *apitest.Directory) {
	c.t.Helper()
	want := roomsOf(d, c.room)
	deadline := time.After(20 * time.Second)
	for {
		if c.ready && cmp.Equal(want, c.known) && len(c.Events) == 0 {
			return
		}
		select {
		case e, ok := <-c.Events:
			if !ok {
				c.t.Fatalf("%s: the stream ended", c.name)
			}
			c.take(e)
		case <-time.After(10 * time.Millisecond):
		case <-deadline:
			c.t.Fatalf("%s: -directory +client:\n%s", c.name, cmp.Diff(want, c.known))
		}
	}
}

// step changes the directory at random.
func step(d *apitest.Directory, random *rand.Rand) {
	at := fmt.Sprintf("r%d@muc.meet.jitsi", random.IntN(4))
	o := apitest.Person(fmt.Sprintf("n%d", random.IntN(3)))
	o.Name = strings.Repeat(o.ID, 1+random.IntN(3))
	people, exists := roomsOf(d, at)[at]
	switch n := random.IntN(100); {
	case n == 0:
		d.Forget(apitest.Main)
		d.Load(apitest.Main)
	case n == 1:
		reload(d)
	case n < 10:
		if exists {
			d.Change(occupancy.Delta{Room: at, Gone: true})
		}
	case n < 35 && len(people) > 0:
		d.Change(occupancy.Delta{Room: at, Left: slices.Sorted(maps.Keys(people))[:1]})
	default:
		d.Change(occupancy.Delta{Room: at, Present: []occupancy.Occupant{o}})
	}
}

// reload loads all rooms as they are, except for one person who has left meanwhile.
func reload(d *apitest.Directory) {
	rooms := roomsOf(d, "")
	var deltas []occupancy.Delta
	for i, at := range slices.Sorted(maps.Keys(rooms)) {
		delta := occupancy.Delta{Room: at, New: true}
		for j, nick := range slices.Sorted(maps.Keys(rooms[at])) {
			if i+j > 0 {
				o := apitest.Person(nick)
				o.Name = rooms[at][nick]
				delta.Present = append(delta.Present, o)
			}
		}
		deltas = append(deltas, delta)
	}
	d.Load(apitest.Main, deltas...)
}
