package occupancy

import (
	"cmp"
	"fmt"
	"maps"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"mellium.im/xmpp/jid"
)

// Directory holds who is in which room of the watched MUC domains, and whether that is current.
//
// Every read looks at the status of a domain, at the age of its replica and at its data under one lock,
// and returns either a value that was true at its AsOf or an error: an [UnknownError], or [ErrNotWatched].
// Nobody has to ask elsewhere whether to believe it, and what comes between two questions can't make the answer a false one.
//
// All that it gives away is a copy. It is safe for concurrent use.
type Directory struct {
	// MaxStaleness is how long after it was last confirmed a replica may answer. It may be set before the first use.
	MaxStaleness time.Duration

	// watched never changes; main domain first.
	watched []*watched

	statusChanged chan struct{} // wakes Run
	unanswered    chan struct{}

	// writing is held by whoever changes anything, from the beginning to the end of a change.
	// Its holder may read everything without mu, and may write to the copies that aren't served yet.
	writing sync.Mutex

	// mu protects what readers see: served copies, their times, statuses, the sequence of events, and the subscriptions.
	// Writers take it, for the time of one batch, after writing.
	mu      sync.RWMutex
	seq     uint64
	comings uint64 // how often rooms came, went, or changed their facts
	subs    map[*Subscription]struct{}
	dropped uint64

	// listings are the last that were made.
	listings [orders]atomic.Pointer[listing]
}

// watched is one MUC domain.
type watched struct {
	jid  jid.JID
	name string
	base string // name without its first label, which the domains of one Jitsi share

	named RoomType // by the first label
	typ   RoomType // by what the module says, else named

	trust  Trust
	next   *replica // the copy that is being built, or nil
	served *replica // nil while nothing is known
	asOf   time.Time
	moves  moves

	status    Status
	published summary // of the last EventStatus
}

// NewDirectory returns an empty Directory of the watched MUC domains, main one first.
func NewDirectory(domains ...jid.JID) *Directory {
	d := &Directory{
		MaxStaleness:  defaultMaxStaleness,
		subs:          make(map[*Subscription]struct{}),
		statusChanged: make(chan struct{}, 1),
		unanswered:    make(chan struct{}, 1),
	}
	now := time.Now()
	for i, j := range domains {
		w := &watched{jid: j.Domain(), name: j.Domainpart(), named: roomType(i, j.Domainpart())}
		_, w.base, _ = strings.Cut(w.name, ".")
		w.typ = w.named
		w.published = summary{problem: d.reason(w, now), readable: d.readReason(w, now), current: d.eventReason(w, now)}
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
// A snapshot that has been begun before is forgotten, and so is a replica of rooms of another type.
func (d *Directory) Begin(domain jid.JID, t Trust) {
	d.writing.Lock()
	defer d.writing.Unlock()
	if w := d.domain(domain.Domainpart()); w != nil {
		w.trust = Trust{
			Recorders: slices.Clone(t.Recorders), Transcribers: slices.Clone(t.Transcribers), Hidden: slices.Clone(t.Hidden),
			Jicofo: t.Jicofo, VisitorNode: t.VisitorNode, Type: cmp.Or(t.Type, w.named),
		}
		d.setType(w, w.trust.Type)
		w.next = newReplica()
		w.next.visitorNode = t.VisitorNode
	}
}

// setType sets what the rooms of a domain are for. The caller holds writing.
func (d *Directory) setType(w *watched, t RoomType) {
	if w.typ == t {
		return
	}
	if w.served != nil {
		d.reset(w, nil, time.Time{})
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	w.typ = t
}

// Apply takes in a batch that was true at that time. It keeps nothing of b but strings of rooms and their facts.
//
// The batch that completes a snapshot replaces the served copy and tells subscribers no more than the differences.
// With ErrTotals and what else it returns, the AsOf of the domain stays as it was:
// the replica is no longer confirmed, and the caller has to begin another.
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
	d.publishStatus(w, time.Now())
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
	d.publishStatus(w, time.Now())
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
	d.publish(Event{Seq: d.seq, Kind: EventReset, Room: w.jid, At: at})
	d.publishStatus(w, time.Now())
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
