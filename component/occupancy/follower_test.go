package occupancy_test

import (
	"math"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
	"mellium.im/xmpp/jid"
	"pgregory.net/rapid"

	"ppch/component/occupancy"
)

// follower keeps a copy of a Directory by its events, as a client would.
type follower struct {
	sub      *occupancy.Subscription
	loaded   bool
	state    model
	versions map[string]uint64
	log      []occupancy.Event // all events that it has read
	seq      uint64            // of the last one that changes a room
	domain   *occupancy.Domain // as the last status has it
}

// status applies a status event, which must be a change.
func (f *follower) status(t *rapid.T, e occupancy.Event) {
	if d := f.domain; d != nil && d.Connected == e.Domain.Connected && d.Mode == e.Domain.Mode && problems(*d) == problems(*e.Domain) {
		t.Fatalf("got the status %s twice", problems(*e.Domain))
	}
	f.domain = e.Domain
}

func (h *simulation) subscribe(t *rapid.T) {
	if len(h.followers) == 3 {
		h.followers[0].sub.Close()
		h.followers = h.followers[1:]
	}
	h.followers = append(h.followers, &follower{sub: h.d.Subscribe(1 << 16)})
}

// load has a follower read the Directory, possibly some events after subscribing.
func (h *simulation) load(t *rapid.T) {
	for _, f := range h.followers {
		if !f.loaded {
			f.load(t, h.d)
		}
	}
}

func (f *follower) load(t *rapid.T, d *occupancy.Directory) {
	f.loaded, f.state, f.versions = true, model{}, make(map[string]uint64)
	for _, address := range pool {
		f.read(t, d, address)
	}
}

func (f *follower) read(t *rapid.T, d *occupancy.Directory, address string) {
	r, err := d.Room(jid.MustParse(address))
	f.versions[address] = r.Version
	if err != nil {
		f.versions[address] = math.MaxUint64 // until the next reset, or until it can be read
		f.loaded = false
	}
	delete(f.state, address)
	if r.Exists {
		f.state[address] = fromRoom(t, r)
	}
}

// replay has a follower apply the pending events. It then equals the Directory.
func (h *simulation) replay(t *rapid.T) {
	if len(h.followers) == 0 {
		t.Skip("no followers")
	}
	h.follow(t, h.followers[rapid.IntRange(0, len(h.followers)-1).Draw(t, "follower")])
}

func (h *simulation) replayAll(t *rapid.T) {
	for _, f := range append(h.followers, h.reference) {
		h.follow(t, f)
	}
	for _, s := range h.slow {
		s.check(t, h.reference)
	}
}

func (h *simulation) follow(t *rapid.T, f *follower) {
	if !f.loaded {
		f.load(t, h.d)
	}
	for len(f.sub.Events()) > 0 {
		f.apply(t, h.d, <-f.sub.Events())
	}
	if !f.loaded {
		return
	}
	if diff := cmp.Diff(h.served.visible(), f.state, cmp.AllowUnexported(modelRoom{}), cmpopts.EquateEmpty()); diff != "" {
		t.Fatalf("what follows from the events: -want +got:\n%s", diff)
	}
}

// apply applies one event, which must fit the state before.
func (f *follower) apply(t *rapid.T, d *occupancy.Directory, e occupancy.Event) {
	f.log = append(f.log, e)
	if e.Kind == occupancy.EventStatus {
		f.status(t, e)
		if !f.loaded {
			f.load(t, d)
		}
		return
	}
	if f.seq > 0 && e.Seq != f.seq+1 {
		t.Fatalf("got event %d after %d", e.Seq, f.seq)
	}
	f.seq = e.Seq
	if e.Kind == occupancy.EventReset {
		f.load(t, d)
		return
	}
	address := e.Room.String()
	if e.Seq <= f.versions[address] {
		return
	}
	r, exists := f.state[address]
	was, there := r.occupants[e.Occupant.ID]
	fits := exists
	switch e.Kind {
	case occupancy.EventRoomStarted:
		fits = !exists
		r.occupants = make(map[string]occupancy.Occupant)
		r.subject = e.Facts.Subject
		f.state[address] = r
	case occupancy.EventRoomUpdated:
		r.subject = e.Facts.Subject
		f.state[address] = r
	case occupancy.EventRoomEnded:
		fits = exists && len(r.occupants) == 0
		delete(f.state, address)
	case occupancy.EventJoined:
		fits = exists && !there
		r.occupants[e.Occupant.ID] = e.Occupant
	case occupancy.EventUpdated:
		fits = there && was != e.Occupant && was.JoinedAt.Equal(e.Occupant.JoinedAt)
		r.occupants[e.Occupant.ID] = e.Occupant
	case occupancy.EventLeft:
		fits = there && was == e.Occupant
		delete(r.occupants, e.Occupant.ID)
	}
	if !fits {
		t.Fatalf("got %+v, the follower has %+v", e, f.state)
	}
	if n := countsOf(r); n != e.Counts {
		t.Fatalf("got %+v, counted are %v", e, n)
	}
}

// slowReader is a subscription that isn't read until the end.
type slowReader struct {
	sub    *occupancy.Subscription
	buffer int
	after  int // as many events of the reference were before it
}

func (h *simulation) subscribeSlowly(t *rapid.T) {
	h.follow(t, h.reference)
	s := slowReader{buffer: rapid.IntRange(1, 4).Draw(t, "buffer"), after: len(h.reference.log)}
	s.sub = h.d.Subscribe(s.buffer)
	h.slow = append(h.slow, s)
}

// check expects the events that fit into the buffer, and Missed if there were more.
func (s slowReader) check(t *rapid.T, reference *follower) {
	want := reference.log[s.after:]
	if missed := len(want) > s.buffer; s.sub.Missed() != missed {
		t.Fatalf("got missed %t of %d events at a buffer of %d", s.sub.Missed(), len(want), s.buffer)
	}
	s.sub.Close()
	var got []occupancy.Event
	for e := range s.sub.Events() {
		got = append(got, e)
	}
	if diff := cmp.Diff(want[:min(len(want), s.buffer)], got, sameJID, sameProblem, cmpopts.EquateEmpty()); diff != "" {
		t.Fatalf("slow reader: -want +got:\n%s", diff)
	}
}
