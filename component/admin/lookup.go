package admin

import (
	"cmp"
	"slices"
	"strings"

	"mellium.im/xmpp/jid"

	"ppch/component/occupancy"
)

// selection selects rooms. The zero value selects all.
type selection struct {
	domain string // a watched MUC domain, or empty for all
	tenant string // empty for any
	text   string // is part of the name or address
	people int    // at least
}

// match returns a function that reports whether a room of a domain is selected.
func (h *Handler) match(s selection) func(occupancy.RoomSummary) bool {
	text, found, tenant := strings.ToLower(s.text), h.Names.Search(s.text), ""
	if s.tenant != "" {
		tenant = occupancy.Tenant(s.tenant)
	}
	return func(g occupancy.RoomSummary) bool {
		switch {
		case g.Participants < s.people:
			return false
		case s.tenant != "" && g.Tenant != s.tenant && g.Tenant != tenant:
			return false
		}
		return found(g.Address) || strings.Contains(g.Address, text)
	}
}

// rooms returns the selected rooms by address, and a problem for each domain whose rooms are unknown.
func (h *Handler) rooms(s selection) (rooms []occupancy.RoomSummary, unknown []string) {
	match := h.match(s)
	for _, d := range h.domains() {
		name := d.JID.String()
		if s.domain != "" && s.domain != name {
			continue
		}
		page, err := h.Directory.Rooms(occupancy.Query{Domain: name, Keep: match})
		if err != nil {
			unknown = append(unknown, name+": "+errorText(err))
		}
		rooms = append(rooms, page.Rooms...)
	}
	slices.SortStableFunc(rooms, func(a, b occupancy.RoomSummary) int { return strings.Compare(a.Address, b.Address) })
	return rooms, unknown
}

// domain returns the watched domain of that name.
func (h *Handler) domain(name string) (occupancy.Domain, bool) {
	d, err := h.Directory.Domain(jid.NewUnsafe("", name, "").JID)
	return d, err == nil
}

// roomJID returns the JID of a room, which PRECIS need not allow, or false if the address is not one of a room on a watched domain.
func (h *Handler) roomJID(at string) (jid.JID, bool) {
	local, domain, _ := strings.Cut(at, "@")
	if _, ok := h.domain(domain); !ok || local == "" || strings.ContainsAny(local, "/ ") {
		return jid.JID{}, false
	}
	return jid.NewUnsafe(local, domain, "").JID, true
}

// sorted returns the occupants of a room by name, people first.
func sorted(room occupancy.Room) []*occupancy.Occupant {
	occupants := make([]*occupancy.Occupant, 0, len(room.Occupants))
	for _, r := range room.Occupants {
		occupants = append(occupants, new(r.Occupant()))
	}
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
