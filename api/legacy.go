package api

import (
	"cmp"
	"context"
	"errors"
	"net/http"
	"slices"
	"strings"

	"ppch/api/keys"
	"ppch/api/view"
	"ppch/component/occupancy"
)

// The paths of legacyRoutes.
const (
	legacySize    = "/room-size"
	legacyMembers = "/room"
	legacyCensus  = "/room-census"
)

// legacyRoutes returns the routes of Jitsi's mod_muc_size and mod_muc_census, for clients written for these modules.
// In place of a key in the header they accept the token of a share link in the parameter "token", where mod_muc_size has its JWT.
func (s *Server) legacyRoutes() []route {
	return []route{
		{http.MethodGet, legacySize, keys.ScopeCount, s.getRoomSize},
		{http.MethodGet, legacyMembers, keys.ScopeParticipants, s.getRoomMembers},
		{http.MethodGet, legacyCensus, keys.ScopeCount, s.getRoomCensus},
	}
}

// legacyToken returns the token in a request to one of the legacy routes, or "" for requests that need a key.
func (rt route) legacyToken(r *http.Request) string {
	switch rt.path {
	case legacySize, legacyMembers, legacyCensus:
		if apiKey(r) == "" {
			return r.URL.Query().Get("token")
		}
	}
	return ""
}

// authorizeToken is authorizeLink for a token in the query of a legacy route. Names need a link that shows names.
//
// An invalid token is a 403, as in mod_muc_size: the clients of these routes take a 404 for an empty room.
func (s *Server) authorizeToken(w *response, r *http.Request, token string, needed keys.Scope) error {
	err := s.authorizeLink(w, r, token)
	if p := (*problem)(nil); errors.As(err, &p) {
		p.status = http.StatusForbidden
		return p
	}
	if err != nil || needed == keys.ScopeCount {
		return err
	}
	return w.grant.Need(needed)
}

// getRoomSize handles "GET /room-size": the number of people in a room.
// Unlike mod_muc_size it leaves out recorders and the like, and reports 0 for a room with Jitsi's focus alone.
func (s *Server) getRoomSize(w *response, r *http.Request) error {
	room, err := s.legacyRoom(w, r)
	if err != nil {
		return err
	}
	return s.writeLegacy(w, view.RoomSize{Participants: room.Participants})
}

// getRoomMembers handles "GET /room": the people in a room.
func (s *Server) getRoomMembers(w *response, r *http.Request) error {
	room, err := s.legacyRoom(w, r)
	if err != nil {
		return err
	}
	if len(room.Occupants) > manyPeople {
		defer s.turns.take().Over()
	}
	view.SortOccupants(room.Occupants)
	return s.writeLegacy(w, view.NewRoomMembers(room))
}

// getRoomCensus handles "GET /room-census": all meetings, or those of a limited key or share link.
func (s *Server) getRoomCensus(w *response, r *http.Request) error {
	defer s.turns.take().Over()
	keep := func(g occupancy.RoomSummary) bool { return w.grant.AllowsAddress(g.Address) }
	page, err := s.cfg.Directory.Rooms(occupancy.Query{Type: occupancy.RoomMain, Keep: keep})
	if err != nil {
		return err
	}
	doc := view.RoomCensus{Rooms: make([]view.CensusRoom, 0, len(page.Rooms))}
	for _, g := range page.Rooms {
		doc.Rooms = append(doc.Rooms, view.NewCensusRoom(g))
	}
	return s.writeLegacy(w, doc)
}

// legacyRoom returns the open room that the parameters room, domain and subdomain name.
// Others are ignored, since mod_muc_size does so.
func (s *Server) legacyRoom(w *response, r *http.Request) (occupancy.Room, error) {
	q, err := readQuery(r)
	if err != nil {
		return occupancy.Room{}, err
	}
	written, err := s.legacyName(q)
	if err != nil {
		return occupancy.Room{}, err
	}
	named, err := s.resolve(written)
	if err != nil {
		return occupancy.Room{}, err
	}
	if !w.grant.Allows(named.jid) {
		return occupancy.Room{}, keys.ErrRoomNotAllowed
	}
	return s.openRoom(r.Context(), named)
}

// openRoom returns a room with an exact number of people, or an error.
func (s *Server) openRoom(ctx context.Context, named namedRoom) (occupancy.Room, error) {
	room, err := s.wholeRoom(ctx, named.jid)
	switch {
	case err != nil:
		return room, err
	case !room.Exact:
		return room, &problem{
			kind:       kindCountUnknown,
			detail:     "The number of people is not exact, which this route can't say: /api/rooms/{room_name} has the number, with a note.",
			retryAfter: operatorDelay,
		}
	case !room.Exists:
		return room, &problem{kind: kindRoomNotOpen, detail: "This room is not open, so it is empty."}
	}
	return room, nil
}

// legacyName returns the room in the parameters of a legacy route, as NameResolver.Room reads it.
func (s *Server) legacyName(q *query) (string, error) {
	room, base, tenant := q.text("room"), q.text("domain"), q.text("subdomain")
	if room == "" {
		q.fail("room: missing: use /room-size?room=planning")
	}
	if err := q.err(); err != nil {
		return "", err
	}
	domain, err := s.mainDomain(base)
	switch {
	case err != nil:
		return "", err
	case strings.Contains(room, "@") && tenant == "":
		return room, nil // the room's JID
	}
	return tenant + "/" + room + "@" + domain, nil
}

// mainDomain returns the watched MUC domain of the meetings of a Jitsi, whose domain may be its own or that of the MUC service.
// Empty is the first.
func (s *Server) mainDomain(base string) (string, error) {
	var known []string
	for _, d := range s.cfg.Directory.Domains() {
		if d.Type != occupancy.RoomMain || d.Kind == occupancy.ShardVisitors {
			continue
		}
		name := d.JID.Domainpart()
		_, parent, _ := strings.Cut(name, ".")
		if base == "" || strings.EqualFold(base, parent) || strings.EqualFold(base, name) {
			return name, nil
		}
		if base := cmp.Or(parent, name); !slices.Contains(known, base) {
			known = append(known, base)
		}
	}
	return "", &problem{kind: kindNotWatched, detail: "domain: " + shorten(base) + " has no meetings here: use " + strings.Join(known, " or ") + "."}
}

// writeLegacy answers with v, or returns an error if too many bytes of other responses are unread.
func (s *Server) writeLegacy(w *response, v any) error {
	body := append(view.Marshal(v), '\n')
	key := w.grant.Key.Sum()
	if err := s.unread.take(key, len(body)); err != nil {
		return err
	}
	defer s.unread.Give(key, len(body))
	return writeBytes(w, http.StatusOK, mediaJSON, body)
}
