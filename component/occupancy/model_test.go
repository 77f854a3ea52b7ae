package occupancy_test

import (
	"fmt"
	"maps"
	"slices"

	"mellium.im/xmpp/jid"
	"pgregory.net/rapid"

	"ppch/component/occupancy"
)

// model holds rooms and occupants in the simplest way that could work.
type model map[string]modelRoom

type modelRoom struct {
	subject   string
	occupants map[string]occupancy.Occupant
}

// apply applies a delta as prosody/README.md specifies.
func (m model) apply(d occupancy.Delta) {
	if d.Gone {
		delete(m, d.Room)
		return
	}
	r, ok := m[d.Room]
	if !ok || d.New {
		r.occupants = make(map[string]occupancy.Occupant)
	}
	if d.Facts != nil {
		r.subject = d.Facts.Subject
	}
	for _, nick := range d.Left {
		delete(r.occupants, nick)
	}
	for _, o := range d.Present {
		r.occupants[o.ID] = o
	}
	m[d.Room] = r
}

func (m model) clone() model {
	c := maps.Clone(m)
	for address, r := range c {
		r.occupants = maps.Clone(r.occupants)
		c[address] = r
	}
	return c
}

// batch returns deltas with the totals that m has after them.
func (m model) batch(deltas ...occupancy.Delta) occupancy.Batch {
	b := occupancy.Batch{Deltas: deltas, Synced: true, Rooms: len(m)}
	for _, r := range m {
		b.Occupants += len(r.occupants)
	}
	return b
}

// fullRoom returns a room of m as deltas of at most size occupants each.
func (m model) fullRoom(address string, size int) (deltas []occupancy.Delta) {
	r := m[address]
	deltas = append(deltas, occupancy.Delta{Room: address, New: true, Facts: &occupancy.RoomFacts{Subject: r.subject}})
	for _, nick := range slices.Sorted(maps.Keys(r.occupants)) {
		last := &deltas[len(deltas)-1]
		if len(last.Present) == size {
			deltas = append(deltas, occupancy.Delta{Room: address})
			last = &deltas[len(deltas)-1]
		}
		last.Present = append(last.Present, r.occupants[nick])
	}
	return deltas
}

// visible returns m without health checks, and occupants with their kinds.
func (m model) visible() model {
	seen := model{}
	for address, r := range m.clone() {
		if hidden(address) {
			continue
		}
		for nick, o := range r.occupants {
			o.Kind = occupancy.Classify(&o, jitsi)
			r.occupants[nick] = o
		}
		seen[address] = r
	}
	return seen
}

// read returns what the directory serves of the pool.
func read(t *rapid.T, d *occupancy.Directory) (m model, known bool) {
	m = model{}
	for _, address := range pool {
		r, err := d.Room(jid.MustParse(address))
		if known = err == nil; r.Exists {
			m[address] = fromRoom(t, r)
		}
	}
	return m, known
}

func fromRoom(t *rapid.T, r occupancy.Room) modelRoom {
	m := modelRoom{subject: r.Subject, occupants: make(map[string]occupancy.Occupant)}
	for _, record := range r.Occupants {
		o := record.Occupant()
		m.occupants[o.ID] = o
	}
	if n := countsOf(m); len(m.occupants) != len(r.Occupants) || n.People() != r.Participants || !maps.Equal(n.Map(), r.Counts) {
		t.Fatalf("%s: got %d people and %v of %v", r.JID, r.Participants, r.Counts, r.Occupants)
	}
	return m
}

// countsOf counts the occupants of a room.
func countsOf(r modelRoom) (n occupancy.Counts) {
	order := []occupancy.Kind{
		occupancy.KindUser, occupancy.KindSIP, occupancy.KindSIPVideo, occupancy.KindFocus,
		occupancy.KindRecorder, occupancy.KindTranscriber, occupancy.KindHidden, occupancy.KindVisitor,
	}
	for _, o := range r.occupants {
		i := slices.Index(order, o.Kind)
		if i < 0 {
			panic(fmt.Sprintf("kind %q", o.Kind))
		}
		n[i]++
	}
	return n
}
