package occupancy

import (
	"time"

	"mellium.im/xmpp/jid"
)

// Query selects and orders rooms.
type Query struct {
	// Domain is a watched MUC domain and Type a type of rooms; empty means all but the domains of visitor shards.
	Domain string
	Type   RoomType

	// Shard is a shard, or empty for all main shards. It selects the rooms there as they are there,
	// in the order of their numbers on all shards.
	Shard string

	// By is the order, Backwards its direction.
	By        Order
	Backwards bool

	// After is the Last of the previous page; nil begins with the first room.
	After *Position

	// Limit is the maximum number of rooms; 0 means no limit.
	Limit int

	// Keep filters rooms; nil keeps all. It must be fast and must not call the Directory.
	Keep func(RoomSummary) bool
}

// selects reports whether q selects rooms of m. Rooms of visitor shards show other rooms once more, so only naming them selects them.
func (q *Query) selects(m *mucDomain) bool {
	return (q.Domain == "" || m.name == q.Domain) && (q.Type == "" || m.typ == q.Type) && (q.Shard == "" || m.shard.name == q.Shard) &&
		(m.shard.kind == ShardMain || q.Domain != "" || q.Shard != "" || m.shard.directory.onlyVisitors())
}

// onlyVisitors reports whether all shards are visitor nodes. The caller holds mu.
func (d *Directory) onlyVisitors() bool {
	return len(d.groups) > 0 && d.groups[0].kind == ShardVisitors
}

// selectHomes returns the domains that have a room and that q selects, and the first of them. The caller holds mu.
func (d *Directory) selectHomes(address string, q *Query) (first *mucDomain, all []*mucDomain) {
	for _, m := range d.homesOf(address) {
		if q.selects(m) {
			all = append(all, m)
		}
	}
	if len(all) > 0 {
		first = all[0]
	}
	return first, all
}

// Page is a page of rooms at one moment.
type Page struct {
	Rooms []RoomSummary

	// AsOf is when the oldest replica of the selected domains was last confirmed.
	AsOf time.Time

	// Last is the position of the last room if more follow, else nil.
	Last *Position
}

// Rooms returns the rooms that q selects.
//
// It returns an error unless all selected domains are readable, with the errors of [Directory.Room], or ErrNoShard.
// So an empty page means that there are no such rooms.
func (d *Directory) Rooms(q Query) (Page, error) {
	d.mu.RLock()
	defer d.mu.RUnlock()
	domains, err := d.selectDomains(q)
	if err != nil {
		return Page{}, err
	}
	p := Page{}
	now := time.Now()
	if p.AsOf, err = d.oldestAsOf(domains, now); err != nil {
		return Page{}, err
	}
	l := d.index(q.By)
	all := len(domains) == len(d.domains)
	from, step := 0, 1
	if q.Backwards {
		from, step = len(l.entries)-1, -1
	}
	if q.After != nil {
		from = l.after(*q.After, q.Backwards)
	}
	limit := q.Limit
	if limit == 0 {
		limit = len(l.entries)
	}
	p.Rooms = make([]RoomSummary, 0, min(limit, len(l.entries)))
	var last entry
	for i := from; i >= 0 && i < len(l.entries); i += step {
		e := l.entries[i]
		m, split := e.m, []*mucDomain(nil)
		if m == nil {
			m, split = d.selectHomes(e.address, &q)
		}
		if m == nil || !all && !q.selects(m) {
			continue
		}
		r := m.replica.rooms[e.address]
		g := d.summarize(m, e.address, r, now)
		if len(split) > 1 {
			g = d.mergedSummary(split, e.address, nil, now)
		}
		if q.Keep != nil && !q.Keep(g) {
			continue
		}
		if len(p.Rooms) == limit {
			p.Last = &Position{Key: last.key, Address: last.address}
			break
		}
		if len(split) < 2 {
			g.Fingerprint, g.AnonymousFingerprint = d.fingerprints(m, g.Address, r, now)
		}
		p.Rooms, last = append(p.Rooms, g), e
	}
	return p, nil
}

