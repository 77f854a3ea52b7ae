package occupancy

import (
	"errors"
	"slices"
	"time"

	"mellium.im/xmpp/jid"
)

// mergedRoom returns a room of a domain that several shards have. The caller holds mu.
func (d *Directory) mergedRoom(g *group, room jid.JID, now time.Time) (Room, error) {
	address := room.Bare().String()
	homes := g.homes[address]
	if len(homes) == 1 {
		// Nearly all rooms are on one shard.
		if asOf, ok := d.readableElsewhere(g, homes[0], now); ok {
			view, err := d.roomOn(homes[0], room, now)
			view.AsOf = asOf
			return view, err
		}
	}
	answers := make([]Answer, 0, len(g.members))
	for _, m := range g.members {
		r, err := d.roomOn(m, room, now)
		answers = append(answers, Answer{Shard: m.shard.name, Room: r, Err: err})
	}
	return Merge(room.Bare(), answers)
}

// readableElsewhere reports whether home may answer about a room that it has, and all other members of g about one that they don't have.
// It also returns when the oldest of them was confirmed. The caller holds mu.
func (d *Directory) readableElsewhere(g *group, home *mucDomain, now time.Time) (asOf time.Time, ok bool) {
	oldest := home
	for _, m := range g.members {
		if m.replica == nil || m.replica.incomplete && m != home {
			return time.Time{}, false
		}
		if m.asOf.Before(oldest.asOf) {
			oldest = m
		}
	}
	return oldest.asOf, d.readable(oldest, now)
}

// mergedRoomSummary returns a summary of what mergedRoom returns. The caller holds mu.
func (d *Directory) mergedRoomSummary(g *group, room jid.JID, now time.Time) (RoomSummary, error) {
	address := room.String()
	has := g.homes[address]
	if len(has) == 1 {
		if asOf, ok := d.readableElsewhere(g, has[0], now); ok {
			summary := d.mergedSummary(has, address, nil, now)
			summary.AsOf = asOf
			return summary, nil
		}
	}
	var homes []*mucDomain
	var unknown []string
	var problem error
	var oldest time.Time
	unasked := false
	for _, m := range g.members {
		var r *replicaRoom
		if slices.Contains(has, m) {
			r = m.replica.rooms[address]
		}
		if err := d.readError(m, r, now); err != nil {
			unknown = append(unknown, m.shard.name)
			unasked = unasked || errors.Is(err, ErrNoModule)
			if problem == nil || errors.Is(problem, ErrNoModule) && !errors.Is(err, ErrNoModule) {
				problem = d.named(m, err)
			}
			continue
		}
		if oldest.IsZero() || m.asOf.Before(oldest) {
			oldest = m.asOf
		}
		if r != nil {
			homes = append(homes, m)
		}
	}
	switch {
	case len(homes) == 0 && problem != nil:
		return RoomSummary{}, problem
	case len(homes) == 0:
		return d.missingSummary(g.members[0], room, oldest, now), nil
	}
	summary := d.mergedSummary(homes, address, unknown, now)
	summary.AsOf, summary.Unasked = d.orVisitors(g, oldest, now), unasked
	return summary, nil
}

// mergedSummary returns a summary of the room that homes have, at least one, while some shards are unknown. The caller holds mu.
func (d *Directory) mergedSummary(homes []*mucDomain, address string, unknown []string, now time.Time) RoomSummary {
	summary := d.summarize(homes[0], address, homes[0].replica.rooms[address], now)
	summary.Fingerprint, summary.AnonymousFingerprint = d.fingerprints(homes[0], address, homes[0].replica.rooms[address], now)
	for _, m := range homes[1:] {
		r := m.replica.rooms[address]
		all, anonymous := d.fingerprints(m, address, r, now)
		summary.Fingerprint, summary.AnonymousFingerprint = summary.Fingerprint.mix(uint64(all)), summary.AnonymousFingerprint.mix(uint64(anonymous))
		summary.Participants += r.counts.People()
		if c := r.facts.CreatedAt; !c.IsZero() && (summary.CreatedAt.IsZero() || c.Before(summary.CreatedAt)) {
			summary.CreatedAt = c
		}
		if m.asOf.Before(summary.AsOf) {
			summary.AsOf = m.asOf
		}
	}
	summary.Fingerprint, summary.AnonymousFingerprint = summary.Fingerprint.with(unknown...), summary.AnonymousFingerprint.with(unknown...)
	return summary
}

// named returns a problem of m with the name of its shard if there are several. The caller holds mu.
func (d *Directory) named(m *mucDomain, err error) error {
	if len(d.shards) == 1 {
		return err
	}
	return nameShard(m.shard.name, err)
}

// people returns the number of people in a room on all members. The caller holds mu.
func (g *group) people(address string) int {
	n := 0
	for _, m := range g.homesOf(address) {
		n += m.replica.rooms[address].counts.People()
	}
	return n
}

// totals returns the totals of a domain that has a replica on all shards. The caller holds mu.
func (g *group) totals() Totals {
	all := g.members[0].totals()
	if len(g.members) == 1 {
		return all
	}
	all.Shard = ""
	for _, m := range g.members[1:] {
		t := m.totals()
		if t.AsOf.Before(all.AsOf) {
			all.AsOf = t.AsOf
		}
		all.Rooms += t.Rooms
		all.Counts.addAll(t.Counts, +1)
		for i := range t.Sizes {
			all.Sizes[i] += t.Sizes[i]
		}
		all.moves.add(t.moves)
	}
	for address := range g.split {
		homes := g.homesOf(address)
		for _, m := range homes {
			all.Sizes.add(m.replica.rooms[address].counts.People(), -1)
		}
		all.Sizes.add(g.people(address), +1)
		all.Rooms -= len(homes) - 1
	}
	return all
}

// add adds the numbers of another domain.
func (m *joinsAndLeaves) add(other joinsAndLeaves) {
	for i := range other.joins {
		m.joins[i] += other.joins[i]
		m.leaves[i] += other.leaves[i]
	}
}
