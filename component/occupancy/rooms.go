package occupancy

import (
	"iter"
	"strings"

	"mellium.im/xmpp/jid"
)

// Room returns what is known of a room, which need not exist, and false if nothing is known of its domain,
// or if it isn't known whether there is such a room.
func (d *Directory) Room(room jid.JID) (Room, bool) {
	d.mu.RLock()
	defer d.mu.RUnlock()
	w := d.domain(room.Domainpart())
	if w == nil || w.served == nil {
		return Room{}, false
	}
	at := room.Bare().String()
	r := w.served.rooms[at]
	if r == nil && w.served.unseen {
		return Room{}, false
	}
	if r == nil || r.hidden {
		return Room{
			JID: room.Bare(), Exact: true, Source: SourceModule, AsOf: w.asOf, Type: w.typ, Version: d.seq, State: stateAt(0), Numbers: stateAt(0),
			Counts: map[Kind]int{}, Occupants: []*Occupant{},
		}, true
	}
	view := d.view(w, at, r)
	view.Occupants = make([]*Occupant, 0, len(r.occupants))
	for _, o := range r.occupants {
		view.Occupants = append(view.Occupants, o)
	}
	return view, true
}

// Totals is who is in all the rooms of a domain.
type Totals struct {
	Rooms int
	Tally Tally
	Sizes Sizes
}

// Totals returns the totals of domain, and false if not all of it is known.
func (d *Directory) Totals(domain jid.JID) (Totals, bool) {
	d.mu.RLock()
	defer d.mu.RUnlock()
	w := d.domain(domain.Domainpart())
	if w == nil || w.served == nil || w.served.unseen {
		return Totals{}, false
	}
	return w.totals(), true
}

// totals returns the totals of a domain of which something is known. The caller holds mu.
func (w *watched) totals() Totals {
	return Totals{Rooms: w.served.shown, Tally: w.served.tally, Sizes: w.served.sizes}
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
		Parent:       parentJID(d.parent(w, at)),
		Tenant:       tenantOf(r.jid.Localpart()),
		Subject:      r.facts.Subject,
		MeetingID:    r.facts.MeetingID,
		Password:     r.facts.Password,
		MembersOnly:  r.facts.MembersOnly,
		Visitors:     w.visitors(r.facts, r.tally),
		Version:      r.version,
	}
	view.State, view.Numbers = d.states(w, at, r)
	for ref, lobby := range d.related(w, r) {
		if lobby {
			view.Lobby = &ref
		} else {
			view.Breakouts = append(view.Breakouts, ref)
		}
	}
	return view
}

// visitors returns the number of visitors of a room. On a visitor node they are those in it,
// while focus would tell the number on all nodes, some seconds late.
func (w *watched) visitors(f RoomFacts, t Tally) *int {
	if w.trust.VisitorNode {
		return new(t.Of(KindVisitor))
	}
	return f.Visitors
}

// related yields what is known of the rooms that r tells of, and whether that is its lobby. The caller holds mu.
func (d *Directory) related(w *watched, r *liveRoom) iter.Seq2[RoomRef, bool] {
	return func(yield func(RoomRef, bool) bool) {
		if ref, ok := d.lobby(w, r); ok && !yield(ref, true) {
			return
		}
		for _, b := range r.facts.Breakouts {
			ref := d.ref(b.JID)
			ref.Name = b.Name
			if !yield(ref, false) {
				return
			}
		}
	}
}

// parent returns the address of the main room to which a breakout or lobby room belongs, or an empty string.
// The caller holds mu.
func (d *Directory) parent(w *watched, at string) string {
	if w.typ == RoomMain {
		return ""
	}
	local, _, _ := strings.Cut(at, "@")
	for _, m := range d.watched {
		if m.typ != RoomMain || m.served == nil {
			continue
		}
		if p, ok := m.served.parents[at]; ok {
			return p
		}
		if node := local + "@" + m.name; w.typ == RoomLobby && m.base == w.base && m.served.rooms[node] != nil {
			return node
		}
	}
	return ""
}

func parentJID(at string) jid.JID {
	if at == "" {
		return jid.JID{}
	}
	return address(at)
}

// lobby returns the lobby room that Prosody names, or else the one that Jitsi would make:
// the same node on the lobby domain (mod_muc_lobby_rooms).
func (d *Directory) lobby(w *watched, r *liveRoom) (RoomRef, bool) {
	if r.facts.Lobby != "" {
		return d.ref(r.facts.Lobby), true
	}
	for _, l := range d.watched {
		if w.typ != RoomMain || l.typ != RoomLobby || l.base != w.base {
			continue
		}
		if at := r.jid.Localpart() + "@" + l.name; l.served.room(at) != nil {
			return d.ref(at), true
		}
	}
	return RoomRef{}, false
}

// ref returns what is known of the room at an address.
func (d *Directory) ref(at string) RoomRef {
	ref := RoomRef{JID: address(at)}
	w := d.domain(ref.JID.Domainpart())
	if w == nil || w.served == nil {
		return ref
	}
	r := w.served.rooms[at]
	ref.Known = r != nil || !w.served.unseen
	if r != nil {
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
