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

// Directory holds the rooms and occupants of the watched MUC domains, and whether they are current.
//
// Every read checks a domain's status, the age of its replica and its data under one lock.
// It returns either a value that was true at its AsOf or an error: an [UnavailableError], or [ErrNotWatched].
// Callers need no other check, so no change between two calls can make an answer false.
//
// It returns copies and is safe for concurrent use.
type Directory struct {
	// MaxStaleness is how long a replica may answer reads after its last confirmation. Set it before the first use.
	MaxStaleness time.Duration

	// NotCounted are the operator's rules for occupants that don't count. It must not change while the Directory is used.
	NotCounted []Rule

	// Secret makes fingerprints the same in each Directory that has it. If it is empty, no other has them. Set it before the first use.
	Secret string

	hasher        *hasher       // of Secret; writeMu protects it
	statusChanged chan struct{} // wakes Run

	// writeMu is held for the whole of a change.
	// Its holder may read everything without mu, and may write to replicas that are still loading.
	writeMu sync.Mutex

	// mu protects what readers see: shards, current replicas, their times, statuses, event numbers and subscriptions.
	// Writers take it after writeMu, for the time of one batch.
	mu sync.RWMutex

	// shards are in the order in which they were added. The others derive from it:
	// domains are those of all shards, the main domain first, and groups are these domains by name.
	shards  []*Shard
	domains []*mucDomain
	groups  []*group

	lastEvent      uint64
	roomSetVersion uint64 // increases when rooms start, end, or change their facts
	subs           map[*Subscription]struct{}
	dropped        uint64

	// indexes caches the last index of each order.
	indexes [orders]atomic.Pointer[index]
}

// mucDomain is one watched MUC domain of a shard.
type mucDomain struct {
	shard *Shard
	group *group       // the domains of the same name on all shards
	alone []*mucDomain // this domain

	jid  jid.JID
	name string
	base string // name without its first label; the same for all domains of one Jitsi

	nameType RoomType // from the first label of name
	typ      RoomType // from the module, else nameType

	accounts       SystemAccounts
	loading        *replica // a snapshot that isn't complete yet, or nil
	replica        *replica // nil until a snapshot is complete
	asOf           time.Time
	heard          time.Time // when the module was found, began a snapshot or sent a part of it
	joinsAndLeaves joinsAndLeaves

	status    Status
	published statusSummary // of the last EventStatus

	// serves are the main domains whose visitors are here, and changed the localparts of rooms
	// whose number of visitors this batch has changed. Both are nil unless it is a visitor domain.
	serves  []*group
	changed map[string]struct{}
}

// NewDirectory returns an empty Directory of one shard named [DefaultShard] with these MUC domains, the main one first.
// Without domains it has no shard; see [Directory.AddShard].
func NewDirectory(domains ...jid.JID) *Directory {
	d := &Directory{
		MaxStaleness:  defaultMaxStaleness,
		subs:          make(map[*Subscription]struct{}),
		statusChanged: make(chan struct{}, 1),
	}
	if len(domains) > 0 {
		d.shards = []*Shard{d.newShard(ShardConfig{Name: DefaultShard, Kind: ShardMain, Domains: domains})}
		d.regroup()
		d.lastEvent, d.roomSetVersion = 0, 0
	}
	return d
}

// newDomain returns the i-th domain of a shard.
func (d *Directory) newDomain(s *Shard, i int, j jid.JID, now time.Time) *mucDomain {
	m := &mucDomain{shard: s, jid: j.Domain(), name: j.Domainpart(), nameType: roomType(i, j.Domainpart())}
	m.alone = []*mucDomain{m}
	_, m.base, _ = strings.Cut(m.name, ".")
	m.typ = m.nameType
	m.published = statusSummary{problem: d.reason(m, now), read: d.readReason(m, now), event: d.eventReason(m, now)}
	return m
}

// Begin starts loading a snapshot of one of the shard's domains.
// Readers see the old replica, unchanged, until Apply completes the snapshot.
// Begin discards an unfinished snapshot, and also the old replica if the domain's room type changes.
func (s *Shard) Begin(domain jid.JID, t SystemAccounts) {
	d := s.directory
	d.writeMu.Lock()
	defer d.writeMu.Unlock()
	if m := s.domain(domain.Domainpart()); m != nil && !s.retired {
		if d.hasher == nil {
			d.hasher = newHasher(d.Secret)
		}
		m.accounts = SystemAccounts{
			Recorders: slices.Clone(t.Recorders), Transcribers: slices.Clone(t.Transcribers), Hidden: slices.Clone(t.Hidden),
			Jicofo: t.Jicofo, VisitorNode: t.VisitorNode, Type: cmp.Or(t.Type, m.nameType), NotCounted: d.NotCounted, Classified: t.Classified,
		}
		if s.kind == ShardVisitors {
			m.accounts.VisitorHost = m.base
		}
		d.setType(m, m.accounts.Type)
		m.loading = newReplica(d.hasher)
		m.loading.visitorNode = t.VisitorNode
		d.hear(m)
	}
}

