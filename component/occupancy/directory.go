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
	domains []*mucDomain

	statusChanged chan struct{} // wakes Run
	unanswered    chan struct{}

	// writing is held by whoever changes anything, from the beginning to the end of a change.
	// Its holder may read everything without mu, and may write to the copies that aren't served yet.
	writeMu sync.Mutex

	// mu protects what readers see: served copies, their times, statuses, the sequence of events, and the subscriptions.
	// Writers take it, for the time of one batch, after writing.
	mu             sync.RWMutex
	lastEvent      uint64
	roomSetVersion uint64 // how often rooms came, went, or changed their facts
	subs           map[*Subscription]struct{}
	dropped        uint64

	// listings are the last that were made.
	indexes [orders]atomic.Pointer[index]
}

// watched is one MUC domain.
type mucDomain struct {
	jid  jid.JID
	name string
	base string // name without its first label, which the domains of one Jitsi share

	nameType RoomType // by the first label
	typ      RoomType // by what the module says, else named

	trust          Trust
	loading        *replica // the copy that is being built, or nil
	replica        *replica // nil while nothing is known
	asOf           time.Time
	joinsAndLeaves joinsAndLeaves

	status    Status
	published statusSummary // of the last EventStatus
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
		m := &mucDomain{jid: j.Domain(), name: j.Domainpart(), nameType: roomType(i, j.Domainpart())}
		_, m.base, _ = strings.Cut(m.name, ".")
		m.typ = m.nameType
		m.published = statusSummary{problem: d.reason(m, now), read: d.readReason(m, now), event: d.eventReason(m, now)}
		d.domains = append(d.domains, m)
	}
	return d
}

// domain returns the watched domain of that name, or nil.
func (d *Directory) domain(name string) *mucDomain {
	for _, m := range d.domains {
		if m.name == name {
			return m
		}
	}
	return nil
}

// Begin says that a snapshot of domain follows.
// It grows beside the copy that is served, which stands still until Apply has completed the new one.
// A snapshot that has been begun before is forgotten, and so is a replica of rooms of another type.
func (d *Directory) Begin(domain jid.JID, t Trust) {
	d.writeMu.Lock()
	defer d.writeMu.Unlock()
	if m := d.domain(domain.Domainpart()); m != nil {
		m.trust = Trust{
			Recorders: slices.Clone(t.Recorders), Transcribers: slices.Clone(t.Transcribers), Hidden: slices.Clone(t.Hidden),
			Jicofo: t.Jicofo, VisitorNode: t.VisitorNode, Type: cmp.Or(t.Type, m.nameType),
		}
		d.setType(m, m.trust.Type)
		m.loading = newReplica()
		m.loading.visitorNode = t.VisitorNode
	}
}

// setType sets what the rooms of a domain are for. The caller holds writing.
func (d *Directory) setType(m *mucDomain, t RoomType) {
	if m.typ == t {
		return
	}
	if m.replica != nil {
		d.reset(m, nil, time.Time{})
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	m.typ = t
}

// Apply takes in a batch that was true at that time. It keeps nothing of b but strings of rooms and their facts.
//
// The batch that completes a snapshot replaces the served copy and tells subscribers no more than the differences.
// With ErrTotals and what else it returns, the AsOf of the domain stays as it was:
// the replica is no longer confirmed, and the caller has to begin another.
func (d *Directory) Apply(domain jid.JID, b Batch, at time.Time) error {
	m := d.domain(domain.Domainpart())
	if m == nil {
		return ErrNotWatched
	}
	for i := range b.Deltas {
		if local, host, _ := strings.Cut(b.Deltas[i].Room, "@"); local == "" || host != m.name {
			return fmt.Errorf("%w: %q told by %s", ErrForeign, b.Deltas[i].Room, m.name)
		}
	}
	d.writeMu.Lock()
	defer d.writeMu.Unlock()
	switch {
	case m.loading != nil:
		return d.load(m, b, at)
	case m.replica == nil:
		return ErrNotBegun
	case !b.Synced:
		return ErrOutOfOrder
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	for i := range b.Deltas {
		m.replica.apply(&b.Deltas[i], m.trust, m.replica, func(c change) { d.emit(m, c, at) })
	}
	if err := m.replica.checkTotals(b); err != nil {
		return err
	}
	m.replica.incomplete, m.asOf = b.Unseen, at
	d.publishStatus(m, time.Now())
	return nil
}

// load applies a batch to the copy that grows, and has it served once it is complete.
// The caller holds writing.
func (d *Directory) load(m *mucDomain, b Batch, at time.Time) error {
	for i := range b.Deltas {
		m.loading.apply(&b.Deltas[i], m.trust, m.replica, func(change) {})
	}
	if !b.Synced {
		return nil
	}
	next := m.loading
	next.incomplete = b.Unseen
	m.loading = nil
	if err := next.checkTotals(b); err != nil {
		return err
	}
	if m.replica == nil {
		d.reset(m, next, at)
		return nil
	}
	// To compare the copies takes the longest, so readers don't wait for it.
	var changes []change
	addresses := maps.Clone(next.rooms)
	maps.Copy(addresses, m.replica.rooms)
	for _, a := range slices.Sorted(maps.Keys(addresses)) {
		was, is := m.replica.rooms[a], next.rooms[a]
		if was != nil && is != nil {
			is.version, is.numbersVersion = was.version, was.numbersVersion
		}
		diff(was, is, func(c change) { changes = append(changes, c) })
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	m.replica, m.asOf = next, at
	for _, c := range changes {
		d.emit(m, c, at)
	}
	d.publishStatus(m, time.Now())
	return nil
}

// reset serves another copy, or none, to which no events lead. The caller holds writing.
func (d *Directory) reset(m *mucDomain, served *replica, at time.Time) {
	d.mu.Lock()
	defer d.mu.Unlock()
	m.replica, m.asOf = served, at
	d.lastEvent++
	d.roomSetVersion++
	if served != nil {
		for _, r := range served.rooms {
			r.version, r.numbersVersion = d.lastEvent, d.lastEvent
		}
	}
	d.publish(Event{Seq: d.lastEvent, Kind: EventReset, Room: m.jid, At: at})
	d.publishStatus(m, time.Now())
}

// Forget says that nothing is known of domain any more.
func (d *Directory) Forget(domain jid.JID) {
	d.writeMu.Lock()
	defer d.writeMu.Unlock()
	m := d.domain(domain.Domainpart())
	if m == nil {
		return
	}
	m.loading = nil
	if m.replica != nil {
		d.reset(m, nil, time.Time{})
	}
}
