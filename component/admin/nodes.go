package admin

import (
	"context"
	"maps"
	"slices"
	"strconv"
	"strings"

	"mellium.im/xmpp/disco/info"
	"mellium.im/xmpp/disco/items"
	"mellium.im/xmpp/form"
	"mellium.im/xmpp/stanza"

	"ppch/component/occupancy"
)

// place is the entity of a node of the component. In the order of browsing:
//
//	muc.meet.jitsi                     a watched MUC domain
//	muc.meet.jitsi/[acme]              a tenant
//	planning@muc.meet.jitsi            a room
//	planning@muc.meet.jitsi/1a2b3c4d   an occupant
//
// These are nodes instead of the JIDs themselves, since Jitsi's MUC domains hide their rooms.
type place struct {
	name   string
	leaf   bool
	fields []field
	inside func() []items.Item
}

// field is one fact of a form.
type field struct{ name, label, value string }

var errNoNode = refuse(stanza.Cancel, stanza.ItemNotFound, "unknown node")

// place returns the place of a node.
func (h *Handler) place(node string) (place, error) {
	head, tail, deeper := strings.Cut(node, "/")
	local, domain, isRoom := strings.Cut(head, "@")
	switch {
	case !isRoom && !deeper:
		return h.domainPlace(head, "")
	case !isRoom:
		if tenant := tenantOf(tail + "-"); tenant != "" && tail == "["+tenant+"]" {
			return h.domainPlace(head, tenant)
		}
		return place{}, errNoNode
	case local == "" || domain == "":
		return place{}, errNoNode
	}
	room, err := h.room(head)
	if err != nil || !deeper {
		return h.roomPlace(room), err
	}
	i := slices.IndexFunc(room.Occupants, func(r *occupancy.Record) bool { return r.ID() == tail })
	if i < 0 {
		return place{}, errNoNode
	}
	return occupantPlace(new(room.Occupants[i].Occupant())), nil
}

// room returns the room at an address. Its error is a stanza.Error.
func (h *Handler) room(at string) (occupancy.Room, error) {
	j, ok := h.roomJID(at)
	if !ok {
		return occupancy.Room{}, errNoNode
	}
	room, err := h.Prosody.Room(context.Background(), j)
	switch {
	case err != nil:
		return occupancy.Room{}, refuse(stanza.Wait, stanza.RecipientUnavailable, errorText(err))
	case !room.Exists:
		return occupancy.Room{}, errNoNode
	}
	return room, nil
}

func (h *Handler) domainPlace(domain, tenant string) (place, error) {
	d, ok := h.domain(domain)
	if !ok {
		return place{}, errNoNode
	}
	page, err := h.Directory.Rooms(occupancy.Query{Domain: domain, Keep: h.match(selection{tenant: tenant})})
	if tenant != "" && err == nil && len(page.Rooms) == 0 {
		return place{}, errNoNode
	}
	p := place{name: domain, fields: []field{{"domain", "MUC domain", domain}}}
	if tenant != "" {
		p.name = "tenant " + show(tenant)
		p.fields = append(p.fields, field{"tenant", "Tenant", tenant})
	} else {
		p.fields = append(p.fields, field{"mode", "Mode", string(d.Mode)})
	}
	if err != nil {
		p.fields = append(p.fields, field{"problem", "Problem", domain + ": " + errorText(err)})
		p.inside = func() []items.Item { return nil }
		return p, nil
	}
	inRooms := 0
	for _, g := range page.Rooms {
		inRooms += g.Participants
	}
	p.fields = append(p.fields,
		field{"rooms", "Rooms", strconv.Itoa(len(page.Rooms))},
		field{"participants", "People", strconv.Itoa(inRooms)},
		field{"as_of", "Last update", stamp(page.AsOf)})
	p.inside = func() []items.Item { return h.roomItems(page.Rooms, domain, tenant) }
	return p, nil
}

// roomItems lists the rooms without a tenant and the tenants of a domain; or the rooms of one tenant.
func (h *Handler) roomItems(rooms []occupancy.RoomSummary, domain, tenant string) (all []items.Item) {
	type sum struct{ rooms, people int }
	tenants := make(map[string]sum)
	for _, g := range rooms {
		local, _, _ := strings.Cut(g.Address, "@")
		if t := tenantOf(local); t != tenant {
			tenants[t] = sum{tenants[t].rooms + 1, tenants[t].people + g.Participants}
			continue
		}
		all = append(all, h.item(g.Address, h.roomName(g.Address)+" — "+people(g.Participants)))
	}
	for _, t := range slices.Sorted(maps.Keys(tenants)) {
		in := tenants[t]
		all = append(all, h.item(domain+"/["+t+"]", "tenant "+show(t)+" — "+count(in.rooms, "room", "rooms")+", "+people(in.people)))
	}
	return all
}

func (h *Handler) roomPlace(r occupancy.Room) place {
	p := place{name: h.roomName(r.JID.String()), fields: roomFields(r)}
	p.inside = func() (all []items.Item) {
		for _, one := range r.Occupants {
			o := one.Occupant()
			all = append(all, h.item(r.JID.String()+"/"+o.ID, occupantName(&o)+" — "+kindOf(&o)))
		}
		return all
	}
	return p
}

func occupantPlace(o *occupancy.Occupant) place {
	return place{name: occupantName(o), leaf: true, fields: []field{
		{"id", "Nick", o.ID}, {"name", "Name", show(o.Name)}, {"kind", "Kind", string(o.Kind)},
		{"role", "Role", o.Role}, {"affiliation", "Affiliation", o.Affiliation},
		{"joined_at", "Joined at", stamp(o.JoinedAt)}, {"real_jid", "Real JID", o.RealJID},
	}}
}

func (h *Handler) item(node, name string) items.Item {
	return items.Item{JID: h.Domain, Node: node, Name: name}
}

func (p place) identity() info.Identity {
	typ := "branch"
	if p.leaf {
		typ = "leaf"
	}
	return info.Identity{Category: "hierarchy", Type: typ, Name: p.name}
}

func (p place) form() *form.Data { return resultForm(p.name, p.fields) }

// nsFacts is the FORM_TYPE of the forms in disco#info (XEP-0128).
const nsFacts = "urn:ppch:facts:1"

// resultForm returns a form of facts, without unknown ones.
func resultForm(title string, fields []field) *form.Data {
	all := []form.Field{form.Result, form.Title(title), form.Hidden("FORM_TYPE", form.Value(nsFacts))}
	for _, f := range fields {
		if f.value != "" {
			all = append(all, form.Text(f.name, form.Label(f.label), form.Value(f.value)))
		}
	}
	return form.New(all...)
}

// browse lists the items of a node.
func (h *Handler) browse(node string) (all []items.Item, err error) {
	if node == "" {
		for _, d := range h.domains() {
			all = append(all, h.item(d.JID.String(), d.JID.String()+" — "+h.summary(d)))
		}
		return all, nil
	}
	p, err := h.place(node)
	if err != nil || p.inside == nil {
		return nil, err
	}
	return p.inside(), nil
}
