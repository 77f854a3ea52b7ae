package occupancy

import "slices"

// group is a MUC domain of one name on all shards that have it.
type group struct {
	name    string
	kind    ShardKind
	members []*mucDomain

	// homes are the members that have a room, by its address, and split the addresses of rooms that several have.
	// Both are nil while there is only one member.
	homes map[string][]*mucDomain
	split map[string]struct{}

	// nodes are the visitor domains with visitors of these rooms, visitors the number of visitors there by localpart.
	// unclear is whether a visitor domain may have visitors of these rooms or of another group's.
	nodes    []*mucDomain
	visitors map[string]int
	unclear  bool
}

// group returns the domains of that name, or nil. The caller holds mu or writeMu.
func (d *Directory) group(name string) *group {
	for _, g := range d.groups {
		if g.name == name {
			return g
		}
	}
	return nil
}

// regroup derives domains and groups from the shards: those of main shards come first.
// The caller holds writeMu and mu.
func (d *Directory) regroup() {
	d.domains, d.groups = nil, nil
	for _, kind := range []ShardKind{ShardMain, ShardVisitors} {
		for _, s := range d.shards {
			if s.kind != kind {
				continue
			}
			for _, m := range s.domains {
				g := d.group(m.name)
				if g == nil {
					g = &group{name: m.name, kind: kind}
					d.groups = append(d.groups, g)
				}
				g.members = append(g.members, m)
				m.group = g
				d.domains = append(d.domains, m)
			}
		}
	}
	for _, g := range d.groups {
		if len(g.members) > 1 {
			g.homes, g.split = make(map[string][]*mucDomain), make(map[string]struct{})
			for _, m := range g.members {
				g.settleAll(m, m.replica)
			}
		}
	}
	d.assignVisitors()
	d.lastEvent++
	d.roomSetVersion++
}

// settle notes that m has a room, or no longer has it.
func (g *group) settle(m *mucDomain, address string, has bool) {
	if g.homes == nil {
		return
	}
	before := g.homes[address]
	if slices.Contains(before, m) == has {
		return
	}
	var homes []*mucDomain // in the order of the shards
	for _, other := range g.members {
		if other == m && has || other != m && slices.Contains(before, other) {
			homes = append(homes, other)
		}
	}
	delete(g.split, address)
	switch len(homes) {
	case 0:
		delete(g.homes, address)
	case 1:
		g.homes[address] = homes[0].alone // one slice for all rooms of a domain
	default:
		g.homes[address] = homes
		g.split[address] = struct{}{}
	}
}

// settleAll settles all rooms of a replica of m, which may be nil.
func (g *group) settleAll(m *mucDomain, c *replica) {
	if g.homes == nil || c == nil {
		return
	}
	for address, r := range c.rooms {
		if !r.hidden {
			g.settle(m, address, true)
		}
	}
}

// unsettleAll undoes settleAll.
func (g *group) unsettleAll(m *mucDomain, c *replica) {
	if g.homes == nil || c == nil {
		return
	}
	for address := range c.rooms {
		g.settle(m, address, false)
	}
}

// homesOf returns the members that have a room which is shown. The caller holds mu.
func (g *group) homesOf(address string) []*mucDomain {
	if g.homes != nil {
		return g.homes[address]
	}
	m := g.members[0]
	if r := m.replica.room(address); r == nil || r.hidden {
		return nil
	}
	return m.alone
}