// oldestAsOf returns when the oldest of these replicas, or of those with the visitors of their rooms, was confirmed, or an error if one can't be read. The caller holds mu.
func (d *Directory) oldestAsOf(domains []*mucDomain, now time.Time) (asOf time.Time, err error) {
	for i, m := range domains {
		if err := d.readError(m, nil, now); err != nil {
			return time.Time{}, d.named(m, err)
		}
		if at := d.orVisitors(m.group, m.asOf, now); i == 0 || at.Before(asOf) {
			asOf = at
		}
	}
	return asOf, nil
}

// RoomSummary is a summary of a room: enough to sort and filter it and to detect changes.
type RoomSummary struct {
	// Address is the bare JID of the room as Prosody knows it.
	Address      string
	Type         RoomType
	Tenant       string
	Exists       bool
	Participants int

	// CreatedAt is zero if the source can't know it.
	CreatedAt time.Time

	// AsOf is when Prosody last confirmed this.
	AsOf time.Time

	// Fingerprint and AnonymousFingerprint are those of the [Room].
	Fingerprint, AnonymousFingerprint Fingerprint

	// Unasked is as in the [Room].
	Unasked bool
}

// JID returns the JID of the room.
func (g RoomSummary) JID() jid.JID { return unsafeJID(g.Address) }

// Summary returns a summary of r.
func (r Room) Summary() RoomSummary {
	return RoomSummary{
		Address: r.JID.String(), Type: r.Type, Tenant: r.Tenant, Exists: r.Exists, Participants: r.Participants, CreatedAt: r.CreatedAt, AsOf: r.AsOf,
		Fingerprint: r.Fingerprint, AnonymousFingerprint: r.AnonymousFingerprint, Unasked: r.Unasked,
	}
}

// RoomSummary returns a summary of what [Directory.Room] returns, at a fraction of its cost.
func (d *Directory) RoomSummary(room jid.JID) (RoomSummary, error) {
	if room.Resourcepart() != "" {
		room = room.Bare()
	}
	address := room.String()
	d.mu.RLock()
	defer d.mu.RUnlock()
	now := time.Now()
	group := d.group(room.Domainpart())
	switch {
	case group == nil:
		return RoomSummary{}, ErrNotWatched
	case len(group.members) > 1:
		return d.mergedRoomSummary(group, room, now)
	}
	m := group.members[0]
	r := m.replica.room(address)
	if err := d.readError(m, r, now); err != nil {
		return RoomSummary{}, d.named(m, err)
	}
	if r == nil || r.hidden {
		return d.missingSummary(m, room, m.asOf, now), nil
	}
	g := d.summarize(m, address, r, now)
	g.Fingerprint, g.AnonymousFingerprint = d.fingerprints(m, address, r, now)
	return g, nil
}

// summarize returns a RoomSummary without its fingerprints. The caller holds mu.
func (d *Directory) summarize(m *mucDomain, address string, r *replicaRoom, now time.Time) RoomSummary {
	return RoomSummary{
		Address: address, Type: m.typ, Tenant: tenantOf(address), Exists: true, Participants: r.counts.People(), CreatedAt: r.facts.CreatedAt,
		AsOf: d.orVisitors(m.group, m.asOf, now),
	}
}

// missingSummary returns the summary of a room that doesn't exist, of the domain m and others of its name, as of asOf. The caller holds mu.
func (d *Directory) missingSummary(m *mucDomain, room jid.JID, asOf, now time.Time) RoomSummary {
	f := d.missingFingerprint(m.group, room.Localpart(), now)
	return RoomSummary{Address: room.String(), Type: m.typ, AsOf: d.orVisitors(m.group, asOf, now), Fingerprint: f, AnonymousFingerprint: f}
}
