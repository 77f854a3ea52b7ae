package admin

import (
	"cmp"
	"slices"
	"strings"

	"mellium.im/xmpp/jid"

	"ppch/component/occupancy"
)

// selection is which rooms are asked for. The zero value asks for all.
type selection struct {
	domain string // a watched MUC domain, or empty for all
	tenant string // empty for any
	text   string // is part of the name or address
	people int    // at least
}

// keeps returns which rooms of a domain are asked for.
func (h *Handler) keeps(s selection) func(occupancy.Glance) bool {
	text, found, tenant := strings.ToLower(s.text), h.Names.Search(s.text), ""
	if s.tenant != "" {
		tenant = occupancy.Tenant(s.tenant)
	}
	return func(g occupancy.Glance) bool {
		switch {
		case g.Participants < s.people:
			return false
		case s.tenant != "" && g.Tenant != s.tenant && g.Tenant != tenant:
			return false
		}
		return found(g.Address) || strings.Contains(g.Address, text)
	}
}

// rooms returns the rooms that are asked for, by address, and for each domain whose rooms can't be read why.
func (h *Handler) rooms(s selection) (rooms []occupancy.Glance, unknown []string) {
	keeps := h.keeps(s)
	for _, d := range h.Directory.Domains() {
		name := d.JID.String()
		if s.domain != "" && s.domain != name {
			continue
		}
		page, err := h.Directory.Rooms(occupancy.Query{Domain: name, Keep: keeps})
		if err != nil {
			unknown = append(unknown, name+": "+problem(err))
		}
		rooms = append(rooms, page.Rooms...)
	}
	slices.SortFunc(rooms, func(a, b occupancy.Glance) int { return strings.Compare(a.Address, b.Address) })
	return rooms, unknown
}

// watched returns the watched domain of that name.
func (h *Handler) watched(name string) (occupancy.Domain, bool) {
	d, err := h.Directory.Domain(jid.NewUnsafe("", name, "").JID)
	return d, err == nil
}

// address returns the JID for the address of a room, which PRECIS need not allow, and false for what is no room of a watched domain.
func (h *Handler) address(at string) (jid.JID, bool) {
	local, domain, _ := strings.Cut(at, "@")
	if _, ok := h.watched(domain); !ok || local == "" || strings.ContainsAny(local, "/ ") {
		return jid.JID{}, false
	}
	return jid.NewUnsafe(local, domain, "").JID, true
}

// sorted returns occupants by what is shown of them, people first.
func sorted(occupants []*occupancy.Occupant) []*occupancy.Occupant {
	occupants = slices.Clone(occupants)
	slices.SortFunc(occupants, func(a, b *occupancy.Occupant) int {
		return cmp.Or(rank(a.Kind)-rank(b.Kind), strings.Compare(a.Name, b.Name), strings.Compare(a.ID, b.ID))
	})
	return occupants
}

func rank(k occupancy.Kind) int {
	if k.Person() {
		return 0
	}
	return 1
}
