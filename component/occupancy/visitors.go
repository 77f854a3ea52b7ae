package occupancy

import (
	"maps"
	"slices"
	"strings"
	"time"

	"mellium.im/xmpp/jid"
)

// assignVisitors finds out which visitor domains have visitors of which main domains, and counts them.
// With one main domain, all visitors are of its rooms. With several, a visitor domain such as muc.v1.meet.jitsi belongs to muc.meet.jitsi;
// if none fits, the numbers of visitors are unknown. The caller holds writeMu and mu.
func (d *Directory) assignVisitors() {
	var mains []*group
	for _, g := range d.groups {
		g.nodes, g.visitors, g.unclear = nil, nil, false
		if g.kind == ShardMain && g.members[0].typ == RoomMain {
			mains = append(mains, g)
		}
	}
	for _, m := range d.domains {
		m.serves, m.changed = nil, nil
		if m.shard.kind != ShardVisitors || m.typ != RoomMain {
			continue
		}
		_, base, _ := strings.Cut(m.base, ".")
		for _, g := range mains {
			if len(mains) == 1 || g.members[0].base == base {
				m.serves = append(m.serves, g)
				g.nodes = append(g.nodes, m)
				if g.visitors == nil {
					g.visitors = make(map[string]int)
				}
			}
		}
		if len(m.serves) == 0 {
			for _, g := range mains {
				g.unclear = true
			}
			continue
		}
		m.changed = make(map[string]struct{})
		if m.replica != nil {
			for _, r := range m.replica.rooms {
				r.visitors = 0
				d.countVisitors(m, r, r.counts.Of(KindVisitor))
			}
		}
	}
	now := time.Now()
	for _, m := range d.domains {
		d.publishStatus(m, now) // of a visitor domain that serves others than before
	}
}

// served returns the main domains whose visitors are on m.
func (m *mucDomain) served() []jid.JID {
	var all []jid.JID
	for _, g := range m.serves {
		all = append(all, g.members[0].jid)
	}
	return all
}

// servedNames returns the names of the domains of served.
func (m *mucDomain) servedNames() string {
	if len(m.serves) == 0 {
		return ""
	}
	var names []string
	for _, g := range m.serves {
		names = append(names, g.name)
	}
	return strings.Join(names, " ")
}

// countVisitors notes the number of visitors in r, a room of the visitor domain m. The caller holds mu.
func (d *Directory) countVisitors(m *mucDomain, r *replicaRoom, n int) {
	change := n - int(r.visitors)
	if change == 0 || r.hidden {
		return
	}
	r.visitors = int32(n) // #nosec G115 -- a Counts has 32 bits, too
	local := r.jid.Localpart()
	for _, g := range m.serves {
		if g.visitors[local] += change; g.visitors[local] == 0 {
			delete(g.visitors, local)
		}
	}
	m.changed[local] = struct{}{}
}

// publishVisitors publishes the rooms whose number of visitors has changed with a batch of the visitor domain m.
// The caller holds mu.
func (d *Directory) publishVisitors(m *mucDomain, at time.Time) {
	if len(m.changed) == 0 {
		return
	}
	now := time.Now()
	for _, local := range slices.Sorted(maps.Keys(m.changed)) {
		for _, g := range m.serves {
			address := local + "@" + g.name
			for _, home := range g.homesOf(address) {
				r := home.replica.rooms[address]
				d.lastEvent++
				r.version = d.lastEvent
				if len(d.subs) == 0 {
					continue
				}
				facts := d.factsOf(home, r, now)
				d.publish(&Event{
					Seq: d.lastEvent, Kind: EventRoomUpdated, Room: r.jid, Shard: home.shard.name, Type: home.typ,
					Tenant: tenantOf(r.jid.Localpart()), Counts: r.counts, Facts: &facts, WatchedVisitors: home.watchedVisitors(r), At: at,
				})
			}
		}
	}
	clear(m.changed)
}

// factsOf returns the facts of a room with its number of visitors. The caller holds mu and owns the copy.
func (d *Directory) factsOf(m *mucDomain, r *replicaRoom, now time.Time) RoomFacts {
	facts := r.facts.clone()
	facts.Visitors = d.visitorsOf(m, r, now)
	return facts
}

// watchedVisitors returns the number of visitors of a room on the watched nodes as they last reported it; nil if there are none,
// or if one may have visitors of other rooms. The caller holds mu.
func (m *mucDomain) watchedVisitors(r *replicaRoom) *int {
	if g := m.group; len(g.nodes) > 0 && !g.unclear {
		return new(g.visitors[r.jid.Localpart()])
	}
	return nil
}

// visitorsOf returns the number of visitors of a room, nil if it is unknown. Where visitor shards are watched, it is the number there:
// Jicofo reports that, too, but late. The caller holds mu.
func (d *Directory) visitorsOf(m *mucDomain, r *replicaRoom, now time.Time) *int {
	switch g := m.group; {
	case m.shard.kind == ShardVisitors:
		return new(r.counts.Of(KindVisitor))
	case !g.watchesVisitors():
		return m.replica.visitors(r.facts, r.counts)
	default:
		return d.visitorsOnNodes(g, r.jid.Localpart(), now)
	}
}

// visitorsOnNodes returns the number of visitors on the visitor shards of g in a room with that localpart, nil if it is unknown.
// The caller holds mu.
func (d *Directory) visitorsOnNodes(g *group, local string, now time.Time) *int {
	if !d.visitorsKnown(g, now) {
		return nil
	}
	return new(g.visitors[local])
}

