package occupancy

import (
	"strings"

	"mellium.im/xmpp/jid"
)

// Room returns what is known of a room, which need not exist, and false if nothing is known of its domain.
func (d *Directory) Room(room jid.JID) (Room, bool) {
	d.mu.RLock()
	defer d.mu.RUnlock()
	w := d.domain(room.Domainpart())
	if w == nil || w.served == nil {
		return Room{}, false
	}
	at := room.Bare().String()
	r := w.served.rooms[at]
	if r == nil || r.hidden {
		return Room{
			JID: room.Bare(), Exact: true, Source: SourceModule, AsOf: w.asOf, Type: w.typ, Version: d.seq,
			Counts: map[Kind]int{}, Occupants: []Occupant{},
		}, true
	}
	view := d.view(w, at, r)
	view.Occupants = make([]Occupant, 0, len(r.occupants))
	for _, o := range r.occupants {
		view.Occupants = append(view.Occupants, *o)
	}
	return view, true
}

// Rooms returns the rooms of domain without their occupants, in the order of their JIDs,
// and false if nothing is known of the domain.
func (d *Directory) Rooms(domain jid.JID) ([]Room, bool) {
	d.mu.RLock()
	defer d.mu.RUnlock()
	w := d.domain(domain.Domainpart())
	if w == nil || w.served == nil {
		return nil, false
	}
	rooms := make([]Room, 0, w.served.shown)
	for _, at := range w.served.addresses() {
		if r := w.served.rooms[at]; !r.hidden {
			rooms = append(rooms, d.view(w, at, r))
		}
	}
	return rooms, true
}

// Totals is who is in all the rooms of a domain.
type Totals struct {
	Rooms int
	Tally Tally
}

// Totals returns the totals of domain, and false if nothing is known of it.
func (d *Directory) Totals(domain jid.JID) (Totals, bool) {
	d.mu.RLock()
	defer d.mu.RUnlock()
	w := d.domain(domain.Domainpart())
	if w == nil || w.served == nil {
		return Totals{}, false
	}
	return Totals{Rooms: w.served.shown, Tally: w.served.tally}, true
}

// view returns a room without its occupants. The caller holds mu.
func (d *Directory) view(w *watched, at string, r *liveRoom) Room {
	view := Room{
		JID:          r.jid,
		Exists:       true,
		Participants: r.tally.People(),
		Exact:        true,
		Source:       SourceModule,
		AsOf:         w.asOf,
		Counts:       r.tally.Map(),
		CreatedAt:    r.facts.CreatedAt,
		Type:         w.typ,
		Parent:       d.parent(w, at),
		Tenant:       tenantOf(r.jid.Localpart()),
		Subject:      r.facts.Subject,
		MeetingID:    r.facts.MeetingID,
		Password:     r.facts.Password,
		MembersOnly:  r.facts.MembersOnly,
		Visitors:     r.facts.Visitors,
		Lobby:        d.lobby(w, r),
		Version:      r.version,
	}
	for _, b := range r.facts.Breakouts {
		ref := d.ref(b.JID)
		ref.Name = b.Name
		view.Breakouts = append(view.Breakouts, ref)
	}
	return view
}

// parent returns the main room to which a breakout or lobby room belongs, or the zero JID.
func (d *Directory) parent(w *watched, at string) jid.JID {
	if w.typ == RoomMain {
		return jid.JID{}
	}
	local, _, _ := strings.Cut(at, "@")
	for _, m := range d.watched {
		if m.typ != RoomMain || m.served == nil {
			continue
		}
		if p, ok := m.served.parents[at]; ok {
			return address(p)
		}
		if node := local + "@" + m.name; w.typ == RoomLobby && m.base == w.base && m.served.rooms[node] != nil {
			return address(node)
		}
	}
	return jid.JID{}
}

// lobby returns the lobby room that Prosody names, or else the one that Jitsi would make:
// the same node on the lobby domain (mod_muc_lobby_rooms).
func (d *Directory) lobby(w *watched, r *liveRoom) *RoomRef {
	if r.facts.Lobby != "" {
		ref := d.ref(r.facts.Lobby)
		return &ref
	}
	for _, l := range d.watched {
		if w.typ != RoomMain || l.typ != RoomLobby || l.base != w.base {
			continue
		}
		if ref := d.ref(r.jid.Localpart() + "@" + l.name); ref.Exists {
			return &ref
		}
	}
	return nil
}

// ref returns what is known of the room at an address.
func (d *Directory) ref(at string) RoomRef {
	ref := RoomRef{JID: address(at)}
	w := d.domain(ref.JID.Domainpart())
	if w == nil || w.served == nil {
		return ref
	}
	ref.Known = true
	if r := w.served.rooms[at]; r != nil {
		ref.Exists = true
		ref.Participants = r.tally.People()
	}
	return ref
}

// tenantOf returns the tenant of a localpart [tenant]room, or an empty string.
func tenantOf(local string) string {
	if !strings.HasPrefix(local, "[") {
		return ""
	}
	group, name, ok := strings.Cut(local[1:], "]")
	if !ok || name == "" {
		return ""
	}
	return group
}
