package occupancy

import (
	"iter"
	"strings"
	"time"

	"mellium.im/xmpp/jid"
)

// Room returns a room, which need not exist.
//
// A replica answers while it was confirmed within MaxStaleness, even if the connection to Prosody was lost meanwhile:
// the AsOf of the room says how old it is. Otherwise the error is an [UnknownError], or [ErrNotWatched].
// Where nothing is wrong but that the domain has no Lua module it is also [ErrNoModule]: Prosody can be asked about single rooms.
// A room that isn't there is an error as well where Prosody may have rooms that it couldn't look at (ReasonStorage).
func (d *Directory) Room(room jid.JID) (Room, error) {
	d.mu.RLock()
	defer d.mu.RUnlock()
	w := d.domain(room.Domainpart())
	if w == nil {
		return Room{}, ErrNotWatched
	}
	at := room.Bare().String()
	r := w.served.room(at)
	now := time.Now()
	if err := d.unreadable(w, r, now); err != nil {
		return Room{}, err
	}
	if r == nil || r.hidden {
		return Room{
			JID: room.Bare(), Exact: true, Source: SourceModule, AsOf: w.asOf, Type: w.typ, Version: d.seq, State: stateAt(0), Numbers: stateAt(0),
			Counts: map[Kind]int{}, Occupants: []*Occupant{},
		}, nil
	}
	view := d.view(w, at, r, now)
	view.Occupants = make([]*Occupant, 0, len(r.occupants))
	for _, o := range r.occupants {
		view.Occupants = append(view.Occupants, o)
	}
	return view, nil
}

// view returns a room without its occupants. The caller holds mu.
func (d *Directory) view(w *watched, at string, r *liveRoom, now time.Time) Room {
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
		Visitors:     w.served.visitors(r.facts, r.tally),
		Version:      r.version,
	}
	view.State, view.Numbers = d.states(w, at, r, now)
	for ref, lobby := range d.related(w, r, now) {
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
func (c *replica) visitors(f RoomFacts, t Tally) *int {
	if c.visitorNode {
		return new(t.Of(KindVisitor))
	}
	return f.Visitors
}

// related yields the rooms that r shows as they are, and whether each is its lobby. The caller holds mu.
func (d *Directory) related(w *watched, r *liveRoom, now time.Time) iter.Seq2[RoomRef, bool] {
	return func(yield func(RoomRef, bool) bool) {
		if ref, ok := d.lobby(w, r, now); ok && !yield(ref, true) {
			return
		}
		for _, b := range r.facts.Breakouts {
			ref := d.ref(b.JID, now)
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
func (d *Directory) lobby(w *watched, r *liveRoom, now time.Time) (RoomRef, bool) {
	if r.facts.Lobby != "" {
		return d.ref(r.facts.Lobby, now), true
	}
	for _, l := range d.watched {
		if w.typ != RoomMain || l.typ != RoomLobby || l.base != w.base {
			continue
		}
		if at := r.jid.Localpart() + "@" + l.name; l.served.room(at) != nil {
			return d.ref(at, now), true
		}
	}
	return RoomRef{}, false
}

// ref returns the room at an address, as another one shows it: not known where it couldn't be read itself.
func (d *Directory) ref(at string, now time.Time) RoomRef {
	ref := RoomRef{JID: address(at)}
	w := d.domain(ref.JID.Domainpart())
	if w == nil || !d.readable(w, now) {
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
