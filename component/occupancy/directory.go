package occupancy

import (
	"fmt"
	"maps"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"mellium.im/xmpp/jid"
)

// Directory is the live copy of who is in which room of the watched MUC domains.
// All that it gives away is a copy. It is safe for concurrent use.
type Directory struct {
	// watched never changes; main domain first.
	watched []*watched

	// writing is held by whoever changes anything, from the beginning to the end of a change.
	// Its holder may read everything without mu, and may write to the copies that aren't served yet.
	writing sync.Mutex

	// mu protects what readers see: served copies, their times, the sequence of events, and the subscriptions.
	// Writers take it, for the time of one batch, after writing.
	mu      sync.RWMutex
	seq     uint64
	comings uint64 // how often rooms came, went, or changed their facts
	subs    map[*Subscription]struct{}
	dropped uint64

	// listings are the last that were made.
	listings [orders]atomic.Pointer[Listing]
}

// watched is one MUC domain.
type watched struct {
	name string
	base string // name without its first label, which the domains of one Jitsi share
	typ  RoomType

	trust  Trust
	next   *replica // the copy that is being built, or nil
	served *replica // nil while nothing is known
	asOf   time.Time
	moves  moves
}

// NewDirectory returns a Directory of the watched MUC domains, main one first, that knows nothing yet.
func NewDirectory(domains ...jid.JID) *Directory {
	d := &Directory{subs: make(map[*Subscription]struct{})}
	for i, j := range domains {
		w := &watched{name: j.Domainpart(), typ: RoomMain}
		first, base, _ := strings.Cut(w.name, ".")
		w.base = base
		if t := RoomType(first); i > 0 && (t == RoomBreakout || t == RoomLobby) {
			w.typ = t
		}
		d.watched = append(d.watched, w)
	}
	return d
}

// domain returns the watched domain of that name, or nil.
func (d *Directory) domain(name string) *watched {
	for _, w := range d.watched {
		if w.name == name {
			return w
		}
	}
	return nil
}

// Begin says that a snapshot of domain follows.
// It grows beside the copy that is served, which stands still until Apply has completed the new one.
// A snapshot that has been begun before is forgotten.
func (d *Directory) Begin(domain jid.JID, t Trust) {
	d.writing.Lock()
	defer d.writing.Unlock()
	if w := d.domain(domain.Domainpart()); w != nil {
		w.trust = Trust{
			Recorders: slices.Clone(t.Recorders), Transcribers: slices.Clone(t.Transcribers), Hidden: slices.Clone(t.Hidden),
			Jicofo: t.Jicofo, VisitorNode: t.VisitorNode,
			Lobby: w.typ == RoomLobby,
		}
		w.next = newReplica()
	}
}

// Apply takes in a batch that was true at that time. It keeps nothing of b but strings of rooms and their facts.
//
// The batch that completes a snapshot replaces the served copy and tells subscribers no more than the differences.
// With ErrTotals and what else it returns, the time of [Directory.AsOf] stays as it was:
// what is served is no longer known to be true, and the caller begins anew.
func (d *Directory) Apply(domain jid.JID, b Batch, at time.Time) error {
	w := d.domain(domain.Domainpart())
	if w == nil {
		return ErrNotWatched
	}
	for i := range b.Deltas {
		if local, host, _ := strings.Cut(b.Deltas[i].Room, "@"); local == "" || host != w.name {
			return fmt.Errorf("%w: %q told by %s", ErrForeign, b.Deltas[i].Room, w.name)
		}
	}
	d.writing.Lock()
	defer d.writing.Unlock()
	switch {
	case w.next != nil:
		return d.build(w, b, at)
	case w.served == nil:
		return ErrNotBegun
	case !b.Synced:
		return ErrOutOfOrder
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	for i := range b.Deltas {
		w.served.apply(&b.Deltas[i], w.trust, w.served, func(c change) { d.emit(w, c, at) })
	}
	if err := w.served.check(b); err != nil {
		return err
	}
	w.served.unseen, w.asOf = b.Unseen, at
	return nil
}

// build applies a batch to the copy that grows, and has it served once it is complete.
// The caller holds writing.
func (d *Directory) build(w *watched, b Batch, at time.Time) error {
	for i := range b.Deltas {
		w.next.apply(&b.Deltas[i], w.trust, w.served, func(change) {})
	}
	if !b.Synced {
		return nil
	}
	next := w.next
	next.unseen = b.Unseen
	w.next = nil
	if err := next.check(b); err != nil {
		return err
	}
	if w.served == nil {
		d.reset(w, next, at)
		return nil
	}
	// To compare the copies takes the longest, so readers don't wait for it.
	var changes []change
	addresses := maps.Clone(next.rooms)
	maps.Copy(addresses, w.served.rooms)
	for _, a := range slices.Sorted(maps.Keys(addresses)) {
		was, is := w.served.rooms[a], next.rooms[a]
		if was != nil && is != nil {
			is.version, is.counted = was.version, was.counted
		}
		diff(was, is, func(c change) { changes = append(changes, c) })
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	w.served, w.asOf = next, at
	for _, c := range changes {
		d.emit(w, c, at)
	}
	return nil
}

// reset serves another copy, or none, to which no events lead. The caller holds writing.
func (d *Directory) reset(w *watched, served *replica, at time.Time) {
	d.mu.Lock()
	defer d.mu.Unlock()
	w.served, w.asOf = served, at
	d.seq++
	d.comings++
	if served != nil {
		for _, r := range served.rooms {
			r.version, r.counted = d.seq, d.seq
		}
	}
	d.publish(Event{Seq: d.seq, Kind: EventReset, Room: address(w.name), At: at})
}

// Forget says that nothing is known of domain any more.
func (d *Directory) Forget(domain jid.JID) {
	d.writing.Lock()
	defer d.writing.Unlock()
	w := d.domain(domain.Domainpart())
	if w == nil {
		return
	}
	w.next = nil
	if w.served != nil {
		d.reset(w, nil, time.Time{})
	}
}

// Unseen reports whether domain may have rooms that aren't known, though others are.
func (d *Directory) Unseen(domain jid.JID) bool {
	d.mu.RLock()
	defer d.mu.RUnlock()
	w := d.domain(domain.Domainpart())
	return w != nil && w.served != nil && w.served.unseen
}

// AsOf returns when what is served of domain was last known to be true, and false if nothing is known of it.
func (d *Directory) AsOf(domain jid.JID) (time.Time, bool) {
	d.mu.RLock()
	defer d.mu.RUnlock()
	w := d.domain(domain.Domainpart())
	if w == nil || w.served == nil {
		return time.Time{}, false
	}
	return w.asOf, true
}
