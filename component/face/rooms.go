package face

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

func (s selection) keeps(g occupancy.Glance) bool {
	local, _, _ := strings.Cut(g.Address, "@")
	if g.Participants < s.people {
		return false
	}
	if s.tenant != "" {
		if tenant, _ := cutTenant(local); tenant != s.tenant {
			return false
		}
	}
	text := strings.ToLower(s.text)
	return text == "" || strings.Contains(g.Address, text) || strings.Contains(strings.ToLower(roomName(g.Address)), text)
}

// rooms returns the rooms that are asked for, by address, and for each domain whose rooms can't be read why.
func (f *Face) rooms(s selection) (rooms []occupancy.Glance, unknown []string) {
	for _, d := range f.Directory.Domains() {
		name := d.JID.String()
		if s.domain != "" && s.domain != name {
			continue
		}
		page, err := f.Directory.Rooms(occupancy.Query{Domain: name, Keep: s.keeps})
		if err != nil {
			unknown = append(unknown, name+": "+problem(err))
		}
		rooms = append(rooms, page.Rooms...)
	}
	slices.SortFunc(rooms, func(a, b occupancy.Glance) int { return strings.Compare(a.Address, b.Address) })
	return rooms, unknown
}

// watched returns the watched domain of that name.
func (f *Face) watched(name string) (occupancy.Domain, bool) {
	d, err := f.Directory.Domain(jid.NewUnsafe("", name, "").JID)
	return d, err == nil
}

// address returns the JID for the address of a room, which PRECIS need not allow, and false for what is no room of a watched domain.
func (f *Face) address(at string) (jid.JID, bool) {
	local, domain, _ := strings.Cut(at, "@")
	if _, ok := f.watched(domain); !ok || local == "" || strings.ContainsAny(local, "/ ") {
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