// visitorsKnown reports whether all visitor domains of g can be read. The caller holds mu.
func (d *Directory) visitorsKnown(g *group, now time.Time) bool {
	return !g.unclear && !slices.ContainsFunc(g.nodes, func(m *mucDomain) bool { return d.readReason(m, now) != "" })
}

// orVisitors returns when the oldest numbers of a room were confirmed: those of a room of g as of asOf, or those of its visitors.
// The caller holds mu.
func (d *Directory) orVisitors(g *group, asOf, now time.Time) time.Time {
	if len(g.nodes) == 0 || !d.visitorsKnown(g, now) {
		return asOf
	}
	for _, n := range g.nodes {
		if n.asOf.Before(asOf) {
			asOf = n.asOf
		}
	}
	return asOf
}

// withVisitors returns r, a room of g, as old as the oldest of its numbers, and a missing one with its visitors. The caller holds mu.
func (d *Directory) withVisitors(g *group, r Room, now time.Time) Room {
	if !r.Exists {
		// Its visitors may still be on their nodes.
		if g.watchesVisitors() {
			r.VisitorsSource, r.Visitors = VisitorsFromNodes, d.visitorsOnNodes(g, r.JID.Localpart(), now)
		}
		r.Fingerprint = d.missingFingerprint(g, r.JID.Localpart(), now)
		r.AnonymousFingerprint = r.Fingerprint
	}
	r.AsOf = d.orVisitors(g, r.AsOf, now)
	return r
}

// isNodeRoom reports whether an address with that domain is that of a room's visitors, on a watched visitor node. The caller holds mu.
func (m *mucDomain) isNodeRoom(room, address, domain string) bool {
	return strings.TrimSuffix(address, domain) == strings.TrimSuffix(room, m.name) &&
		slices.ContainsFunc(m.group.nodes, func(n *mucDomain) bool { return n.name == domain })
}

// VisitorsSource is where a number of visitors comes from.
type VisitorsSource string

// The sources of numbers of visitors.
const (
	VisitorsFromNodes VisitorsSource = "nodes" // the visitor nodes: exact and live
	VisitorsFromFocus VisitorsSource = "focus" // Jicofo, some seconds late
)

// visitorsSource returns where the numbers of visitors of the rooms of m come from.
func (m *mucDomain) visitorsSource() VisitorsSource {
	if m.group.watchesVisitors() || m.shard.kind == ShardVisitors || m.replica.visitorNode {
		return VisitorsFromNodes
	}
	return VisitorsFromFocus
}

// watchesVisitors reports whether visitor shards have visitors of the rooms of g, if it has any.
func (g *group) watchesVisitors() bool { return len(g.nodes) > 0 || g.unclear }

// resetVisitors counts the visitors of the replica that is about to replace that of m; either may be nil. The caller holds mu.
func (d *Directory) resetVisitors(m *mucDomain, next *replica) {
	if m.changed == nil {
		return
	}
	if m.replica != nil {
		for _, r := range m.replica.rooms {
			d.countVisitors(m, r, 0)
		}
	}
	if next != nil {
		for _, r := range next.rooms {
			d.countVisitors(m, r, r.counts.Of(KindVisitor))
		}
	}
}

// VisitorsCheck compares Jicofo's numbers of visitors with those on the visitor shards, over the rooms where Jicofo's is greater.
// Jicofo's is up to 15 s old; if it stays greater, there is a visitor node that is not watched.
type VisitorsCheck struct {
	Rooms             int
	Reported, Watched int
}

// CheckVisitors visits every room. It returns false if there are no visitor shards, or if one is unknown.
func (d *Directory) CheckVisitors() (check VisitorsCheck, ok bool) {
	d.mu.RLock()
	defer d.mu.RUnlock()
	now := time.Now()
	for _, g := range d.groups {
		if len(g.nodes) == 0 {
			continue
		}
		if !d.visitorsKnown(g, now) {
			return VisitorsCheck{}, false
		}
		ok = true
		for _, m := range g.members {
			if m.replica == nil {
				continue
			}
			for _, r := range m.replica.rooms {
				watched := g.visitors[r.jid.Localpart()]
				if n := r.facts.Visitors; !r.hidden && n != nil && *n > watched {
					check.Rooms++
					check.Reported += *n
					check.Watched += watched
				}
			}
		}
	}
	return check, ok
}

// Visitor is an occupant of a visitor node. All readers share the record, which never changes.
type Visitor struct {
	Shard string
	*Record
}

// Visitors returns the visitors of a meeting on all visitor shards, unordered. It returns false if there are no such shards,
// or if one is unknown.
func (d *Directory) Visitors(room jid.JID) (all []Visitor, ok bool) {
	d.mu.RLock()
	defer d.mu.RUnlock()
	g := d.group(room.Domainpart())
	if g == nil || len(g.nodes) == 0 || !d.visitorsKnown(g, time.Now()) {
		return nil, false
	}
	for _, m := range g.nodes {
		r := m.replica.room(room.Localpart() + "@" + m.name)
		if r == nil || r.hidden {
			continue
		}
		for _, o := range r.occupants {
			if o.Kind() == KindVisitor {
				all = append(all, Visitor{m.shard.name, o})
			}
		}
	}
	return all, true
}
