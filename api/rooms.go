package api

import (
	"context"
	"errors"
	"net/http"
	"net/url"
	"slices"

	"mellium.im/xmpp/jid"

	"ppch/api/keys"
	"ppch/api/view"
	"ppch/component/occupancy"
)

// getParticipants handles "GET /api/rooms/{room_name}/participants".
func (s *Server) getParticipants(w *response, r *http.Request) error {
	// Clients of version 1 may send any parameter to this route.
	q := &query{}
	if r.URL.RawQuery != "" {
		q.values = r.URL.Query()
	}
	if q.values.Has("shard") {
		return s.getSpecial(w, r, asParticipants, q)
	}
	return s.getOne(w, r, asParticipants, q)
}

// getRoom handles "GET /api/rooms/{room_name}".
func (s *Server) getRoom(w *response, r *http.Request) error {
	q, err := parseQuery(r, "wait", "expand", "shard")
	switch {
	case err != nil:
		return err
	case q.values.Has("expand"), q.values.Has("shard"):
		return s.getSpecial(w, r, asRoom, q)
	}
	return s.getOne(w, r, asRoom, q)
}

// getOne answers with the room in the path, in the given detail.
func (s *Server) getOne(w *response, r *http.Request, p detail, q *query) error {
	wait := waitParameter(q)
	if err := q.err(); err != nil {
		return err
	}
	name, err := w.roomName()
	if err != nil {
		return err
	}
	named, err := s.resolve(name)
	if err != nil {
		return err
	}
	room := named.jid
	grant := w.grant
	if !grant.Allows(room) {
		return keys.ErrRoomNotAllowed
	}
	as := variant{p, grant.HasNames()}
	g, err := s.glanceAt(r.Context(), room)
	if err != nil {
		return err
	}
	if g, err = s.awaitChange(w, r, room, g, as, wait); err != nil {
		return err
	}
	as.names = w.grant.HasNames()
	v := newValidators(s.etags.room(g.RoomSummary, as), g.AsOf)
	if v.matches(r) {
		return v.writeNotModified(w)
	}
	a := s.newAnswer(as)
	defer a.release()
	if g.asked != nil {
		a.asked = map[string]*occupancy.Room{g.Address: g.asked}
	}
	now, err := a.room(r.Context(), append(slices.Clip(named.called), noteMember(s.cfg.Names.Remark(name, room, g.Exists))...), g.RoomSummary)
	if err != nil {
		return err
	}
	if now != g.RoomSummary {
		v = newValidators(s.etags.room(now, as), now.AsOf)
	}
	a.text("\n")
	return a.write(w, r, v)
}

// room returns a room from the directory or, without the Lua module, from Prosody.
func (s *Server) room(ctx context.Context, room jid.JID) (occupancy.Room, error) {
	found, err := s.cfg.Directory.Room(room)
	if found.Unasked || errors.Is(err, occupancy.ErrNoModule) {
		return s.cfg.Prosody.Room(ctx, room)
	}
	return found, err
}

// roomOn returns a room as one shard has it, or as all shards have it if shard is empty.
func (s *Server) roomOn(ctx context.Context, shard string, room jid.JID) (occupancy.Room, error) {
	if shard == "" {
		return s.room(ctx, room)
	}
	on := s.cfg.Directory.Shard(shard)
	if on == nil {
		return occupancy.Room{}, occupancy.ErrNoShard // retired since
	}
	found, err := on.Room(room)
	if errors.Is(err, occupancy.ErrNoModule) {
		found, err = s.cfg.Prosody.RoomOn(ctx, shard, room)
	}
	found.Shard = shard // also if it doesn't exist there
	return found, err
}

// glance is a room in short.
type glance struct {
	occupancy.RoomSummary
	asked *occupancy.Room // the whole room if Prosody was asked; nil for a room from the directory
}

// glanceOn is glanceAt for one shard, or for all if it is empty.
func (s *Server) glanceOn(ctx context.Context, shard string, room jid.JID) (glance, error) {
	if shard == "" {
		return s.glanceAt(ctx, room)
	}
	found, err := s.roomOn(ctx, shard, room)
	return glance{found.Summary(), &found}, err
}

// glanceAt returns room in short.
func (s *Server) glanceAt(ctx context.Context, room jid.JID) (glance, error) {
	g, err := s.cfg.Directory.RoomSummary(room)
	if !g.Unasked && !errors.Is(err, occupancy.ErrNoModule) {
		return glance{RoomSummary: g}, err
	}
	found, err := s.cfg.Prosody.Room(ctx, room)
	return glance{found.Summary(), &found}, err
}

// The limits of the name cache: the number of names, and the length of a name.
const (
	maxNames      = 4096
	maxNameLength = 256
)

// namedRoom is a room with a name that a client uses.
type namedRoom struct {
	jid    jid.JID
	called []byte // the JSON member for that name
}

const roomName = `"room_name":`

// noteMember returns the JSON member for a note about a name, or nil.
func noteMember(note string) []byte {
	if note == "" {
		return nil
	}
	return append([]byte(`,"name_note":`), view.Marshal(note)...)
}

// askedAs returns the JSON members for the requested names of a room. Their list is left open for more names.
func (n namedRoom) askedAs() []byte {
	const asked = `,"asked_as":[`
	b := make([]byte, 0, 2*len(n.called)+len(asked))
	b = append(append(b, n.called...), asked...)
	return append(b, n.quoted()...)
}

// quoted returns the name as JSON.
func (n namedRoom) quoted() []byte { return n.called[len(roomName):] }

// resolve finds a room by name. It caches the result, because that takes long and clients repeat their names.
func (s *Server) resolve(name string) (namedRoom, error) {
	if known, ok := s.nameCache.Get(name); ok {
		return known, nil
	}
	room, err := s.cfg.Names.Room(name)
	if err != nil {
		return namedRoom{}, err
	}
	named := namedRoom{room, append([]byte(roomName), view.Marshal(name)...)}
	if len(name) <= maxNameLength {
		s.nameCache.Add(name, named)
	}
	return named, nil
}

// roomName returns the room name in the path. It unescapes it, because the router doesn't.
func (w *response) roomName() (string, error) {
	name, err := url.PathUnescape(w.vars["room_name"])
	if err != nil {
		return "", &problem{kind: kindBadRoomName, detail: "The path has an invalid percent-escape.", cause: err}
	}
	return name, nil
}