// hear notes that Prosody answers while the rooms of m are loading.
func (d *Directory) hear(m *mucDomain) {
	d.mu.Lock()
	defer d.mu.Unlock()
	m.heard = time.Now()
	d.publishStatus(m, m.heard)
}

// setType sets the type of a domain's rooms. The caller holds writeMu.
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
	d.assignVisitors()
}

// Apply applies a batch of one of the shard's domains that was true at time at. It keeps nothing of b.
//
// The batch that completes a snapshot replaces the replica and sends only the differences to subscribers.
// After an error the AsOf of the domain stays as it was, and the caller has to begin a new snapshot.
func (s *Shard) Apply(domain jid.JID, b Batch, at time.Time) error {
	d := s.directory
	m := s.domain(domain.Domainpart())
	if m == nil {
		return ErrNotWatched
	}
	for i := range b.Deltas {
		if local, host, _ := strings.Cut(b.Deltas[i].Room, "@"); local == "" || host != m.name {
			return fmt.Errorf("%w: %s reported %q", ErrForeign, m.name, b.Deltas[i].Room)
		}
	}
	d.writeMu.Lock()
	defer d.writeMu.Unlock()
	switch {
	case s.retired:
		return ErrNotWatched
	case m.loading != nil:
		return d.load(m, b, at)
	case m.replica == nil:
		return ErrNotBegun
	case !b.Synced:
		return ErrOutOfOrder
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	m.shard.numbering.begin(m.shard.numbering.own(b.Origin))
	for i := range b.Deltas {
		m.shard.numbering.startDelta(i)
		m.replica.apply(&b.Deltas[i], m.accounts, m.replica, func(c change) { d.emit(m, c, at) })
	}
	if err := m.replica.checkTotals(b); err != nil {
		m.shard.endBatch(m, true)
		return err
	}
	since := m.asOf
	m.replica.incomplete, m.asOf = b.Unseen, at
	d.confirm(m, since, false)
	d.publishStatus(m, time.Now())
	return nil
}

// load applies a batch to the loading replica, which takes effect once it is complete.
// The caller holds writeMu.
func (d *Directory) load(m *mucDomain, b Batch, at time.Time) error {
	for i := range b.Deltas {
		m.loading.apply(&b.Deltas[i], m.accounts, m.replica, func(change) {})
	}
	if !b.Synced {
		d.hear(m)
		return nil
	}
	next := m.loading
	next.incomplete = b.Unseen
	m.loading = nil
	if err := next.checkTotals(b); err != nil {
		return err
	}
	if m.replica == nil {
		m.shard.numbering.given = m.shard.numbering.own(b.Origin)
		d.reset(m, next, at)
		return nil
	}
	// The comparison takes longest, so it runs without blocking readers.
	var changes []change
	addresses := maps.Clone(next.rooms)
	maps.Copy(addresses, m.replica.rooms)
	for _, a := range slices.Sorted(maps.Keys(addresses)) {
		was, is := m.replica.rooms[a], next.rooms[a]
		if was != nil && is != nil {
			is.version, is.visitors = was.version, was.visitors
		}
		diff(was, is, nil, func(c change) { changes = append(changes, c) })
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	since := m.asOf
	m.replica, m.asOf = next, at
	m.shard.numbering.begin(m.shard.numbering.own(b.Origin))
	m.shard.numbering.differences()
	for _, c := range changes {
		d.emit(m, c, at)
	}
	d.confirm(m, since, true)
	d.publishStatus(m, time.Now())
	return nil
}

// reset installs a replica, or none, without events for the differences. The caller holds writeMu.
func (d *Directory) reset(m *mucDomain, served *replica, at time.Time) {
	d.mu.Lock()
	defer d.mu.Unlock()
	m.group.unsettleAll(m, m.replica)
	m.group.settleAll(m, served)
	d.resetVisitors(m, served)
	m.replica, m.asOf = served, at
	m.shard.numbering.begin(m.shard.numbering.given)
	m.shard.endBatch(m, true)
	d.publishVisitors(m, at) // part of this batch, which the reset ends
	d.lastEvent++
	d.roomSetVersion++
	if served != nil {
		for _, r := range served.rooms {
			r.version = d.lastEvent
		}
	}
	d.publish(&Event{Seq: d.lastEvent, Kind: EventReset, Room: m.jid, Shard: m.shard.name, Origin: m.shard.numbering.last, At: at})
	d.publishStatus(m, time.Now())
}

// Seq returns the number of the last event: every read from now on includes it.
func (d *Directory) Seq() uint64 {
	d.mu.RLock()
	defer d.mu.RUnlock()
	return d.lastEvent
}

// Forget discards everything about the rooms of one of the shard's domains.
func (s *Shard) Forget(domain jid.JID) {
	d := s.directory
	d.writeMu.Lock()
	defer d.writeMu.Unlock()
	m := s.domain(domain.Domainpart())
	if m == nil || s.retired {
		return
	}
	m.loading = nil
	if m.replica != nil {
		d.reset(m, nil, time.Time{})
	}
}
