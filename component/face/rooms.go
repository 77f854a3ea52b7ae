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
	local, domain, _ := strings.Cut(g.Address, "@")
	if s.domain != "" && s.domain != domain || g.Participants < s.people {
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

// rooms returns the rooms that are asked for, by address, and for each domain whose rooms aren't known why.
func (f *Face) rooms(s selection) (rooms []occupancy.Glance, unknown []string) {
	listable := make(map[string]bool)
	for _, d := range f.Prosody.Wiring().Domains {
		why := f.unlisted(d.JID)
		listable[d.JID.String()] = why == ""
		if why != "" && (s.domain == "" || s.domain == d.JID.String()) {
			unknown = append(unknown, d.JID.String()+": "+why)
		}
	}
	listing := f.Directory.Listing(occupancy.ByName)
	rooms, _, _ = f.Directory.Page(listing, occupancy.Page{Limit: listing.Len(), Keep: func(g occupancy.Glance) bool {
		_, domain, _ := strings.Cut(g.Address, "@")
		return listable[domain] && s.keeps(g)
	}})
	return rooms, unknown
}

// unlisted returns why the rooms of a domain can't be listed, or nothing.
func (f *Face) unlisted(domain jid.JID) string {
	if _, err := f.Prosody.Listed(domain); err != nil {
		return problem(err)
	}
	return ""
}

// watched returns the watched domain of that name.
func (f *Face) watched(name string) (occupancy.DomainWiring, bool) {
	all := f.Prosody.Wiring().Domains
	i := slices.IndexFunc(all, func(d occupancy.DomainWiring) bool { return d.JID.String() == name })
	if i < 0 {
		return occupancy.DomainWiring{}, false
	}
	return all[i], true
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
